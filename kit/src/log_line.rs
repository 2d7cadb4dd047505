//! JSON lines for access logs.
//!
//! ```
//! use proxy_filter_kit::log_line::LogLine;
//! use std::time::Duration;
//!
//! let line = LogLine::new(4096)
//!     .time("time", Duration::from_millis(1_700_000_000_250))
//!     .text("method", b"GET")
//!     .text("path", b"/a\"b\n")
//!     .number("status", 200)
//!     .milliseconds("duration_ms", Duration::from_micros(12_500))
//!     .optional_text("user", None::<&[u8]>)
//!     .finish();
//! assert_eq!(
//!     line,
//!     r#"{"time":"2023-11-14T22:13:20.250Z","method":"GET","path":"/a\"b\n","status":200,"duration_ms":12.500}"#
//! );
//! ```
//!
//! Text of clients cannot end a string or a line, and cannot make a line longer than its maximum.
//! Log credentials and query parameters only if their readers may know them.

use crate::date::Date;
use core::fmt::Write;
use core::time::Duration;

/// The member that a line has if a value was shortened or omitted.
const TRUNCATED: &str = "\"truncated\":true";

/// One line: a JSON object with its members in the order of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    line: String,
    max: usize,
    max_value: usize,
    is_truncated: bool,
}

impl LogLine {
    /// Begins a line of at most this number of bytes. Fewer than 64 count as 64. A text takes at
    /// most a quarter of the line.
    ///
    /// A longer text is shortened, and a member that does not fit is omitted. The line then has the
    /// member `truncated`.
    pub fn new(max_bytes: usize) -> Self {
        let max = max_bytes.max(64);
        Self { line: "{".to_owned(), max, max_value: max / 4, is_truncated: false }
    }

    /// Sets the maximum number of bytes of one text in the line.
    #[must_use]
    pub const fn max_text(mut self, max_bytes: usize) -> Self {
        self.max_value = max_bytes;
        self
    }

    /// Adds a text. Bytes that are not UTF-8 become U+FFFD. Control characters are escaped, and so
    /// are U+2028 and U+2029, at which some readers break lines.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut text = String::new();
        let is_whole = escape(value.as_ref(), self.max_value, &mut text);
        self.is_truncated |= !is_whole;
        self.member(name, &format!("\"{text}\""))
    }

    /// Adds a text if there is one.
    #[must_use]
    pub fn optional_text(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a whole number.
    #[must_use]
    pub fn number(self, name: &str, value: impl Into<i128>) -> Self {
        let value: i128 = value.into();
        self.member(name, &value.to_string())
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.member(name, if value { "true" } else { "false" })
    }

    /// Adds a duration in milliseconds, with three decimals.
    #[must_use]
    pub fn milliseconds(self, name: &str, value: Duration) -> Self {
        let microseconds = value.as_micros();
        self.member(name, &format!("{}.{:03}", microseconds / 1000, microseconds % 1000))
    }

    /// Adds a time since 1970 (RFC 3339, with milliseconds). After the year 9999, adds a number of
    /// seconds.
    #[must_use]
    pub fn time(self, name: &str, value: Duration) -> Self {
        let text = match Date::of(value) {
            Some(Date { year, month, day, hour, minute, second }) => {
                let milliseconds = value.subsec_millis();
                format!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z\"")
            }
            None => value.as_secs().to_string(),
        };
        self.member(name, &text)
    }

    /// Returns the line, without a line feed.
    pub fn finish(mut self) -> String {
        if self.is_truncated {
            self.separate();
            self.line.push_str(TRUNCATED);
        }
        self.line.push('}');
        self.line
    }

    fn member(mut self, name: &str, value: &str) -> Self {
        let mut key = String::new();
        let is_whole = escape(name.as_bytes(), usize::MAX, &mut key);
        // The comma, the quotes and the colon; then the last member and the brace.
        let size = key.len().saturating_add(value.len()).saturating_add(4);
        let reserved = TRUNCATED.len().saturating_add(2);
        if !is_whole || self.line.len().saturating_add(size).saturating_add(reserved) > self.max {
            self.is_truncated = true;
            return self;
        }
        self.separate();
        self.line.extend(["\"", &key, "\":", value]);
        self
    }

    fn separate(&mut self) {
        if self.line.len() > 1 {
            self.line.push(',');
        }
    }
}

/// Appends text for a JSON string, up to a number of bytes. Returns whether all of it was appended.
fn escape(value: &[u8], max: usize, text: &mut String) -> bool {
    // A byte takes at least one byte in the line, so the rest is not read.
    let window = value.get(..max.saturating_add(4)).unwrap_or(value);
    let mut one = String::with_capacity(6);
    for character in String::from_utf8_lossy(window).chars() {
        one.clear();
        match character {
            '"' => one.push_str("\\\""),
            '\\' => one.push_str("\\\\"),
            '\n' => one.push_str("\\n"),
            '\r' => one.push_str("\\r"),
            '\t' => one.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                // A string takes any text.
                let _ = write!(one, "\\u{:04x}", u32::from(character));
            }
            character => one.push(character),
        }
        if text.len().saturating_add(one.len()) > max {
            return false;
        }
        text.push_str(&one);
    }
    window.len() == value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Generator;
    use serde_json::Value;

    #[test]
    fn any_text_is_one_string_of_one_line() {
        let mut generator = Generator::new(7);
        for length in 0..300 {
            let bytes = generator.bytes(length);
            let line = LogLine::new(1 << 20).text("a", &bytes).number("b", 1).finish();
            assert!(line.chars().all(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')), "{line:?}");
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["a"], String::from_utf8_lossy(&bytes).as_ref());
            assert_eq!((&value["b"], value.as_object().unwrap().len()), (&Value::from(1), 2));
        }
        let line = LogLine::new(1000).text("\"k\n", "\u{2028}\u{85}\"\\\t\r").finish();
        assert_eq!(line, r#"{"\"k\n":"\u2028\u0085\"\\\t\r"}"#);
    }

    #[test]
    fn a_line_is_never_longer_than_its_maximum_and_always_json() {
        let mut generator = Generator::new(8);
        for max in 0..400 {
            let mut line = LogLine::new(max);
            for number in 0..8_u8 {
                let length = generator.below(200);
                line = line.text(&format!("f{number}"), generator.bytes(length)).number("n", -1).flag("x", true);
            }
            let line = line.finish();
            assert!(line.len() <= max.max(64), "{max} {line}");
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["truncated"], true, "{line}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_between_characters_without_an_effect_on_later_members() {
        let line = LogLine::new(1000).max_text(5).text("a", "\u{e9}\u{e9}\u{e9}").number("b", 2).finish();
        assert_eq!(line, "{\"a\":\"\u{e9}\u{e9}\",\"b\":2,\"truncated\":true}");
        let line = LogLine::new(1000).max_text(5).text("a", "12345").finish();
        assert_eq!(line, "{\"a\":\"12345\"}");
        let line = LogLine::new(100).text("a", vec![b'x'; 1 << 20]).finish();
        assert!(line.len() < 60);
    }

    #[test]
    fn numbers_and_times_are_written() {
        let line = LogLine::new(1000)
            .number("u", u64::MAX)
            .number("i", i64::MIN)
            .milliseconds("m", Duration::from_nanos(1_999_999))
            .time("t", Duration::ZERO)
            .time("z", Duration::MAX)
            .optional_text("s", Some("x"));
        let expected = r#"{"u":18446744073709551615,"i":-9223372036854775808,"m":1.999,"t":"1970-01-01T00:00:00.000Z","z":18446744073709551615,"s":"x"}"#;
        assert_eq!(line.finish(), expected);
        assert_eq!(LogLine::new(0).finish(), "{}");
    }
}
