//! Header maps on the wire.
//!
//! ```text
//! u32 count, then count × (u32 name length, u32 value length), then count × (name NUL value NUL); little endian
//! ```
//!
//! An empty map may also be encoded as no bytes. The lengths delimit names and values, which may
//! contain NUL bytes. The NUL terminators are not checked, because one host writes another byte in
//! their place.

/// The most pairs Envoy accepts from a module; more silently become an empty map.
pub(crate) const MAX_PAIRS: usize = 1024;
/// The most bytes Envoy accepts from a module; more silently become an empty map.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// The bytes are not an encoded map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The map is beyond what hosts accept ([`MAX_PAIRS`], [`MAX_BYTES`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Walks the pairs in an encoded map.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

/// Checks that the lengths add up to exactly the bytes at hand.
pub(crate) fn validate(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.is_empty() {
        return Ok(());
    }
    let Iter { lengths, data } = split(bytes).ok_or(Malformed)?;
    // Each text has a terminator. The sum cannot overflow: the lengths are in memory.
    let texts = lengths.chunks_exact(LENGTHS).map(|both| {
        let both = both.try_into().map_or(u64::MAX, u64::from_le_bytes);
        (both & u64::from(u32::MAX)) + (both >> 32) + 2
    });
    if texts.sum::<u64>() == data.len() as u64 { Ok(()) } else { Err(Malformed) }
}

/// Iterates over the pairs of an encoded map. For a map that [`validate`] refused, it yields the
/// readable pairs.
pub(crate) fn walk(bytes: &[u8]) -> Iter<'_> {
    split(bytes).unwrap_or(Iter { lengths: &[], data: &[] })
}

/// Cuts the lengths off from the texts.
fn split(bytes: &[u8]) -> Option<Iter<'_>> {
    let (count, rest) = take_u32(bytes)?;
    let (lengths, data) = rest.split_at_checked(count.checked_mul(8)?)?;
    Some(Iter { lengths, data })
}

fn take_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}

/// Takes a text. Also returns the bytes after its terminator.
#[inline]
fn take_text(data: &[u8], length: u64) -> Option<(&[u8], &[u8])> {
    let (text, rest) = data.split_at_checked(usize::try_from(length).ok()?)?;
    let (_, rest) = rest.split_first()?;
    Some((text, rest))
}

/// Returns the first value whose name has this length and passes the test. Most names differ in
/// their length, so the texts of other pairs are not looked at.
#[inline]
pub(crate) fn find(bytes: &[u8], length: usize, is_meant: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
    let Iter { mut lengths, data } = walk(bytes);
    // Wider than a length, so that no sum of lengths overflows.
    let mut start = 0_u64;
    while let Some((first, others)) = lengths.split_first_chunk::<8>() {
        let both = u64::from_le_bytes(*first);
        let (name, value) = (both & u64::from(u32::MAX), both >> 32);
        if name == length as u64 {
            let text = data.get(usize::try_from(start).ok()?..)?;
            let (found, rest) = take_text(text, name)?;
            if is_meant(found) {
                return take_text(rest, value).map(|(value, _)| value);
            }
        }
        start += name + value + 2;
        lengths = others;
    }
    None
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (lengths_of_pair, lengths) = self.lengths.split_first_chunk::<8>()?;
        // The name's length is the lower half in little endian.
        let both = u64::from_le_bytes(*lengths_of_pair);
        let (name, data) = take_text(self.data, both & u64::from(u32::MAX))?;
        let (value, data) = take_text(data, both >> 32)?;
        *self = Self { lengths, data };
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.lengths.len() / 8;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Encodes a map, pair by pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    /// Room for the count, and the lengths; empty before the first pair.
    head: Vec<u8>,
    data: Vec<u8>,
}

/// The size of the count.
pub(super) const COUNT: usize = 4;
/// The size of the two lengths of a pair.
pub(super) const LENGTHS: usize = 8;

impl Builder {
    pub(crate) const fn new() -> Self {
        Self { head: Vec::new(), data: Vec::new() }
    }

    #[inline(never)]
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        let size = self.head.len().max(COUNT) + self.data.len();
        let pair =
            name.len().checked_add(value.len()).and_then(|pair| pair.checked_add(LENGTHS + 2)).ok_or(TooLarge)?;
        if self.count() >= MAX_PAIRS || MAX_BYTES.saturating_sub(size) < pair {
            return Err(TooLarge);
        }
        if self.head.is_empty() {
            append(&mut self.head, &[0; COUNT]);
        }
        // Both are far below 2^32; the name's is the lower half in little endian.
        append(&mut self.head, &(name.len() as u64 | (value.len() as u64) << 32).to_le_bytes());
        for part in [name, &[0], value, &[0]] {
            append(&mut self.data, part);
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.head.len().saturating_sub(COUNT) / LENGTHS
    }

    /// Returns the encoded map. An empty map is encoded as no bytes, which hosts also read as
    /// empty.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let count = u32::try_from(self.count()).unwrap_or(u32::MAX);
        if let Some(head) = self.head.first_chunk_mut::<COUNT>() {
            *head = count.to_le_bytes();
        }
        append(&mut self.head, &self.data);
        self.head
    }
}

/// One copy of the code that grows a vector: a map is not built often enough for more.
#[inline(never)]
pub(crate) fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(bytes);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::abi) fn encode(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new();
        for (name, value) in pairs {
            builder.push(name, value).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn an_encoded_map_decodes_to_the_same_pairs() {
        let pairs: [(&[u8], &[u8]); 4] = [(b"a", b""), (b"", b"x"), (b"\xff\0", b"\r\n\0"), (b"a", b"again")];
        let bytes = encode(&pairs);
        assert_eq!(bytes.len(), 4 + pairs.iter().map(|(n, v)| 10 + n.len() + v.len()).sum::<usize>());
        validate(&bytes).unwrap();
        let iter = walk(&bytes);
        assert_eq!(iter.len(), 4);
        assert_eq!(iter.collect::<Vec<_>>(), pairs);
    }

    #[test]
    fn no_bytes_and_a_zero_count_are_both_the_empty_map() {
        assert_eq!(walk(b"").count(), 0);
        assert_eq!(walk(&[0; 4]).count(), 0);
        assert_eq!(encode(&[]), b"");
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_malformed() {
        let bytes = encode(&[(b"name", b"value"), (b"n", b"v")]);
        for end in 1..bytes.len() {
            assert_eq!(validate(&bytes[..end]).err(), Some(Malformed), "cut at {end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(validate(&longer).err(), Some(Malformed));
    }

    #[test]
    fn lengths_that_overflow_are_malformed() {
        assert_eq!(validate(&[0xff; 4]).err(), Some(Malformed));
        assert_eq!(validate(&[0xff; 64]).err(), Some(Malformed));
        let mut bytes = encode(&[(b"a", b"b")]);
        bytes[4..12].copy_from_slice(&[0xff; 8]);
        assert_eq!(validate(&bytes).err(), Some(Malformed));
    }

    #[test]
    fn maps_that_envoy_would_clear_are_refused() {
        let mut builder = Builder::new();
        for _ in 0..MAX_PAIRS {
            builder.push(b"n", b"v").unwrap();
        }
        assert_eq!(builder.push(b"n", b"v"), Err(TooLarge));
        assert_eq!(Builder::new().push(b"n", &vec![0; MAX_BYTES]), Err(TooLarge));
        let mut builder = Builder::new();
        builder.push(b"n", &vec![0; MAX_BYTES - 4 - 10 - 1]).unwrap();
        assert_eq!(builder.finish().len(), MAX_BYTES);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_read_out_of_bounds() {
        // A small deterministic generator: the fuzz target `host_bytes` goes further.
        let mut state = 0x2545_f491_u32;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            for i in 0..(state % 40) {
                let [byte, ..] = (state >> (i % 24)).to_le_bytes();
                bytes.push(byte & if i % 4 == 0 { 0x0f } else { 0 });
            }
            if validate(&bytes).is_ok() {
                let iter = walk(&bytes);
                let count = iter.len();
                assert_eq!(iter.count(), count, "a validated map yields every pair: {bytes:?}");
            } else {
                let _ = walk(&bytes).count();
            }
        }
    }
}
