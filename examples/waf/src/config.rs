//! The configuration.

use crate::scan::Rules;
use proxy_filter::fields::MediaType;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration, checked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Text")]
pub(crate) struct Config {
    pub(crate) request: Rules,
    pub(crate) response: Rules,
    pub(crate) largest_request_body: usize,
}

/// The configuration as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Patterns that no request may contain, by the names of their rules.
    #[serde(default)]
    request: BTreeMap<String, String>,
    /// Patterns that no response may contain.
    #[serde(default)]
    response: BTreeMap<String, String>,
    /// In bytes. A longer body is refused with 413.
    #[serde(default = "one_megabyte")]
    largest_request_body: usize,
}

const fn one_megabyte() -> usize {
    1024 * 1024
}

impl TryFrom<Text> for Config {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        Ok(Self {
            request: Rules::new(text.request)?,
            response: Rules::new(text.response)?,
            largest_request_body: text.largest_request_body,
        })
    }
}

/// Whether ASCII characters have their own byte in a body of this type, possibly with zeros between
/// them.
pub(crate) fn is_readable(media: Option<&MediaType>) -> bool {
    const CHARSETS: [&str; 12] = [
        "utf-8",
        "utf8",
        "utf-16",
        "utf-32",
        "us-ascii",
        "ascii",
        "iso-8859-",
        "latin",
        "windows-",
        "euc-",
        "gb",
        "shift_jis",
    ];
    let Some(charset) = media.and_then(|media| media.parameter("charset")) else { return true };
    let charset = charset.to_ascii_lowercase();
    CHARSETS.iter().any(|known| charset.starts_with(known))
}
