//! Cached decisions that concurrent requests share.

use proxy_filter::{Error, Result};
use proxy_filter_kit::cache::Cache;
use proxy_filter_kit::single_flight::SingleFlight;
use std::cell::RefCell;
use std::hash::Hash;
use std::time::Duration;

/// The maximum number of cached decisions.
pub(crate) const CAPACITY: usize = 1000;

/// Decisions by their inputs, and the calls in flight.
#[derive(Debug)]
pub(crate) struct Decisions<K, V> {
    /// Each with its time.
    cached: RefCell<Cache<K, (V, Duration)>>,
    calls: SingleFlight<K, Result<V, String>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Default for Decisions<K, V> {
    fn default() -> Self {
        Self { cached: RefCell::new(Cache::new(CAPACITY)), calls: SingleFlight::new() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Decisions<K, V> {
    /// Returns the cached decision if it is younger than `ttl`; otherwise calls `fetch`. Concurrent
    /// calls for the same input wait for the same result or failure. If the stream that fetches
    /// ends, the next waiting stream fetches. `now` returns the time since 1970.
    pub(crate) async fn get(
        &self,
        key: K,
        ttl: Duration,
        now: impl Fn() -> Result<Duration>,
        fetch: impl AsyncFnOnce() -> Result<V>,
    ) -> Result<V> {
        let asked = now()?;
        // If the clock was set back, all decisions are stale.
        if let Some((decision, since)) = self.cached.borrow_mut().get(&key, asked)
            && *since <= asked
        {
            return Ok(decision.clone());
        }
        let shared = self.calls.run(key.clone(), async || {
            let decision = fetch().await.map_err(|why| why.to_string())?;
            let since = now().map_err(|why| why.to_string())?;
            self.cached.borrow_mut().insert(key, (decision.clone(), since), since.saturating_add(ttl));
            Ok(decision)
        });
        shared.await.map_err(Error::other)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.cached.borrow().len()
    }
}
