//! The digest of a body.

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Computes `content-digest` while a body passes, and compares it with the header of the message.
///
/// A signature covers `content-digest` and not the body. A filter that verifies a signature must
/// therefore also verify the digest.
///
/// ```
/// use proxy_filter_kit::signature::ContentDigest;
///
/// let mut digest = ContentDigest::new();
/// digest.update(b"{\"hello\": ");
/// digest.update(b"\"world\"}");
/// assert_eq!(digest.to_header(), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
/// assert!(digest.matches(b"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"));
/// assert!(!digest.matches(b""));
/// ```
///
/// Source: RFC 9530, section 2.
#[derive(Clone, Debug, Default)]
pub struct ContentDigest {
    short: Sha256,
    long: Sha512,
}

impl ContentDigest {
    /// Begins with an empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chunk of the body.
    pub fn update(&mut self, chunk: &[u8]) {
        self.short.update(chunk);
        self.long.update(chunk);
    }

    /// Returns the value of `content-digest`, with SHA-256.
    pub fn to_header(&self) -> String {
        format!("sha-256=:{}:", Base64::encode_string(&self.short.clone().finalize()))
    }

    /// Whether the header has a digest with SHA-256 or SHA-512, and each of them is that of the
    /// body. Digests of other algorithms are ignored.
    pub fn matches(&self, content_digest: &[u8]) -> bool {
        let short = Base64::encode_string(&self.short.clone().finalize());
        let long = Base64::encode_string(&self.long.clone().finalize());
        let mut found = false;
        for member in content_digest.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let expected = match member {
                [b's', b'h', b'a', b'-', b'2', b'5', b'6', b'=', ..] => &short,
                [b's', b'h', b'a', b'-', b'5', b'1', b'2', b'=', ..] => &long,
                _ => continue,
            };
            let value = member.get(8..).and_then(|value| value.strip_prefix(b":")?.strip_suffix(b":"));
            if !value.is_some_and(|value| bool::from(value.ct_eq(expected.as_bytes()))) {
                return false;
            }
            found = true;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cuts;

    /// RFC 9421, appendix B.2, and RFC 9530, appendix D.
    #[test]
    fn digests_are_those_of_the_standards_wherever_the_body_is_cut() {
        for (body, header) in [
            (
                "{\"hello\": \"world\"}",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            (
                "{\"message\": \"good dog\"}",
                "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
            ),
            ("{\"hello\": \"world\"}", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ] {
            for cut in cuts(body.as_bytes()) {
                let mut digest = ContentDigest::new();
                for chunk in &cut {
                    digest.update(chunk);
                }
                assert!(digest.matches(header.as_bytes()), "{cut:?}");
                assert!(digest.matches(format!("md5=:x:, {header} ,{}", digest.to_header()).as_bytes()));
                assert!(digest.matches(digest.to_header().as_bytes()));
                digest.update(b" ");
                assert!(!digest.matches(header.as_bytes()));
            }
        }
    }

    #[test]
    fn a_header_without_a_known_digest_does_not_match() {
        let digest = ContentDigest::new();
        let right = digest.to_header();
        for header in ["", ",", "md5=:x:", "sha-256", "sha-256=", "sha-256=:", "sha-256=x", "SHA-256=:x:"] {
            assert!(!digest.matches(header.as_bytes()), "{header}");
        }
        assert!(!digest.matches(format!("{right},sha-512=:AAAA:").as_bytes()), "one of two is wrong");
        assert!(!digest.matches(format!("{right};a").as_bytes()));
    }
}
