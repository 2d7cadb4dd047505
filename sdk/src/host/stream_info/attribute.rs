//! One attribute: where it is, and how the host encodes its type.

use crate::abi::protobuf::{self, Fields};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_value::{HeaderValue, Pairs};
use crate::host::property;
use crate::host::stream_info::response_flags::ResponseFlags;
use crate::host::stream_info::types::{Address, Direction, Locality, Protocol};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The path of an attribute, its parts joined with NUL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    path: &'static str,
    /// The path in Envoy before 1.33.
    older: Option<&'static str>,
}

impl Attribute {
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { path, older: None }
    }

    pub(crate) const fn or(self, older: &'static str) -> Self {
        Self { older: Some(older), ..self }
    }

    /// The value in the host's encoding.
    #[inline]
    pub(crate) fn bytes(self) -> Result<Option<Vec<u8>>> {
        match (property::get_encoded(self.path.as_bytes())?, self.older) {
            (None, Some(older)) => unless_stored(older, property::get_encoded(older.as_bytes())),
            (found, _) => Ok(found),
        }
    }

    /// The value of something inside this attribute.
    #[inline]
    pub(crate) fn part(self, parts: &[&str]) -> Result<Option<Vec<u8>>> {
        let inside = |path: &str| {
            let mut whole = Vec::with_capacity(path.len() + parts.iter().map(|part| part.len() + 1).sum::<usize>());
            whole.extend_from_slice(path.as_bytes());
            for part in parts {
                whole.push(0);
                whole.extend_from_slice(part.as_bytes());
            }
            property::get_encoded(&whole)
        };
        match (inside(self.path)?, self.older) {
            (None, Some(older)) => unless_stored(older, inside(older)),
            (found, _) => Ok(found),
        }
    }

    /// Reads the value as a type. `read` returns `None` for bytes that are not of that type.
    fn read<T>(self, read: impl FnOnce(Vec<u8>) -> Option<T>) -> Result<Option<T>> {
        match self.bytes()? {
            Some(bytes) => match read(bytes) {
                Some(value) => Ok(Some(value)),
                None => Err(self.malformed()),
            },
            None => Ok(None),
        }
    }

    /// Returns the error for bytes that are not of the attribute's type.
    #[cold]
    #[inline]
    pub(crate) fn malformed(self) -> Error {
        let mut message = String::from("the host's value of ");
        message.extend(self.path.chars().map(|c| if c == '\0' { '.' } else { c }));
        message.push_str(" is not encoded as Envoy encodes it");
        Error::message(ErrorKind::Malformed, message)
    }

    #[inline]
    pub(super) fn text(self) -> Result<Option<HeaderValue>> {
        Ok(self.bytes()?.map(HeaderValue::from))
    }

    pub(super) fn integer<T: TryFrom<i64>>(self) -> Result<Option<T>> {
        self.read(|bytes| T::try_from(integer(&bytes)?).ok())
    }

    #[inline]
    pub(super) fn boolean(self) -> Result<Option<bool>> {
        self.read(|bytes| boolean(&bytes))
    }

    #[inline]
    pub(super) fn duration(self) -> Result<Option<Duration>> {
        self.read(|bytes| duration(&bytes))
    }

    #[inline]
    pub(super) fn time(self) -> Result<Option<SystemTime>> {
        self.read(|bytes| UNIX_EPOCH.checked_add(duration(&bytes)?))
    }

    #[inline]
    pub(super) fn address(self) -> Result<Option<Address>> {
        Ok(self.bytes()?.map(Address::from_bytes))
    }

    #[inline]
    pub(super) fn protocol(self) -> Result<Option<Protocol>> {
        Ok(self.bytes()?.map(Protocol::from_bytes))
    }

    #[inline]
    pub(super) fn flags(self) -> Result<Option<ResponseFlags>> {
        self.read(|bytes| Some(ResponseFlags::from_bits(u64::from_le_bytes(bytes.try_into().ok()?))))
    }

    #[inline]
    pub(super) fn direction(self) -> Result<Option<Direction>> {
        self.read(|bytes| Direction::from_raw(integer(&bytes)?))
    }

    #[inline]
    pub(super) fn locality(self) -> Result<Option<Locality>> {
        self.read(|bytes| {
            let part = |number| Fields::new(&bytes).bytes(number).map(HeaderValue::from);
            let locality = || Ok(Locality { region: part(1)?, zone: part(2)?, sub_zone: part(3)? });
            locality().map_err(|protobuf::Malformed| ()).ok()
        })
    }

    #[inline]
    pub(super) fn pairs(self) -> Result<Option<Pairs>> {
        self.bytes()?.map(Pairs::new).transpose()
    }
}

/// Returns the value that the host has for an attribute name of Envoy before 1.33, unless a filter
/// stored it. Later versions do not have these names. They return the property that a filter stored
/// under the first part of the name.
fn unless_stored(older: &str, answer: Result<Option<Vec<u8>>>) -> Result<Option<Vec<u8>>> {
    if matches!(answer, Ok(None)) {
        return answer;
    }
    let name = older.split('\0').next().unwrap_or(older);
    for place in ["filter_state\0wasm.", "upstream_filter_state\0wasm."] {
        // A value that the host cannot encode is stored as well.
        if !matches!(property::get_encoded([place, name].concat().as_bytes()), Ok(None)) {
            return Ok(None);
        }
    }
    answer
}

/// An integer: 8 bytes, little endian.
#[inline]
fn integer(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}

/// A duration: an integer of nanoseconds.
#[inline]
fn duration(bytes: &[u8]) -> Option<Duration> {
    Some(Duration::from_nanos(u64::try_from(integer(bytes)?).ok()?))
}

/// A floating-point number: 8 bytes, little endian.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

/// A boolean: one byte.
#[inline]
pub(crate) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}
