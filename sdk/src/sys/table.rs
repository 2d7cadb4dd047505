//! [`Table`]: contexts, callouts and futures by id.

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use std::cell::Cell;

/// Entries by id.
///
/// Ids come from the host: small, increasing, and shared by roots and streams. The newest entry is
/// at the front, where a look-up costs almost nothing. Streams that do not overlap use only the
/// front; others move behind it into chains. Fibonacci hashing spreads consecutive ids evenly over
/// the chains, so a look-up does not slow down as streams are added. A look-up returns the entry
/// itself, so the table is not borrowed while a context's code runs. Entries are reused: the table
/// allocates no more entries than the largest number in use at once.
///
/// With a `HashTable` of the crate `hashbrown` instead of the chains, and the same hash, modules
/// are larger and slower. The bench filter `auth_callout` then has 33,617 bytes instead of 30,071.
/// It needs 3,573 instructions for a request instead of 3,424 (hashbrown 0.17, Rust 1.95).
///
/// A module has up to six tables. What does not depend on the type of the entries is [`Index`], of
/// which a module has one copy: 600 bytes for each further table less.
pub(crate) struct Table<T: 'static> {
    index: Index,
    entries: PhantomData<&'static Entry<T>>,
}

/// A place in the table.
// The head is first, so that a pointer to an entry is one to its head.
#[repr(C)]
pub(crate) struct Entry<T: 'static> {
    head: Head,
    value: T,
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The part of an entry that the index uses.
struct Head {
    id: Cell<u32>,
    next: Chain,
}

/// The head of an entry, with the right to reach all of the entry. Entries are never freed.
type Link = NonNull<Head>;

/// The first entry of a list.
type Chain = Cell<Option<Link>>;

/// The id of an idle entry. Hosts assign this id to the VM, and to no context.
const VACANT: u32 = 0;
/// 2^32 divided by the golden ratio.
const FIBONACCI: u32 = 0x9e37_79b9;
const SMALLEST: usize = 8;

/// Converts a number of the host to an id. Id 0 is reserved, and some hosts count from 0.
pub(crate) const fn key(number: u32) -> u32 {
    number.wrapping_add(1)
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { index: Index::new(), entries: PhantomData }
    }

    /// The entry with this id.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&'static Entry<T>> {
        self.index.get(id).map(Self::entry)
    }

    /// Inserts an entry, which is a reused or a new one. Also returns the previous entry with this
    /// id if it was at the front. A previous entry in a chain is hidden by the new one until the
    /// new one is removed.
    #[inline]
    pub(crate) fn insert(&self, id: u32, new: impl FnOnce() -> T) -> (&'static Entry<T>, Option<&'static Entry<T>>) {
        match self.index.front.get() {
            Some(front) if head(front).id.get() == VACANT => {
                head(front).id.set(id);
                (Self::entry(front), None)
            }
            _ => {
                let link = self.index.reuse().unwrap_or_else(|| Self::allocate(new));
                let before = self.index.put(link, id);
                (Self::entry(link), before.map(Self::entry))
            }
        }
    }

    /// Takes an entry out.
    #[inline]
    pub(crate) fn remove(&self, id: u32) -> Option<&'static Entry<T>> {
        self.index.remove(id).map(Self::entry)
    }

    /// Finds any entry that matches. It may be an idle entry.
    #[cold]
    pub(crate) fn find(&self, is_meant: impl Fn(&T) -> bool) -> Option<&'static Entry<T>> {
        let mut chains = self.index.chains.get().iter();
        let mut next = self.index.front.get();
        // The link of the front entry to a next entry is stale.
        let mut is_front = true;
        loop {
            match next {
                Some(link) if is_meant(Self::entry(link)) => return Some(Self::entry(link)),
                Some(link) if !is_front => next = head(link).next.get(),
                _ => {
                    is_front = false;
                    next = chains.next()?.get();
                }
            }
        }
    }

    /// Gives back an entry that is not in the table any more. It must be one of this table.
    #[inline]
    pub(crate) fn recycle(&self, entry: &'static Entry<T>) {
        self.index.recycle(NonNull::from(entry).cast());
    }

    #[inline(never)]
    fn allocate(new: impl FnOnce() -> T) -> Link {
        let head = Head { id: Cell::new(VACANT), next: Cell::new(None) };
        NonNull::from(Box::leak(Box::new(Entry { head, value: new() }))).cast()
    }

    /// The entry of a link in this table's index.
    #[inline]
    fn entry(link: Link) -> &'static Entry<T> {
        // SAFETY: the index of a table gets links from `allocate` and `recycle` of its own type
        // only. The head is the first field of an entry, and entries are never freed. The shared
        // parts of an entry are in cells, or are as safe as `T` is.
        unsafe { link.cast().as_ref() }
    }
}

/// The head of an entry.
#[inline]
fn head(link: Link) -> &'static Head {
    // SAFETY: as in `Table::entry`.
    unsafe { link.as_ref() }
}

/// The code and data that do not depend on the type of the entries.
struct Index {
    /// The newest entry, or an idle entry.
    front: Chain,
    /// The chains. Their number is a power of two and at least the number of entries; there are
    /// none before the first entry. An outgrown array is not freed: all outgrown arrays together
    /// are smaller than the last one.
    chains: Cell<&'static [Chain]>,
    /// How far a hash is shifted down to become an index: 32 minus the logarithm of the number of
    /// chains.
    shift: Cell<u32>,
    /// The number of entries, in use and idle. Only a new entry can make the table too small.
    entries: Cell<usize>,
    /// The other idle entries.
    idle: Chain,
}

impl Index {
    const fn new() -> Self {
        Self {
            front: Cell::new(None),
            chains: Cell::new(&[]),
            shift: Cell::new(0),
            entries: Cell::new(0),
            idle: Cell::new(None),
        }
    }

    #[inline]
    fn get(&self, id: u32) -> Option<Link> {
        match self.front.get() {
            Some(link) if head(link).id.get() == id => Some(link),
            _ => self.get_chained(id),
        }
    }

    #[inline]
    fn remove(&self, id: u32) -> Option<Link> {
        match self.front.get() {
            Some(link) if head(link).id.get() == id => {
                self.front.set(None);
                Some(link)
            }
            _ => self.remove_chained(id),
        }
    }

    #[inline]
    fn recycle(&self, link: Link) {
        if self.front.get().is_none() {
            head(link).id.set(VACANT);
            self.front.set(Some(link));
        } else {
            head(link).next.set(self.idle.get());
            self.idle.set(Some(link));
        }
    }

    /// Returns the chain of an id, or `None` in a table that never had an entry.
    #[inline]
    fn chain(&self, id: u32) -> Option<&'static Chain> {
        // The high bits of the product are the well mixed ones.
        self.chains.get().get((id.wrapping_mul(FIBONACCI) >> self.shift.get()) as usize)
    }

    #[inline(never)]
    fn get_chained(&self, id: u32) -> Option<Link> {
        let mut next = self.chain(id)?.get();
        while let Some(link) = next {
            if head(link).id.get() == id {
                break;
            }
            next = head(link).next.get();
        }
        next
    }

    #[inline(never)]
    fn remove_chained(&self, id: u32) -> Option<Link> {
        let mut chain = self.chain(id)?;
        loop {
            let link = chain.get()?;
            if head(link).id.get() == id {
                chain.set(head(link).next.get());
                return Some(link);
            }
            chain = &head(link).next;
        }
    }

    /// Returns an idle entry. If there is none, makes room for a new one.
    #[inline(never)]
    fn reuse(&self) -> Option<Link> {
        let idle = self.idle.get();
        if let Some(link) = idle {
            self.idle.set(head(link).next.get());
        } else {
            if self.entries.get() >= self.chains.get().len() {
                self.grow();
            }
            self.entries.set(self.entries.get() + 1);
        }
        idle
    }

    /// Puts an entry before the one at the front, which goes to the chains, or is returned if it
    /// has the same id.
    #[inline(never)]
    fn put(&self, link: Link, id: u32) -> Option<Link> {
        head(link).id.set(id);
        let before = self.front.replace(Some(link))?;
        if head(before).id.get() == id {
            return Some(before);
        }
        self.link(before);
        None
    }

    fn link(&self, link: Link) {
        if let Some(chain) = self.chain(head(link).id.get()) {
            head(link).next.set(chain.replace(Some(link)));
        }
    }

    fn grow(&self) {
        let old = self.chains.get();
        let size = (old.len() * 2).max(SMALLEST);
        self.shift.set(32 - size.trailing_zeros());
        self.chains.set(Cell::from_mut(super::leak_none(size)).as_slice_of_cells());
        for chain in old {
            while let Some(link) = chain.get() {
                chain.set(head(link).next.get());
                self.link(link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::table::Table;
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
    fn the_table_behaves_as_a_hash_map_under_many_mixed_operations() {
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
    fn the_limits_of_the_id_range_are_valid_ids() {
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
    fn any_entry_is_found_by_its_content() {
        let table = Table::new();
        assert!(table.find(|_: &Cell<u32>| true).is_none());
        for id in 1..=100 {
            put(&table, id, id * 10);
        }
        for id in (1..=100).rev() {
            assert_eq!(table.find(|value| value.get() == id * 10).map(|entry| entry.head.id.get()), Some(id));
        }
        assert!(table.find(|value| value.get() == 5).is_none());
    }

    #[test]
    fn a_reused_id_returns_the_previous_entry() {
        let table = Table::new();
        put(&table, 7, 1);
        let (entry, before) = table.insert(7, Cell::default);
        entry.set(2);
        assert_eq!(before.map(|entry| entry.get()), Some(1));
        assert_eq!(take(&table, 7), Some(2));
        assert_eq!(take(&table, 7), None);
    }

    #[test]
    fn entries_are_reused() {
        let table = Table::new();
        for round in 0..10_000 {
            for id in 1..=20 {
                put(&table, round * 20 + id, id);
            }
            for id in (1..=20).rev() {
                assert_eq!(take(&table, round * 20 + id), Some(id));
            }
        }
        assert_eq!(table.index.entries.get(), 20);
    }

    #[test]
    fn chains_stay_short_for_every_range_of_ids() {
        for first in [1, 1_000_000, u32::MAX - 50_000] {
            let table = Table::new();
            for id in first..first + 50_000 {
                put(&table, id, id);
            }
            let longest = table.index.chains.get().iter().map(|chain| {
                let mut length = 0;
                let mut next = chain.get();
                while let Some(entry) = next {
                    length += 1;
                    next = super::head(entry).next.get();
                }
                length
            });
            assert!(longest.max().unwrap() <= 3);
        }
    }
}
