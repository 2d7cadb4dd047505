//! Labels as parts of names.

use std::borrow::Cow;

/// A label's name or value as a part of a metric's name: without dots, and not empty.
#[inline]
pub(crate) fn escape(text: &[u8]) -> Cow<'_, [u8]> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-/".contains(byte);
    if text.is_empty() {
        return Cow::Borrowed(b"%");
    }
    if text.iter().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = Vec::with_capacity(text.len() * 3);
    for byte in text {
        if plain(byte) {
            escaped.push(*byte);
        } else {
            let digit = |number: u8| DIGITS.get(usize::from(number)).copied().unwrap_or(b'0');
            escaped.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(escaped)
}
