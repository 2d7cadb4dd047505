//! What completes later: HTTP calls, gRPC calls and streams, timers, items of queues.

pub(crate) mod cancel;
pub(crate) mod completion;
pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod future;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod pause;
pub(crate) mod queue;
pub(crate) mod ready;
pub(crate) mod registry;
pub(crate) mod start;
pub mod timer;
