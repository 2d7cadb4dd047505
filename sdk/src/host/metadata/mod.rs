//! Metadata: what operators write beside a route, a virtual host, a listener, a cluster, an
//! upstream host or the node for filters to read, and what other filters note about a request.
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
//! There are two ways to read it:
//!
//! * [`number`](Metadata::number), [`string`](Metadata::string) and [`boolean`](Metadata::boolean)
//!   fetch one value. Envoy sends such a value without its type, so that the type asked for should
//!   be the one in the configuration: the string `"12345678"` cannot be told from a number.
//! * [`get`](Metadata::get), [`namespace`](Metadata::namespace) and [`json`](Metadata::json) fetch
//!   the whole metadata, and read a [`Value`] or a type of the filter's own from it with every type
//!   as configured: structs, lists and null included. That costs a copy of the whole metadata into
//!   the module, and about 6 KB of code. With the feature `prost-types`, `prost_value` and
//!   `prost_struct` do the same for code that works with the types of the crate `prost-types`.
//!
//! # When
//!
//! In every callback of a stream; `None` where there is no metadata, namespace or key. Route and
//! cluster exist if there is a route, the upstream host in the response callbacks and `on_log`. On
//! a root context only [`node`] exists.
//!
//! # Errors
//!
//! [`Malformed`](ErrorKind::Malformed) for a value of another type than asked for, as far as its
//! length tells. [`Refused`](ErrorKind::Refused) with
//! [`SERIALIZATION_FAILURE`](crate::Status::SERIALIZATION_FAILURE) for a null asked for by
//! [`number`](Metadata::number), [`string`](Metadata::string) or [`boolean`](Metadata::boolean):
//! Envoy cannot encode it.
//!
//! Envoy moved the attributes behind this in 1.33. Both names are tried, the new one first. A value
//! that a filter stored under an old name with [`property::set`](crate::property::set) is never
//! returned.
//!
//! Source: context API, "Metadata API"; Envoy 1.40, `envoy.config.core.v3.Metadata` and the
//! encodings of `serializeValue`.

#[cfg(feature = "json")]
pub(crate) mod json;
#[cfg(feature = "prost-types")]
pub(crate) mod prost;
pub(crate) mod value;

use crate::abi::protobuf;
use crate::abi::protobuf::{Field, Fields};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_value::HeaderValue;
pub use crate::host::metadata::value::{Struct, Value};
use crate::host::stream_info::attribute;
use crate::host::stream_info::attribute::Attribute;

/// The metadata of the route.
#[doc(alias = "requestRouteMetadataValue")]
#[doc(alias = "responseRouteMetadataValue")]
#[doc(alias = "route_metadata")]
pub const fn route() -> Metadata {
    Metadata(Attribute::new("xds\0route_metadata").or("route_metadata"))
}

/// The metadata of the virtual host.
#[doc(alias = "virtual_host_metadata")]
pub const fn virtual_host() -> Metadata {
    Metadata(Attribute::new("xds\0virtual_host_metadata"))
}

/// The metadata of the listener.
#[doc(alias = "listener_metadata")]
pub const fn listener() -> Metadata {
    Metadata(Attribute::new("xds\0listener_metadata").or("listener_metadata"))
}

/// The metadata of the upstream cluster.
#[doc(alias = "cluster_metadata")]
pub const fn cluster() -> Metadata {
    Metadata(Attribute::new("xds\0cluster_metadata").or("cluster_metadata"))
}

/// The metadata of the upstream host (the endpoint).
#[doc(alias = "upstream_host_metadata")]
pub const fn upstream_host() -> Metadata {
    Metadata(Attribute::new("xds\0upstream_host_metadata").or("upstream_host_metadata"))
}

/// The metadata of the request: what other filters noted about it while it passed ("dynamic
/// metadata"), for example the JWT filter the claims of a token. The response has the same.
///
/// A Proxy-Wasm filter cannot write it; [`filter_state`](crate::filter_state) is its way to tell
/// others something.
#[doc(alias = "dynamic_metadata")]
#[doc(alias = "filter_metadata")]
pub const fn request() -> Metadata {
    Metadata(Attribute::new("metadata"))
}

/// The metadata of this Envoy: one set of keys without namespaces.
#[doc(alias = "node_metadata")]
pub const fn node() -> NodeMetadata {
    NodeMetadata(())
}

/// Metadata by namespace and key.
#[derive(Clone, Copy, Debug)]
pub struct Metadata(Attribute);

impl Metadata {
    /// A number. All numbers of metadata are floating-point.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn number(self, namespace: &str, key: &str) -> Result<Option<f64>> {
        typed(self.0, attribute::number, &["filter_metadata", namespace, key])
    }

    /// A string; bytes, because filters also note here what a client sent.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn string(self, namespace: &str, key: &str) -> Result<Option<HeaderValue>> {
        Ok(self.0.part(&["filter_metadata", namespace, key])?.map(HeaderValue::from))
    }

    /// A boolean.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn boolean(self, namespace: &str, key: &str) -> Result<Option<bool>> {
        typed(self.0, attribute::boolean, &["filter_metadata", namespace, key])
    }

    /// The value of a key with its type.
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
    /// [`Malformed`](ErrorKind::Malformed) if the host's metadata is not the message it should be.
    #[inline]
    pub fn get(self, namespace: &str, key: &str) -> Result<Option<Value>> {
        Ok(self.namespace(namespace)?.and_then(|mut found| found.take(key)))
    }

    /// Everything in a namespace.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's metadata is not the message it should be.
    #[inline]
    pub fn namespace(self, namespace: &str) -> Result<Option<Struct>> {
        let Some(message) = self.0.bytes()? else { return Ok(None) };
        find(&message, namespace).map_err(|protobuf::Malformed| self.0.malformed())
    }

    /// A namespace as a type of the filter's own.
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
    /// [`Configuration`](ErrorKind::Configuration) with the path of the field that is not as the
    /// type says, and as [`namespace`](Self::namespace).
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self, namespace: &str) -> Result<Option<T>> {
        self.namespace(namespace)?.map(|found| found.json()).transpose()
    }

    /// The whole metadata as the wire bytes of an `envoy.config.core.v3.Metadata`, for those who
    /// have the message: typed metadata (`typed_filter_metadata`) is in it.
    ///
    /// # Errors
    /// A refusal of the host.
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
/// Readable on a root context too.
#[derive(Clone, Copy, Debug)]
pub struct NodeMetadata(());

impl NodeMetadata {
    const NODE: Attribute = Attribute::new("xds\0node").or("node");

    /// A number.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn number(self, key: &str) -> Result<Option<f64>> {
        typed(Self::NODE, attribute::number, &["metadata", key])
    }

    /// A string.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn string(self, key: &str) -> Result<Option<HeaderValue>> {
        Ok(Self::NODE.part(&["metadata", key])?.map(HeaderValue::from))
    }

    /// A boolean.
    ///
    /// # Errors
    /// As [the module](self#errors) says.
    #[inline]
    pub fn boolean(self, key: &str) -> Result<Option<bool>> {
        typed(Self::NODE, attribute::boolean, &["metadata", key])
    }

    /// All keys with their values. The host sends its whole description of itself for this, about
    /// 60 KB: read it while configuring.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if the host's node is not the message it should be.
    #[inline]
    pub fn fields(self) -> Result<Option<Struct>> {
        let Some(message) = Self::NODE.bytes()? else { return Ok(None) };
        let metadata = Fields::new(&message).bytes(3).and_then(|metadata| value::decode(metadata, 0));
        metadata.map(Some).map_err(|protobuf::Malformed| Self::NODE.malformed())
    }
}

/// One value of a type that its length tells.
fn typed<T>(attribute: Attribute, read: fn(&[u8]) -> Option<T>, parts: &[&str]) -> Result<Option<T>> {
    match attribute.part(parts)? {
        None => Ok(None),
        Some(bytes) => match read(&bytes) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::refused(ErrorKind::Malformed, "the metadata has another type than was asked for")),
        },
    }
}

/// The namespace in an encoded `Metadata`, whose field 1 is a map of them.
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
