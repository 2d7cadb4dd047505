//! Shared values that threads write at the same time, as Envoy's workers do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter::shared_data::{SharedCell, SharedCounter};
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{ErrorKind, Status};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

const THREADS: u64 = 4;
const UPDATES: u64 = 500;

/// The values of all threads, with the number of the write that stored each, and the number of
/// writes.
type Values = (HashMap<Vec<u8>, (Vec<u8>, u32)>, u32);

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Values>>);

impl HostFunctions for Store {
    fn proxy_get_shared_data(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.0.lock().unwrap().0.get(key).cloned().ok_or(Status::NOT_FOUND)
    }

    fn proxy_set_shared_data(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let (values, writes) = &mut *self.0.lock().unwrap();
        if values.get(key).is_some_and(|(_, current)| cas != 0 && cas != *current) {
            return Err(Status::CAS_MISMATCH);
        }
        *writes += 1;
        values.insert(key.to_vec(), (value.to_vec(), *writes));
        Ok(())
    }
}

/// Runs the same code in this many VMs at the same time, and returns all results.
fn in_threads<T: Send + 'static>(store: &Store, body: impl Fn() -> T + Clone + Send + 'static) -> Vec<T> {
    let start = Arc::new(Barrier::new(usize::try_from(THREADS).unwrap()));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (store, body, start) = (store.clone(), body.clone(), Arc::clone(&start));
            thread::spawn(move || {
                sys::install(Some(Rc::new(store)));
                start.wait();
                body()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Repeats the update until it succeeds. The system's scheduling can delay it for any time while
/// other threads write; nothing is written then.
fn insist<T>(update: impl Fn() -> proxy_filter::Result<T>) -> T {
    loop {
        match update() {
            Ok(value) => return value,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
        }
        thread::yield_now();
    }
}

#[test]
fn no_addition_of_any_thread_is_lost() {
    static COUNTER: SharedCounter = SharedCounter::new("counter");
    let store = Store::default();
    in_threads(&store, || {
        for _ in 0..UPDATES {
            insist(|| COUNTER.add(1));
        }
    });
    sys::install(Some(Rc::new(store)));
    assert_eq!(COUNTER.get().unwrap(), THREADS * UPDATES);
}

#[test]
fn all_threads_together_do_not_exceed_a_limit() {
    static TAKEN: SharedCounter = SharedCounter::new("taken");
    const LIMIT: u64 = 1_000;
    let store = Store::default();
    let admitted =
        in_threads(&store, || (0..UPDATES).filter(|_| insist(|| TAKEN.add_within(1, LIMIT)).is_some()).count());
    assert_eq!(admitted.iter().sum::<usize>(), 1_000, "{admitted:?}");
}

#[test]
fn one_thread_alone_inserts_what_is_absent() {
    let store = Store::default();
    for round in 0..50 {
        let key = format!("key {round}");
        let inserted = in_threads(&store, move || SharedCell::named(key.clone()).insert_if_absent(&round).unwrap());
        assert_eq!(inserted.iter().filter(|inserted| **inserted).count(), 1, "{inserted:?}");
    }
}
