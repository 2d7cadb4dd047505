use super::shared::{Shared, vec_of};
use std::cell::RefCell;

/// The contexts by id.
///
/// Ids come from the host: small, increasing, shared by roots and streams. Open addressing with Fibonacci hashing, which spreads
/// consecutive ids evenly whatever range is alive, costs one multiplication a look-up and does not slow down as streams are
/// added. A look-up hands out a shared pointer, so that nothing here is borrowed while a context's own code runs.
pub(crate) struct Table<T: 'static> {
    inner: RefCell<Inner<T>>,
}

struct Inner<T: 'static> {
    /// A power of two of places, at most half of them taken; none before the first insertion.
    places: Vec<Option<(u32, Shared<T>)>>,
    length: usize,
    /// How far a hash is shifted down to become a place: 32 minus the logarithm of the number of places.
    shift: u32,
}

/// 2^32 divided by the golden ratio.
const FIBONACCI: u32 = 0x9e37_79b9;
const SMALLEST: usize = 8;

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { inner: RefCell::new(Inner { places: Vec::new(), length: 0, shift: 0 }) }
    }

    /// The context with this id.
    pub(crate) fn get(&self, id: u32) -> Option<Shared<T>> {
        let inner = self.inner.try_borrow().ok()?;
        match inner.places.get(inner.find(id)) {
            Some(Some((_, value))) => Some(Shared::clone(value)),
            _ => None,
        }
    }

    /// Puts a context in, and returns the one that had this id before.
    pub(crate) fn insert(&self, id: u32, value: Shared<T>) -> Option<Shared<T>> {
        let mut inner = self.inner.try_borrow_mut().ok()?;
        if inner.length >= inner.places.len() / 2 {
            inner.grow();
        }
        let place = inner.find(id);
        let place = inner.places.get_mut(place)?;
        let before = place.replace((id, value));
        if before.is_none() {
            inner.length += 1;
        }
        before.map(|(_, value)| value)
    }

    /// Takes a context out.
    pub(crate) fn remove(&self, id: u32) -> Option<Shared<T>> {
        let mut inner = self.inner.try_borrow_mut().ok()?;
        let hole = inner.find(id);
        let (_, value) = inner.places.get_mut(hole)?.take()?;
        inner.length -= 1;
        inner.close(hole);
        Some(value)
    }

    /// How many contexts there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.inner.borrow().length
    }
}

impl<T> Inner<T> {
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn home(&self, id: u32) -> usize {
        // The high bits of the product are the well mixed ones.
        (id.wrapping_mul(FIBONACCI) >> self.shift) as usize
    }

    /// Where the id is, or else where it would go. There is always a free place, so the walk ends.
    #[inline]
    fn find(&self, id: u32) -> usize {
        let mut place = self.home(id);
        while let Some(Some((found, _))) = self.places.get(place) {
            if *found == id {
                break;
            }
            place = (place + 1) & self.mask();
        }
        place
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(SMALLEST);
        self.shift = 32 - size.trailing_zeros();
        let mut places = vec_of(size);
        while places.len() < places.capacity().min(size) {
            places.push(None);
        }
        let old = core::mem::replace(&mut self.places, places);
        for (id, value) in old.into_iter().flatten() {
            let place = self.find(id);
            if let Some(place) = self.places.get_mut(place) {
                *place = Some((id, value));
            }
        }
    }

    /// Moves later entries of the same run back over a hole, so that no walk stops before its entry.
    #[inline]
    fn close(&mut self, mut hole: usize) {
        let mask = self.mask();
        let mut next = (hole + 1) & mask;
        while let Some(Some((id, _))) = self.places.get(next) {
            let ideal = self.home(*id);
            // The entry may move back to the hole only if its home is not between the hole (exclusive) and itself.
            if next.wrapping_sub(ideal) & mask >= next.wrapping_sub(hole) & mask {
                let moved = self.places.get_mut(next).and_then(Option::take);
                if let Some(place) = self.places.get_mut(hole) {
                    *place = moved;
                }
                hole = next;
            }
            next = (next + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use std::collections::HashMap;
    use std::rc::Rc;

    #[test]
    fn it_behaves_as_a_hash_map_under_a_long_mixed_life() {
        let table = Table::new();
        let mut model = HashMap::new();
        let mut state = 1_u32;
        for step in 0..30_000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = if step % 3 == 0 { state % 64 } else { step };
            match state >> 29 {
                0..=3 => {
                    let before = table.insert(id, Rc::new(step)).map(|value| *value);
                    assert_eq!(before, model.insert(id, step));
                }
                4..=6 => assert_eq!(table.remove(id).map(|value| *value), model.remove(&id)),
                _ => assert_eq!(table.get(id).map(|value| *value), model.get(&id).copied()),
            }
            assert_eq!(table.len(), model.len());
        }
        for (id, value) in &model {
            assert_eq!(table.get(*id).as_deref(), Some(value));
        }
    }

    #[test]
    fn the_extremes_of_the_id_range_are_ids_like_others() {
        let table = Table::new();
        assert!(table.get(0).is_none(), "an empty table has nothing");
        assert!(table.remove(0).is_none());
        for id in [0, 1, u32::MAX, u32::MAX - 1, 1 << 31] {
            assert!(table.insert(id, Rc::new(id)).is_none());
        }
        for id in [0, 1, u32::MAX, u32::MAX - 1, 1 << 31] {
            assert_eq!(table.remove(id).as_deref(), Some(&id));
        }
        assert_eq!(table.len(), 0);
    }
}
