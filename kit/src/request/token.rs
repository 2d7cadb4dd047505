//! The syntax of header values (RFC 9110, section 5.6).

/// Whether this is a token: names of headers, parameters and cookies are tokens.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    let is_valid = |byte: &u8| {
        let [low, high] = TOKEN_BYTES;
        byte.is_ascii() && (if *byte < 64 { low } else { high }) >> (byte % 64) & 1 == 1
    };
    !bytes.is_empty() && bytes.iter().all(is_valid)
}

/// A bit for each of the 128 bytes of ASCII: whether it is valid in a token.
const TOKEN_BYTES: [u64; 2] = {
    let (mut low, mut high) = (0, 0);
    let mut byte = 0;
    while byte < 64 {
        low |= (is_token_byte(byte) as u64) << byte;
        high |= (is_token_byte(byte + 64) as u64) << byte;
        byte += 1;
    }
    [low, high]
};

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Returns the value without spaces and tabs at both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Splits at a byte that is not within a quoted string.
pub(super) fn split_unquoted(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    bytes.split(move |byte| {
        let is_separator = !quoted && *byte == separator;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        is_separator
    })
}

/// Returns the value of a token or a quoted string; `None` if it is neither.
pub(super) fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        return is_token(value).then(|| value.to_vec());
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    loop {
        match bytes.next()? {
            b'"' => return bytes.as_slice().is_empty().then_some(text),
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(*byte),
        }
    }
}

/// Returns a weight of `q=`, in thousandths; `None` if it is malformed.
pub(super) fn weight(value: &[u8]) -> Option<u16> {
    let (whole, digits) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut thousandths: u16 = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        thousandths =
            thousandths * 10 + u16::from(char::from(digit).to_digit(10).and_then(|digit| u8::try_from(digit).ok())?);
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::is_token;

    #[test]
    fn a_token_has_the_bytes_of_rfc_9110() {
        let text = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255 {
            assert_eq!(is_token(&[b'a', byte]), text.as_bytes().contains(&byte), "{byte}");
        }
        assert!(is_token(text.as_bytes()) && !is_token(b""));
    }
}
