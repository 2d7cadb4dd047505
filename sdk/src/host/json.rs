//! JSON that is as deeply nested as its sender likes: [`from_slice`].
//!
//! It accepts the same texts as `serde_json`, in less code, and parses floats exactly. It differs
//! in one case: a type that asks for an integer and would also accept a float gets no float.
//!
//! serde calls itself for each level of nesting. Like `serde_json`, this module refuses text with
//! more than 127 levels. That many levels fit into a stack of 1 MiB, the linker's default. With the
//! recommended 48 KiB, the limit depends on the type: about 80 levels of a `serde_json::Value`, or
//! 20 of a recursive struct with 18 fields. A stack overflow ends the VM with all of its streams,
//! so no text of a client or service may cause one.
//!
//! [`from_slice`], [`Configuration::json`](crate::Configuration::json),
//! [`Metadata::json`](crate::metadata::Metadata::json) and
//! [`shared_data::Json`](crate::shared_data::Json) check the stack on each level, and fail instead.
//! Recursive types with `#[serde(tag)]`, `#[serde(untagged)]` or `#[serde(flatten)]` are different:
//! serde reads them into memory first, and converts them without this check. Give a module that
//! reads them a larger stack.

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
/// Fails with [`Malformed`](ErrorKind::Malformed) if the text is not JSON or not of this type, or
/// if its nesting exceeds 127 levels or the module's stack.
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

/// Reads a value. On failure, returns the place, and whether the place is the last element of an
/// array that ends there.
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
