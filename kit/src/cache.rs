//! A cache with a limit of entries and bytes. Entries expire, and the least recently used entry is
//! removed first.
//!
//! Each VM of a plugin has its own cache, without locks. Times are durations since any fixed point,
//! usually 1970. The filter passes the current time to each call.
//!
//! ```
//! use proxy_filter_kit::cache::Cache;
//! use std::time::Duration;
//!
//! let mut verdicts = Cache::new(10_000).max_bytes(1 << 20);
//! let now = Duration::from_secs(1_700_000_000);
//! verdicts.insert("alice", true, now + Duration::from_secs(60));
//! assert_eq!(verdicts.get("alice", now), Some(&true));
//! assert_eq!(verdicts.get("alice", now + Duration::from_secs(60)), None);
//! ```

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use hashbrown::{DefaultHashBuilder, HashTable};

/// No slot.
const NONE: usize = usize::MAX;

/// The approximate overhead of an entry on wasm32: links, hash, expiry, and its part of the table.
const OVERHEAD: usize = 48;

/// A cache with limits: see the [module](self).
///
/// A look-up and an insertion take constant time. If an attacker chooses keys with equal hashes,
/// each look-up compares up to all keys of the cache. Use a small cache if clients choose the keys.
pub struct Cache<K, V> {
    max_entries: usize,
    max_bytes: usize,
    bytes: usize,
    hasher: DefaultHashBuilder,
    /// Indices of `slots`.
    index: HashTable<usize>,
    slots: Vec<Slot<K, V>>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
}

struct Slot<K, V> {
    /// `None` if the slot is free.
    entry: Option<(K, V)>,
    hash: u64,
    bytes: usize,
    expires: Duration,
    newer: usize,
    older: usize,
}

impl<K: Hash + Eq, V> Cache<K, V> {
    /// Creates a cache of at most `max_entries` entries. With 0 it stores nothing. Memory is
    /// allocated when entries are inserted.
    pub fn new(max_entries: usize) -> Self {
        Self {
            max_entries,
            max_bytes: usize::MAX,
            bytes: 0,
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// Limits the sum of the sizes of the entries, including the cache's overhead for each.
    /// Defaults to no limit.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self.shrink();
        self
    }

    /// Inserts an entry that is valid until `expires`. Its size is that of its types. For values
    /// that own memory, use [`insert_sized`](Self::insert_sized).
    pub fn insert(&mut self, key: K, value: V, expires: Duration) -> bool {
        self.insert_sized(key, value, 0, expires)
    }

    /// Inserts an entry that is valid until `expires`, and replaces the entry with the same key.
    /// `owned` is the number of bytes that key and value own besides the sizes of their types, such
    /// as the length of a string.
    ///
    /// Returns whether the entry was stored. An entry that alone exceeds the limit is not stored,
    /// and does not remove others, but still removes the entry with the same key.
    pub fn insert_sized(&mut self, key: K, value: V, owned: usize, expires: Duration) -> bool {
        let hash = self.hash(&key);
        self.remove_by(hash, |found| *found == key);
        self.insert_by(hash, key, value, owned, expires)
    }

    /// Returns the hash of a key, or of a part of it.
    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, part: &Q) -> u64 {
        self.hasher.hash_one(part)
    }

    /// Inserts an entry whose key is not in the cache, by a hash of the key.
    pub(crate) fn insert_by(&mut self, hash: u64, key: K, value: V, owned: usize, expires: Duration) -> bool {
        let bytes = owned.saturating_add(size_of::<(K, V)>()).saturating_add(OVERHEAD);
        if bytes > self.max_bytes || self.max_entries == 0 {
            return false;
        }
        let slot = Slot { entry: Some((key, value)), hash, bytes, expires, newer: NONE, older: NONE };
        let at = if let Some(at) = self.free.pop() {
            if let Some(free) = self.slots.get_mut(at) {
                *free = slot;
            }
            at
        } else {
            self.slots.push(slot);
            self.slots.len().saturating_sub(1)
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |at| slots.get(*at).map_or(0, |slot| slot.hash));
        self.bytes = self.bytes.saturating_add(bytes);
        self.link(at);
        self.shrink();
        true
    }

    /// Returns the value of a key unless it has expired, and marks it as the most recently used.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, now: Duration) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_by(self.hash(key), |found| found.borrow() == key, now)
    }

    /// Like [`get`](Self::get), for the key with this hash that is the right one.
    #[inline]
    pub(crate) fn get_by(&mut self, hash: u64, is_it: impl Fn(&K) -> bool, now: Duration) -> Option<&V> {
        let at = self.find(hash, is_it)?;
        if self.slots.get(at)?.expires <= now {
            self.take(at);
            return None;
        }
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
        let (_, value) = self.slots.get(at)?.entry.as_ref()?;
        Some(value)
    }

    /// Returns the value of a key and its expiry, even if it has expired. Use it to serve a stale
    /// value while a service is down. It does not count as a use.
    pub fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<(&V, Duration)>
    where
        K: Borrow<Q>,
    {
        let at = self.find(self.hash(key), |found| found.borrow() == key)?;
        let slot = self.slots.get(at)?;
        slot.entry.as_ref().map(|(_, value)| (value, slot.expires))
    }

    /// Removes an entry and returns its value.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_by(self.hash(key), |found| found.borrow() == key)
    }

    /// Like [`remove`](Self::remove), for the key with this hash that is the right one.
    pub(crate) fn remove_by(&mut self, hash: u64, is_it: impl Fn(&K) -> bool) -> Option<V> {
        self.take(self.find(hash, is_it)?).map(|(_, value)| value)
    }

    /// Removes all expired entries, in time proportional to the number of entries. Calling it is
    /// optional, for example on a tick.
    pub fn remove_expired(&mut self, now: Duration) {
        for at in 0..self.slots.len() {
            if self.slots.get(at).is_some_and(|slot| slot.entry.is_some() && slot.expires <= now) {
                self.take(at);
            }
        }
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        let (max_entries, max_bytes) = (self.max_entries, self.max_bytes);
        *self = Self::new(max_entries).max_bytes(max_bytes);
    }

    /// Returns the number of entries, including expired ones.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the size of all entries in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.index.len() > self.max_entries || self.bytes > self.max_bytes {
            if self.take(self.oldest).is_none() {
                return;
            }
        }
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(&K) -> bool) -> Option<usize> {
        let has_key =
            |at: &usize| self.slots.get(*at).and_then(|slot| slot.entry.as_ref()).is_some_and(|(key, _)| is_it(key));
        self.index.find(hash, has_key).copied()
    }

    fn take(&mut self, at: usize) -> Option<(K, V)> {
        self.slots.get(at)?.entry.as_ref()?;
        self.unlink(at);
        let slot = self.slots.get_mut(at)?;
        let entry = slot.entry.take();
        self.bytes = self.bytes.saturating_sub(slot.bytes);
        if let Ok(found) = self.index.find_entry(slot.hash, |found| *found == at) {
            found.remove();
        }
        self.free.push(at);
        entry
    }

    /// Marks an entry as the most recently used.
    fn link(&mut self, at: usize) {
        let before = self.newest;
        if let Some(slot) = self.slots.get_mut(at) {
            (slot.newer, slot.older) = (NONE, before);
        }
        match self.slots.get_mut(before) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: usize) {
        let Some((newer, older)) = self.slots.get(at).map(|slot| (slot.newer, slot.older)) else { return };
        match self.slots.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Cache({} of {} entries, {} of {} bytes)",
            self.index.len(),
            self.max_entries,
            self.bytes,
            self.max_bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Generator;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_least_recently_used_entry_makes_room() {
        let mut cache = Cache::new(2);
        cache.insert("a", 1, at(9));
        cache.insert("b", 2, at(9));
        assert_eq!(cache.get("a", at(0)), Some(&1));
        cache.insert("c", 3, at(9));
        assert_eq!(cache.get("b", at(0)), None);
        assert_eq!((cache.get("a", at(0)).copied(), cache.get("c", at(0)).copied()), (Some(1), Some(3)));
        assert_eq!(cache.peek("a"), Some((&1, at(9))));
        cache.insert("d", 4, at(9)); // `peek` does not count as a use; the last use was `get` of `c`
        assert_eq!(cache.peek("a"), None);
    }

    #[test]
    fn an_entry_expires_at_its_time_and_not_after() {
        let mut cache = Cache::new(2);
        cache.insert("a", 1, at(9));
        assert_eq!(cache.get("a", Duration::from_millis(8999)), Some(&1));
        assert_eq!(cache.peek("a"), Some((&1, at(9))));
        assert_eq!(cache.get("a", at(9)), None);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn bytes_are_bounded() {
        let one = size_of::<(u32, u32)>() + OVERHEAD + 100;
        let mut cache = Cache::new(100).max_bytes(3 * one);
        for key in 0..10_u32 {
            assert!(cache.insert_sized(key, key, 100, at(9)));
        }
        assert_eq!((cache.len(), cache.bytes()), (3, 3 * one));
        assert!(!cache.insert_sized(9, 0, 3 * one, at(9)));
        assert_eq!((cache.len(), cache.peek(&9), cache.peek(&8)), (2, None, Some((&8, at(9)))));
        assert!(cache.insert_sized(1, 1, 2 * one + 100, at(9)));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_cache_of_size_0_stores_nothing() {
        assert!(!Cache::new(0).insert(1, 1, at(9)));
    }

    /// The same cache, implemented by searching.
    struct Model {
        entries: Vec<(u64, u64, usize, Duration)>,
        max_entries: usize,
        max_bytes: usize,
    }

    impl Model {
        fn insert(&mut self, key: u64, value: u64, owned: usize, expires: Duration) {
            self.entries.retain(|entry| entry.0 != key);
            let bytes = owned + size_of::<(u64, u64)>() + OVERHEAD;
            if bytes <= self.max_bytes {
                self.entries.push((key, value, bytes, expires));
            }
            while self.entries.len() > self.max_entries || self.bytes() > self.max_bytes {
                self.entries.remove(0);
            }
        }

        fn bytes(&self) -> usize {
            self.entries.iter().map(|entry| entry.2).sum()
        }

        fn get(&mut self, key: u64, now: Duration) -> Option<u64> {
            let place = self.entries.iter().position(|entry| entry.0 == key)?;
            let entry = self.entries.remove(place);
            (entry.3 > now).then(|| self.entries.push(entry)).map(|()| entry.1)
        }
    }

    #[test]
    fn a_cache_behaves_as_a_list_that_is_searched() {
        let mut generator = Generator::new(11);
        for max_entries in [1, 2, 7, 30] {
            let max_bytes = 1500;
            let mut cache = Cache::new(max_entries).max_bytes(max_bytes);
            let mut model = Model { entries: Vec::new(), max_entries, max_bytes };
            for step in 0..5_000 {
                let (key, now) = (generator.next() % 40, at(step / 10));
                match generator.below(8) {
                    0..=3 => {
                        let (owned, expires) = (generator.below(300), now + at(generator.next() % 20));
                        cache.insert_sized(key, step, owned, expires);
                        model.insert(key, step, owned, expires);
                    }
                    4..=5 => assert_eq!(cache.get(&key, now).copied(), model.get(key, now)),
                    6 => {
                        let removed =
                            model.entries.iter().position(|entry| entry.0 == key).map(|i| model.entries.remove(i).1);
                        assert_eq!(cache.remove(&key), removed);
                    }
                    _ => {
                        cache.remove_expired(now);
                        model.entries.retain(|entry| entry.3 > now);
                    }
                }
                assert_eq!((cache.len(), cache.bytes()), (model.entries.len(), model.bytes()));
                assert!(cache.slots.len() <= max_entries + 1, "slots are reused");
            }
            cache.clear();
            assert!(cache.is_empty() && cache.bytes() == 0);
        }
    }
}
