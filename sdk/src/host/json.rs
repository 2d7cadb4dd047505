//! JSON that is as deeply nested as its sender likes: [`from_slice`].
//!
//! serde calls itself for each level of nesting. `serde_json` refuses text with more than 127 levels, which fits into a stack of
//! 1 MiB, the linker's default. With the recommended 48 KiB it depends on the type: about 80 levels of a `serde_json::Value`, and 20 of a
//! struct that has 18 fields and contains itself. A stack that overflows ends the VM with all of its streams, so text from clients and services
//! should never decide about it.
//!
//! [`from_slice`], [`Configuration::json`](crate::Configuration::json), [`Metadata::json`](crate::metadata::Metadata::json) and
//! [`shared_data::Json`](crate::shared_data::Json) look at the stack on each level, and fail instead. Types that contain themselves *and* have
//! `#[serde(tag)]`, `#[serde(untagged)]` or `#[serde(flatten)]` are read into memory first, and from there without such a look: give a
//! module that reads them a larger stack.

use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::stack;
use crate::host::stack::TooDeep;
use serde::de::DeserializeOwned;
use serde_json::Deserializer;
use serde_json::de::IoRead;
use std::io;
use std::io::Read;

/// Reads a value from JSON: `serde_json::from_slice` for text of any depth.
///
/// ```
/// use proxy_filter::{ErrorKind, json};
///
/// let deep = "[".repeat(100_000);
/// let error = json::from_slice::<serde_json::Value>(deep.as_bytes()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Malformed); // refused, whatever the size of the stack
/// assert_eq!(json::from_slice::<Vec<u8>>(b"[1, 2]").unwrap(), [1, 2]);
/// ```
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed): the text is not JSON, is not of this type, or is nested more deeply than 127 levels or than the
/// module's stack allows.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let mut deserializer = deserializer(text).map_err(|error| Error::message(ErrorKind::Malformed, error))?;
    let value = T::deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| Error::message(ErrorKind::Malformed, error))
}

/// What reads the text, and fails where the stack would overflow.
pub(crate) fn deserializer(text: &[u8]) -> Result<Deserializer<IoRead<Checked<'_>>>, TooDeep> {
    stack::check_depth(depth(text))?;
    Ok(Deserializer::from_reader(Checked(text)))
}

/// Bytes that are read as long as the stack suffices. What a level of nesting needs depends on the type. The reader is what runs on
/// every level, whatever the type.
pub(crate) struct Checked<'a>(&'a [u8]);

impl Read for Checked<'_> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        stack::check().map_err(io::Error::other)?;
        self.0.read(buffer)
    }
}

/// How deeply the arrays and objects of the text are nested.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use crate::host::json::{depth, from_slice};
    use serde_json::Value;

    #[test]
    fn the_depth_of_a_text_is_that_of_its_arrays_and_objects() {
        for (text, expected) in [
            ("", 0),
            ("1", 0),
            ("[]", 1),
            (r#"{"a": [{}, [[]]], "b": {}}"#, 4),
            (r#""[[[""#, 0),
            (r#"["[{\"[[", "\\", {"]]": 1}]"#, 2),
            ("]]][", 1),
            ("[[", 2),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn text_of_any_depth_is_read_or_refused() {
        for depth in 1..200 {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let read = from_slice::<Value>(text.as_bytes());
                assert_eq!(read.is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{depth}: {read:?}");
            }
        }
        assert!(from_slice::<Value>(b"1 2").unwrap_err().to_string().contains("trailing characters"));
    }
}
