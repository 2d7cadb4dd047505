//! Cached decisions that concurrent requests share.

use futures_util::lock::Mutex;
use proxy_filter::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The maximum number of cached decisions.
pub(crate) const CAPACITY: usize = 1000;

/// A decision or a failure, with its time. It is locked during a fetch: concurrent requests wait
/// for the lock.
type Place<V> = Rc<Mutex<Option<(Result<V, String>, SystemTime)>>>;

/// Decisions by their inputs.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(RefCell<HashMap<K, Place<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// Returns the cached decision if it is younger than `ttl`; otherwise calls `fetch`. Concurrent
    /// calls for the same input wait for the same result or failure. If the stream that fetches
    /// ends, the next waiting stream fetches.
    pub(crate) async fn get(
        &self,
        key: K,
        ttl: Duration,
        now: impl Fn() -> Result<SystemTime>,
        fetch: impl AsyncFnOnce() -> Result<V>,
    ) -> Result<V> {
        let place = self.place(key, ttl, now()?);
        let (mut answer, has_waited) = match place.try_lock() {
            Some(answer) => (answer, false),
            None => (place.lock().await, true),
        };
        match &*answer {
            Some((Ok(value), since)) if is_fresh(*since, ttl, now()?) => return Ok(value.clone()),
            Some((Err(why), _)) if has_waited => return Err(Error::other(why)),
            _ => *answer = None,
        }
        let fetched = fetch().await.map_err(|why| why.to_string());
        *answer = Some((fetched.clone(), now()?));
        fetched.map_err(Error::other)
    }

    fn place(&self, key: K, ttl: Duration, now: SystemTime) -> Place<V> {
        let mut places = self.0.borrow_mut();
        if places.len() >= CAPACITY && !places.contains_key(&key) {
            // Expired decisions are removed first, and then all that no pending stream needs.
            places.retain(|_, place| place.try_lock().is_none_or(|answer| is_good(answer.as_ref(), ttl, now)));
            if places.len() >= CAPACITY {
                places.retain(|_, place| place.try_lock().is_none());
            }
        }
        Rc::clone(places.entry(key).or_default())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

fn is_good<V>(answer: Option<&(Result<V, String>, SystemTime)>, ttl: Duration, now: SystemTime) -> bool {
    matches!(answer, Some((Ok(_), since)) if is_fresh(*since, ttl, now))
}

/// If the clock was set back, all decisions are stale.
fn is_fresh(since: SystemTime, ttl: Duration, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < ttl)
}
