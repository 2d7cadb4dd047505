//! A cache of facts about tokens, with expiry times.

use super::Introspection;
use proxy_filter_kit::cache::Cache;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::time::Duration;

/// The maximum number of cached tokens: that many which are active, and that many which are not.
pub(crate) const CAPACITY: usize = 1000;

/// The maximum length of a cached subject, in bytes. It limits the whole cache to less than 2 MiB.
pub(crate) const LONGEST_SUBJECT: usize = 1024;

/// By the hash of a token: all keys have the same length, and no token stays in memory.
type Tokens = RefCell<Cache<[u8; 32], (Introspection, Duration)>>;

/// Facts about tokens. Clients can invent tokens that are not active, so these never evict others.
pub(crate) struct Facts {
    active: Tokens,
    inactive: Tokens,
}

impl Default for Facts {
    fn default() -> Self {
        Self { active: RefCell::new(Cache::new(CAPACITY)), inactive: RefCell::new(Cache::new(CAPACITY)) }
    }
}

impl Facts {
    /// Returns the cached fact about a token, unless it has expired, at a time since 1970.
    pub(crate) fn get(&self, token: &[u8], now: Duration) -> Option<Introspection> {
        let key: [u8; 32] = Sha256::digest(token).into();
        [&self.active, &self.inactive].into_iter().find_map(|tokens| {
            let mut tokens = tokens.borrow_mut();
            // A fact of the future is stale: the clock was set back.
            tokens.get(&key, now).filter(|(_, since)| *since <= now).map(|(found, _)| found.clone())
        })
    }

    /// Caches a fact until it expires. The fact that was used least recently is removed first.
    pub(crate) fn insert(&self, token: &[u8], found: Introspection, now: Duration, until: Duration) {
        if found.subject.len() <= LONGEST_SUBJECT {
            let tokens = if found.active { &self.active } else { &self.inactive };
            tokens.borrow_mut().insert(Sha256::digest(token).into(), (found, now), until);
        }
    }

    /// The numbers of active tokens and of others.
    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.active.borrow().len(), self.inactive.borrow().len())
    }
}
