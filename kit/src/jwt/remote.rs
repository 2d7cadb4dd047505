//! Key sets of an issuer, fetched and refreshed.

use super::{Algorithm, HostVerify, Jwks, Skipped, TokenError, Verified};
use crate::single_flight::SingleFlight;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use sha2::{Digest, Sha256};
use std::rc::Rc;

/// The reason why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// The token is refused.
    Token(TokenError),
    /// There are no keys, because the issuer cannot be reached or sends none. Reply with 503.
    NoKeys(String),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(why) => why.fmt(f),
            Self::NoKeys(why) => write!(f, "the keys of the issuer are missing: {why}"),
        }
    }
}

impl std::error::Error for RemoteError {}

/// The keys of an issuer: fetched when a token needs them, refreshed, and shared by all streams.
///
/// - Streams that need the keys at the same time share one call.
/// - Keys are fetched again after ten minutes. If that fails, the old ones are used for a day.
/// - A token that names an unknown key causes a call, at most once in 30 seconds: a new key is
///   used at once, and clients cannot cause many calls with invented names.
/// - A failed call is repeated at most once a second.
///
/// The closure `fetch` returns the body of the issuer's response.
///
/// ```
/// use proxy_filter_kit::jwt::{RemoteError, RemoteJwks, Verified};
/// use std::time::Duration;
///
/// # async fn get(_: &str) -> Result<Vec<u8>, String> { Ok(vec![]) }
/// async fn verify(keys: &RemoteJwks, token: &[u8], now: Duration) -> Result<Verified, RemoteError> {
///     keys.verify(token, now, async || get("/jwks.json").await).await
/// }
/// ```
pub struct RemoteJwks {
    state: RefCell<State>,
    flights: SingleFlight<(), Result<Rc<Jwks>, String>>,
    refresh_after: Duration,
    keep: Duration,
    unknown_key_pause: Duration,
    only: Option<Vec<Algorithm>>,
    host: Option<HostVerify>,
    on_skipped: Option<fn(&Skipped)>,
}

#[derive(Default)]
struct State {
    keys: Option<(Rc<Jwks>, Duration)>,
    /// The time of the last call, and the fault if it failed.
    tried: Option<(Duration, Option<String>)>,
    /// The SHA-256 of the last set, and the number of changes of it.
    hash: [u8; 32],
    version: u64,
}

/// The minimum time between a failed call and the next one.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks").field("refresh_after", &self.refresh_after).finish_non_exhaustive()
    }
}

impl Default for RemoteJwks {
    fn default() -> Self {
        Self::new()
    }
}

impl RemoteJwks {
    /// Begins without keys.
    pub fn new() -> Self {
        Self {
            state: RefCell::default(),
            flights: SingleFlight::new(),
            refresh_after: Duration::from_secs(600),
            keep: Duration::from_secs(24 * 3600),
            unknown_key_pause: Duration::from_secs(30),
            only: None,
            host: None,
            on_skipped: None,
        }
    }

    /// Sets the time after which the keys are fetched again, and the time for which old keys are
    /// used if that fails.
    #[must_use]
    pub const fn ages(mut self, refresh_after: Duration, keep: Duration) -> Self {
        (self.refresh_after, self.keep) = (refresh_after, keep);
        self
    }

    /// Sets the minimum time between calls for tokens with unknown keys.
    #[must_use]
    pub const fn unknown_key_pause(mut self, pause: Duration) -> Self {
        self.unknown_key_pause = pause;
        self
    }

    /// Accepts only these algorithms: see [`Jwks::only`].
    #[must_use]
    pub fn only(mut self, algorithms: &[Algorithm]) -> Self {
        self.only = Some(algorithms.to_vec());
        self
    }

    /// Verifies signatures with a function of the host where it exists: see [`Jwks::with_host`].
    #[must_use]
    pub const fn with_host(mut self, verify: HostVerify) -> Self {
        self.host = Some(verify);
        self
    }

    /// Sets what is called, whenever the set of keys changes, for each key whose algorithm was not
    /// compiled in: see [`Jwks::skipped`]. Write them to the log.
    ///
    /// ```
    /// use proxy_filter_kit::jwt::RemoteJwks;
    ///
    /// // With the SDK: `|skipped| log::warn!("{skipped}")`.
    /// let keys = RemoteJwks::new().on_skipped(|skipped| eprintln!("{skipped}"));
    /// ```
    #[must_use]
    pub const fn on_skipped(mut self, report: fn(&Skipped)) -> Self {
        self.on_skipped = Some(report);
        self
    }

    /// Returns the number of times that the set of keys has changed. A cache of verified tokens is
    /// emptied when it changes: see [`TokenCache::keep_version`](super::TokenCache::keep_version).
    pub fn version(&self) -> u64 {
        self.state.borrow().version
    }

    /// Fetches the keys, at a time since 1970, or waits for a call in flight. A task of the root
    /// context can call it before the first request and periodically, so that no request waits.
    ///
    /// # Errors
    /// [`RemoteError::NoKeys`] if the call fails, or if the set has no usable key. The old keys
    /// remain valid.
    pub async fn refresh<E: fmt::Display>(
        &self,
        now: Duration,
        fetch: impl AsyncFn() -> Result<Vec<u8>, E>,
    ) -> Result<(), RemoteError> {
        let fetched = self.flights.run((), async || self.fetch(now, &fetch).await).await;
        fetched.map(drop).map_err(RemoteError::NoKeys)
    }

    /// Verifies the signature of a token, at a time since 1970. Fetches the keys first if they are
    /// missing or old, or if the token names an unknown one.
    ///
    /// # Errors
    /// Fails if the token is refused, or if there are no keys.
    pub async fn verify<E: fmt::Display>(
        &self,
        token: &[u8],
        now: Duration,
        fetch: impl AsyncFn() -> Result<Vec<u8>, E>,
    ) -> Result<Verified, RemoteError> {
        let keys = match self.stored(now, self.refresh_after) {
            Some(keys) => keys,
            None => self.refreshed(now, FAILURE_PAUSE, &fetch).await.map_err(RemoteError::NoKeys)?,
        };
        match keys.verify(token) {
            Err(TokenError::UnknownKey) => {
                let newer = self.refreshed(now, self.unknown_key_pause, &fetch).await;
                newer.map_err(RemoteError::NoKeys)?.verify(token).map_err(RemoteError::Token)
            }
            result => result.map_err(RemoteError::Token),
        }
    }

    /// Returns the stored keys, unless they are older than an age. If the clock was set back, they
    /// are new.
    fn stored(&self, now: Duration, age: Duration) -> Option<Rc<Jwks>> {
        let state = self.state.borrow();
        let (keys, fetched) = state.keys.as_ref()?;
        (now.saturating_sub(*fetched) < age).then(|| Rc::clone(keys))
    }

    /// Fetches the keys, unless the last call was a short time ago. Returns the old keys if that
    /// fails.
    async fn refreshed<E: fmt::Display>(
        &self,
        now: Duration,
        pause: Duration,
        fetch: &impl AsyncFn() -> Result<Vec<u8>, E>,
    ) -> Result<Rc<Jwks>, String> {
        let recent = self.state.borrow().tried.as_ref().and_then(|(tried, failed)| {
            let pause = if failed.is_some() { FAILURE_PAUSE.min(pause) } else { pause };
            (*tried <= now && now.saturating_sub(*tried) < pause).then(|| failed.clone())
        });
        let failed = match recent {
            Some(failed) => failed.unwrap_or_else(|| "they were fetched a short time ago".to_owned()),
            None => match self.flights.run((), async || self.fetch(now, fetch).await).await {
                Ok(keys) => return Ok(keys),
                Err(failed) => failed,
            },
        };
        self.stored(now, self.keep).ok_or(failed)
    }

    async fn fetch<E: fmt::Display>(
        &self,
        now: Duration,
        fetch: &impl AsyncFn() -> Result<Vec<u8>, E>,
    ) -> Result<Rc<Jwks>, String> {
        let body = fetch().await.map_err(|error| error.to_string());
        let keys = body.and_then(|body| Ok((self.parse(&body)?, Sha256::digest(&body).into())));
        let mut state = self.state.borrow_mut();
        state.tried = Some((now, keys.as_ref().err().cloned()));
        let (keys, hash) = keys?;
        state.keys = Some((Rc::clone(&keys), now));
        if state.hash != hash {
            state.hash = hash;
            state.version = state.version.saturating_add(1);
            drop(state);
            if let Some(report) = self.on_skipped {
                keys.skipped().iter().for_each(report);
            }
        }
        Ok(keys)
    }

    fn parse(&self, body: &[u8]) -> Result<Rc<Jwks>, String> {
        let mut keys = Jwks::parse(body).map_err(|error| error.to_string())?;
        if let Some(only) = &self.only {
            keys = keys.only(only);
        }
        if let Some(verify) = self.host {
            keys = keys.with_host(verify);
        }
        if !keys.is_empty() {
            return Ok(Rc::new(keys));
        }
        let mut why = "the set has no usable key".to_owned();
        for skipped in keys.skipped() {
            why = format!("{why}; {skipped}");
        }
        Err(why)
    }
}

#[cfg(test)]
#[cfg(feature = "jwt")]
mod tests {
    use super::super::vectors::{PAYLOAD, VECTORS};
    use super::*;
    use crate::tests::block_on;
    use core::cell::Cell;
    use core::future::poll_fn;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::future::Future;

    /// The token of RFC 7515, appendix A.3, and the set with its key.
    fn token() -> String {
        let (_, header, signature) = VECTORS[2];
        format!("{header}.{PAYLOAD}.{signature}")
    }

    fn set() -> Vec<u8> {
        format!("{{\"keys\":[{}]}}", VECTORS[2].0).into_bytes()
    }

    /// A token that names a key that is in no set.
    const UNKNOWN: &[u8] = b"eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA";

    struct Issuer {
        calls: Cell<u32>,
        answer: RefCell<Result<Vec<u8>, &'static str>>,
    }

    impl Issuer {
        fn new() -> Self {
            Self { calls: Cell::new(0), answer: RefCell::new(Ok(set())) }
        }

        fn verify(&self, keys: &RemoteJwks, token: &[u8], seconds: u64) -> Result<(), RemoteError> {
            let now = Duration::from_secs(seconds);
            let fetch = async || {
                self.calls.set(self.calls.get() + 1);
                self.answer.borrow().clone()
            };
            block_on(keys.verify(token, now, fetch)).map(drop)
        }
    }

    #[test]
    fn keys_are_fetched_once_and_again_when_they_are_old() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new());
        for (time, calls) in [(1000, 1), (1001, 1), (1599, 1), (1600, 2), (900, 2), (2200, 3)] {
            assert_eq!(issuer.verify(&keys, token().as_bytes(), time), Ok(()));
            assert_eq!(issuer.calls.get(), calls, "{time}");
        }
    }

    #[test]
    fn old_keys_are_used_while_the_issuer_fails_and_calls_are_limited() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new());
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1000), Ok(()));
        for answer in [Err("down"), Ok(b"[]".to_vec()), Ok(br#"{"keys":[]}"#.to_vec())] {
            *issuer.answer.borrow_mut() = answer;
            issuer.calls.set(0);
            for _ in 0..10 {
                assert_eq!(issuer.verify(&keys, token().as_bytes(), 2000), Ok(()));
            }
            assert_eq!(issuer.calls.replace(0), 1, "one call in a second");
            let late = issuer.verify(&keys, token().as_bytes(), 1000 + 24 * 3600);
            assert!(matches!(late, Err(RemoteError::NoKeys(_))), "{late:?}");
            // The clock is set back for the next answer.
            keys.state.borrow_mut().tried = None;
        }
    }

    #[test]
    fn a_failure_is_reported_and_the_next_success_is_used() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new());
        *issuer.answer.borrow_mut() = Err("down");
        let down = Err(RemoteError::NoKeys("down".to_owned()));
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1000), down);
        *issuer.answer.borrow_mut() = Ok(set());
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1000), down, "less than a second later");
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1001), Ok(()));
        assert_eq!(issuer.calls.get(), 2);
    }

    #[test]
    fn invented_key_names_cause_few_calls_and_new_keys_are_found() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new());
        let unknown = Err(RemoteError::Token(TokenError::UnknownKey));
        for time in 1000..1090 {
            assert_eq!(issuer.verify(&keys, UNKNOWN, time), unknown);
        }
        assert!(issuer.calls.get() <= 4, "{}", issuer.calls.get());
        // The issuer publishes a key of that name.
        *issuer.answer.borrow_mut() =
            Ok(format!("{{\"keys\":[{}]}}", VECTORS[2].0.replace("{\"kty", "{\"kid\":\"x\",\"kty")).into_bytes());
        assert_eq!(issuer.verify(&keys, UNKNOWN, 1200), Err(RemoteError::Token(TokenError::Signature)));
    }

    #[test]
    fn the_version_changes_with_the_keys_and_empties_a_cache() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new());
        let refresh = |time| {
            let fetch = async || issuer.answer.borrow().clone();
            block_on(keys.refresh(Duration::from_secs(time), fetch))
        };
        let mut cache = super::super::TokenCache::new(9);
        let mut is_cached = |time| {
            let now = Duration::from_secs(time);
            cache.keep_version(keys.version());
            let found = cache.get(b"a", now).is_some();
            cache.insert(b"a", (), None, now);
            found
        };
        assert_eq!((refresh(1000), keys.version(), is_cached(1000)), (Ok(()), 1, false));
        assert_eq!((refresh(1001), keys.version(), is_cached(1001)), (Ok(()), 1, true), "the same set");
        *issuer.answer.borrow_mut() = Err("down");
        let down = Err(RemoteError::NoKeys("down".to_owned()));
        assert_eq!((refresh(1002), keys.version(), is_cached(1002)), (down, 1, true));
        *issuer.answer.borrow_mut() = Ok(format!("{{\"keys\":[{}]}}", VECTORS[1].0).into_bytes());
        assert_eq!((refresh(1003), keys.version(), is_cached(1003)), (Ok(()), 2, false));
        let rs256 = format!("{}.{PAYLOAD}.{}", VECTORS[1].1, VECTORS[1].2);
        assert_eq!(issuer.verify(&keys, rs256.as_bytes(), 1004), Ok(()), "the new keys are used at once");
        assert_eq!(issuer.calls.get(), 0);
    }

    #[test]
    fn a_set_without_a_key_for_the_accepted_algorithms_is_refused() {
        let (issuer, keys) = (Issuer::new(), RemoteJwks::new().only(&[Algorithm::RS256]));
        let none = Err(RemoteError::NoKeys("the set has no usable key".to_owned()));
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1000), none);
        *issuer.answer.borrow_mut() = Ok(format!("{{\"keys\":[{},{}]}}", VECTORS[2].0, VECTORS[1].0).into_bytes());
        let refused = Err(RemoteError::Token(TokenError::Unsupported));
        assert_eq!(issuer.verify(&keys, token().as_bytes(), 1002), refused);
        let rs256 = format!("{}.{PAYLOAD}.{}", VECTORS[1].1, VECTORS[1].2);
        assert_eq!(issuer.verify(&keys, rs256.as_bytes(), 1002), Ok(()));
    }

    #[test]
    fn streams_at_the_same_time_share_one_call() {
        let (keys, calls, is_ready) = (RemoteJwks::new(), Cell::new(0), Cell::new(false));
        let fetch = async || {
            calls.set(calls.get() + 1);
            poll_fn(|_| if is_ready.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            Ok::<_, String>(set())
        };
        let text = token();
        let now = Duration::from_secs(1000);
        let mut one = pin!(keys.verify(text.as_bytes(), now, fetch));
        let mut two = pin!(keys.verify(text.as_bytes(), now, fetch));
        let mut context = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut context).is_pending() && two.as_mut().poll(&mut context).is_pending());
        is_ready.set(true);
        assert!(matches!(one.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
        assert!(matches!(two.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
        assert_eq!(calls.get(), 1);
    }
}
