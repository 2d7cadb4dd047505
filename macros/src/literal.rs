//! String literals.

use crate::error::{Error, Result};
use proc_macro::TokenTree;

/// A string literal and its value.
#[derive(Debug, Clone)]
pub(crate) struct StringLiteral {
    pub(crate) token: TokenTree,
    pub(crate) value: String,
}

impl StringLiteral {
    /// Parses `tokens`. `expected` describes the expected literal, for the error message.
    pub(crate) fn parse(tokens: &[TokenTree], expected: &str) -> Result<Self> {
        if let [token @ TokenTree::Literal(literal)] = tokens {
            if let Some(value) = decode(&literal.to_string()) {
                return Ok(Self { token: token.clone(), value });
            }
        }
        Err(Error::at(tokens, format!("expected {expected}")))
    }
}

/// Returns the bytes of a string or a byte string; `None` for any other literal.
pub(crate) fn bytes(literal: &str) -> Option<Vec<u8>> {
    match literal.strip_prefix('b') {
        // Every character of a byte string is a byte.
        Some(literal) => decode(literal)?.chars().map(|byte| u8::try_from(u32::from(byte)).ok()).collect(),
        None => decode(literal).map(String::into_bytes),
    }
}

/// Returns the value of `"…"` or `r#"…"#`; `None` for any other literal.
fn decode(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return raw.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    }
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::new();
    while let Some((plain, escape)) = rest.split_once('\\') {
        value.push_str(plain);
        let mut chars = escape.chars();
        match chars.next()? {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            '0' => value.push('\0'),
            'x' => {
                let digits = chars.as_str().get(..2)?;
                value.push(char::from(u8::from_str_radix(digits, 16).ok()?));
                chars = chars.as_str().get(2..)?.chars();
            }
            'u' => {
                let (digits, after) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                value.push(char::from_u32(u32::from_str_radix(&digits.replace('_', ""), 16).ok()?)?);
                chars = after.chars();
            }
            // A continued line: the white space before its next character is not part of the
            // string.
            '\n' => chars = chars.as_str().trim_start().chars(),
            itself => value.push(itself),
        }
        rest = chars.as_str();
    }
    value.push_str(rest);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{bytes, decode};

    #[test]
    fn escapes_mean_what_they_mean_in_rust() {
        assert_eq!(decode(r#""plain""#).as_deref(), Some("plain"));
        assert_eq!(decode(r#""\n\r\t\0\\\"\'\x41\u{1F_600}é""#).as_deref(), Some("\n\r\t\0\\\"'A😀é"));
        assert_eq!(decode("\"a\\\n    b\"").as_deref(), Some("ab"));
        assert_eq!(decode(r##"r#"raw \n " "#"##).as_deref(), Some("raw \\n \" "));
    }

    #[test]
    fn byte_strings_are_bytes() {
        assert_eq!(bytes(r#"b"a\xff\n""#).as_deref(), Some(&b"a\xff\n"[..]));
        assert_eq!(bytes(r#"br"a\n""#).as_deref(), Some(&br"a\n"[..]));
        assert_eq!(bytes("\"é\"").as_deref(), Some("é".as_bytes()));
        assert_eq!(bytes("b'a'"), None);
    }

    #[test]
    fn other_literals_are_no_strings() {
        for literal in ["1", "b\"x\"", "c\"x\"", "'x'", "\"x\"suffix", "br\"x\"", "r", "\"", "\"\\u{110000}\"", "true"]
        {
            assert_eq!(decode(literal), None, "{literal}");
        }
    }
}
