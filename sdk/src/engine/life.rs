//! What the contexts of requests and of connections have in common: their life, and what a failure
//! means to them.

use crate::error::kind::ErrorKind;
use crate::error::policy::FailurePolicy;
use crate::error::{Error, Result};

/// The callbacks that every context of a stream has, whichever trait they are from.
pub trait Life<C> {
    /// `on_create`.
    fn create(context: &mut C) -> Result<()>;
    /// `on_done`.
    fn done(context: &mut C) -> Result<()>;
    /// `on_log`.
    fn log(context: &mut C) -> Result<()>;
    /// `on_delete`.
    fn delete(context: &mut C) -> Result<()>;
    /// `on_foreign_function`.
    fn foreign_function(context: &mut C, function_id: u32, arguments: Vec<u8>) -> Result<()>;
    /// `failure_policy`, or `response_failure_policy`.
    fn failure_policy(context: &C, of_response: bool) -> FailurePolicy;
}

/// Contexts that implement [`Context`](crate::Context).
#[derive(Debug)]
pub enum Http {}

/// Contexts that implement [`StreamContext`](crate::tcp::StreamContext).
#[derive(Debug)]
pub enum Tcp {}

/// A kind of streams, as named in messages.
pub trait KindOfStream {
    /// What the host has given a filter of the other kind, and where that filter belongs.
    const WRONG: &'static str;
}

impl KindOfStream for Http {
    const WRONG: &'static str = "a filter of TCP connections is configured as an HTTP filter: move it to the `filters` of a filter chain, \
                                 before `envoy.filters.network.tcp_proxy`";
}

impl KindOfStream for Tcp {
    const WRONG: &'static str = "a filter of HTTP requests is configured as a network filter: move it to the `http_filters` of an HTTP \
                                 connection manager, before `envoy.filters.http.router`";
}

/// The error of a stream of this kind that a filter of the other kind is given.
#[cold]
pub fn wrong_kind<K: KindOfStream>() -> Error {
    Error::refused(ErrorKind::Configuration, K::WRONG)
}
