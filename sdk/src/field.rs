//! What may go onto the wire as the name and the value of a header field.

const NO_NAME: &str = "a header needs a name";
const BAD_NAME: &str = "CR, LF or NUL in a header name";
const BAD_VALUE: &str = "CR, LF or NUL in a header value: escape or remove it";

/// Whether a name and a value may go onto the wire.
#[inline]
pub(crate) fn check_field(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err(NO_NAME);
    }
    if splits(name) {
        return Err(BAD_NAME);
    }
    check_value(value)
}

/// Whether a value may go onto the wire.
#[inline]
pub(crate) fn check_value(value: &[u8]) -> Result<(), &'static str> {
    if splits(value) { Err(BAD_VALUE) } else { Ok(()) }
}

/// Whether the bytes contain CR, LF or NUL.
///
/// Almost no field has a byte below 14 (CR + 1) at all, which takes four operations to see for eight bytes at once. The overlap of the
/// first and the last eight replaces a loop over the rest.
#[inline]
fn splits(bytes: &[u8]) -> bool {
    let low = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => has_low_byte(*first) || has_low_byte(*last),
        (Some(_), Some(last)) => {
            has_low_byte(*last) || bytes.chunks_exact(8).any(|chunk| chunk.try_into().is_ok_and(has_low_byte))
        }
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                low_bytes(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
            }
            _ => bytes.iter().any(|byte| *byte < 14),
        },
    };
    low && contains_splitter(bytes)
}

#[cold]
#[inline(never)]
fn contains_splitter(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[inline]
fn has_low_byte(bytes: [u8; 8]) -> bool {
    low_bytes(u64::from_le_bytes(bytes))
}

/// Whether one of the eight bytes is below 14.
#[inline]
const fn low_bytes(word: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // A byte below 14 borrows into its high bit, which it did not have itself. Borrows beyond that only make a higher byte look low.
    word.wrapping_sub(EACH * 14) & !word & (EACH * 0x80) != 0
}

#[cfg(test)]
mod tests {
    use super::{contains_splitter, splits};

    #[test]
    fn every_position_of_every_byte_in_every_length_is_seen() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    assert_eq!(splits(&bytes), matches!(byte, b'\r' | b'\n' | 0), "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn neighbours_of_low_bytes_do_not_hide_them() {
        for first in [0, 1, 9, 13, 14, 0x7f, 0x80, 0xff] {
            for second in [0, 9, 10, 13, 14, 0x80, 0xff] {
                let bytes = [b'a', first, second, b'b', 0xff, first, b'c', second, 0x80];
                assert_eq!(splits(&bytes), contains_splitter(&bytes), "{bytes:?}");
            }
        }
    }
}
