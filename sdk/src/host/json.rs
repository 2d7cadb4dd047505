//! JSON that is as deeply nested as its sender likes: [`from_slice`].
//!
//! It accepts what `serde_json` accepts, in less code, and gives floats exactly. One thing differs:
//! types that ask for an integer and would take a float as well get no float.
//!
//! serde calls itself for each level of nesting. `serde_json` refuses text with more than 127 levels, and so does this, which fits into
//! a stack of 1 MiB, the linker's default. With the recommended 48 KiB it depends on the type: about 80 levels of a `serde_json::Value`, and 20 of a
//! struct that has 18 fields and contains itself. A stack that overflows ends the VM with all of its streams, so text from clients and services
//! should never decide about it.
//!
//! [`from_slice`], [`Configuration::json`](crate::Configuration::json), [`Metadata::json`](crate::metadata::Metadata::json) and
//! [`shared_data::Json`](crate::shared_data::Json) look at the stack on each level, and fail instead. Types that contain themselves *and* have
//! `#[serde(tag)]`, `#[serde(untagged)]` or `#[serde(flatten)]` are read into memory first, and from there without such a look: give a
//! module that reads them a larger stack.

mod fault;
mod place;
mod reader;
#[cfg(test)]
mod tests;

use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::stack;
use fault::Fault;
use reader::Reader;
use serde::de::{DeserializeOwned, Error as _};

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
    read(text).map_err(|(place, _, fault)| {
        Error::text(ErrorKind::Malformed, [fault.message(), &place::line_and_column(text, place)].concat().into())
    })
}

/// The same for a configuration: the error names the path of the field.
pub(crate) fn configuration<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    read(text).map_err(|(place, is_of_element, fault)| refuse_configuration(text, place, is_of_element, &fault))
}

#[cold]
#[inline(never)]
fn refuse_configuration(text: &[u8], place: usize, is_of_element: bool, fault: &Fault) -> Error {
    let path = place::path(text, place, is_of_element);
    let separator = if path.is_empty() { "" } else { ": " };
    let place = place::line_and_column(text, place);
    let message = ["configuration: ", &path, separator, fault.message(), &place].concat();
    Error::text(ErrorKind::Configuration, message.into())
}

/// Reads a value, or says where it is wrong, and whether it is the last element of an array that ends there.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, (usize, bool, Fault)> {
    let mut reader = Reader::new(text);
    stack::check_depth(depth(text)).map_err(|deep| (0, false, Fault::custom(deep)))?;
    let value = T::deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|fault| (reader.place(), reader.is_of_element(), fault))
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
