//! What the VMs of a process share: data and queues.

use proxy_filter::Status;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values by key, each with the number of the write that made it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data(Arc<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    writes: u32,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Data {
    pub(crate) fn get(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        lock(&self.0).values.get(key).cloned().ok_or(Status::NOT_FOUND)
    }

    /// All keys and values.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        lock(&self.0).values.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// The bytes of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.0).values.iter().map(|(key, (value, _))| key.len() + value.len()).sum()
    }

    /// Writes a value. The `cas` of a missing key is not looked at.
    pub(crate) fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let mut data = lock(&self.0);
        if data.values.get(key).is_some_and(|(_, current)| cas != 0 && cas != *current) {
            return Err(Status::CAS_MISMATCH);
        }
        data.writes += 1;
        let write = data.writes;
        data.values.insert(key.to_vec(), (value.to_vec(), write));
        Ok(())
    }
}

/// What is notified of a queue's items: a VM by its number, and a root context in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registrant {
    pub(crate) vm: usize,
    pub(crate) root: u32,
}

/// Queues, and the items whose callback has not run yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues(Arc<Mutex<AllQueues>>);

#[derive(Debug, Default)]
struct AllQueues {
    names: BTreeMap<Vec<u8>, u32>,
    items: BTreeMap<u32, VecDeque<Vec<u8>>>,
    /// Who registered last.
    registrants: BTreeMap<u32, Registrant>,
    untold: VecDeque<(Registrant, u32)>,
}

impl Queues {
    pub(crate) fn register(&self, name: &[u8], registrant: Registrant) -> u32 {
        let mut queues = lock(&self.0);
        let next = u32::try_from(queues.names.len() + 1).unwrap_or(u32::MAX);
        let id = *queues.names.entry(name.to_vec()).or_insert(next);
        queues.items.entry(id).or_default();
        queues.registrants.insert(id, registrant);
        id
    }

    pub(crate) fn resolve(&self, name: &[u8]) -> Result<u32, Status> {
        lock(&self.0).names.get(name).copied().ok_or(Status::NOT_FOUND)
    }

    pub(crate) fn enqueue(&self, id: u32, item: &[u8]) -> Result<(), Status> {
        let mut queues = lock(&self.0);
        queues.items.get_mut(&id).ok_or(Status::NOT_FOUND)?.push_back(item.to_vec());
        let registrant = *queues.registrants.get(&id).ok_or(Status::NOT_FOUND)?;
        queues.untold.push_back((registrant, id));
        Ok(())
    }

    pub(crate) fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        lock(&self.0).items.get_mut(&id).ok_or(Status::NOT_FOUND)?.pop_front().ok_or(Status::EMPTY)
    }

    /// All queues with their items.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        let queues = lock(&self.0);
        let items = |id| queues.items.get(id).into_iter().flatten().cloned().collect();
        queues.names.iter().map(|(name, id)| (name.clone(), items(id))).collect()
    }

    /// The bytes of all items that no filter has taken yet.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.0).items.values().flatten().map(Vec::len).sum()
    }

    /// The root context of a VM whose callback for an item runs next, and the item's queue.
    pub(crate) fn tell(&self, vm: usize) -> Option<(u32, u32)> {
        let untold = &mut lock(&self.0).untold;
        let index = untold.iter().position(|(registrant, _)| registrant.vm == vm)?;
        untold.remove(index).map(|(registrant, queue)| (registrant.root, queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cas_is_compared_only_with_an_existing_value() {
        let data = Data::default();
        assert_eq!(data.get(b"k"), Err(Status::NOT_FOUND));
        data.set(b"k", b"1", 99).unwrap();
        assert_eq!(data.get(b"k"), Ok((b"1".to_vec(), 1)));
        assert_eq!(data.set(b"k", b"2", 99), Err(Status::CAS_MISMATCH));
        data.set(b"k", b"2", 1).unwrap();
        data.set(b"k", b"", 0).unwrap();
        assert_eq!(data.get(b"k"), Ok((Vec::new(), 3)));
    }

    #[test]
    fn a_queue_is_registered_once_and_every_item_notified() {
        let queues = Queues::default();
        let mine = Registrant { vm: 0, root: 1 };
        assert_eq!(
            (queues.resolve(b"q"), queues.register(b"q", mine), queues.register(b"q", mine)),
            (Err(Status::NOT_FOUND), 1, 1)
        );
        assert_eq!((queues.enqueue(1, b"a"), queues.enqueue(9, b"a")), (Ok(()), Err(Status::NOT_FOUND)));
        assert_eq!((queues.tell(0), queues.tell(0)), (Some((1, 1)), None));
        assert_eq!((queues.dequeue(1), queues.dequeue(1)), (Ok(b"a".to_vec()), Err(Status::EMPTY)));
        assert_eq!(queues.dequeue(9), Err(Status::NOT_FOUND));
    }

    #[test]
    fn the_last_registrant_is_notified_of_later_items() {
        let queues = Queues::default();
        queues.register(b"q", Registrant { vm: 0, root: 1 });
        queues.enqueue(1, b"a").unwrap();
        queues.register(b"q", Registrant { vm: 2, root: 3 });
        queues.enqueue(1, b"b").unwrap();
        assert_eq!((queues.tell(2), queues.tell(0), queues.tell(2)), (Some((3, 1)), Some((1, 1)), None));
    }
}
