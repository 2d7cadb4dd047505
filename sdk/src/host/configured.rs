//! Text of a configuration that is sent later: [`HeaderName`], [`HeaderText`], [`RequestPath`],
//! [`ClusterName`], [`Authority`].
//!
//! A configuration should be refused when it is loaded, and not with each request. As the fields of
//! a type that [`Configuration::json`](crate::Configuration::json) reads, these types refuse text
//! that can never be sent. The error names the path of the field:
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use proxy_filter::configured::{ClusterName, HeaderName, HeaderText, RequestPath};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     cluster: ClusterName,
//!     path: RequestPath,
//!     #[serde(default)]
//!     headers: Vec<Header>,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Header {
//!     name: HeaderName,
//!     value: HeaderText,
//! }
//!
//! let text =
//!     r#"{"cluster": "authz", "path": "/check", "headers": [{"name": "x y", "value": "1"}]}"#;
//! let refused = serde_json::from_str::<Config>(text).err().map(|error| error.to_string());
//! assert!(refused.unwrap_or_default().contains("a header name has letters, digits"));
//! // `Configuration::json` says `headers[0].name: ` before it.
//! # }
//! ```
//!
//! Functions that take a name, a value, a cluster or a path take these types as they are.

use crate::abi::field::{check_authority, check_name, check_path, check_value};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::fmt;
use core::ops::Deref;

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:expr, $pattern:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// [`InvalidInput`](ErrorKind::InvalidInput), with the text and the rule that it
            /// breaks.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                Self::check(text.into())
            }

            fn check(text: String) -> Result<Self> {
                let check: fn(&[u8]) -> core::result::Result<(), &'static str> = $check;
                match check(text.as_bytes()) {
                    Ok(()) => Ok(Self(text.into_boxed_str())),
                    Err(why) => Err(refuse(why, &text)),
                }
            }

            /// The text.
            pub const fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            #[inline]
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl AsRef<str> for $name {
            #[inline]
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "json")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> core::result::Result<Self, D::Error> {
                Self::check(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }

        #[cfg(all(test, feature = "schema"))]
        impl $name {
            const PATTERN: &'static str = $pattern;
        }
    };
}

#[cold]
fn refuse(why: &'static str, text: &str) -> Error {
    Error::message(ErrorKind::InvalidInput, format_args!("{why}: {text:?}"))
}

checked! {
    /// The name of a header or trailer: a token of RFC 9110, and no pseudo-header.
    ///
    /// The name may be in any case. [`HeaderMap::get`](crate::HeaderMap::get) compares names
    /// without regard to case. `host` stands for `:authority` in requests.
    ///
    /// ```
    /// use proxy_filter::configured::HeaderName;
    ///
    /// assert!(HeaderName::new("x-team").is_ok());
    /// assert!(HeaderName::new("x team").is_err());
    /// assert!(HeaderName::new(":path").is_err());
    /// ```
    HeaderName, check_name, "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", "The name of a header."
}

checked! {
    /// The value of a header or trailer: text without control characters other than the tab.
    ///
    /// ```
    /// use proxy_filter::configured::HeaderText;
    ///
    /// assert!(HeaderText::new("edge").is_ok());
    /// assert!(HeaderText::new("edge\r\nset-cookie: a=b").is_err());
    /// ```
    HeaderText, check_value, r"^[^\x00-\x08\x0a-\x1f\x7f]*$", "The value of a header."
}

checked! {
    /// The path of a request: it begins with `/`, and has no spaces and no control characters.
    ///
    /// The `*` of an `OPTIONS` request is a path too.
    ///
    /// ```
    /// use proxy_filter::configured::RequestPath;
    ///
    /// assert!(RequestPath::new("/check?a=b").is_ok());
    /// assert!(RequestPath::new("check").is_err());
    /// ```
    RequestPath, check_path, r"^(\*|/[^\x00-\x20\x7f]*)$", "The path of a request."
}

checked! {
    /// The name of a cluster: visible ASCII, and not empty.
    ///
    /// Whether the host has a cluster of this name is known when it is called.
    ///
    /// ```
    /// use proxy_filter::configured::ClusterName;
    ///
    /// assert!(ClusterName::new("outbound|80||authz.example").is_ok());
    /// assert!(ClusterName::new("").is_err());
    /// ```
    ClusterName, |text| if text.is_empty() { Err("a cluster needs a name") } else { check_authority(text) },
    "^[!-~]+$", "The name of a cluster of the host."
}

checked! {
    /// The authority (`host`) of a request: visible ASCII, and not empty.
    ///
    /// ```
    /// use proxy_filter::configured::Authority;
    ///
    /// assert!(Authority::new("authz.example:8080").is_ok());
    /// assert!(Authority::new("authz example").is_err());
    /// ```
    Authority, |text| if text.is_empty() { Err("an authority is not empty") } else { check_authority(text) },
    "^[!-~]+$", "The authority (`host`) of a request."
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::{Authority, ClusterName, HeaderName, HeaderText, RequestPath};

    /// Each character of ASCII and one beyond it, in each place of short texts.
    fn texts() -> Vec<String> {
        let mut texts = vec![String::new(), "*".into(), "**".into(), "/*".into(), "*/".into()];
        for character in (0..128_u8).map(char::from).chain(['é']) {
            for (before, after) in [("", ""), ("a", ""), ("", "a"), ("a", "b"), ("/", ""), ("/a", "b")] {
                texts.push(format!("{before}{character}{after}"));
            }
        }
        texts
    }

    #[test]
    fn the_pattern_of_a_type_matches_the_texts_that_the_type_accepts() {
        macro_rules! check {
            ($($name:ident)*) => {$(
                let pattern = regex_lite::Regex::new($name::PATTERN).unwrap();
                let (mut accepted, mut refused) = (0, 0);
                for text in texts() {
                    let is_accepted = $name::new(text.as_str()).is_ok();
                    assert_eq!(pattern.is_match(&text), is_accepted, "{}: {text:?}", stringify!($name));
                    if is_accepted { accepted += 1 } else { refused += 1 }
                }
                assert!(accepted > 50 && refused > 50, "{}: {accepted}, {refused}", stringify!($name));
            )*};
        }
        check!(Authority ClusterName HeaderName HeaderText RequestPath);
    }
}
