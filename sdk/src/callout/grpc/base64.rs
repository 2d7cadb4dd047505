//! Base64 (RFC 4648), as gRPC carries binary metadata.

/// Decodes base64, with or without padding. Returns `None` if the text is not base64.
#[inline]
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = text;
    while let [before @ .., b'='] = digits {
        digits = before;
    }
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for digit in group {
            bits = bits << 6 | u32::from(value(*digit)?);
        }
        let [_, first, second, third] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => bytes.extend([first, second, third]),
            3 => bytes.extend([first, second]),
            2 => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::callout::grpc::base64::decode;

    #[test]
    fn padding_is_optional() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zg", "f"),
            ("Zm8=", "fo"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode(b"//79AA=="), Some(vec![0xff, 0xfe, 0xfd, 0]));
    }

    #[test]
    fn text_that_is_not_base64_is_refused() {
        for text in ["Z", "Zm9vY", "Z===", "Zm9v====", "Zm 9", "Zm=v", "\u{ff}Zm9v", "Zm-_"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
