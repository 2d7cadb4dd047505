//! Write proxy filters in Rust that compile to WebAssembly and run in Envoy and other Proxy-Wasm 0.2.1 hosts.

// Lets the documentation and unit tests of this crate use the macros, which name the crate from outside.
extern crate self as proxy_filter;

mod abi;
mod body;
mod config;
mod context;
mod dispatch;
mod error;
mod field;
mod filter_status;
mod header_value;
mod headers;
mod local_reply;
pub mod log;
#[cfg(feature = "panic-hook")]
mod panic_hook;
pub mod property;
mod runtime;
#[doc(hidden)]
pub mod sys;

pub use abi::{LogLevel, Status};
pub use body::{Body, RequestBody, ResponseBody};
pub use config::{Configuration, VmConfiguration};
pub use context::{Context, LogContext, RootContext};
pub use error::{Error, ErrorKind, Result};
pub use filter_status::{FailurePolicy, FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
pub use header_value::{HeaderValue, HeaderValues, Pairs, PairsIter, Printable, printable};
pub use headers::{HeaderMap, RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
pub use local_reply::LocalReply;
#[doc(hidden)]
pub use proxy_filter_macros::__export;
pub use proxy_filter_macros::{context, module, root};
pub use runtime::ignored_events;

#[cfg(all(target_family = "wasm", feature = "wee_alloc"))]
#[global_allocator]
static ALLOCATOR: wee_alloc::WeeAlloc<'static> = wee_alloc::WeeAlloc::INIT;

/// What a filter needs, in one `use proxy_filter::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Body, Configuration, Context, Error, ErrorKind, FailurePolicy, FilterDataStatus, FilterHeadersStatus,
        FilterTrailersStatus, HeaderMap, HeaderValue, LocalReply, LogContext, RequestBody, RequestHeaders,
        RequestTrailers, ResponseBody, ResponseHeaders, ResponseTrailers, Result, RootContext, VmConfiguration,
        printable,
    };
}

/// What generated code names. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::dispatch::{
        CallbackSet, Callbacks, CreatedByRoot, NewContext, Runtime, assert_created_by_root, initialize, root_id,
        unknown_root_id,
    };
    #[cfg(not(target_family = "wasm"))]
    pub use crate::dispatch::{Export, Module};
    pub use crate::prelude::*;
}
