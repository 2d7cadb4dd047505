//! Bytes from the network as text.

/// The bytes as text, if all of them are printable ASCII: what almost every header is.
///
/// It looks at eight bytes at once, the last eight overlapping, and then knows what `core::str::from_utf8` would have to find out again
/// byte by byte.
pub(crate) fn printable_ascii(bytes: &[u8]) -> Option<&str> {
    let suspicious = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => {
            let mut suspicious = unprintable(u64::from_le_bytes(*last));
            let mut rest = bytes;
            while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
                suspicious |= unprintable(u64::from_le_bytes(*chunk));
                rest = tail;
            }
            suspicious
        }
        (None, Some(first), Some(last)) => {
            unprintable((u64::from(u32::from_le_bytes(*first)) << 32) | u64::from(u32::from_le_bytes(*last)))
        }
        _ => u64::from(!bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))),
    };
    // SAFETY: every byte is between 0x20 and 0x7e, and ASCII is UTF-8.
    (suspicious == 0).then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}

/// Not 0 if one of the eight bytes is below 0x20 or above 0x7e.
#[inline]
const fn unprintable(word: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // A byte below 0x20 borrows into its high bit, 0x7f carries into it, and above it is set. What a borrow or a carry does to the
    // neighbours does not matter: the word is suspicious already.
    (word.wrapping_sub(EACH * 0x20) | word | word.wrapping_add(EACH)) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::printable_ascii;

    #[test]
    fn every_byte_at_every_position_of_every_length_is_seen() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let printable = matches!(byte, b' '..=b'~');
                    assert_eq!(printable_ascii(&bytes).is_some(), printable, "{byte} at {at} of {length}");
                }
            }
        }
        assert_eq!(printable_ascii(b""), Some(""));
        assert_eq!(printable_ascii(b"text/html; charset=utf-8"), Some("text/html; charset=utf-8"));
    }

    #[test]
    fn neighbours_do_not_hide_each_other() {
        let edges = [0, 1, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xdf, 0xe0, 0xfe, 0xff];
        for first in edges {
            for second in edges {
                let bytes = [b'a', first, second, b'b', b'c', second, first, b'd', b'e'];
                let printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
                assert_eq!(printable_ascii(&bytes).is_some(), printable, "{bytes:?}");
            }
        }
    }
}
