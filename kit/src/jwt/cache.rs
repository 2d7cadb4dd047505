//! A cache of verified tokens.

use crate::cache::Cache;
use core::time::Duration;

/// Results of verified tokens: each VM verifies a token once.
///
/// An entry expires at the token's `exp`, without leeway, and at most after the cache's maximum
/// time. Call [`keep_version`](Self::keep_version) with the version of the keys, because a revoked
/// key verifies no tokens.
///
/// A token is found by a hash of its last characters, and then compared as a whole. Of a verified
/// token, these characters are a part of the signature. Neither a client nor an issuer can make
/// many valid signatures with equal ends, and other tokens are not stored. No client can therefore
/// fill the cache with tokens of equal hashes.
#[derive(Debug)]
pub struct TokenCache<T> {
    /// By the whole token.
    cache: Cache<Box<[u8]>, (Duration, T)>,
    longest: Duration,
    version: u64,
}

impl<T> TokenCache<T> {
    /// Creates a cache of at most `max_tokens` tokens, each for at most five minutes. The tokens
    /// have at most 1 KiB on average: see [`max_bytes`](Self::max_bytes).
    pub fn new(max_tokens: usize) -> Self {
        let cache = Cache::new(max_tokens).max_bytes(max_tokens.saturating_mul(1024));
        Self { cache, longest: Duration::from_secs(300), version: 0 }
    }

    /// Sets the maximum time of an entry. A token is accepted for this time after it was revoked.
    #[must_use]
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Limits the sum of the sizes of all tokens, including the cache's overhead for each, and the
    /// sizes of the results' type. Defaults to 1 KiB for each of the maximum number of tokens.
    /// Memory that a result owns is not counted.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.cache = self.cache.max_bytes(max_bytes);
        self
    }

    /// Returns the cached result of a token, at a time since 1970. Returns `None` if the clock was
    /// set back since the token was verified.
    pub fn get(&mut self, token: &[u8], now: Duration) -> Option<&T> {
        let hash = self.cache.hash(&end(token));
        let (verified, value) = self.cache.get_by(hash, |stored| is_equal(stored, token), now)?;
        (*verified <= now).then_some(value)
    }

    /// Caches the result of a token whose signature and claims were checked. `expires` is its
    /// `exp`.
    pub fn insert(&mut self, token: &[u8], value: T, expires: Option<Duration>, now: Duration) {
        let until = now.saturating_add(self.longest).min(expires.unwrap_or(Duration::MAX));
        if until > now {
            let hash = self.cache.hash(&end(token));
            self.cache.remove_by(hash, |stored| is_equal(stored, token));
            self.cache.insert_by(hash, token.into(), (now, value), token.len(), until);
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

/// The last 16 bytes of a token: 12 of the signature, in base64.
fn end(token: &[u8]) -> u128 {
    let all_of_it = || token.iter().fold(0, |end, byte| end << 8 | u128::from(*byte));
    token.last_chunk().map_or_else(all_of_it, |end| u128::from_ne_bytes(*end))
}

/// Compares 32 bytes in each step, because `==` compares single bytes in a module.
fn is_equal(stored: &[u8], token: &[u8]) -> bool {
    if stored.len() != token.len() {
        return false;
    }
    let ((blocks, words), (other_blocks, other_words)) = (blocks(stored), blocks(token));
    let of_word = |one: &[u8; 8], other: &[u8; 8]| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    let mut difference = 0;
    for ([a, b, c, d], [e, f, g, h]) in blocks.iter().zip(other_blocks) {
        difference |= of_word(a, e) | of_word(b, f) | of_word(c, g) | of_word(d, h);
    }
    for (one, other) in words.iter().zip(other_words) {
        difference |= of_word(one, other);
    }
    difference == 0
        && match (stored.last_chunk(), token.last_chunk()) {
            (Some(one), Some(other)) => of_word(one, other) == 0,
            _ => stored == token,
        }
}

/// The blocks of 32 bytes, and the words after the last block. Up to 7 bytes after the last word
/// are left.
fn blocks(bytes: &[u8]) -> (&[[[u8; 8]; 4]], &[[u8; 8]]) {
    bytes.as_chunks().0.as_chunks()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn only_the_same_token_is_found_whatever_byte_differs() {
        for length in (0..80).chain([700, 16 * 1024]) {
            let mut cache = TokenCache::new(20);
            let token = vec![b'a'; length];
            cache.insert(&token, length, None, NOW);
            assert_eq!(cache.get(&token, NOW), Some(&length));
            for at in (0..length).step_by(1 + length / 50) {
                let mut other = token.clone();
                other[at] = b'b';
                assert_eq!(cache.get(&other, NOW), None, "byte {at} of {length}");
            }
            assert_eq!(cache.get(&[&token[..], b"a"].concat(), NOW), None, "{length}");
            assert_eq!(cache.get(token.get(1..).unwrap_or(b"b"), NOW), None, "{length}");
        }
    }

    #[test]
    fn a_token_replaces_its_own_result_and_not_that_of_a_token_with_the_same_end() {
        let mut cache = TokenCache::new(20);
        let (one, two) = ([&[b'1'; 30][..], &[b'x'; 20]].concat(), [&[b'2'; 30][..], &[b'x'; 20]].concat());
        for value in [1, 2] {
            cache.insert(&one, value, None, NOW);
            cache.insert(&two, 10 * value, None, NOW);
            assert_eq!(cache.get(&one, NOW), Some(&value));
            assert_eq!(cache.get(&two, NOW), Some(&(10 * value)));
        }
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn an_entry_ends_with_the_token_and_after_the_maximum_time() {
        for (expires, valid) in [(None, 300_u64), (Some(10), 10), (Some(1000), 300), (Some(0), 0)] {
            let mut cache = TokenCache::new(20);
            let expires = expires.map(|seconds| NOW + Duration::from_secs(seconds));
            cache.insert(b"a", (), expires, NOW);
            for (after, is_valid) in [(valid, false), (valid.saturating_sub(1), valid > 0)] {
                cache.insert(b"a", (), expires, NOW);
                assert_eq!(cache.get(b"a", NOW + Duration::from_secs(after)).is_some(), is_valid, "{expires:?}");
            }
        }
    }

    #[test]
    fn tokens_are_bounded_in_number_and_in_bytes() {
        let mut cache = TokenCache::new(50);
        for (length, most) in [(40, 50), (1000, 50), (2000, 25), (16 * 1024, 3), (60_000, 3)] {
            for number in 0..200_u32 {
                let token: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(length).collect();
                cache.insert(&token, (), None, NOW);
                assert!(cache.len() <= 50);
            }
            assert!((1..=most).contains(&cache.len()), "{} of {length} bytes", cache.len());
        }
        let mut small = TokenCache::new(50).max_bytes(300);
        small.insert(&[b'a'; 400], (), None, NOW);
        assert!(small.is_empty(), "a token that alone exceeds the limit is verified each time");
    }
}
