//! Typed access to Envoy's attributes, the properties of a stream in the host.
//!
//! ```
//! use proxy_filter::prelude::*;
//! use proxy_filter::stream_info::{self, Protocol};
//!
//! fn describe() -> Result<()> {
//!     let client = stream_info::source().address()?; // Option<Address>, IPv6 included
//!     let http2 = stream_info::request().protocol()? == Some(Protocol::Http2);
//!     let route = stream_info::xds().route_name()?.unwrap_or_default(); // bytes first: a HeaderValue
//!     log::info!("{client:?} {http2} {route}");
//!     Ok(())
//! }
//! ```
//!
//! Each function returns a zero-sized handle, and each of its methods reads one attribute from the
//! host. Nothing is cached, because attributes may change during the stream. `None` means that the
//! attribute does not exist: for this stream (`tls_version` without TLS), in this phase
//! (`response().code()` before the response), or on this host.
//!
//! # Phases
//!
//! Available in the callbacks of a stream. On a root context, only [`plugin`] and the node in
//! [`xds`] are available; all others return `None`.
//!
//! | | Envoy 1.40 |
//! |---|---|
//! | [`request`] | header values: in `on_request_headers` and `on_log`, like the headers themselves; `duration`: in `on_log`; all others: always |
//! | [`response`] | `code`, `code_details`, `grpc_status` and `size`: from the response's headers on; values of headers and trailers: in their own callback and `on_log`; `backend_latency`: from the end of the response on; `flags`: complete in `on_log` |
//! | [`source`], [`destination`], [`connection`] | always |
//! | [`upstream`] | in the response callbacks and `on_log`, unless the response is a local reply. In the request callbacks it depends on how fast Envoy connects |
//! | [`xds`] | listener, node and virtual host always; route and cluster if there is a route. An unnamed route has the empty name |
//!
//! In the callbacks of a TCP connection, [`source`], [`destination`] and [`connection`] are always
//! available, and of [`xds`] the listener, node and filter chain. [`upstream`] and the cluster are
//! available after the connection to the upstream exists, which is from the first data on. Of
//! [`request`] and [`response`], only `time`, `size`, `total_size` (bytes from and to the client)
//! and `flags` are available.
//!
//! # Errors
//!
//! [`Malformed`](crate::ErrorKind::Malformed) for a value that is not encoded as Envoy encodes the
//! type; hosts with encodings of their own are readable through [`property`](crate::property),
//! which is also the way to an attribute this module does not name.
//! [`Refused`](crate::ErrorKind::Refused) with
//! [`SERIALIZATION_FAILURE`](crate::Status::SERIALIZATION_FAILURE) for one the host cannot encode.
//!
//! Envoy moved the attributes of `xds` in 1.33. Both names are tried, the new one first, so that
//! one module runs on old and new hosts. A value that a filter stored under an old name with
//! [`property::set`](crate::property::set) is not an attribute: it is never returned.
//!
//! Source: context API, "`StreamInfo` API"; Envoy 1.40, "Attributes" and the encodings of
//! `serializeValue`.

pub(crate) mod attribute;
pub(crate) mod response_flags;
pub(crate) mod types;

use crate::error::Result;
use crate::fields::header_value::{HeaderValue, Pairs};
use crate::host::stream_info::attribute::Attribute;
pub use crate::host::stream_info::response_flags::ResponseFlags;
pub use crate::host::stream_info::types::{Address, Direction, Locality, Protocol};
use std::time::{Duration, SystemTime};

/// A handle, the function that returns it, and one method an attribute.
macro_rules! attributes {
    ($(#[$doc:meta])* $name:ident, $function:ident, $root:literal {
        $($(#[$attribute_doc:meta])* $method:ident: $read:ident $type:ty = $attribute:literal;)*
    }) => {
        $(#[$doc])*
        pub const fn $function() -> $name {
            $name(())
        }

        #[doc = concat!("What [`", stringify!($function), "`] returns.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name(());

        methods! { $name, $root { $($(#[$attribute_doc])* $method: $read $type = $attribute;)* } }
    };
}

/// One method an attribute.
macro_rules! methods {
    ($name:ident, $root:literal { $($(#[$doc:meta])* $method:ident: $read:ident $type:ty = $attribute:literal;)* }) => {
        impl $name {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("Attribute `", $root, ".", $attribute, "`.")]
                ///
                /// # Errors
                /// Fails as [the module](self#errors) describes.
                #[inline]
                pub fn $method(self) -> Result<Option<$type>> {
                    Attribute::new(concat!($root, "\0", $attribute)).$read()
                }
            )*
        }
    };
}

attributes! {
    /// The request.
    #[doc(alias = "attribute")]
    Request, request, "request" {
        /// `:path`, with the query.
        path: text HeaderValue = "path";
        /// `:path` without the query.
        url_path: text HeaderValue = "url_path";
        /// The query: what follows the first `?` of the path; empty without one.
        query: text HeaderValue = "query";
        /// `:authority`: what HTTP/1 calls `host`.
        host: text HeaderValue = "host";
        /// `:scheme`.
        scheme: text HeaderValue = "scheme";
        /// `:method`.
        method: text HeaderValue = "method";
        /// The `referer` field.
        referer: text HeaderValue = "referer";
        /// The `user-agent` field.
        #[doc(alias = "useragent")]
        user_agent: text HeaderValue = "useragent";
        /// The `x-request-id` field, which Envoy adds unless it is configured not to.
        id: text HeaderValue = "id";
        /// The version of HTTP the client speaks.
        #[doc(alias = "getProtocol")]
        protocol: protocol Protocol = "protocol";
        /// All fields in no particular order, the values of repeated ones joined with commas.
        headers: pairs Pairs = "headers";
        /// When the first byte arrived.
        time: time SystemTime = "time";
        /// How long the request took to arrive, from its first byte to its last.
        duration: duration Duration = "duration";
        /// The length of the body: the value of `content-length`, or otherwise the bytes that have
        /// arrived.
        size: integer u64 = "size";
        /// The size of headers and body as far as they have arrived.
        total_size: integer u64 = "total_size";
    }
}

attributes! {
    /// The response.
    Response, response, "response" {
        /// The HTTP status.
        code: integer u16 = "code";
        /// Why: `via_upstream`, or the [`details`](crate::LocalReply::details) of a local reply.
        code_details: text HeaderValue = "code_details";
        /// What Envoy noticed.
        flags: flags ResponseFlags = "flags";
        /// The gRPC status: from the trailers or the headers, or derived from the HTTP status of a
        /// gRPC response. −1 for one that is no number.
        grpc_status: integer i32 = "grpc_status";
        /// All header fields in no particular order, the values of repeated ones joined with
        /// commas.
        headers: pairs Pairs = "headers";
        /// All trailer fields in no particular order, the values of repeated ones joined with
        /// commas.
        trailers: pairs Pairs = "trailers";
        /// The length of the body as far as it was sent.
        size: integer u64 = "size";
        /// The size of headers, body and trailers as far as they were sent.
        total_size: integer u64 = "total_size";
        /// How long the upstream took, from the first byte of the request to the last of the
        /// response.
        backend_latency: duration Duration = "backend_latency";
    }
}

/// Single fields of a message.
macro_rules! field {
    ($name:ident, $method:ident, $path:literal, $what:literal) => {
        impl $name {
            #[doc = concat!("Returns one ", $what, " field. The values of a repeated field are joined with commas.")]
            ///
            /// # Errors
            /// Fails as [the module](self#errors) describes.
            #[inline]
            pub fn $method(self, name: &str) -> Result<Option<HeaderValue>> {
                Ok(Attribute::new($path).part(&[name])?.map(HeaderValue::from))
            }
        }
    };
}

field!(Request, header, "request\0headers", "header");
field!(Response, header, "response\0headers", "header");
field!(Response, trailer, "response\0trailers", "trailer");

attributes! {
    /// The client's end of the connection. Behind a proxy that Envoy trusts, this is the client it
    /// names (`x-forwarded-for`).
    Source, source, "source" {
        /// The address.
        address: address Address = "address";
        /// The port.
        port: integer u16 = "port";
    }
}

attributes! {
    /// Envoy's end of the connection.
    Destination, destination, "destination" {
        /// The address.
        address: address Address = "address";
        /// The port.
        port: integer u16 = "port";
    }
}

attributes! {
    /// The client's connection.
    Connection, connection, "connection" {
        /// Its number in this Envoy.
        id: integer u64 = "id";
        /// Whether the client showed a certificate.
        mtls: boolean bool = "mtls";
        /// The server name of the TLS handshake (SNI); empty without one.
        requested_server_name: text HeaderValue = "requested_server_name";
        /// Why Envoy ended the connection.
        termination_details: text HeaderValue = "termination_details";
        /// Why the TLS handshake failed.
        transport_failure_reason: text HeaderValue = "transport_failure_reason";
    }
}

attributes! {
    /// The upstream host and the connection to it.
    Upstream, upstream, "upstream" {
        /// The host's address.
        address: address Address = "address";
        /// The host's port.
        port: integer u16 = "port";
        /// Envoy's end of the connection.
        local_address: address Address = "local_address";
        /// Why connecting or the TLS handshake failed; empty if it did not.
        transport_failure_reason: text HeaderValue = "transport_failure_reason";
        /// How often the request was tried.
        request_attempt_count: integer u64 = "request_attempt_count";
        /// The time that the request waited for a connection.
        #[doc(alias = "cx_pool_ready_duration")]
        connection_pool_ready_duration: duration Duration = "cx_pool_ready_duration";
        /// Where the host is.
        locality: locality Locality = "locality";
    }
}

/// The TLS attributes of a connection. They do not exist without TLS.
macro_rules! tls {
    ($($name:ident, $root:literal;)*) => {
        $(methods! { $name, $root {
            /// The version, for example `TLSv1.3`.
            tls_version: text HeaderValue = "tls_version";
            /// The subject of Envoy's own certificate.
            subject_local_certificate: text HeaderValue = "subject_local_certificate";
            /// The subject of the peer's certificate.
            subject_peer_certificate: text HeaderValue = "subject_peer_certificate";
            /// The first URI in the subject alternative names of Envoy's own certificate.
            uri_san_local_certificate: text HeaderValue = "uri_san_local_certificate";
            /// The first URI in the subject alternative names of the peer's certificate. In a mesh,
            /// it identifies the peer (`spiffe://…`).
            uri_san_peer_certificate: text HeaderValue = "uri_san_peer_certificate";
            /// The first DNS name in the subject alternative names of Envoy's own certificate.
            dns_san_local_certificate: text HeaderValue = "dns_san_local_certificate";
            /// The first DNS name in the subject alternative names of the peer's certificate.
            dns_san_peer_certificate: text HeaderValue = "dns_san_peer_certificate";
            /// The SHA-256 digest of the peer's certificate in hexadecimal.
            sha256_peer_certificate_digest: text HeaderValue = "sha256_peer_certificate_digest";
        } })*
    };
}

tls! {
    Connection, "connection";
    Upstream, "upstream";
}

/// Returns the names in Envoy's configuration that apply to the stream: node, listener, route and
/// cluster. Their metadata is in [`metadata`](crate::metadata).
pub const fn xds() -> Xds {
    Xds(())
}

/// What [`xds`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Xds(());

/// One method an attribute, with its name before Envoy 1.33 if it had one.
macro_rules! xds {
    ($($(#[$doc:meta])* $method:ident: $read:ident $type:ty = $attribute:literal $(or $older:literal)?;)*) => {
        impl Xds {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Fails as [the module](self#errors) describes.
                #[inline]
                pub fn $method(self) -> Result<Option<$type>> {
                    Attribute::new(concat!("xds\0", $attribute))$(.or($older))?.$read()
                }
            )*
        }
    };
}

xds! {
    /// The id of this Envoy (`--service-node`). Readable on a root context too. Attribute
    /// `xds.node.id`.
    node_id: text HeaderValue = "node\0id" or "node\0id";
    /// The cluster this Envoy belongs to (`--service-cluster`). Readable on a root context too.
    /// Attribute `xds.node.cluster`.
    node_cluster: text HeaderValue = "node\0cluster" or "node\0cluster";
    /// The upstream cluster. Attribute `xds.cluster_name`.
    cluster_name: text HeaderValue = "cluster_name" or "cluster_name";
    /// The route. Attribute `xds.route_name`.
    route_name: text HeaderValue = "route_name" or "route_name";
    /// The virtual host. Attribute `xds.virtual_host_name`.
    virtual_host_name: text HeaderValue = "virtual_host_name";
    /// The listener's filter chain. Attribute `xds.filter_chain_name`.
    filter_chain_name: text HeaderValue = "filter_chain_name";
    /// Which way the listener's traffic goes. Attribute `xds.listener_direction`.
    listener_direction: direction Direction = "listener_direction" or "listener_direction";
}

/// The plugin as the host's configuration names it. Readable on a root context too.
pub const fn plugin() -> Plugin {
    Plugin(())
}

/// What [`plugin`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Plugin(());

impl Plugin {
    /// The plugin's name.
    ///
    /// Attribute `plugin_name`.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[doc(alias = "plugin_name")]
    #[inline]
    pub fn name(self) -> Result<Option<HeaderValue>> {
        Attribute::new("plugin_name").text()
    }

    /// The `root_id`: which filter of the module it is.
    ///
    /// Attribute `plugin_root_id`.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[doc(alias = "plugin_root_id")]
    #[inline]
    pub fn root_id(self) -> Result<Option<HeaderValue>> {
        Attribute::new("plugin_root_id").text()
    }

    /// The `vm_id`: plugins with the same one share data and queues.
    ///
    /// Attribute `plugin_vm_id`.
    ///
    /// # Errors
    /// Fails as [the module](self#errors) describes.
    #[doc(alias = "plugin_vm_id")]
    #[inline]
    pub fn vm_id(self) -> Result<Option<HeaderValue>> {
        Attribute::new("plugin_vm_id").text()
    }
}
