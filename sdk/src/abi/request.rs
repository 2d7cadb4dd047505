//! The header map of a request that the module makes.

use crate::abi::pairs::{COUNT, LENGTHS, MAX_BYTES, MAX_PAIRS, TooLarge, append};

/// Encodes the map of a request as [`Builder`](super::pairs::Builder) does its maps, but in one
/// buffer, because each HTTP call needs one: the texts follow the space for the lengths of more
/// pairs than most requests have.
#[derive(Clone, Debug)]
pub(crate) struct RequestBuilder {
    /// [`ROOM`], then texts.
    bytes: Vec<u8>,
    /// The lengths that have no place in the room.
    more: Vec<u8>,
    pairs: usize,
    /// The length of the first value.
    authority: usize,
}

/// The count and the lengths of six pairs.
const ROOM: usize = COUNT + 6 * LENGTHS;
/// The size of the buffer, which then seldom grows: one that allocators have at hand.
const ROOMY: usize = 192;
/// How a buffer begins: the room, and the first name.
const START: &str = "\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    :authority\0";
/// The first name, with its terminator.
const FIRST_NAME: usize = START.len() - ROOM;

/// Larger buffers are freed instead of reused.
const KEPT: usize = 4096;

impl RequestBuilder {
    /// A builder without a map.
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), more: Vec::new(), pairs: 0, authority: 0 }
    }

    /// Begins a map, in the buffer of the previous one.
    #[inline(never)]
    pub(crate) fn begin(&mut self, authority: &[u8], method: &[u8], path: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(ROOMY);
            append(&mut self.bytes, START.as_bytes());
        }
        let texts = [authority, b"\0:method\0", method, b"\0:path\0", path, b"\0"];
        let length: usize = texts.iter().map(|text| text.len()).sum();
        self.bytes.truncate(START.len());
        self.bytes.resize(START.len() + length, 0);
        let mut place = self.bytes.get_mut(START.len()..).unwrap_or_default();
        for text in texts {
            place = put(place, text);
        }
        let names = [":authority", ":method", ":path"].map(str::len);
        let lengths = [
            lengths(names[0], authority.len()).to_le_bytes(),
            lengths(names[1], method.len()).to_le_bytes(),
            lengths(names[2], path.len()).to_le_bytes(),
        ];
        if let Some(place) = self.bytes.get_mut(COUNT..COUNT + size_of_val(&lengths)) {
            place.copy_from_slice(lengths.as_flattened());
        }
        self.pairs = lengths.len();
        self.authority = authority.len();
    }

    #[inline(never)]
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_lengths(name.len(), value.len());
        let end = self.bytes.len();
        // Resized once, so that only this place may grow the buffer.
        self.bytes.resize(end + name.len() + value.len() + 2, 0);
        let rest = put(self.bytes.get_mut(end..).unwrap_or_default(), name);
        put(rest.get_mut(1..).unwrap_or_default(), value);
    }

    #[inline]
    fn push_lengths(&mut self, name: usize, value: usize) {
        let lengths = lengths(name, value);
        let head = COUNT + self.pairs * LENGTHS;
        self.pairs += 1;
        match self.bytes.get_mut(head..ROOM).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => *place = lengths.to_le_bytes(),
            None => self.push_more(lengths),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_more(&mut self, lengths: u64) {
        self.more.extend_from_slice(&lengths.to_le_bytes());
    }

    /// Returns whether the buffer may be used for another map.
    #[inline]
    pub(crate) fn is_reusable(&self) -> bool {
        // With more pairs than there is room for, the buffer begins in another way.
        self.more.is_empty() && self.bytes.capacity() <= KEPT
    }

    /// Returns the encoded map, and the authority in it. No pair may be added afterwards.
    pub(crate) fn finish(&mut self) -> Result<(&[u8], &[u8]), TooLarge> {
        let mut start = 0;
        if !self.more.is_empty() {
            let mut all = self.bytes.get(..ROOM).unwrap_or_default().to_vec();
            append(&mut all, &self.more);
            append(&mut all, self.bytes.get(ROOM..).unwrap_or_default());
            self.bytes = all;
        } else if let Some(room) = self.bytes.first_chunk_mut::<ROOM>() {
            // The lengths move up to the texts.
            let head = (COUNT + self.pairs * LENGTHS).min(ROOM);
            start = ROOM - head;
            room.copy_within(..head, start);
        }
        let map = self.bytes.get_mut(start..).ok_or(TooLarge)?;
        if self.pairs > MAX_PAIRS || map.len() > MAX_BYTES {
            return Err(TooLarge);
        }
        if let Some(count) = map.first_chunk_mut() {
            *count = u32::try_from(self.pairs).unwrap_or(u32::MAX).to_le_bytes();
        }
        let texts = map.get(COUNT + self.pairs * LENGTHS + FIRST_NAME..).unwrap_or_default();
        Ok((map, texts.get(..self.authority).unwrap_or_default()))
    }
}

/// Encodes the lengths of a pair. Both are below 2^32 in a map that
/// [`finish`](RequestBuilder::finish) accepts; the name's is the lower half in little endian.
#[inline]
const fn lengths(name: usize, value: usize) -> u64 {
    name as u64 | (value as u64) << 32
}

/// Writes a text where a place for it was made. Returns what follows it.
#[inline]
fn put<'a>(place: &'a mut [u8], text: &[u8]) -> &'a mut [u8] {
    let Some((first, rest)) = place.split_at_mut_checked(text.len()) else { return &mut [] };
    first.copy_from_slice(text);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::pairs::tests::encode;

    #[test]
    fn the_texts_begin_after_the_reserved_space() {
        assert_eq!(START.find(':'), Some(ROOM));
    }

    #[test]
    fn a_request_is_encoded_like_other_maps() {
        let mut request = RequestBuilder::new();
        for count in 0..100_usize {
            let texts: Vec<_> = (0..count).map(|at| (vec![b'n'; at % 7 + 1], vec![b'v'; at * at % 311])).collect();
            let mut pairs: Vec<(&[u8], &[u8])> = vec![(b":authority", b"a"), (b":method", b"GET"), (b":path", b"/p")];
            request.begin(b"a", b"GET", b"/p");
            for (name, value) in &texts {
                request.push(name, value);
                pairs.push((name, value));
            }
            assert_eq!(request.finish().unwrap(), (&*encode(&pairs), &b"a"[..]));
            if !request.is_reusable() {
                request = RequestBuilder::new();
            }
        }
    }

    #[test]
    fn a_request_that_envoy_would_clear_is_refused() {
        let request = |pairs| {
            let mut request = RequestBuilder::new();
            request.begin(b"a", b"GET", b"/");
            for _ in 0..pairs {
                request.push(b"n", b"v");
            }
            request
        };
        assert_eq!(request(MAX_PAIRS - 3).finish().map(|(map, _)| map.len()), Ok(4 + 1021 * 12 + 3 * 10 + 22 + 5));
        assert_eq!(request(MAX_PAIRS - 2).finish(), Err(TooLarge));
        let size = request(0).finish().unwrap().0.len();
        let mut largest = request(0);
        largest.push(b"n", &vec![0; MAX_BYTES - size - 10 - 1]);
        assert_eq!(largest.finish().map(|(map, _)| map.len()), Ok(MAX_BYTES));
        let mut larger = request(0);
        larger.push(b"n", &vec![0; MAX_BYTES - size - 10]);
        assert_eq!(larger.finish(), Err(TooLarge));
    }
}
