//! The functions that a host calls: from the ABI to the contexts. The code that the macros generate
//! calls these.

pub(crate) mod context;
pub(crate) mod field_literal;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod handles;
pub(crate) mod http;
pub(crate) mod http_call;
pub(crate) mod module;
pub(crate) mod plugin;
pub(crate) mod stateless;
pub(crate) mod tcp;

pub use crate::exports::http_call::on_http_call_response;
pub use context::*;
#[cfg(feature = "grpc")]
pub use grpc::*;
pub use http::*;
pub use plugin::*;
pub use tcp::*;
