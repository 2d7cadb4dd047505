//! A cache of facts about tokens, with expiry times.

use super::Introspection;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::SystemTime;

/// The maximum number of cached tokens. Clients can invent tokens.
pub(crate) const CAPACITY: usize = 1000;

/// The maximum length of a cached subject, in bytes. It limits the whole cache to less than 2 MiB.
pub(crate) const LONGEST_SUBJECT: usize = 1024;

/// By the hash of a token: all keys have the same length, and no token stays in memory.
#[derive(Default)]
pub(crate) struct Cache(RefCell<HashMap<[u8; 32], (Introspection, SystemTime)>>);

impl Cache {
    /// Returns the cached fact about a token, unless it has expired.
    pub(crate) fn get(&self, token: &[u8], now: SystemTime) -> Option<Introspection> {
        let known = self.0.borrow();
        known.get(&key(token)).filter(|(_, until)| now < *until).map(|(found, _)| found.clone())
    }

    /// Caches a fact. If the cache is full, expired facts are removed first, then those about
    /// tokens that are not active, then all others.
    pub(crate) fn insert(&self, token: &[u8], found: Introspection, now: SystemTime, until: SystemTime) {
        if found.subject.len() > LONGEST_SUBJECT {
            return;
        }
        let mut known = self.0.borrow_mut();
        if known.len() >= CAPACITY {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() >= CAPACITY {
            known.retain(|_, (found, _)| found.active);
        }
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(key(token), (found, until));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

fn key(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}
