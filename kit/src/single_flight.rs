//! Single flight: streams that need the same result at the same time share one call.
//!
//! ```
//! use proxy_filter_kit::single_flight::SingleFlight;
//!
//! # async fn fetch(_: &str) -> Result<Vec<u8>, String> { Ok(vec![]) }
//! #[derive(Default)]
//! struct Keys {
//!     flights: SingleFlight<String, Result<Vec<u8>, String>>,
//! }
//!
//! async fn keys_of(keys: &Keys, issuer: &str) -> Result<Vec<u8>, String> {
//!     // However many streams come here together, the issuer is called once.
//!     keys.flights.run(issuer.to_owned(), async || fetch(issuer).await).await
//! }
//! ```

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::hash::Hash;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use hashbrown::HashMap;
use std::rc::Rc;

/// The calls in flight, by key: see the [module](self). No result is stored after a call has ended:
/// use a cache for that.
///
/// It stores one entry for each key with a call in flight, and a waker for each waiting future.
pub struct SingleFlight<K, V> {
    flights: RefCell<HashMap<K, Rc<Flight<V>>>>,
}

struct Flight<V> {
    state: RefCell<Flying<V>>,
    /// Numbers of waiting futures.
    next: Cell<u64>,
    wakers: RefCell<HashMap<u64, Waker>>,
}

enum Flying<V> {
    Running,
    Landed(V),
    /// The future that ran the call was dropped.
    Dropped,
}

impl<V> Flight<V> {
    fn end(&self, state: Flying<V>) {
        *self.state.borrow_mut() = state;
        // No borrow is active while user code runs: a waker may poll at once.
        let wakers = core::mem::take(&mut *self.wakers.borrow_mut());
        wakers.into_values().for_each(Waker::wake);
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SingleFlight<K, V> {
    /// Creates a set without calls in flight.
    pub fn new() -> Self {
        Self { flights: RefCell::new(HashMap::new()) }
    }

    /// Runs the closure, unless a call for this key is in flight. In that case it drops the closure
    /// and waits for the result of that call.
    ///
    /// If the future that runs the call is dropped, for example because its client disconnects,
    /// another waiting future runs its own closure. Do not call this within the closure for the
    /// same key: it would wait for itself.
    pub async fn run(&self, key: K, call: impl AsyncFnOnce() -> V) -> V {
        loop {
            let running = self.flights.borrow().get(&key).cloned();
            if let Some(flight) = running {
                let number = flight.next.get();
                flight.next.set(number.wrapping_add(1));
                if let Some(value) = (Wait { flight, number }).await {
                    return value;
                }
                continue;
            }
            let state = RefCell::new(Flying::Running);
            let flight = Rc::new(Flight { state, next: Cell::new(0), wakers: RefCell::default() });
            self.flights.borrow_mut().insert(key.clone(), Rc::clone(&flight));
            let mut pilot = Pilot { flights: self, key, flight: Some(flight) };
            let value = call().await;
            pilot.end(Flying::Landed(value.clone()));
            return value;
        }
    }

    /// Returns the number of calls in flight.
    pub fn len(&self) -> usize {
        self.flights.borrow().len()
    }

    /// Whether no call is in flight.
    pub fn is_empty(&self) -> bool {
        self.flights.borrow().is_empty()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SingleFlight({} in flight)", self.flights.borrow().len())
    }
}

/// Ends the call, even if it is dropped before.
struct Pilot<'a, K: Hash + Eq, V> {
    flights: &'a SingleFlight<K, V>,
    key: K,
    flight: Option<Rc<Flight<V>>>,
}

impl<K: Hash + Eq, V> Pilot<'_, K, V> {
    fn end(&mut self, state: Flying<V>) {
        if let Some(flight) = self.flight.take() {
            self.flights.flights.borrow_mut().remove(&self.key);
            flight.end(state);
        }
    }
}

impl<K: Hash + Eq, V> Drop for Pilot<'_, K, V> {
    fn drop(&mut self) {
        self.end(Flying::Dropped);
    }
}

/// Waits for the end of a call. Returns `None` if no future runs it any more.
struct Wait<V> {
    flight: Rc<Flight<V>>,
    number: u64,
}

impl<V: Clone> Future for Wait<V> {
    type Output = Option<V>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<V>> {
        match &*self.flight.state.borrow() {
            Flying::Running => {}
            Flying::Landed(value) => return Poll::Ready(Some(value.clone())),
            Flying::Dropped => return Poll::Ready(None),
        }
        let waker = context.waker().clone();
        self.flight.wakers.borrow_mut().insert(self.number, waker);
        Poll::Pending
    }
}

impl<V> Drop for Wait<V> {
    fn drop(&mut self) {
        self.flight.wakers.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A future, and the number of times that it was woken.
    struct Task<'a> {
        future: Pin<Box<dyn Future<Output = u32> + 'a>>,
        woken: Arc<Count>,
    }

    impl<'a> Task<'a> {
        fn new(future: impl Future<Output = u32> + 'a) -> Self {
            Self { future: Box::pin(future), woken: Arc::default() }
        }

        fn poll(&mut self) -> Option<u32> {
            let waker = Waker::from(Arc::clone(&self.woken));
            match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => Some(value),
                Poll::Pending => None,
            }
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::SeqCst)
        }
    }

    /// A call that completes later.
    #[derive(Default)]
    struct Service {
        calls: Cell<u32>,
        result: Cell<Option<u32>>,
    }

    impl Service {
        async fn call(&self) -> u32 {
            self.calls.set(self.calls.get() + 1);
            core::future::poll_fn(|_| self.result.get().map_or(Poll::Pending, Poll::Ready)).await
        }

        fn join<'a>(&'a self, flights: &'a SingleFlight<&'static str, u32>, key: &'static str) -> Task<'a> {
            Task::new(flights.run(key, || self.call()))
        }
    }

    #[test]
    fn streams_with_one_key_share_one_call() {
        let (service, flights) = (Service::default(), SingleFlight::new());
        let mut tasks: Vec<Task<'_>> = (0..5).map(|_| service.join(&flights, "a")).collect();
        let mut other = service.join(&flights, "b");
        assert!(tasks.iter_mut().all(|task| task.poll().is_none()) && other.poll().is_none());
        assert_eq!((service.calls.get(), flights.len()), (2, 2));
        service.result.set(Some(7));
        assert_eq!(tasks[0].poll(), Some(7));
        for task in &mut tasks[1..] {
            assert_eq!(task.woken(), 1);
            assert_eq!(task.poll(), Some(7));
        }
        assert_eq!(other.poll(), Some(7));
        assert!(flights.is_empty());
        assert_eq!(service.join(&flights, "a").poll(), Some(7));
        assert_eq!(service.calls.get(), 3, "results are not stored");
    }

    #[test]
    fn a_pending_future_takes_over_when_the_first_is_dropped() {
        let (service, flights) = (Service::default(), SingleFlight::new());
        let mut tasks: Vec<Task<'_>> = (0..3).map(|_| service.join(&flights, "a")).collect();
        assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
        drop(tasks.remove(0));
        assert!(tasks.iter().all(|task| task.woken() == 1));
        assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
        assert_eq!((service.calls.get(), flights.len()), (2, 1));
        service.result.set(Some(9));
        assert!(tasks.iter_mut().all(|task| task.poll() == Some(9)));
    }

    #[test]
    fn a_dropped_future_leaks_nothing() {
        let (service, flights) = (Service::default(), SingleFlight::new());
        let mut first = service.join(&flights, "a");
        assert!(first.poll().is_none());
        for _ in 0..1000 {
            let mut waiting = service.join(&flights, "a");
            assert!(waiting.poll().is_none() && waiting.poll().is_none());
        }
        let flight = Rc::clone(&flights.flights.borrow()["a"]);
        assert!(flight.wakers.borrow().is_empty());
        drop(first);
        assert!(flights.is_empty());
    }
}
