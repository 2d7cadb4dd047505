//! Filter state: named values that live with a stream, for filters after this one, access logs and
//! Envoy itself.
//!
//! ```
//! use proxy_filter::{Result, filter_state};
//!
//! fn note(tenant: &str) -> Result<()> {
//!     filter_state::set("tenant", tenant) // %FILTER_STATE(wasm.tenant:PLAIN)% in access logs
//! }
//!
//! fn noted() -> Result<Option<Vec<u8>>> {
//!     filter_state::get("tenant") // in another filter, or in the response half
//! }
//! ```
//!
//! | Who | Reads a value that was [`set`] as `tenant` |
//! |---|---|
//! | this filter, later | [`get("tenant")`](get) |
//! | Wasm filters after it | the same |
//! | access logs | `%FILTER_STATE(wasm.tenant:PLAIN)%` |
//! | expressions (CEL) in Envoy's configuration | `filter_state["wasm.tenant"]` |
//!
//! What filters keep with [`set`] has the prefix `wasm.` in Envoy, and cannot collide with Envoy's
//! own objects. Those are read with [`get_envoy`], and those that exist for it are set with
//! [`set_envoy`]: they steer other parts of Envoy.
//!
//! # When
//!
//! In every callback of a stream, `on_log` included. A root context has no filter state.
//!
//! Source: Envoy 1.40, `setProperty`, `CelState`, and the foreign functions `declare_property` and
//! `set_envoy_filter_state`.

use crate::abi::protobuf::Message;
use crate::error::Result;
use crate::error::kind::ErrorKind;
use crate::host::configuration::Configuration;
use crate::host::foreign;
use crate::host::property;
use crate::host::stream_info::attribute::Attribute;

/// How long a value lives, and who else sees it.
#[doc(alias = "LifeSpan")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Span {
    /// As long as the stream's filter chain.
    #[default]
    FilterChain,
    /// As long as the request, also when it is redirected inside Envoy.
    DownstreamRequest,
    /// As long as the client's connection: later requests on it see the value.
    DownstreamConnection,
}

impl Span {
    const fn raw(self) -> u64 {
        match self {
            Self::FilterChain => 0,
            Self::DownstreamRequest => 1,
            Self::DownstreamConnection => 2,
        }
    }
}

/// A value that a Wasm filter keeps with the stream: this one, or another one before it.
///
/// # Errors
/// A refusal of the host.
#[inline]
pub fn get(name: &str) -> Result<Option<Vec<u8>>> {
    property::get(&["filter_state", &["wasm.", name].concat()])
}

/// Keeps a value with the stream, or replaces the one of the same name.
///
/// Values live as long as the filter chain unless the name was [declared](Declaration) otherwise.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) on a root context;
/// [`NotAvailableHere`](ErrorKind::NotAvailableHere) for a second value of a name that was declared
/// [read-only](Declaration::read_only).
#[doc(alias = "proxy_set_property")]
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<()> {
    property::set(name, value)
}

/// One of Envoy's own objects, by its whole name, as the bytes it serializes to; `None` for one
/// that does not serialize.
///
/// ```
/// # use proxy_filter::{Result, filter_state};
/// fn cluster() -> Result<Option<Vec<u8>>> {
///     filter_state::get_envoy("envoy.tcp_proxy.cluster")
/// }
/// ```
///
/// # Errors
/// A refusal of the host.
#[inline]
pub fn get_envoy(key: &str) -> Result<Option<Vec<u8>>> {
    Attribute::new("filter_state").part(&[key])
}

/// Sets one of Envoy's own objects from its text: those of Envoy's "well known filter state
/// objects", for example `envoy.network.upstream_server_name`, the server name for the TLS
/// connection to the upstream.
///
/// ```
/// # use proxy_filter::{Result, filter_state::{self, Span}};
/// fn speak_to(host: &str) -> Result<()> {
///     filter_state::set_envoy("envoy.network.upstream_server_name", host, Span::FilterChain)
/// }
/// ```
///
/// Before Envoy 1.37 this does not reach the stream from a callback of the root context.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a key that Envoy has no object for, on a root context, and
/// on hosts without the function; [`InvalidInput`](ErrorKind::InvalidInput) for a value that the
/// object cannot be made from.
#[doc(alias = "set_envoy_filter_state")]
pub fn set_envoy(key: &str, value: impl AsRef<[u8]>, span: Span) -> Result<()> {
    let argument = Message::new().bytes(1, key.as_bytes()).bytes(2, value.as_ref()).number(3, span.raw());
    foreign::typed("set_envoy_filter_state", &argument.finish(), invalid_input).map(drop)
}

/// How the values of a name behave, for [`set`]. To be declared in `on_configure`: Envoy ignores it
/// anywhere in a stream.
///
/// ```
/// use proxy_filter::filter_state::{Declaration, Span};
/// use proxy_filter::prelude::*;
///
/// fn on_configure(configuration: &Configuration) -> Result<()> {
///     Declaration::new("tenant")
///         .read_only()
///         .text()
///         .span(Span::DownstreamRequest)
///         .declare(configuration)
/// }
/// ```
#[doc(alias = "declare_property")]
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is declared before `declare`"]
pub struct Declaration<'a> {
    name: &'a str,
    read_only: bool,
    text: bool,
    span: Span,
}

impl<'a> Declaration<'a> {
    /// A declaration of values that are bytes, may be replaced, and live as long as the filter
    /// chain: as without one.
    pub const fn new(name: &'a str) -> Self {
        Self { name, read_only: false, text: false, span: Span::FilterChain }
    }

    /// A value once set cannot be replaced.
    pub const fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// The values are text: expressions (CEL) compare them with strings.
    pub const fn text(self) -> Self {
        Self { text: true, ..self }
    }

    /// How long the values live.
    pub const fn span(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// Tells the host. `_here` is the proof that this is `on_configure`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a name that was declared already;
    /// [`NotFound`](ErrorKind::NotFound) on hosts without the function.
    #[inline]
    pub fn declare(self, _here: &Configuration) -> Result<()> {
        let argument = Message::new()
            .bytes(1, self.name.as_bytes())
            .number(2, self.read_only.into())
            .number(3, self.text.into())
            .number(5, self.span.raw());
        foreign::typed("declare_property", &argument.finish(), invalid_input).map(drop)
    }
}

/// Both functions answer `BadArgument` to a name or value they do not like.
#[inline]
fn invalid_input(status: crate::abi::status::Status) -> Option<ErrorKind> {
    (status == crate::abi::status::Status::BAD_ARGUMENT).then_some(ErrorKind::InvalidInput)
}
