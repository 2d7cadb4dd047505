//! What the headers of a message say about its body: [`MediaType`], its codings, and the fields
//! that become wrong when the body is edited.

/// A media type, as `content-type` names it: `application/json; charset=utf-8`.
///
/// Types, suffixes and names of parameters are compared without regard to case, as RFC 9110 says.
///
/// ```
/// use proxy_filter::fields::MediaType;
///
/// let media = MediaType::parse(b"Application/Problem+JSON; Charset=\"UTF-8\"").unwrap();
/// assert_eq!(media.essence(), "application/problem+json");
/// assert_eq!(media.suffix(), Some("json"));
/// assert_eq!(media.parameter("charset"), Some("UTF-8"));
/// ```
///
/// Source: RFC 9110, section 8.3.1; RFC 6839 for suffixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Parses a field value. Returns `None` if the value is not exactly one media type.
    ///
    /// If `content-type` is repeated, Envoy joins the values with a comma. That is not one media
    /// type: recipients disagree about which value counts. A security filter should treat such a
    /// body as if it had the type that the filter inspects.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(value).ok()?;
        let mut parts = split_outside_quotes(text, b';').map(|part| part.trim_matches([' ', '\t']));
        let essence = parts.next()?;
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            if split_outside_quotes(part, b',').nth(1).is_some() {
                return None;
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            parameters.push((name.to_ascii_lowercase(), unquoted(value)));
        }
        Some(Self { essence: essence.to_ascii_lowercase(), parameters })
    }

    /// Returns the type and the subtype in lower case, without parameters: `text/html`.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Returns the suffix of the subtype in lower case: `json` for `application/problem+json`.
    pub fn suffix(&self) -> Option<&str> {
        self.essence.rsplit_once('+').map(|(_, suffix)| suffix)
    }

    /// Returns the first value of a parameter, without quotes. The case of the value is preserved;
    /// the case of a `charset` has no meaning.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns whether the body is JSON: `application/json`, `text/json`, or any type with the
    /// suffix `+json`.
    ///
    /// ```
    /// use proxy_filter::fields::MediaType;
    ///
    /// let is_json = |value: &str| {
    ///     MediaType::parse(value.as_bytes()).is_some_and(|media| media.is_json())
    /// };
    /// assert!(is_json("application/JSON; charset=utf-8"));
    /// assert!(is_json("application/vnd.api+json"));
    /// assert!(!is_json("application/x-ndjson"));
    /// ```
    pub fn is_json(&self) -> bool {
        matches!(self.essence(), "application/json" | "text/json") || self.suffix() == Some("json")
    }
}

pub(crate) fn codings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let members = values.flat_map(|value| value.split(|byte| *byte == b','));
    // What is no coding at all cannot be read either.
    let members = members.map(|member| String::from_utf8_lossy(member.trim_ascii()).to_ascii_lowercase());
    members.filter(|coding| !coding.is_empty() && coding != "identity").collect()
}

/// The parts of a text between separators that are not within quotes.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let splits = !quoted && character == char::from(separator);
        (quoted, escaped) = match character {
            _ if escaped => (quoted, false),
            '\\' if quoted => (quoted, true),
            '"' => (!quoted, false),
            _ => (quoted, false),
        };
        splits
    })
}

/// A parameter's value without quotes and escapes.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::fields::representation::{MediaType, codings};

    #[test]
    fn media_types_are_parsed_without_regard_to_case() {
        for (value, essence, charset) in [
            ("text/plain", "text/plain", None),
            ("Text/PLAIN", "text/plain", None),
            ("application/json;charset=utf-8", "application/json", Some("utf-8")),
            ("Application/JSON ; CHARSET=\"UTF-8\"", "application/json", Some("UTF-8")),
            ("text/html;a=\"x;charset=no\" ;charset=b", "text/html", Some("b")),
            ("text/html;a=\"\\\";,\";charset=b", "text/html", Some("b")),
            ("text/html; charset=a; charset=b", "text/html", Some("a")),
            ("text/html;", "text/html", None),
            ("text/html; charset", "text/html", Some("")),
            ("\ttext/html ", "text/html", None),
        ] {
            let media = MediaType::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
            assert_eq!((media.essence(), media.parameter("CharSet")), (essence, charset), "{value}");
        }
    }

    #[test]
    fn a_value_that_is_not_exactly_one_media_type_has_no_media_type() {
        for value in [
            &b""[..],
            b"text",
            b"/plain",
            b"text/",
            b"text/pl ain",
            b"text/plain, image/png",
            b"text/plain; charset=utf-8, image/png",
            b"text/plain/x",
            b"text/\xff",
        ] {
            assert_eq!(MediaType::parse(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn every_coding_of_every_field_counts_but_identity() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["identity"], &[]),
            (&["Identity, ,"], &[]),
            (&["GZip"], &["gzip"]),
            (&["identity", "br"], &["br"]),
            (&["deflate,\tgzip", "x-Gzip"], &["deflate", "gzip", "x-gzip"]),
            (&["what is this"], &["what is this"]),
        ] {
            assert_eq!(codings(values.iter().map(|value| value.as_bytes())), expected, "{values:?}");
        }
    }
}
