//! Calls to other services, and what all callouts have in common.
//!
//! A callout starts now and completes later. The callouts are [`HttpCall`],
//! [`GrpcCall`](crate::grpc::GrpcCall), the next message of a
//! [`GrpcStream`](crate::grpc::GrpcStream), and [`Timer`](crate::timer::Timer). A completion is
//! handled in one of three ways:
//!
//! | Way | Function | For |
//! |---|---|---|
//! | Pause a part of the stream until it completes | [`pause_for`](crate::RequestHeaders::pause_for) of the part | a decision about this part |
//! | Handle it later, while the stream continues | [`HttpCall::send`], [`Timer::run`](crate::timer::Timer::run) | audit calls, refreshed state |
//! | Await it | `.await`, in a function with [`#[filter]`](macro@crate::filter) or in a [spawned](crate::future::Spawner) future | several steps, one after the other |
//!
//! A context declares which callouts it makes in callbacks, so that a module exports no callback
//! that it does not need: `#[proxy_filter::context(http_calls)]`. The compiler names the argument
//! that is missing ([`Declares`]).
//!
//! A callout ends with the stream that started it. [`CalloutError`] reports why a callout failed.
//! It distinguishes failures that a client can cause ([`Refused`](CalloutError::Refused)) from a
//! service that is down ([`Outage`](CalloutError::Outage)).

pub(crate) mod cancel;
pub(crate) mod completion;
pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod future;
#[cfg(feature = "grpc")]
pub mod grpc;
pub(crate) mod http;
pub(crate) mod pause;
pub(crate) mod queue;
pub(crate) mod ready;
pub(crate) mod registry;
pub(crate) mod start;
pub mod timer;

pub use crate::callout::completion::Callout;
pub use crate::callout::error::{CalloutError, Outage};
pub use crate::callout::future::{AwaitableCallout, CalloutFuture};
pub use crate::callout::http::HttpCall;
pub use crate::callout::http::response::{Copied, HttpCallResponse, InHost, ResponseSource};
pub use crate::engine::callbacks::Declares;
