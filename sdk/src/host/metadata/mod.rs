//! Metadata. Operators configure values for filters at a route, a virtual host, a listener, a
//! cluster, an upstream host or the node. Filters store values for a request.
//!
//! ```
//! use proxy_filter::{Result, metadata};
//!
//! fn limit() -> Result<f64> {
//!     // metadata: { filter_metadata: { com.example.limits: { requests: 100, tiers: [1, 10] } } }
//!     Ok(metadata::route().number("com.example.limits", "requests")?.unwrap_or(10.0))
//! }
//! ```
//!
//! A filter can read it in two ways:
//!
//! * [`number`](Metadata::number), [`string`](Metadata::string) and [`boolean`](Metadata::boolean)
//!   read one value. Envoy sends such a value without its type, so the requested type must be that
//!   of the configuration: the string `"12345678"` cannot be distinguished from a number.
//! * [`get`](Metadata::get), [`namespace`](Metadata::namespace) and [`json`](Metadata::json) read
//!   the whole metadata, and return a [`Value`] or the filter's own type. All types are as
//!   configured, including structs, lists and null. This costs a copy of the whole metadata into
//!   the module, and about 6 KB of code. With the feature `prost-types`, `prost_value` and
//!   `prost_struct` do the same for code that uses the types of the crate `prost-types`.
//!
//! # Phases
//!
//! Available in every callback of a stream; `None` if the metadata, the namespace or the key does
//! not exist. Route and cluster exist if a route was selected, the upstream host in the response
//! callbacks and `on_log`. On a root context, only [`node`] exists.
//!
//! # Errors
//!
//! [`Malformed`](ErrorKind::Malformed) for a value of another type than the requested one, if its
//! length shows it. [`Refused`](ErrorKind::Refused) with
//! [`SERIALIZATION_FAILURE`](crate::Status::SERIALIZATION_FAILURE) if [`number`](Metadata::number),
//! [`string`](Metadata::string) or [`boolean`](Metadata::boolean) reads a null, which Envoy cannot
//! encode.
//!
//! Envoy 1.33 renamed the attributes that these functions read. The SDK tries both names, the new
//! one first. It never returns a value that a filter stored under an old name with
//! [`property::set`](crate::property::set).
//!
//! Source: context API, "Metadata API"; Envoy 1.40, `envoy.config.core.v3.Metadata` and the
//! encodings of `serializeValue`.

#[cfg(feature = "prost-types")]
pub(crate) mod prost;
pub(crate) mod value;

use crate::abi::protobuf::{self, Field, Fields};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_value::HeaderValue;
pub use crate::host::metadata::value::{Struct, Value};
use crate::host::stream_info::attribute::{self, Attribute};

/// Returns the metadata of the route.
#[doc(alias = "requestRouteMetadataValue")]
#[doc(alias = "responseRouteMetadataValue")]
#[doc(alias = "route_metadata")]
pub const fn route() -> Metadata {
    Metadata(Attribute::new("xds\0route_metadata").or("route_metadata"))
}

/// Returns the metadata of the virtual host.
#[doc(alias = "virtual_host_metadata")]
pub const fn virtual_host() -> Metadata {
    Metadata(Attribute::new("xds\0virtual_host_metadata"))
}

/// Returns the metadata of the listener.
#[doc(alias = "listener_metadata")]
pub const fn listener() -> Metadata {
    Metadata(Attribute::new("xds\0listener_metadata").or("listener_metadata"))
}

/// Returns the metadata of the upstream cluster.
#[doc(alias = "cluster_metadata")]
pub const fn cluster() -> Metadata {
    Metadata(Attribute::new("xds\0cluster_metadata").or("cluster_metadata"))
}

/// Returns the metadata of the upstream host (the endpoint).
#[doc(alias = "upstream_host_metadata")]
pub const fn upstream_host() -> Metadata {
    Metadata(Attribute::new("xds\0upstream_host_metadata").or("upstream_host_metadata"))
}

/// Returns the metadata of the request: values that other filters have stored for it ("dynamic
/// metadata"), such as the claims of a token by the JWT filter. The response has the same metadata.
///
/// A Proxy-Wasm filter cannot write it; use [`filter_state`](crate::filter_state) to pass values to
/// other filters.
#[doc(alias = "dynamic_metadata")]
#[doc(alias = "filter_metadata")]
pub const fn request() -> Metadata {
    Metadata(Attribute::new("metadata"))
}

/// Returns the metadata of this Envoy: one set of keys without namespaces.
#[doc(alias = "node_metadata")]
pub const fn node() -> NodeMetadata {
    NodeMetadata(())
}

/// Metadata by namespace and key.
#[derive(Clone, Copy, Debug)]
pub struct Metadata(Attribute);

impl Metadata {
    /// Returns a number. All numbers of metadata are floating-point.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn number(self, namespace: &str, key: &str) -> Result<Option<f64>> {
        typed(self.0, attribute::number, &["filter_metadata", namespace, key])
    }

    /// Returns a string as bytes, because filters also store data of clients in metadata.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn string(self, namespace: &str, key: &str) -> Result<Option<HeaderValue>> {
        Ok(self.0.part(&["filter_metadata", namespace, key])?.map(HeaderValue::from))
    }

    /// Returns a boolean.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn boolean(self, namespace: &str, key: &str) -> Result<Option<bool>> {
        typed(self.0, attribute::boolean, &["filter_metadata", namespace, key])
    }

    /// Returns the value of a key with its type.
    ///
    /// ```
    /// # use proxy_filter::{Result, metadata::{self, Value}};
    /// fn tiers() -> Result<usize> {
    ///     match metadata::route().get("com.example.limits", "tiers")? {
    ///         Some(Value::List(tiers)) => Ok(tiers.len()),
    ///         _ => Ok(0),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's metadata cannot be decoded.
    #[inline]
    pub fn get(self, namespace: &str, key: &str) -> Result<Option<Value>> {
        Ok(self.namespace(namespace)?.and_then(|mut found| found.take(key)))
    }

    /// Returns all keys of a namespace.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's metadata cannot be decoded.
    #[inline]
    pub fn namespace(self, namespace: &str) -> Result<Option<Struct>> {
        let Some(message) = self.0.bytes()? else { return Ok(None) };
        find(&message, namespace).map_err(|protobuf::Malformed| self.0.malformed())
    }

    /// Returns a namespace as the filter's own type.
    ///
    /// ```
    /// # use proxy_filter::{Result, metadata};
    /// #[derive(serde::Deserialize)]
    /// struct Limits {
    ///     requests: u32,
    ///     #[serde(default)]
    ///     tiers: Vec<u8>,
    /// }
    ///
    /// fn limits() -> Result<Option<Limits>> {
    ///     metadata::route().json("com.example.limits")
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) with the path of the field that does not match
    /// the type; otherwise as [`namespace`](Self::namespace).
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self, namespace: &str) -> Result<Option<T>> {
        self.namespace(namespace)?.map(|found| found.json()).transpose()
    }

    /// Returns the whole metadata as an encoded `envoy.config.core.v3.Metadata`, for code that can
    /// decode it. It includes typed metadata (`typed_filter_metadata`).
    ///
    /// # Errors
    /// An error status of the host.
    #[inline]
    pub fn to_bytes(self) -> Result<Option<Vec<u8>>> {
        self.0.bytes()
    }
}

/// The metadata of the node, by key.
///
/// ```
/// # use proxy_filter::{Result, metadata};
/// fn stage() -> Result<String> {
///     Ok(metadata::node().string("stage")?.unwrap_or_default().to_string())
/// }
/// ```
///
/// It can be read on a root context too.
#[derive(Clone, Copy, Debug)]
pub struct NodeMetadata(());

impl NodeMetadata {
    const NODE: Attribute = Attribute::new("xds\0node").or("node");

    /// Returns a number.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn number(self, key: &str) -> Result<Option<f64>> {
        typed(Self::NODE, attribute::number, &["metadata", key])
    }

    /// Returns a string.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn string(self, key: &str) -> Result<Option<HeaderValue>> {
        Ok(Self::NODE.part(&["metadata", key])?.map(HeaderValue::from))
    }

    /// Returns a boolean.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[inline]
    pub fn boolean(self, key: &str) -> Result<Option<bool>> {
        typed(Self::NODE, attribute::boolean, &["metadata", key])
    }

    /// Returns all keys with their values. For this, the host sends the whole description of its
    /// node, about 60 KB: call it in `on_configure`.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's node cannot be decoded.
    #[inline]
    pub fn fields(self) -> Result<Option<Struct>> {
        let Some(message) = Self::NODE.bytes()? else { return Ok(None) };
        let metadata = Fields::new(&message).bytes(3).and_then(|metadata| value::decode(metadata, 0));
        metadata.map(Some).map_err(|protobuf::Malformed| Self::NODE.malformed())
    }
}

/// Returns one value, whose type follows from its length.
fn typed<T>(attribute: Attribute, read: fn(&[u8]) -> Option<T>, parts: &[&str]) -> Result<Option<T>> {
    match attribute.part(parts)? {
        None => Ok(None),
        Some(bytes) => match read(&bytes) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::refused(ErrorKind::Malformed, "the metadata has another type than requested")),
        },
    }
}

/// Finds the namespace in an encoded `Metadata`, whose field 1 is a map of namespaces.
#[inline]
fn find(message: &[u8], namespace: &str) -> Result<Option<Struct>, protobuf::Malformed> {
    let mut fields = Fields::new(message);
    let mut found = None;
    while let Some((number, field)) = fields.next()? {
        if let (1, Field::Bytes(entry)) = (number, field) {
            let entry = Fields::new(entry);
            if entry.bytes(1)? == namespace.as_bytes() {
                found = Some(entry.bytes(2)?);
            }
        }
    }
    found.map(|found| value::decode(found, 0)).transpose()
}
