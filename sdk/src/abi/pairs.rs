//! Header maps on the wire.
//!
//! ```text
//! u32 count, then count × (u32 name length, u32 value length), then count × (name NUL value NUL); little endian
//! ```
//!
//! An empty map may also be no bytes at all. Lengths delimit, not the NULs: names and values may contain any byte, and the
//! terminators are not checked, because one host writes another byte there.

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

/// Walks the pairs in an encoded map that [`validate`] has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

/// Checks that the lengths add up to exactly the bytes at hand and returns the walk over the pairs.
pub(crate) fn decode(bytes: &[u8]) -> Result<Iter<'_>, Malformed> {
    if bytes.is_empty() {
        return Ok(Iter { lengths: &[], data: &[] });
    }
    let (count, rest) = take_u32(bytes).ok_or(Malformed)?;
    let (lengths, data) = rest.split_at_checked(count.checked_mul(8).ok_or(Malformed)?).ok_or(Malformed)?;
    let mut left = data.len();
    let mut walk = lengths;
    while let Some((name, after)) = take_u32(walk) {
        let (value, after) = take_u32(after).ok_or(Malformed)?;
        let pair = name.checked_add(value).and_then(|sum| sum.checked_add(2)).ok_or(Malformed)?;
        left = left.checked_sub(pair).ok_or(Malformed)?;
        walk = after;
    }
    if left != 0 {
        return Err(Malformed);
    }
    Ok(Iter { lengths, data })
}

fn take_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, lengths) = take_u32(self.lengths)?;
        let (value, lengths) = take_u32(lengths)?;
        let (name, data) = self.data.split_at_checked(name)?;
        let (value, data) = data.get(1..)?.split_at_checked(value)?;
        self.lengths = lengths;
        self.data = data.get(1..)?;
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
    lengths: Vec<u8>,
    data: Vec<u8>,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self { lengths: Vec::new(), data: Vec::new() }
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        let size = 4 + self.lengths.len() + self.data.len();
        let pair = name.len().checked_add(value.len()).and_then(|pair| pair.checked_add(10)).ok_or(TooLarge)?;
        if self.lengths.len() / 8 >= MAX_PAIRS || MAX_BYTES.saturating_sub(size) < pair {
            return Err(TooLarge);
        }
        for part in [name, value] {
            let length = u32::try_from(part.len()).map_err(|_| TooLarge)?;
            self.lengths.extend_from_slice(&length.to_le_bytes());
            self.data.extend_from_slice(part);
            self.data.push(0);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The encoded map; no bytes at all for an empty one, which hosts read as empty too.
    pub(crate) fn finish(&self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let count = u32::try_from(self.lengths.len() / 8).unwrap_or(u32::MAX);
        [&count.to_le_bytes()[..], &self.lengths, &self.data].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new();
        for (name, value) in pairs {
            builder.push(name, value).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn a_map_comes_back_as_it_went_in() {
        let pairs: [(&[u8], &[u8]); 4] = [(b"a", b""), (b"", b"x"), (b"\xff\0", b"\r\n\0"), (b"a", b"again")];
        let bytes = encode(&pairs);
        assert_eq!(bytes.len(), 4 + pairs.iter().map(|(n, v)| 10 + n.len() + v.len()).sum::<usize>());
        let iter = decode(&bytes).unwrap();
        assert_eq!(iter.len(), 4);
        assert_eq!(iter.collect::<Vec<_>>(), pairs);
    }

    #[test]
    fn no_bytes_and_a_zero_count_are_both_the_empty_map() {
        assert_eq!(decode(b"").unwrap().count(), 0);
        assert_eq!(decode(&[0; 4]).unwrap().count(), 0);
        assert_eq!(encode(&[]), b"");
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_malformed() {
        let bytes = encode(&[(b"name", b"value"), (b"n", b"v")]);
        for end in 1..bytes.len() {
            assert_eq!(decode(&bytes[..end]).err(), Some(Malformed), "cut at {end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(decode(&longer).err(), Some(Malformed));
    }

    #[test]
    fn lengths_that_overflow_are_malformed() {
        assert_eq!(decode(&[0xff; 4]).err(), Some(Malformed));
        assert_eq!(decode(&[0xff; 64]).err(), Some(Malformed));
        let mut bytes = encode(&[(b"a", b"b")]);
        bytes[4..12].copy_from_slice(&[0xff; 8]);
        assert_eq!(decode(&bytes).err(), Some(Malformed));
    }

    #[test]
    fn what_envoy_would_wipe_is_refused() {
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
    fn arbitrary_bytes_never_panic_and_never_read_past_the_end() {
        // A small deterministic generator: the fuzz target of the same name goes further.
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
            if let Ok(iter) = decode(&bytes) {
                let count = iter.len();
                assert_eq!(iter.count(), count, "a validated map yields every pair: {bytes:?}");
            }
        }
    }
}
