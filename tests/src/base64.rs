//! Base64 (RFC 4648), as JSON carries bytes and gRPC carries binary metadata.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes as text, padded to groups of four.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let index = bits >> (18 - 6 * position) & 63;
            let digit = ALPHABET.get(index as usize).filter(|_| position <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

/// The bytes of a text that is padded to groups of four; `None` for any other.
#[cfg(feature = "signatures")]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.as_bytes().chunks(4);
    let last = groups.len().checked_sub(1);
    for (number, group) in groups.enumerate() {
        let digits = match group {
            [digits @ .., b'=', b'='] | [digits @ .., b'='] if Some(number) == last => digits,
            digits => digits,
        };
        if group.len() != 4 || digits.len() < 2 {
            return None;
        }
        let mut bits = 0;
        for digit in digits {
            bits = bits << 6 | u32::try_from(ALPHABET.iter().position(|known| known == digit)?).ok()?;
        }
        let [_, group @ ..] = (bits << (6 * (4 - digits.len()))).to_be_bytes();
        bytes.extend(group.get(..digits.len() - 1)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_to_groups_of_four() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[0xff, 0xfe, 0xfd, 0x00]), "//79AA==");
    }

    #[cfg(feature = "signatures")]
    #[test]
    fn encoded_bytes_are_decoded_and_other_text_is_refused() {
        for size in 0..50 {
            let bytes: Vec<u8> = (0..size).map(|number: u8| number.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for text in ["A", "AA", "AAA", "AAAAA", "====", "A===", "AA==AAAA", "AA=A", "AAA*", "AAA\n"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
