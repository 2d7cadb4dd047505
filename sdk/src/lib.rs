//! Write proxy filters in Rust that compile to WebAssembly and run in Envoy and other Proxy-Wasm 0.2.1 hosts.
//!
//! A filter is two types. Its [`RootContext`] lives as long as the plugin and reads the configuration; its [`Context`] lives as long
//! as one stream, a request and its response. (A filter of TCP connections has a [`StreamContext`] instead.) The host calls them in the order of the stream, each callback gets a handle to what
//! exists at that moment, and what it returns says what happens to the message.
//!
//! # A filter
//!
//! It refuses requests without an `authorization` header, and stamps every response.
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[derive(Default)]
//! struct Guard;
//!
//! #[proxy_filter::root]
//! impl RootContext for Guard {
//!     type Context = Guarded;
//!
//!     fn new_context(&self) -> Guarded {
//!         Guarded
//!     }
//! }
//!
//! struct Guarded;
//!
//! #[proxy_filter::context]
//! impl Context for Guarded {
//!     fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
//!         if request.get("authorization")?.is_none() {
//!             return request.reply(LocalReply::new(401).header("www-authenticate", "Bearer"));
//!         }
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//!
//!     fn on_response_headers(&mut self, response: &mut ResponseHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
//!         response.add("x-guarded", "1")?;
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # A filter as one function
//!
//! The life of a stream can also be one async function. Waiting for an answer holds the request, waiting for the next part lets it go
//! on, and a stream that ends drops the function where it waits. [`filter`](macro@filter) and [`Exchange`] say the rest.
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[proxy_filter::filter]
//! async fn authorize(mut exchange: Exchange) -> Result<()> {
//!     let request = exchange.request_headers().await?;
//!     let authorization = request.get("authorization")?.unwrap_or_default();
//!     match HttpCall::get("authz", "/check").header("authorization", authorization).await {
//!         Ok(answer) if answer.status() == 200 => request.replace("x-user", answer.header("x-user").unwrap_or_default()),
//!         _ => exchange.reply(LocalReply::new(403).body("denied\n")),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # The first filter by hand
//!
//! A Proxy-Wasm module exports functions that the host calls, and imports functions of the host. Without an SDK, that is the program:
//!
//! ```no_run,standalone_crate
//! use std::ptr::{null, null_mut};
//!
//! #[link(wasm_import_module = "env")]
//! unsafe extern "C" {
//!     fn proxy_get_header_map_value(map: u32, name: *const u8, name_size: usize, value: *mut *mut u8, size: *mut usize) -> u32;
//!     fn proxy_add_header_map_value(map: u32, name: *const u8, name_size: usize, value: *const u8, size: usize) -> u32;
//!     #[rustfmt::skip]
//!     fn proxy_send_local_response(
//!         status: u32, details: *const u8, details_size: usize, body: *const u8, body_size: usize,
//!         headers: *const u8, headers_size: usize, grpc_status: i32,
//!     ) -> u32;
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_abi_version_0_2_1() {}
//!
//! /// The host puts what it returns into memory that it asks the module for.
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
//!     Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_request_headers(_context: u32, _count: u32, _end_of_stream: u32) -> u32 {
//!     let (name, mut value, mut size) = (b"authorization", null_mut(), 0);
//!     // SAFETY: the name is live during the call; the host writes both outs, or none.
//!     let status = unsafe { proxy_get_header_map_value(0, name.as_ptr(), name.len(), &mut value, &mut size) };
//!     if !value.is_null() {
//!         // SAFETY: the host got the block from `proxy_on_memory_allocate`, filled it and forgot it. An empty value has none.
//!         drop(unsafe { Vec::from_raw_parts(value, size, size) });
//!     }
//!     if status == 0 {
//!         return 0; // Continue
//!     }
//!     // One pair, the lengths of its name and value, the name, the value. Were a length wrong, Envoy would send no header at all.
//!     let headers = b"\x01\0\0\0\x10\0\0\0\x06\0\0\0www-authenticate\0Bearer\0";
//!     // SAFETY: everything is live during the call.
//!     unsafe { proxy_send_local_response(401, null(), 0, null(), 0, headers.as_ptr(), headers.len(), -1) };
//!     1 // StopIteration
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_response_headers(_context: u32, _count: u32, _end_of_stream: u32) -> u32 {
//!     let (name, value) = (b"x-guarded", b"1");
//!     // SAFETY: both are live during the call.
//!     unsafe { proxy_add_header_map_value(2, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
//!     0
//! }
//! # fn main() {}
//! ```
//!
//! The host calls the same two callbacks. What this one leaves out: a plugin's configuration, contexts that keep something from the
//! request for the response, the log line that says why a call failed, what becomes of the stream then, and the log line for a panic.
//!
//! # Where to find what
//!
//! | Task | Here |
//! |---|---|
//! | Read and edit headers | [`RequestHeaders`], [`ResponseHeaders`], and what they share, [`HeaderMap`] |
//! | Read and edit trailers | [`RequestTrailers`], [`ResponseTrailers`] |
//! | Read and edit bodies | [`RequestBody`], [`ResponseBody`], and what they share, [`Body`] |
//! | Know whether a body can be read, and prepare headers for an edit of it | [`MediaType`], [`HeaderMap::content_codings`], [`HeaderMap::allow_body_edits`] |
//! | Treat values that need not be UTF-8 | [`HeaderValue`], [`printable`] |
//! | Let a message go on, hold it, or drop a part | [`FilterHeadersStatus`], [`FilterDataStatus`], [`FilterTrailersStatus`] |
//! | Answer the client | [`LocalReply`] |
//! | Reset a stream | [`close_stream`](RequestHeaders::close_stream) of the handles |
//! | Read the configuration | [`Configuration`] in [`RootContext::on_configure`], [`VmConfiguration`] in [`RootContext::on_start`] |
//! | Read JSON of clients and services | [`json`](mod@json)`::from_slice`, which fails where the stack would overflow |
//! | Log | the macros of the crate `log`, which a filter adds to its dependencies; there is nothing to set up, see [`log`](mod@log) |
//! | Log access | [`Context::on_log`], [`StreamContext::on_log`]; as an access logger that sees all requests of a listener, [`RootContext::on_log`] |
//! | Filter TCP connections | [`StreamContext`], [`DownstreamData`], [`UpstreamData`], [`NetworkFilterStatus`] |
//! | Write a filter as one async function | [`filter`](macro@filter), [`Exchange`] |
//! | Know about the stream: addresses, TLS, times, flags, routes | [`stream_info`] |
//! | Read the metadata of the route, the node, the cluster, the listener | [`metadata`] |
//! | Leave something for other filters of the stream | [`filter_state`] |
//! | Use what Envoy computes: CEL, signatures, compression | [`foreign`] |
//! | Read and set any property by its path | [`property`] |
//! | Know what time it is | [`clock::now`] |
//! | Have random bytes and numbers, `uuid` and `rand` | [`random`] |
//! | Do something before the plugin ends | [`RootContext::on_done`], [`plugin::done`] |
//! | Wait, or do something again and again | [`Timer`], [`Interval`], [`timer`] |
//! | Count and measure for operators | [`metric`] |
//! | Share values between workers | [`shared_data`] |
//! | Hand items to another VM, or to the root context | [`SharedQueue`], [`RootContext::on_queue_ready`] |
//! | Fail | [`Error`], [`ErrorKind`], [`FailurePolicy`] |
//! | Ask another service | [`HttpCall`]; over gRPC [`GrpcCall`] and [`GrpcStream`], with a client by [`grpc_client!`] |
//! | Put several filters into one module | [`module!`] |
//! | Test | the package `proxy-filter-host`: its `#[test]` runs a test natively, as wasm, and in Envoy |
//!
//! `docs/api.md` in the repository has a table of the whole API: each item of Envoy's context API, each host function and each callback, in Rust
//! and in the hosts.
//!
//! The search of this documentation also finds items by host function (`proxy_add_header_map_value`), and by their names in the SDKs for
//! C++ (`addRequestHeader`) and Rust (`send_http_response`).
//!
//! # A filter's package
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! proxy-filter = "0.1"
//!
//! [dev-dependencies]
//! proxy-filter-host = "0.1"
//!
//! [profile.release]
//! opt-level = "s"
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = true
//! ```
//!
//! `cargo build --release --target wasm32-unknown-unknown` makes the module, and `cargo test` runs the tests. The crate type is `cdylib`
//! alone, because cargo does no link-time optimisation for a library that is an `rlib` as well. A `cdylib` cannot be linked into
//! `tests/*.rs`, so the tests are a module of the library: `#[cfg(test)] mod tests;`.
//!
//! # The life of a plugin
//!
//! Envoy makes one VM for each worker thread and one for its main thread, and before that one for a trial, the canary. They share no
//! memory. In each, a plugin lives like this:
//!
//! 1. The root context is made with [`Default`].
//! 2. [`RootContext::on_start`], then [`RootContext::on_configure`]. An `Err` from either refuses the plugin.
//! 3. [`RootContext::new_context`] for each stream.
//! 4. [`RootContext::on_done`], and the root context is dropped. The canary's is not told, nor is any at the end of the process.
//!
//! So `on_start` and `on_configure` run several times for one configuration; what they do outside of the VM happens several times.
//! A new configuration makes a new root context, which is configured before the old one is done. Streams stay with the root context
//! that made them.
//!
//! # The life of a stream
//!
//! | | Callback | Handle | |
//! |---|---|---|---|
//! | 1 | [`on_create`](Context::on_create) | | |
//! | 2 | [`on_request_headers`](Context::on_request_headers) | [`RequestHeaders`] | |
//! | 3 | [`on_request_body`](Context::on_request_body) | [`RequestBody`] | for each piece, and for the end |
//! | 4 | [`on_request_trailers`](Context::on_request_trailers) | [`RequestTrailers`] | if the client sent some |
//! | 5 | [`on_response_headers`](Context::on_response_headers) | [`ResponseHeaders`] | |
//! | 6 | [`on_response_body`](Context::on_response_body) | [`ResponseBody`] | for each piece, and for the end |
//! | 7 | [`on_response_trailers`](Context::on_response_trailers) | [`ResponseTrailers`] | if the upstream sent some |
//! | 8 | [`on_log`](Context::on_log) | [`LogContext`] | read-only |
//! | 9 | [`on_done`](Context::on_done), [`on_delete`](Context::on_delete) | | |
//!
//! This is Envoy's order; other hosts call `on_done` before `on_log`. The response may start before the request has ended, and a request
//! that Envoy refuses itself, one without a `host` for example, has only steps 1, 8 and 9.
//!
//! A handle exists in its callback only: the host hands a part of a message on as soon as the callback returns
//! `Continue`. What a later callback needs is kept in the context:
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[derive(Default)]
//! struct Root;
//!
//! #[proxy_filter::root]
//! impl RootContext for Root {
//!     type Context = Stream;
//!
//!     fn new_context(&self) -> Stream {
//!         Stream { origin: None }
//!     }
//! }
//!
//! struct Stream {
//!     origin: Option<HeaderValue>,
//! }
//!
//! #[proxy_filter::context]
//! impl Context for Stream {
//!     fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
//!         self.origin = request.get("origin")?;
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//!
//!     fn on_response_headers(&mut self, response: &mut ResponseHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
//!         if let Some(origin) = &self.origin {
//!             response.replace("access-control-allow-origin", origin)?;
//!         }
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # The life of a connection
//!
//! | | Callback | Handle | |
//! |---|---|---|---|
//! | 1 | [`on_create`](StreamContext::on_create), [`on_new_connection`](StreamContext::on_new_connection) | | |
//! | 2 | [`on_downstream_data`](StreamContext::on_downstream_data), [`on_upstream_data`](StreamContext::on_upstream_data) | [`DownstreamData`], [`UpstreamData`] | for what has come, in either direction |
//! | 3 | [`on_upstream_close`](StreamContext::on_upstream_close) | [`PeerType`] | when the upstream has ended its direction |
//! | 4 | [`on_downstream_close`](StreamContext::on_downstream_close) | [`PeerType`] | when both directions have ended |
//! | 5 | [`on_done`](StreamContext::on_done), [`on_log`](StreamContext::on_log), [`on_delete`](StreamContext::on_delete) | | |
//!
//! A root context whose `type Context` implements [`StreamContext`] filters TCP connections, and the host's configuration uses it as a network
//! filter (Envoy: `envoy.filters.network.wasm`). A module may have roots of both kinds: see [`module!`].
//!
//! # Errors
//!
//! Callbacks return [`Result`], so calls end with `?`. An `Err` is logged, with the callback, the context id, the host function and its
//! answer, and harms this stream only:
//!
//! | `Err` from | [`FailurePolicy::Closed`] (the default) | [`FailurePolicy::Open`] |
//! |---|---|---|
//! | `on_start`, `on_configure` | the plugin is refused | the same |
//! | `on_create` | as if the stream's next callback had failed | the same |
//! | a request callback, `on_response_headers` | the client gets the [status](Error::status) that the error deserves, a 500 usually | the message goes on |
//! | `on_response_body`, `on_response_trailers` | the stream is reset; the same status if the response headers are still held | the message goes on |
//! | `on_new_connection`, `on_downstream_data`, `on_upstream_data` | the connection is closed | the connection goes on |
//! | `on_downstream_close`, `on_upstream_close` | only the log | only the log |
//! | `on_log`, `on_done`, `on_delete`, `on_tick`, `on_queue_ready`, `on_foreign_function`, the metadata callbacks | only the log | only the log |
//!
//! [`Context::failure_policy`] or [`StreamContext::failure_policy`] chooses, for responses [`Context::response_failure_policy`] if it differs. The answer carries the response code details `proxy_filter_error`, which Envoy's access log prints.
//!
//! An error that carries a [`LocalReply`] is a denial: the client gets the reply under either policy. [`Error`] says how helpers deny with `?`.
//!
//! A panic is another matter: on `wasm32-unknown-unknown` it ends the VM with all of its streams, and Envoy's `failure_policy` says what
//! becomes of later ones (`FAIL_RELOAD` starts a new VM). The SDK itself has no panic path; a panic in the filter's own code reaches
//! the host's log with its message, location, callback and context id.
//!
//! # Bodies
//!
//! - The body callback is called with `end_of_stream` true once for every message that ends, whether the end came with data, with trailers, or
//!   with the headers of a message that has no body.
//! - To see the whole body, return [`StopIterationAndBuffer`](FilterDataStatus::StopIterationAndBuffer) until then. Above the listener's
//!   `per_connection_buffer_limit_bytes` Envoy answers a request with 413 and resets a response.
//! - No host corrects `content-length`. An edit that changes the length of a body is an error
//!   ([`ErrorKind::ContentLength`]) unless the headers callback has removed the field: see [`Body`].
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `panic-hook` | yes | a panic is written to the host's log |
//! | `log-out-of-memory` | yes | a line in the host's log when the module's memory is exhausted: [`LogOutOfMemory`] is the global allocator |
//! | `json` | no | `Configuration::json` and `VmConfiguration::json`: the configuration as a type of the filter's own, through `serde`; `Metadata::json`, `json::from_slice` and `shared_data::Json` |
//! | `grpc` | no | [`GrpcCall`], [`GrpcStream`] and [`grpc_client!`], with messages of the crate `prost`, of types that implement [`GrpcMessage`], or as [`GrpcBytes`] |
//! | `prost-types` | no | metadata as `prost_types::Value` and `prost_types::Struct`: `Metadata::prost_value` and `prost_struct`, and conversions |
//! | `getrandom` | no | `getrandom`, and so `uuid` and `rand`, with the host's random bytes: see [`random`] |
//! | `futures` | no | `Stream` of the crate `futures` for ticks, messages of gRPC, items of queues and pieces of bodies |
//! | `wee_alloc` | no | `wee_alloc` as the global allocator. It is unmaintained, and memory freed at one size is not always used for another |
//!
//! # Hosts
//!
//! **Envoy** is the host this crate is tested with: the scenarios of its test suite run in the embedded host of `proxy-filter-host` and in
//! Envoy 1.40, and both have to agree on what client, upstream and log reader see.
//!
//! **nginx** (`ngx_wasm_module`) runs ABI 0.2.1 with gaps. What follows is read from its source; no test here runs it. `docs/limits.md`
//! in the repository has the rest, and Apache Traffic Server.
//!
//! - It loads a module only if that exports `proxy_on_context_create`, `proxy_on_vm_start` and `proxy_on_configure`: implement
//!   [`on_start`](RootContext::on_start) and [`on_configure`](RootContext::on_configure), even if they do nothing.
//! - It traps in `proxy_get_log_level` (each line through [`log`](mod@log)), `proxy_close_stream`
//!   (an `Err` after the response headers) and others. TCP filters and trailers do not exist.

// Lets the documentation and unit tests of this crate use the macros, which name the crate from outside.
extern crate self as proxy_filter;

#[doc(hidden)]
pub mod __private;
mod abi;
mod callout;
mod current;
mod dispatch;
mod engine;
mod error;
mod exchange;
#[doc(hidden)]
pub mod exports;
#[cfg(test)]
#[cfg(feature = "grpc")]
mod field_matrix;
mod fields;
mod host;
mod http;
pub mod log;
pub mod plugin;
pub mod prelude;
#[doc(hidden)]
pub mod sys;
mod tcp;

pub use abi::log_level::LogLevel;
pub use abi::status::Status;
pub use callout::awaited::{Awaitable, Awaited};
pub use callout::completion::Callout;
pub use callout::error::{CalloutError, Outage};
#[cfg(feature = "grpc")]
pub use callout::grpc::{
    ConnectedGrpcStream, GrpcBytes, GrpcCall, GrpcCode, GrpcError, GrpcEvent, GrpcMessage, GrpcMetadata, GrpcOutage,
    GrpcStatus, GrpcStream, NextGrpcMessage, OpenGrpcStream,
};
pub use callout::http::HttpCall;
pub use callout::http::answer::HttpAnswer;
pub use callout::http::response::HttpCallResponse;
#[cfg(feature = "futures")]
pub use callout::queue::received::QueueItems;
pub use callout::queue::shared_queue::{Drain, SharedQueue};
pub use callout::timer;
pub use callout::timer::{Interval, RunningInterval, Timer};
pub use current::ignored_events;
pub use engine::callbacks::Awaits;
pub use error::kind::ErrorKind;
pub use error::local_reply::LocalReply;
pub use error::policy::FailurePolicy;
pub use error::{Error, Result};
#[cfg(feature = "futures")]
pub use exchange::Chunks;
pub use exchange::Exchange;
pub use exchange::held::HeldBody;
pub use fields::header_map::HeaderMap;
pub use fields::header_value::{HeaderValue, HeaderValues, Pairs, PairsIter};
pub use host::configuration::{Configuration, VmConfiguration};
#[cfg(feature = "json")]
pub use host::json;
pub use host::{clock, filter_state, foreign, metadata, metric, property, random, shared_data, stream_info};
pub use http::body::{Body, RequestBody, ResponseBody};
pub use http::context::Context;
pub use http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
pub use http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
pub use http::log_context::LogContext;
pub use http::representation::MediaType;
pub use log::printable::{Printable, printable};
pub use plugin::root_context::RootContext;
#[doc(hidden)]
pub use proxy_filter_macros::__export;
pub use proxy_filter_macros::{context, filter, module, root, stream_context};
pub use sys::allocator::LogOutOfMemory;
pub use tcp::StreamContext;
pub use tcp::data::{DownstreamData, StreamData, UpstreamData};
pub use tcp::status::{NetworkFilterStatus, PeerType};
