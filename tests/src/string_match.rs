//! [`StringMatch`]: what a text of a request must be.

#[cfg(feature = "envoy")]
use serde_json::{Value, json};

/// What a header or a parameter must be for a [`Route`](crate::Route): Envoy's `StringMatcher`. A
/// `&str` is the text that it must be.
///
/// ```
/// use proxy_filter_host::{Host, Route, StringMatch};
/// let mut host = Host::without_module();
/// host.route(Route::new("mobile").header("user-agent", StringMatch::regex(".*(Android|iPhone).*")));
/// assert_eq!(host.get("/").header("user-agent", "Mozilla/5.0 (iPhone)").send().status(), 200);
/// assert_eq!(host.get("/").header("user-agent", "curl/8").send().status(), 404);
/// ```
#[derive(Clone, Debug)]
pub struct StringMatch(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl StringMatch {
    /// The text is this.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self(Kind::Exact(text.to_owned()))
    }

    /// The text begins with this.
    #[must_use]
    pub fn prefix(text: &str) -> Self {
        Self(Kind::Prefix(text.to_owned()))
    }

    /// The text ends with this.
    #[must_use]
    pub fn suffix(text: &str) -> Self {
        Self(Kind::Suffix(text.to_owned()))
    }

    /// The text contains this.
    #[must_use]
    pub fn contains(text: &str) -> Self {
        Self(Kind::Contains(text.to_owned()))
    }

    /// The whole text matches a regular expression, as `safe_regex` in Envoy.
    ///
    /// Envoy reads the syntax of RE2, and the embedded host that of the crate `regex-lite`. Both
    /// have no look-around and no back references, and their `\d`, `\w` and `\s` match ASCII only.
    /// They differ in this:
    ///
    /// | | RE2 | `regex-lite` |
    /// |---|---|---|
    /// | `\pN`, `\p{Greek}`: classes of Unicode | yes | no |
    /// | `\Q…\E`: literal text, and `\C`: a byte | yes | no |
    /// | `(?i)` beside ASCII | yes | ASCII only |
    /// | the flags `x` and `R`, `\b{start}`, `\u{7F}` | no | yes |
    ///
    /// Envoy also refuses an expression whose program has more than 100 instructions, unless the
    /// runtime key `re2.max_program_size.error_level` says otherwise. `[a-z]{1,60}` is one.
    ///
    /// # Panics
    /// The text is not a regular expression.
    #[must_use]
    pub fn regex(regex: &str) -> Self {
        Self(Kind::Regex(Regex::new(regex)))
    }

    /// Whether a text is as it must be.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match &self.0 {
            Kind::Exact(exact) => text == exact.as_bytes(),
            Kind::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Kind::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
            Kind::Contains(part) => part.is_empty() || text.windows(part.len()).any(|window| window == part.as_bytes()),
            Kind::Regex(regex) => regex.matches(text),
        }
    }

    /// Envoy's `StringMatcher`.
    #[cfg(feature = "envoy")]
    pub(crate) fn matcher(&self) -> Value {
        match &self.0 {
            Kind::Exact(exact) => json!({ "exact": exact }),
            Kind::Prefix(prefix) => json!({ "prefix": prefix }),
            Kind::Suffix(suffix) => json!({ "suffix": suffix }),
            Kind::Contains(part) => json!({ "contains": part }),
            Kind::Regex(regex) => json!({ "safe_regex": regex.matcher() }),
        }
    }
}

impl From<&str> for StringMatch {
    fn from(text: &str) -> Self {
        Self::exact(text)
    }
}

impl From<String> for StringMatch {
    fn from(text: String) -> Self {
        Self(Kind::Exact(text))
    }
}

/// A regular expression for a whole text.
#[derive(Clone, Debug)]
pub(crate) struct Regex {
    #[cfg_attr(not(feature = "envoy"), allow(dead_code, reason = "only Envoy reads the text"))]
    text: String,
    whole: regex_lite::Regex,
}

impl Regex {
    /// # Panics
    /// The text is not a regular expression.
    #[allow(clippy::panic, reason = "this is how a test with a mistake fails")]
    pub(crate) fn new(text: &str) -> Self {
        // On its own first: what it consists of must be complete.
        let whole = regex_lite::Regex::new(text).and_then(|_| regex_lite::Regex::new(&format!(r"\A(?:{text})\z")));
        match whole {
            Ok(whole) => Self { text: text.to_owned(), whole },
            Err(error) => panic!("{text:?} is not a regular expression: {error}"),
        }
    }

    /// Whether the whole text matches. What is not UTF-8 counts as U+FFFD, as in RE2.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.whole.is_match(&String::from_utf8_lossy(text))
    }

    /// Envoy's `RegexMatcher`.
    #[cfg(feature = "envoy")]
    pub(crate) fn matcher(&self) -> Value {
        json!({ "regex": self.text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_matches_the_whole_text() {
        for (regex, text, matches) in [
            ("/a|/b", "/b", true),
            ("/a|/b", "/bc", false),
            ("/[0-9]+", "/12", true),
            ("/[0-9]+", "x/12", false),
            ("(?i)/A", "/a", true),
            ("^/a$", "/a", true),
            ("/.*", "/a\nb", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Regex::new(regex).matches(text.as_bytes()), matches, "{regex} {text:?}");
        }
        assert!(Regex::new("a.b").matches(b"a\xffb"));
    }

    #[test]
    #[should_panic(expected = "\")(a\" is not a regular expression")]
    fn a_text_that_is_no_regular_expression_is_refused() {
        let _ = StringMatch::regex(")(a");
    }

    #[test]
    fn an_empty_text_matches_as_a_part_of_any() {
        for pattern in [StringMatch::prefix(""), StringMatch::suffix(""), StringMatch::contains("")] {
            assert!(pattern.matches(b"") && pattern.matches(b"a"), "{pattern:?}");
        }
    }
}
