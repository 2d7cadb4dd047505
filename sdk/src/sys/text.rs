//! Bytes from the network as text.

/// The bytes as text, if all of them are printable ASCII.
pub(crate) fn printable_ascii(bytes: &[u8]) -> Option<&str> {
    let all = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    // SAFETY: every byte is between 0x20 and 0x7e, and ASCII is UTF-8.
    all.then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}

/// The bytes as text, if all of them are printable ASCII other than the backslash: what almost
/// every header is.
///
/// It checks eight bytes at once, and the last eight overlap. Afterwards `core::str::from_utf8`
/// need not check the bytes again one by one.
pub(crate) fn plain_ascii(bytes: &[u8]) -> Option<&str> {
    let suspicious = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => {
            let mut suspicious = is_special(u64::from_le_bytes(*last));
            let mut rest = bytes;
            // Two words per iteration halve the cost of the loop.
            while let Some((chunk, tail)) = rest.split_first_chunk::<16>() {
                let [first, second] = [chunk.first_chunk::<8>(), chunk.last_chunk::<8>()];
                suspicious |= first.map_or(0, |word| is_special(u64::from_le_bytes(*word)));
                suspicious |= second.map_or(0, |word| is_special(u64::from_le_bytes(*word)));
                rest = tail;
            }
            suspicious | rest.first_chunk::<8>().map_or(0, |word| is_special(u64::from_le_bytes(*word)))
        }
        (None, Some(first), Some(last)) => {
            is_special((u64::from(u32::from_le_bytes(*first)) << 32) | u64::from(u32::from_le_bytes(*last)))
        }
        _ => bytes.iter().fold(0, |suspicious, byte| suspicious | is_special(u64::from(*byte) * EACH)),
    };
    // SAFETY: every byte is between 0x20 and 0x7e, and ASCII is UTF-8.
    (suspicious & (EACH * 0x80) == 0).then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}

/// The bytes that [`are_plain_words`] reads at once.
pub(crate) const WORDS: usize = 16;

/// Returns whether the bytes up to this one are plain ASCII, see [`plain_ascii`]. It reads whole
/// words, beyond that byte too.
#[inline]
pub(crate) fn are_plain_words(bytes: &[u8], length: usize) -> bool {
    let mut suspicious = 0;
    for words in bytes.chunks_exact(WORDS).take(length.div_ceil(WORDS)) {
        for word in [words.first_chunk(), words.last_chunk()] {
            suspicious |= word.map_or(0, |word| is_special(u64::from_le_bytes(*word)));
        }
    }
    suspicious & (EACH * 0x80) == 0
}

const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// Has one of the bytes' high bits if one of them is below 0x20, above 0x7e, or a backslash.
#[inline]
const fn is_special(word: u64) -> u64 {
    // The lowest such byte is detected because no lower byte borrows or carries. Borrows from its
    // neighbours and carries into them do not matter, because the word is already suspicious.
    word.wrapping_sub(EACH * 0x20) | word.wrapping_add(EACH) | (word ^ (EACH * b'\\' as u64)).wrapping_sub(EACH)
}

#[cfg(test)]
mod tests {
    use crate::sys::text::{plain_ascii, printable_ascii};

    #[test]
    fn every_byte_at_every_position_of_every_length_is_seen() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let printable = matches!(byte, b' '..=b'~');
                    let plain = printable && byte != b'\\';
                    assert_eq!(printable_ascii(&bytes).is_some(), printable, "{byte} at {at} of {length}");
                    assert_eq!(plain_ascii(&bytes).is_some(), plain, "{byte} at {at} of {length}");
                }
            }
        }
        assert_eq!((printable_ascii(b""), plain_ascii(b"")), (Some(""), Some("")));
        assert_eq!(plain_ascii(b"text/html; charset=utf-8"), Some("text/html; charset=utf-8"));
    }

    #[test]
    fn neighbours_do_not_hide_each_other() {
        let edges = [0, 1, 0x1f, 0x20, 0x5b, 0x5c, 0x5d, 0x7e, 0x7f, 0x80, 0xdf, 0xe0, 0xfe, 0xff];
        for first in edges {
            for second in edges {
                let bytes = [b'a', first, second, b'b', b'c', second, first, b'd', b'e'];
                let plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
                assert_eq!(plain_ascii(&bytes).is_some(), plain, "{bytes:?}");
            }
        }
    }
}
