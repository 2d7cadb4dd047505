//! Filter state: named values of a stream, for later filters, access logs and Envoy itself.
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
//! | Reader | How it reads a value that was [`set`] as `tenant` |
//! |---|---|
//! | this filter, later | [`get("tenant")`](get) |
//! | Wasm filters after it | the same |
//! | access logs | `%FILTER_STATE(wasm.tenant:PLAIN)%` |
//! | expressions (CEL) in Envoy's configuration | `filter_state["wasm.tenant"]` |
//!
//! In Envoy, values that filters store with [`set`] have the prefix `wasm.`, and cannot collide
//! with Envoy's own objects. Read those with [`get_envoy`]. [`set_envoy`] sets the objects that
//! control other parts of Envoy.
//!
//! # Phases
//!
//! Available in every callback of a stream, including `on_log`. A root context has no filter state.
//!
//! Source: Envoy 1.40, `setProperty`, `CelState`, and the foreign functions `declare_property` and
//! `set_envoy_filter_state`.

use crate::abi::protobuf::Message;
use crate::error::Result;
use crate::error::kind::ErrorKind;
use crate::host::configuration::Configuration;
use crate::host::stream_info::attribute::Attribute;
use crate::host::{foreign, property};

/// How long a value lives, and which streams see it.
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

/// Returns a value that this or an earlier Wasm filter has stored with the stream.
///
/// # Errors
/// An error status of the host.
#[inline]
pub fn get(name: &str) -> Result<Option<Vec<u8>>> {
    property::get(&["filter_state", &["wasm.", name].concat()])
}

/// Stores a value with the stream, or replaces the one of the same name.
///
/// Values live as long as the filter chain unless the name was [declared](Declaration) otherwise.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) on a root context;
/// [`WrongPhase`](ErrorKind::WrongPhase) for a second value of a name that was declared
/// [read-only](Declaration::read_only).
#[doc(alias = "proxy_set_property")]
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<()> {
    property::set(name, value)
}

/// Returns one of Envoy's own objects in its serialized form, by its full name. `None` if it does
/// not exist or has no serialized form.
///
/// ```
/// # use proxy_filter::{Result, filter_state};
/// fn cluster() -> Result<Option<Vec<u8>>> {
///     filter_state::get_envoy("envoy.tcp_proxy.cluster")
/// }
/// ```
///
/// # Errors
/// An error status of the host.
#[inline]
pub fn get_envoy(key: &str) -> Result<Option<Vec<u8>>> {
    Attribute::new("filter_state").part(&[key])
}

/// Sets one of Envoy's own objects from text: one of Envoy's "well known filter state objects". For
/// example, `envoy.network.upstream_server_name` is the server name for the TLS connection to the
/// upstream.
///
/// ```
/// # use proxy_filter::{Result, filter_state::{self, Span}};
/// fn speak_to(host: &str) -> Result<()> {
///     filter_state::set_envoy("envoy.network.upstream_server_name", host, Span::FilterChain)
/// }
/// ```
///
/// Before Envoy 1.37, a call in a callback of the root context has no effect on the stream.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a key without an object in Envoy, on a root context, and
/// on hosts without the function; [`InvalidInput`](ErrorKind::InvalidInput) if the value is not
/// valid for the object.
#[doc(alias = "set_envoy_filter_state")]
pub fn set_envoy(key: &str, value: impl AsRef<[u8]>, span: Span) -> Result<()> {
    let argument = Message::new().bytes(1, key.as_bytes()).bytes(2, value.as_ref()).number(3, span.raw());
    foreign::typed("set_envoy_filter_state", &argument.finish(), invalid_input).map(drop)
}

/// How the values of a name behave, for [`set`]. Declare it in `on_configure`: Envoy ignores a
/// declaration in a callback of a stream.
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
    /// Creates a declaration of values that are bytes, may be replaced, and live as long as the
    /// filter chain. These are the defaults of a name without a declaration.
    pub const fn new(name: &'a str) -> Self {
        Self { name, read_only: false, text: false, span: Span::FilterChain }
    }

    /// Makes the value read-only once it is set.
    pub const fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Makes the values text: expressions (CEL) compare them with strings.
    pub const fn text(self) -> Self {
        Self { text: true, ..self }
    }

    /// Sets how long the values live.
    pub const fn span(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// Sends the declaration to the host. `_here` proves that this is `on_configure`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a name that was already declared;
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

/// Both functions return `BadArgument` for a name or value that is not valid.
#[inline]
fn invalid_input(status: crate::abi::status::Status) -> Option<ErrorKind> {
    (status == crate::abi::status::Status::BAD_ARGUMENT).then_some(ErrorKind::InvalidInput)
}
