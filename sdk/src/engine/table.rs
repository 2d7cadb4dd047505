use crate::engine::shared::{Shared, share, share_empty};
use core::ops::Deref;
use std::cell::Cell;

/// The contexts by id.
///
/// Ids come from the host: small, increasing, shared by roots and streams. The context that was created last is at the front, where
/// it costs next to nothing: streams that come one after the other never go further. Those that overlap are moved behind it into
/// chains. Fibonacci hashing spreads consecutive ids evenly over them whatever range is alive, so that a look-up does not slow down as
/// streams are added. A look-up hands out the entry itself: nothing here is borrowed while a context's own code runs. Entries are used
/// again, so that a module that has seen its busiest moment allocates no more of them.
pub(crate) struct Table<T: 'static> {
    /// The entry that was put in last, or one that waits to be used.
    front: Chain<T>,
    /// A power of two of chains, as many as entries or more; none before the first entry. A table that was outgrown is left to the
    /// module's memory: all of them together are smaller than the last.
    chains: Cell<&'static [Chain<T>]>,
    /// How far a hash is shifted down to become an index: 32 minus the logarithm of the number of chains.
    shift: Cell<u32>,
    /// How many entries there are, in the table and idle: only a new one can make the table too small.
    entries: Cell<usize>,
    /// The other entries that wait to be used.
    idle: Chain<T>,
}

/// The first entry of a list.
type Chain<T> = Cell<Option<Shared<Entry<T>>>>;

/// A place in the table.
pub(crate) struct Entry<T: 'static> {
    id: Cell<u32>,
    next: Chain<T>,
    value: T,
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The id of an entry that waits to be used. Hosts give it to the VM, and to no context.
const VACANT: u32 = 0;
/// 2^32 divided by the golden ratio.
const FIBONACCI: u32 = 0x9e37_79b9;
const SMALLEST: usize = 8;

/// A number of the host's as an id: 0 is none, and some hosts count from 0.
pub(crate) const fn key(number: u32) -> u32 {
    number.wrapping_add(1)
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self {
            front: Cell::new(None),
            chains: Cell::new(&[]),
            shift: Cell::new(0),
            entries: Cell::new(0),
            idle: Cell::new(None),
        }
    }

    /// The entry with this id.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<Shared<Entry<T>>> {
        match self.front.get() {
            Some(entry) if entry.id.get() == id => Some(entry),
            _ => self.get_chained(id),
        }
    }

    /// Puts an entry in: one that was used before, or else a new one. The entry that had this id is returned besides, unless it is
    /// among the chains, where the new one hides it until that one is removed.
    #[inline]
    pub(crate) fn insert(&self, id: u32, new: impl FnOnce() -> T) -> (Shared<Entry<T>>, Option<Shared<Entry<T>>>) {
        match self.front.get() {
            Some(entry) if entry.id.get() == VACANT => {
                entry.id.set(id);
                (entry, None)
            }
            front => self.insert_before(front, id, new),
        }
    }

    /// Takes an entry out.
    #[inline]
    pub(crate) fn remove(&self, id: u32) -> Option<Shared<Entry<T>>> {
        match self.front.get() {
            Some(entry) if entry.id.get() == id => {
                self.front.set(None);
                Some(entry)
            }
            _ => self.remove_chained(id),
        }
    }

    /// An entry of this kind, among all. It may be one that waits to be used.
    #[cold]
    pub(crate) fn find(&self, is_meant: impl Fn(&T) -> bool) -> Option<Shared<Entry<T>>> {
        let mut chains = self.chains.get().iter();
        let mut next = self.front.get();
        // What an entry at the front says of a next one is old.
        let mut is_front = true;
        loop {
            match next {
                Some(entry) if is_meant(entry) => return next,
                Some(entry) if !is_front => next = entry.next.get(),
                _ => {
                    is_front = false;
                    next = chains.next()?.get();
                }
            }
        }
    }

    /// Gives back an entry that is not in the table any more.
    #[inline]
    pub(crate) fn recycle(&self, entry: Shared<Entry<T>>) {
        if self.front.get().is_none() {
            entry.id.set(VACANT);
            self.front.set(Some(entry));
        } else {
            entry.next.set(self.idle.get());
            self.idle.set(Some(entry));
        }
    }

    /// The chain an id belongs to; none in a table that never had an entry.
    #[inline]
    fn chain(&self, id: u32) -> Option<&'static Chain<T>> {
        // The high bits of the product are the well mixed ones.
        self.chains.get().get((id.wrapping_mul(FIBONACCI) >> self.shift.get()) as usize)
    }

    #[inline(never)]
    fn get_chained(&self, id: u32) -> Option<Shared<Entry<T>>> {
        let mut next = self.chain(id)?.get();
        while let Some(entry) = next {
            if entry.id.get() == id {
                break;
            }
            next = entry.next.get();
        }
        next
    }

    #[inline(never)]
    fn remove_chained(&self, id: u32) -> Option<Shared<Entry<T>>> {
        let mut chain = self.chain(id)?;
        loop {
            let entry = chain.get()?;
            if entry.id.get() == id {
                chain.set(entry.next.get());
                return Some(entry);
            }
            chain = &entry.next;
        }
    }

    /// Puts an entry before the one at the front, which goes to the chains.
    #[inline(never)]
    fn insert_before(
        &self,
        front: Option<Shared<Entry<T>>>,
        id: u32,
        new: impl FnOnce() -> T,
    ) -> (Shared<Entry<T>>, Option<Shared<Entry<T>>>) {
        let entry = match self.idle.get() {
            Some(entry) => {
                self.idle.set(entry.next.get());
                entry
            }
            None => self.allocate(new),
        };
        entry.id.set(id);
        self.front.set(Some(entry));
        match front {
            Some(before) if before.id.get() == id => (entry, Some(before)),
            Some(before) => {
                self.link(before);
                (entry, None)
            }
            None => (entry, None),
        }
    }

    fn link(&self, entry: Shared<Entry<T>>) {
        if let Some(chain) = self.chain(entry.id.get()) {
            entry.next.set(chain.get());
            chain.set(Some(entry));
        }
    }

    fn allocate(&self, new: impl FnOnce() -> T) -> Shared<Entry<T>> {
        if self.entries.get() >= self.chains.get().len() {
            self.grow();
        }
        self.entries.set(self.entries.get() + 1);
        share(Entry { id: Cell::new(VACANT), next: Cell::new(None), value: new() })
    }

    fn grow(&self) {
        let old = self.chains.get();
        let size = (old.len() * 2).max(SMALLEST);
        self.shift.set(32 - size.trailing_zeros());
        self.chains.set(share_empty(size));
        for chain in old {
            while let Some(entry) = chain.get() {
                chain.set(entry.next.get());
                self.link(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::table::Table;
    use std::cell::Cell;
    use std::collections::HashMap;

    fn put(table: &Table<Cell<u32>>, id: u32, value: u32) {
        let (entry, before) = table.insert(id, Cell::default);
        assert!(before.is_none());
        entry.set(value);
    }

    fn take(table: &Table<Cell<u32>>, id: u32) -> Option<u32> {
        let entry = table.remove(id)?;
        table.recycle(entry);
        Some(entry.get())
    }

    #[test]
    fn it_behaves_as_a_hash_map_under_a_long_mixed_life() {
        let table = Table::new();
        let mut model = HashMap::new();
        let mut state = 1_u32;
        for step in 0..30_000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = if step % 3 == 0 { 1 + state % 64 } else { 1 + step };
            match state >> 29 {
                0..=3 => {
                    assert_eq!(take(&table, id), model.remove(&id));
                    put(&table, id, step);
                    model.insert(id, step);
                }
                4..=6 => assert_eq!(take(&table, id), model.remove(&id)),
                _ => assert_eq!(table.get(id).map(|entry| entry.get()), model.get(&id).copied()),
            }
        }
        for (id, value) in &model {
            assert_eq!(table.get(*id).map(|entry| entry.get()), Some(*value));
        }
    }

    #[test]
    fn the_extremes_of_the_id_range_are_ids_like_others() {
        let table = Table::new();
        assert!(table.get(1).is_none(), "an empty table has nothing");
        assert!(table.remove(1).is_none());
        for id in [1, u32::MAX, u32::MAX - 1, 1 << 31] {
            put(&table, id, id);
        }
        for id in [1, u32::MAX, u32::MAX - 1, 1 << 31] {
            assert_eq!(take(&table, id), Some(id));
        }
        assert!(table.get(1).is_none());
    }

    #[test]
    fn any_entry_is_found_by_what_is_in_it() {
        let table = Table::new();
        assert!(table.find(|_: &Cell<u32>| true).is_none());
        for id in 1..=100 {
            put(&table, id, id * 10);
        }
        for id in (1..=100).rev() {
            assert_eq!(table.find(|value| value.get() == id * 10).map(|entry| entry.id.get()), Some(id));
        }
        assert!(table.find(|value| value.get() == 5).is_none());
    }

    #[test]
    fn an_id_used_twice_hands_out_the_entry_that_had_it() {
        let table = Table::new();
        put(&table, 7, 1);
        let (entry, before) = table.insert(7, Cell::default);
        entry.set(2);
        assert_eq!(before.map(|entry| entry.get()), Some(1));
        assert_eq!(take(&table, 7), Some(2));
        assert_eq!(take(&table, 7), None);
    }

    #[test]
    fn entries_are_used_again() {
        let table = Table::new();
        for round in 0..10_000 {
            for id in 1..=20 {
                put(&table, round * 20 + id, id);
            }
            for id in (1..=20).rev() {
                assert_eq!(take(&table, round * 20 + id), Some(id));
            }
        }
        assert_eq!(table.entries.get(), 20);
    }

    #[test]
    fn chains_stay_short_whatever_range_of_ids_is_alive() {
        for first in [1, 1_000_000, u32::MAX - 50_000] {
            let table = Table::new();
            for id in first..first + 50_000 {
                put(&table, id, id);
            }
            let longest = table.chains.get().iter().map(|chain| {
                let mut length = 0;
                let mut next = chain.get();
                while let Some(entry) = next {
                    length += 1;
                    next = entry.next.get();
                }
                length
            });
            assert!(longest.max().unwrap() <= 3);
        }
    }
}
