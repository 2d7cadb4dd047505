//! [`SharedValue`]: types that go through the host as bytes.

use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};

/// A type that is stored as bytes in a [`SharedCell`](super::SharedCell) or a
/// [`SharedQueue`](crate::shared_queue::SharedQueue).
///
/// Integers are stored in little endian, text unchanged. With the feature `json`, `Json<T>` stores
/// any type that serde supports. Other VMs that read the value may run another version of the
/// module: if the type changes, use another key.
///
/// ```
/// use proxy_filter::shared_data::SharedValue;
/// use proxy_filter::{Error, Result};
///
/// #[derive(Debug, PartialEq)]
/// struct Window {
///     start: u64,
///     requests: u32,
/// }
///
/// impl SharedValue for Window {
///     fn encode(&self) -> Result<Vec<u8>> {
///         Ok([&self.start.to_le_bytes()[..], &self.requests.to_le_bytes()].concat())
///     }
///
///     fn decode(bytes: Vec<u8>) -> Result<Self> {
///         match bytes.split_at_checked(8) {
///             Some((start, requests)) => Ok(Self {
///                 start: u64::from_le_bytes(start.try_into()?),
///                 requests: u32::from_le_bytes(requests.try_into()?),
///             }),
///             None => Err(Error::other("no window")),
///         }
///     }
/// }
///
/// let window = Window { start: 7, requests: 3 };
/// assert_eq!(Window::decode(window.encode().unwrap()).unwrap(), window);
/// ```
pub trait SharedValue: Sized {
    /// Returns the value as bytes.
    ///
    /// # Errors
    /// The value has no encoding.
    fn encode(&self) -> Result<Vec<u8>>;

    /// Returns the value that was encoded.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed): the bytes are not a value of this type.
    fn decode(bytes: Vec<u8>) -> Result<Self>;
}

#[cold]
fn malformed() -> Error {
    Error::refused(ErrorKind::Malformed, "the shared bytes are not a value of this type")
}

impl SharedValue for Vec<u8> {
    #[inline]
    fn encode(&self) -> Result<Vec<u8>> {
        Ok(self.clone())
    }

    #[inline]
    fn decode(bytes: Vec<u8>) -> Result<Self> {
        Ok(bytes)
    }
}

impl SharedValue for String {
    #[inline]
    fn encode(&self) -> Result<Vec<u8>> {
        Ok(self.clone().into_bytes())
    }

    #[inline]
    fn decode(bytes: Vec<u8>) -> Result<Self> {
        Self::from_utf8(bytes).map_err(|_| malformed())
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl SharedValue for $integer {
            #[inline]
            fn encode(&self) -> Result<Vec<u8>> {
                Ok(self.to_le_bytes().to_vec())
            }

            #[inline]
            fn decode(bytes: Vec<u8>) -> Result<Self> {
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| malformed())
            }
        })*
    };
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// A value that is stored as JSON.
///
/// ```
/// use proxy_filter::Result;
/// use proxy_filter::shared_data::{Json, SharedCell};
///
/// #[derive(Clone, Default, serde::Deserialize, serde::Serialize)]
/// struct Window {
///     start: u64,
///     requests: u32,
/// }
///
/// static WINDOW: SharedCell<Json<Window>> = SharedCell::new("window");
///
/// fn count() -> Result<u32> {
///     let after = WINDOW.update(|before| {
///         let Json(mut window) = before.unwrap_or_default();
///         window.requests += 1;
///         Json(window)
///     })?;
///     Ok(after.0.requests)
/// }
/// ```
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

#[cfg(feature = "json")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> SharedValue for Json<T> {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.0).map_err(|error| Error::message(ErrorKind::InvalidInput, error))
    }

    fn decode(bytes: Vec<u8>) -> Result<Self> {
        crate::host::json::from_slice(&bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Debug;

    fn round_trip<T: SharedValue + PartialEq + Debug>(value: T) {
        let bytes = value.encode().unwrap();
        assert_eq!((T::decode(bytes).unwrap(),), (value,));
    }

    #[test]
    fn encoded_values_are_decoded() {
        round_trip(b"\xff\0".to_vec());
        round_trip(String::from("\u{e9}"));
        round_trip(u64::MAX);
        round_trip(i32::MIN);
        round_trip(0_u8);
        #[cfg(feature = "json")]
        round_trip(Json(vec![Some(1), None]));
    }

    #[test]
    fn bytes_of_another_type_are_malformed() {
        assert_eq!(String::decode(vec![0xff]).unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(u32::decode(vec![0; 8]).unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(u32::decode(Vec::new()).unwrap_err().kind(), ErrorKind::Malformed);
        #[cfg(feature = "json")]
        assert_eq!(Json::<u32>::decode(b"x".to_vec()).unwrap_err().kind(), ErrorKind::Malformed);
    }
}
