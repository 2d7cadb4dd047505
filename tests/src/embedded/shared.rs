//! What VMs share: data and queues. There is one VM here, so all of it is its own.

use proxy_filter::Status;
use std::collections::{BTreeMap, VecDeque};

/// Values by key, each with the number of the write that made it.
#[derive(Debug, Default)]
pub(crate) struct Data {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    writes: u32,
}

impl Data {
    pub(crate) fn get(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.values.get(key).cloned().ok_or(Status::NOT_FOUND)
    }

    /// Writes a value. The `cas` of a missing key is not looked at.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        if self.values.get(key).is_some_and(|(_, current)| cas != 0 && cas != *current) {
            return Err(Status::CAS_MISMATCH);
        }
        self.writes += 1;
        self.values.insert(key.to_vec(), (value.to_vec(), self.writes));
        Ok(())
    }
}

/// Queues, and the items whose arrival has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    names: BTreeMap<Vec<u8>, u32>,
    items: BTreeMap<u32, VecDeque<Vec<u8>>>,
    untold: VecDeque<u32>,
}

impl Queues {
    pub(crate) fn register(&mut self, name: &[u8]) -> u32 {
        let next = u32::try_from(self.names.len() + 1).unwrap_or(u32::MAX);
        let id = *self.names.entry(name.to_vec()).or_insert(next);
        self.items.entry(id).or_default();
        id
    }

    pub(crate) fn resolve(&self, name: &[u8]) -> Result<u32, Status> {
        self.names.get(name).copied().ok_or(Status::NOT_FOUND)
    }

    pub(crate) fn enqueue(&mut self, id: u32, item: &[u8]) -> Result<(), Status> {
        self.items.get_mut(&id).ok_or(Status::NOT_FOUND)?.push_back(item.to_vec());
        self.untold.push_back(id);
        Ok(())
    }

    pub(crate) fn dequeue(&mut self, id: u32) -> Result<Vec<u8>, Status> {
        self.items.get_mut(&id).ok_or(Status::NOT_FOUND)?.pop_front().ok_or(Status::EMPTY)
    }

    /// The queue whose registrant has to be told of an item next.
    pub(crate) fn tell(&mut self) -> Option<u32> {
        self.untold.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cas_is_compared_only_with_a_value_that_is_there() {
        let mut data = Data::default();
        assert_eq!(data.get(b"k"), Err(Status::NOT_FOUND));
        data.set(b"k", b"1", 99).unwrap();
        assert_eq!(data.get(b"k"), Ok((b"1".to_vec(), 1)));
        assert_eq!(data.set(b"k", b"2", 99), Err(Status::CAS_MISMATCH));
        data.set(b"k", b"2", 1).unwrap();
        data.set(b"k", b"", 0).unwrap();
        assert_eq!(data.get(b"k"), Ok((Vec::new(), 3)));
    }

    #[test]
    fn a_queue_is_registered_once_and_every_item_told() {
        let mut queues = Queues::default();
        assert_eq!(
            (queues.resolve(b"q"), queues.register(b"q"), queues.register(b"q")),
            (Err(Status::NOT_FOUND), 1, 1)
        );
        assert_eq!((queues.enqueue(1, b"a"), queues.enqueue(9, b"a")), (Ok(()), Err(Status::NOT_FOUND)));
        assert_eq!((queues.tell(), queues.tell()), (Some(1), None));
        assert_eq!((queues.dequeue(1), queues.dequeue(1)), (Ok(b"a".to_vec()), Err(Status::EMPTY)));
        assert_eq!(queues.dequeue(9), Err(Status::NOT_FOUND));
    }
}
