//! A cache of verified tokens.

use crate::cache::Cache;
use core::time::Duration;
use sha2::{Digest, Sha256};

/// Results of verified tokens, by their SHA-256: each VM verifies a token once.
///
/// An entry expires at the token's `exp`, without leeway, and at most after the cache's maximum
/// time. Call [`keep_version`](Self::keep_version) with the version of the keys, because a revoked
/// key verifies no tokens.
#[derive(Debug)]
pub struct TokenCache<T> {
    cache: Cache<[u8; 32], (Duration, T)>,
    longest: Duration,
    version: u64,
}

impl<T> TokenCache<T> {
    /// Creates a cache of at most `max_entries` tokens, each for at most five minutes.
    pub fn new(max_tokens: usize) -> Self {
        Self { cache: Cache::new(max_tokens), longest: Duration::from_secs(300), version: 0 }
    }

    /// Sets the maximum time of an entry. A token is accepted for this time after it was revoked.
    #[must_use]
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Returns the cached result of a token, at a time since 1970. Returns `None` if the clock was
    /// set back since the token was verified.
    pub fn get(&mut self, token: &[u8], now: Duration) -> Option<&T> {
        let (verified, value) = self.cache.get(&hash(token), now)?;
        (*verified <= now).then_some(value)
    }

    /// Caches the result of a token whose signature and claims were checked. `expires` is its
    /// `exp`.
    pub fn insert(&mut self, token: &[u8], value: T, expires: Option<Duration>, now: Duration) {
        let until = now.saturating_add(self.longest).min(expires.unwrap_or(Duration::MAX));
        if until > now {
            self.cache.insert(hash(token), (now, value), until);
        }
    }

    /// Removes all tokens if the keys have another version than at the last call: that of
    /// [`RemoteJwks::version`](super::RemoteJwks::version).
    pub fn keep_version(&mut self, version: u64) {
        if self.version != version {
            self.version = version;
            self.clear();
        }
    }

    /// Removes all tokens.
    pub fn clear(&mut self) {
        self.cache.clear();
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}
