//! Media types: `content-type`.

use super::token::{is_token, split_unquoted, trim, unquote};

/// A media type, as in `content-type`.
///
/// ```
/// use proxy_filter_kit::request::MediaType;
///
/// let media_type = MediaType::parse(b"Application/Problem+JSON; charset=\"utf-8\"").unwrap();
/// assert!(media_type.is("application", "problem+json"));
/// assert!(media_type.is_json());
/// assert_eq!(media_type.parameter("charset").as_deref(), Some(&b"utf-8"[..]));
/// ```
///
/// Source: RFC 9110, section 8.3.1; RFC 6839 for suffixes.
#[derive(Clone, Copy, Debug)]
pub struct MediaType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    parameters: &'a [u8],
}

impl<'a> MediaType<'a> {
    /// Parses a media type. Returns `None` if the type or the subtype is not a token.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let (essence, parameters) = value.split_at_checked(end)?;
        let mut parts = trim(essence).splitn(2, |byte| *byte == b'/');
        let (kind, subtype) = (parts.next()?, parts.next()?);
        (is_token(kind) && is_token(subtype)).then_some(Self { kind, subtype, parameters })
    }

    /// Returns the type as it was sent: `text` of `text/html`.
    pub fn kind(&self) -> &'a [u8] {
        self.kind
    }

    /// Returns the subtype as it was sent: `html` of `text/html`.
    pub fn subtype(&self) -> &'a [u8] {
        self.subtype
    }

    /// Whether the type and the subtype are these, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes()) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Returns the suffix of the subtype: `json` of `application/problem+json`.
    pub fn suffix(&self) -> Option<&'a [u8]> {
        let plus = self.subtype.iter().rposition(|byte| *byte == b'+')?;
        self.subtype.get(plus.checked_add(1)?..)
    }

    /// Whether the body is JSON: `application/json`, `text/json`, or any type with the suffix
    /// `+json`.
    pub fn is_json(&self) -> bool {
        self.has_syntax(b"json")
    }

    /// Whether the body is XML: `application/xml`, `text/xml`, or any type with the suffix `+xml`.
    pub fn is_xml(&self) -> bool {
        self.has_syntax(b"xml")
    }

    fn has_syntax(&self, name: &[u8]) -> bool {
        let is_plain = self.kind.eq_ignore_ascii_case(b"application") || self.kind.eq_ignore_ascii_case(b"text");
        is_plain && self.subtype.eq_ignore_ascii_case(name)
            || self.suffix().is_some_and(|suffix| suffix.eq_ignore_ascii_case(name))
    }

    /// Whether the body is a form: `application/x-www-form-urlencoded`. Parse it with
    /// [`Query::parse`](super::Query::parse).
    pub fn is_form(&self) -> bool {
        self.is("application", "x-www-form-urlencoded")
    }

    /// Iterates over the names and values of the parameters, without quotes. Malformed parameters
    /// are skipped.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], Vec<u8>)> + use<'a> {
        split_unquoted(self.parameters, b';').filter_map(|parameter| {
            let mut parts = trim(parameter).splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next()?, parts.next()?);
            is_token(name).then_some((name, unquote(value)?))
        })
    }

    /// Returns the first value of a parameter. Names are compared in any case.
    pub fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        self.parameters().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_type_and_suffix() {
        for (value, expected) in [
            ("application/json", true),
            ("APPLICATION/JSON;charset=utf-8", true),
            (" text/json ", true),
            ("application/ld+json", true),
            ("image/svg+xml+json", true),
            ("application/jsonl", false),
            ("application/json-seq", false),
            ("application/+xml", false),
            ("model/json", false),
            ("application/json+xml", false),
        ] {
            assert_eq!(MediaType::parse(value.as_bytes()).unwrap().is_json(), expected, "{value}");
        }
        assert!(MediaType::parse(b"image/svg+xml").unwrap().is_xml());
    }

    #[test]
    fn malformed_media_types_are_refused() {
        for value in ["", "json", "/", "a/", "/b", "a/b/c", "a b/c", "a/b c", "a\u{e9}/b", "text/html, text/plain"] {
            assert!(MediaType::parse(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn parameters_may_be_quoted() {
        let value = b"multipart/form-data ;; Boundary=\"a;b\\\"c\\\\\" ; x = 1; y; z=\"open; w=\"";
        let media_type = MediaType::parse(value).unwrap();
        assert_eq!(media_type.parameter("boundary").as_deref(), Some(&b"a;b\"c\\"[..]));
        for name in ["x", "y"] {
            assert_eq!(media_type.parameter(name), None, "{name}");
        }
    }
}
