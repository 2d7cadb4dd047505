//! A cache of tokens that were verified.

use crate::cache::Cache;
use core::time::Duration;
use sha2::{Digest, Sha256};

/// What was found out about tokens, by their SHA-256: each VM verifies a token once.
///
/// An entry never outlives the token's `exp`, without leeway, nor the longest time of the cache. [`clear`](Self::clear) it when the keys change:
/// a key that was taken back verifies nothing any more.
#[derive(Debug)]
pub struct TokenCache<T> {
    cache: Cache<[u8; 32], (Duration, T)>,
    longest: Duration,
}

impl<T> TokenCache<T> {
    /// A cache of so many tokens, each for five minutes at most.
    pub fn new(max_tokens: usize) -> Self {
        Self { cache: Cache::new(max_tokens), longest: Duration::from_secs(300) }
    }

    /// Sets how long an entry is kept at most: so long a token is accepted after it was revoked.
    #[must_use]
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Returns what is known about a token at a time since 1970. Nothing, if the clock was set back since it was verified.
    pub fn get(&mut self, token: &[u8], now: Duration) -> Option<&T> {
        let (verified, value) = self.cache.get(&hash(token), now)?;
        (*verified <= now).then_some(value)
    }

    /// Keeps what is known about a token whose signature and claims were checked. `expires` is its `exp`.
    pub fn insert(&mut self, token: &[u8], value: T, expires: Option<Duration>, now: Duration) {
        let until = now.saturating_add(self.longest).min(expires.unwrap_or(Duration::MAX));
        if until > now {
            self.cache.insert(hash(token), (now, value), until);
        }
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.cache.clear();
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}
