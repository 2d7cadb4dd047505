//! The header map of a request that the module makes.

use crate::abi::pairs::{COUNT, LENGTHS, MAX_BYTES, MAX_PAIRS, TooLarge, append};
use core::mem;
use std::cell::Cell;

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
}

/// The count and the lengths of six pairs.
const ROOM: usize = COUNT + 6 * LENGTHS;
/// The size of the buffer, which then seldom grows: one that allocators have at hand.
const ROOMY: usize = 192;
/// How a buffer begins: the room, and the first name.
const START: &str = "\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    :authority\0";

thread_local! {
    /// The buffer of the last request, for the next one: most requests to a service are like the
    /// one before, and allocating for each costs a tenth of what a callout does.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Larger buffers are freed instead of reused.
const KEPT: usize = 4096;

impl RequestBuilder {
    #[inline(never)]
    pub(crate) fn new(authority: &[u8], method: &[u8], path: &[u8]) -> Self {
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        if bytes.is_empty() {
            bytes.reserve(ROOMY);
            append(&mut bytes, START.as_bytes());
        } else {
            // The buffer of another request begins in the same way. Its lengths are overwritten.
            bytes.truncate(START.len());
        }
        for part in [authority, b"\0:method\0", method, b"\0:path\0", path, b"\0"] {
            append(&mut bytes, part);
        }
        let mut builder = Self { bytes, more: Vec::new(), pairs: 0 };
        for (name, value) in [(":authority", authority), (":method", method), (":path", path)] {
            builder.push_lengths(name.len(), value.len());
        }
        builder
    }

    #[inline(never)]
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_lengths(name.len(), value.len());
        let end = self.bytes.len();
        // Resized once, so that only this place may grow the buffer.
        self.bytes.resize(end + name.len() + value.len() + 2, 0);
        if let Some((first, rest)) = self.bytes.get_mut(end..).and_then(|texts| texts.split_at_mut_checked(name.len()))
        {
            first.copy_from_slice(name);
            if let Some(second) = rest.get_mut(1..).and_then(|rest| rest.get_mut(..value.len())) {
                second.copy_from_slice(value);
            }
        }
    }

    /// Both are below 2^32 in a map that [`finish`](Self::finish) accepts; the name's is the lower
    /// half in little endian.
    #[inline]
    fn push_lengths(&mut self, name: usize, value: usize) {
        let lengths = name as u64 | (value as u64) << 32;
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

    /// Stores the buffer for the next request.
    #[inline]
    pub(crate) fn keep_buffer(&mut self) {
        // With more pairs than there is room for, the buffer begins in another way.
        if self.more.is_empty() && self.bytes.capacity() <= KEPT {
            // A native thread that ends has no place for it.
            let _ = SPARE.try_with(|spare| spare.set(mem::take(&mut self.bytes)));
        }
    }

    /// Returns the encoded map. No pair may be added afterwards.
    pub(crate) fn finish(&mut self) -> Result<&[u8], TooLarge> {
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
        Ok(map)
    }
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
        for count in 0..100_usize {
            let texts: Vec<_> = (0..count).map(|at| (vec![b'n'; at % 7 + 1], vec![b'v'; at * at % 311])).collect();
            let mut pairs: Vec<(&[u8], &[u8])> = vec![(b":authority", b"a"), (b":method", b"GET"), (b":path", b"/p")];
            let mut request = RequestBuilder::new(b"a", b"GET", b"/p");
            for (name, value) in &texts {
                request.push(name, value);
                pairs.push((name, value));
            }
            assert_eq!(request.finish().unwrap(), encode(&pairs));
            request.keep_buffer();
        }
    }

    #[test]
    fn a_request_that_envoy_would_clear_is_refused() {
        let request = |pairs| {
            let mut request = RequestBuilder::new(b"a", b"GET", b"/");
            for _ in 0..pairs {
                request.push(b"n", b"v");
            }
            request
        };
        assert_eq!(request(MAX_PAIRS - 3).finish().map(<[u8]>::len), Ok(4 + 1021 * 12 + 3 * 10 + 22 + 5));
        assert_eq!(request(MAX_PAIRS - 2).finish(), Err(TooLarge));
        let size = request(0).finish().unwrap().len();
        let mut largest = request(0);
        largest.push(b"n", &vec![0; MAX_BYTES - size - 10 - 1]);
        assert_eq!(largest.finish().map(<[u8]>::len), Ok(MAX_BYTES));
        let mut larger = request(0);
        larger.push(b"n", &vec![0; MAX_BYTES - size - 10]);
        assert_eq!(larger.finish(), Err(TooLarge));
    }
}
