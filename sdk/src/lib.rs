//! Write proxy filters in Rust that compile to WebAssembly and run in Envoy and other Proxy-Wasm
//! 0.2.1 hosts.
//!
//! # The smallest filter
//!
//! A filter is a type whose methods the host calls, one for each part of a request and its
//! response. This one adds a header to every response:
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[derive(Default)]
//! struct Stamp;
//!
//! #[proxy_filter::filter]
//! impl Context for Stamp {
//!     fn on_response_headers(
//!         &mut self,
//!         response: &mut ResponseHeaders,
//!         _end_of_stream: bool,
//!     ) -> Result<FilterHeadersStatus> {
//!         response.add("x-stamped", "1")?;
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Each callback gets a handle to the part of the stream that is available in this phase. Its
//! return value tells the host what to do with the stream.
//! [`#[filter]`](macro@filter#contexts) registers the type. It also reads a configuration:
//! `#[proxy_filter::filter(config = Config)]`.
//!
//! # A filter as one function
//!
//! A filter can also be one async function. This one is the same filter:
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[proxy_filter::filter]
//! async fn stamp(mut exchange: Exchange) -> Result<()> {
//!     let response = exchange.response_headers().await?;
//!     response.add("x-stamped", "1")
//! }
//! # fn main() {}
//! ```
//!
//! The function runs once for each request, from the request's headers to the end of the response.
//! Awaiting a part of the stream forwards everything before it. Awaiting a callout pauses the
//! stream. If the stream ends early, for example because the client disconnects, the function's
//! future is dropped at its current await point. [`filter`](macro@filter) and [`Exchange`] describe
//! the rest.
//!
//! This filter asks an authorization service about each request:
//!
//! ```
//! use proxy_filter::prelude::*;
//!
//! #[proxy_filter::filter]
//! async fn authorize(mut exchange: Exchange) -> Result<()> {
//!     let request = exchange.request_headers().await?;
//!     let authorization = request.get("authorization")?.unwrap_or_default();
//!     match HttpCall::get("authz", "/check").header("authorization", authorization).await {
//!         Ok(response) if response.status() == 200 => {
//!             request.replace("x-user", response.header("x-user")?.unwrap_or_default())
//!         }
//!         _ => exchange.reply(LocalReply::new(403).body("denied\n")),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # A filter with callbacks
//!
//! Callbacks make a smaller module, and need fewer instructions for each request, than an async
//! function. A filter that has work beside its streams consists of two types:
//!
//! - A [`RootContext`] lives as long as the plugin and reads its configuration.
//! - A [`Context`] lives as long as one stream, which is a request and its response. (A filter of
//!   TCP connections has a [`StreamContext`] instead.)
//!
//! `#[proxy_filter::filter]` on a context stands for a root context that only creates it.
//!
//! This filter refuses requests without an
//! `authorization` header, and adds a header to every response:
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
//!     fn on_request_headers(
//!         &mut self,
//!         request: &mut RequestHeaders,
//!         _end_of_stream: bool,
//!     ) -> Result<FilterHeadersStatus> {
//!         if request.get("authorization")?.is_none() {
//!             return request.reply(LocalReply::new(401).header("www-authenticate", "Bearer"));
//!         }
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//!
//!     fn on_response_headers(
//!         &mut self,
//!         response: &mut ResponseHeaders,
//!         _end_of_stream: bool,
//!     ) -> Result<FilterHeadersStatus> {
//!         response.add("x-guarded", "1")?;
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Where to find what
//!
//! | Task | Items |
//! |---|---|
//! | Read and edit headers | [`RequestHeaders`], [`ResponseHeaders`], and their shared methods in [`HeaderMap`] |
//! | Read and edit trailers | [`RequestTrailers`], [`ResponseTrailers`] |
//! | Read and edit bodies | [`RequestBody`], [`ResponseBody`], and their shared methods in [`Body`] |
//! | Find out whether a body is readable, and prepare the headers for an edit of it | [`MediaType`], [`HeaderMap::content_codings`], [`HeaderMap::allow_body_edits`] |
//! | Use values that may not be UTF-8 | [`HeaderValue`], [`escaped`] |
//! | Forward or pause a message, or drop a chunk | [`FilterHeadersStatus`], [`FilterDataStatus`], [`FilterTrailersStatus`] |
//! | Send a response from the filter | [`LocalReply`] |
//! | Reset a stream | [`close_stream`](RequestHeaders::close_stream) of the handles |
//! | Read the configuration | [`Configuration`] in [`RootContext::on_configure`], [`VmConfiguration`] in [`RootContext::on_start`] |
//! | Read JSON from clients and services | [`json`](mod@json)`::from_slice`, which fails instead of overflowing the stack |
//! | Log | the macros of the crate `log`, which a filter adds to its dependencies. They need no setup: see [`log`](mod@log) |
//! | Write an access log | [`Context::on_log`], [`StreamContext::on_log`]; for all requests of a listener, [`RootContext::on_log`] |
//! | Filter TCP connections | [`StreamContext`], [`DownstreamData`], [`UpstreamData`], [`NetworkFilterStatus`] |
//! | Write a filter as one async function | [`filter`](macro@filter), [`Exchange`] |
//! | Read a stream's addresses, TLS, times, response flags, route | [`stream_info`] |
//! | Read the metadata of the route, the node, the cluster, the listener | [`metadata`] |
//! | Pass values to other filters of the stream | [`filter_state`] |
//! | Use functions of Envoy: CEL, signatures, compression | [`foreign`] |
//! | Read and set any property by its path | [`property`] |
//! | Read the time | [`clock::now`] |
//! | Get random bytes and numbers, use `uuid` and `rand` | [`random`] |
//! | Finish work before the plugin ends | [`RootContext::on_done`], [`plugin::done`] |
//! | Wait, or repeat something | [`Timer`], [`Interval`], [`timer`] |
//! | Run several futures at once, or one that outlives its stream | [`future`] |
//! | Count and measure for operators | [`metric`] |
//! | Share values between workers | [`shared_data`] |
//! | Pass items to another VM, or to the root context | [`SharedQueue`], [`RootContext::on_queue_ready`] |
//! | Handle errors | [`Error`], [`ErrorKind`], [`FailurePolicy`] |
//! | Call another service | [`HttpCall`]; over gRPC [`GrpcCall`] and [`GrpcStream`], with a client by [`grpc_client!`] |
//! | Put several filters into one module | [`module!`] |
//! | Test | the package `proxy-filter-host`: its `#[test]` runs a test natively, as wasm, and in Envoy |
//!
//! `docs/api.md` in the repository has a table of the whole API: each item of Envoy's context API,
//! each host function and each callback, in Rust and in the hosts.
//!
//! The search of this documentation also finds items by host function
//! (`proxy_add_header_map_value`), and by their names in the SDKs for C++ (`addRequestHeader`) and
//! Rust (`send_http_response`).
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
//! `cargo build --release --target wasm32-unknown-unknown` builds the module, and `cargo test` runs
//! the tests. The only crate type is `cdylib`, because cargo does no link-time optimisation for a
//! library that is also an `rlib`. Files in `tests/` cannot link a `cdylib`, so the tests are a
//! module of the library: `#[cfg(test)] mod tests;`.
//!
//! # The life of a plugin
//!
//! Envoy creates one VM for each worker thread and one for its main thread. Before these, it
//! creates a canary VM to try the configuration. VMs share no memory. In each of them, a plugin has
//! this life:
//!
//! 1. [`Default`] creates the root context.
//! 2. The host calls [`RootContext::on_start`], then [`RootContext::on_configure`]. If either
//!    returns an `Err`, the plugin is refused.
//! 3. [`RootContext::new_context`] creates a context for each stream.
//! 4. The host calls [`RootContext::on_done`], and the root context is dropped. Envoy does not call
//!    it for the canary VM, nor when the process exits.
//!
//! So `on_start` and `on_configure` run several times for one configuration, and so do their
//! effects outside of the VM. A changed configuration creates a new root context, which is
//! configured before the old one ends. Streams keep the root context that created them.
//!
//! # The life of a stream
//!
//! | | Callback | Handle | |
//! |---|---|---|---|
//! | 1 | [`on_create`](Context::on_create) | | |
//! | 2 | [`on_request_headers`](Context::on_request_headers) | [`RequestHeaders`] | |
//! | 3 | [`on_request_body`](Context::on_request_body) | [`RequestBody`] | for each chunk, and for the end |
//! | 4 | [`on_request_trailers`](Context::on_request_trailers) | [`RequestTrailers`] | if the client sent trailers |
//! | 5 | [`on_response_headers`](Context::on_response_headers) | [`ResponseHeaders`] | |
//! | 6 | [`on_response_body`](Context::on_response_body) | [`ResponseBody`] | for each chunk, and for the end |
//! | 7 | [`on_response_trailers`](Context::on_response_trailers) | [`ResponseTrailers`] | if the upstream sent trailers |
//! | 8 | [`on_log`](Context::on_log) | [`LogContext`] | read-only |
//! | 9 | [`on_done`](Context::on_done), [`on_delete`](Context::on_delete) | | |
//!
//! This is Envoy's order; other hosts call `on_done` before `on_log`. The response may begin before
//! the request has ended. If Envoy itself rejects a request, for example one without a `host`, only
//! the steps 1, 8 and 9 happen.
//!
//! A handle is valid in its callback only: when the callback returns `Continue`, the host forwards
//! this part of the message. Store in the context what a later callback needs:
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
//!     fn on_request_headers(
//!         &mut self,
//!         request: &mut RequestHeaders,
//!         _end_of_stream: bool,
//!     ) -> Result<FilterHeadersStatus> {
//!         self.origin = request.get("origin")?;
//!         Ok(FilterHeadersStatus::Continue)
//!     }
//!
//!     fn on_response_headers(
//!         &mut self,
//!         response: &mut ResponseHeaders,
//!         _end_of_stream: bool,
//!     ) -> Result<FilterHeadersStatus> {
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
//! | | Callback | Argument | |
//! |---|---|---|---|
//! | 1 | [`on_create`](StreamContext::on_create), [`on_new_connection`](StreamContext::on_new_connection) | | |
//! | 2 | [`on_downstream_data`](StreamContext::on_downstream_data), [`on_upstream_data`](StreamContext::on_upstream_data) | [`DownstreamData`], [`UpstreamData`] | when data arrives, in either direction |
//! | 3 | [`on_upstream_close`](StreamContext::on_upstream_close) | [`PeerType`] | when the upstream has ended its direction |
//! | 4 | [`on_downstream_close`](StreamContext::on_downstream_close) | [`PeerType`] | when both directions have ended |
//! | 5 | [`on_done`](StreamContext::on_done), [`on_log`](StreamContext::on_log), [`on_delete`](StreamContext::on_delete) | | |
//!
//! If the `type Context` of a root context implements [`StreamContext`], the root context filters
//! TCP connections. The host's configuration uses it as a network filter (in Envoy
//! `envoy.filters.network.wasm`). A module may have roots of both kinds: see [`module!`].
//!
//! # Errors
//!
//! Callbacks return [`Result`], so that host calls can end with `?`. The SDK logs an `Err` with the
//! callback, the context id, the host function and the status it returned. Only this stream is
//! affected:
//!
//! | `Err` from | [`FailurePolicy::Closed`] (the default) | [`FailurePolicy::Open`] |
//! |---|---|---|
//! | `on_start`, `on_configure` | the plugin is refused | the same |
//! | `on_create` | the policy applies at the stream's next callback | the same |
//! | a request callback, `on_response_headers` | the client gets the [status](Error::status) of the error, usually 500 | the message is forwarded |
//! | `on_response_body`, `on_response_trailers` | the stream is reset; if the response headers are still paused, the client gets the status instead | the message is forwarded |
//! | `on_new_connection`, `on_downstream_data`, `on_upstream_data` | the connection is closed | the data is forwarded |
//! | `on_downstream_close`, `on_upstream_close` | a log line only | a log line only |
//! | `on_log`, `on_done`, `on_delete`, `on_tick`, `on_queue_ready`, `on_foreign_function`, the metadata callbacks | a log line only | a log line only |
//!
//! [`Context::failure_policy`] or [`StreamContext::failure_policy`] selects the policy, and
//! [`Context::response_failure_policy`] a different one for responses. The response that the client
//! gets has the response code details `proxy_filter_error`, which Envoy's access log can print.
//!
//! An error that carries a [`LocalReply`] is a denial: the client gets the reply under either
//! policy. [`Error`] shows how helper functions deny a request with `?`.
//!
//! A panic is different. On `wasm32-unknown-unknown` it ends the VM with all of its streams.
//! Envoy's `failure_policy` then decides about later streams (`FAIL_RELOAD` starts a new VM). The
//! SDK itself has no panic path. If the filter's own code panics, the host's log has the message,
//! the location, the callback and the context id.
//!
//! # Bodies
//!
//! - The body callback is called with `end_of_stream` true once for every complete message: with
//!   the last chunk, with the trailers, or with the headers if the message has no body.
//! - To read the whole body at once, return
//!   [`StopIterationAndBuffer`](FilterDataStatus::StopIterationAndBuffer) until then. If the body
//!   is larger than the listener's `per_connection_buffer_limit_bytes`, Envoy replies to a request
//!   with 413, and resets a response.
//! - No host corrects `content-length`. An edit that changes the length of a body fails with
//!   [`ErrorKind::ContentLength`], unless the headers callback has removed the field: see [`Body`].
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `panic-hook` | yes | writes a panic to the host's log |
//! | `log-out-of-memory` | yes | writes a line to the host's log when the module's memory is exhausted: [`LogOutOfMemory`] is the global allocator |
//! | `json` | no | reads the configuration into the filter's own type, through `serde`: `Configuration::json` and `VmConfiguration::json`; also `Metadata::json`, `json::from_slice` and `shared_data::Json` |
//! | `schema` | no | JSON schemas of the types in [`configured`], for `proxy_filter_host::check_schema`; for `[dev-dependencies]` only |
//! | `grpc` | no | [`GrpcCall`], [`GrpcStream`] and [`grpc_client!`], with messages of the crate `prost`, of types that implement [`GrpcMessage`], or as [`GrpcBytes`] |
//! | `prost-types` | no | metadata as `prost_types::Value` and `prost_types::Struct`: `Metadata::prost_value` and `prost_struct`, and conversions |
//! | `getrandom` | no | makes `getrandom`, and so `uuid` and `rand`, use the host's random bytes: see [`random`] |
//! | `futures` | no | ticks, gRPC messages, queue items and body chunks as a `Stream` of the crate `futures` |
//! | `wee_alloc` | no | `wee_alloc` as the global allocator. It is unmaintained, and cannot always reuse freed memory for blocks of another size |
//!
//! # Hosts
//!
//! **Envoy** is the host that this crate is tested with. The scenarios of its test suite run in the
//! embedded host of `proxy-filter-host` and in Envoy 1.40, and must have the same results for the
//! client, the upstream and the log.
//!
//! **nginx** (`ngx_wasm_module`) implements ABI 0.2.1 with gaps. The following is taken from its
//! source; no test here runs it. `docs/limits.md` in the repository has more, also about Apache
//! Traffic Server.
//!
//! - It loads a module only if the module exports `proxy_on_context_create`, `proxy_on_vm_start`
//!   and `proxy_on_configure`: implement [`on_start`](RootContext::on_start) and
//!   [`on_configure`](RootContext::on_configure), even if they do nothing.
//! - It traps in `proxy_get_log_level` (every line through [`log`](mod@log)), `proxy_close_stream`
//!   (an `Err` after the response headers) and others. It has neither TCP filters nor trailers.
//!
//! # The same filter without an SDK
//!
//! A Proxy-Wasm module exports functions that the host calls, and imports functions of the host.
//! This is the filter with callbacks from above, written by hand:
//!
//! ```no_run,standalone_crate
//! use std::ptr::{null, null_mut};
//!
//! #[link(wasm_import_module = "env")]
//! unsafe extern "C" {
//!     #[rustfmt::skip]
//!     fn proxy_get_header_map_value(
//!         map: u32,
//!         name: *const u8,
//!         name_size: usize,
//!         value: *mut *mut u8,
//!         size: *mut usize,
//!     ) -> u32;
//!     #[rustfmt::skip]
//!     fn proxy_add_header_map_value(
//!         map: u32,
//!         name: *const u8,
//!         name_size: usize,
//!         value: *const u8,
//!         size: usize,
//!     ) -> u32;
//!     #[rustfmt::skip]
//!     fn proxy_send_local_response(
//!         status: u32,
//!         details: *const u8,
//!         details_size: usize,
//!         body: *const u8,
//!         body_size: usize,
//!         headers: *const u8,
//!         headers_size: usize,
//!         grpc_status: i32,
//!     ) -> u32;
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_abi_version_0_2_1() {}
//!
//! /// The host asks for memory here, and writes the values it returns into it.
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
//!     Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_request_headers(_context: u32, _count: u32, _end_of_stream: u32) -> u32 {
//!     let (name, mut value, mut size) = (b"authorization", null_mut(), 0);
//!     // SAFETY: the name is live during the call; the host writes both outs, or none.
//!     let status = unsafe {
//!         proxy_get_header_map_value(0, name.as_ptr(), name.len(), &mut value, &mut size)
//!     };
//!     if !value.is_null() {
//!         // SAFETY: the block is from `proxy_on_memory_allocate`, has this size, and the host keeps
//!         // no pointer to it. For an empty value, the pointer is null.
//!         drop(unsafe { Vec::from_raw_parts(value, size, size) });
//!     }
//!     if status == 0 {
//!         return 0; // Continue
//!     }
//!     // The number of pairs, the lengths of the name and the value, the name, the value. If a
//!     // length is wrong, Envoy sends no header at all.
//!     let headers = b"\x01\0\0\0\x10\0\0\0\x06\0\0\0www-authenticate\0Bearer\0";
//!     let (headers, size) = (headers.as_ptr(), headers.len());
//!     // SAFETY: everything is live during the call.
//!     unsafe { proxy_send_local_response(401, null(), 0, null(), 0, headers, size, -1) };
//!     1 // StopIteration
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn proxy_on_response_headers(
//!     _context: u32,
//!     _count: u32,
//!     _end_of_stream: u32,
//! ) -> u32 {
//!     let (name, value) = (b"x-guarded", b"1");
//!     // SAFETY: both are live during the call.
//!     unsafe {
//!         proxy_add_header_map_value(2, name.as_ptr(), name.len(), value.as_ptr(), value.len())
//!     };
//!     0
//! }
//! # fn main() {}
//! ```
//!
//! The host calls the same two callbacks of both. The program by hand lacks: the plugin's
//! configuration, contexts that keep values of the request for the response, log lines that say why
//! a host call failed, a policy for such a stream, and the log line for a panic.

// Lets the documentation and unit tests of this crate use the macros, which name the crate from
// outside.
extern crate self as proxy_filter;

#[doc(hidden)]
pub mod __private;
mod abi;
pub mod callout;
mod current;
mod dispatch;
mod engine;
mod error;
pub mod exchange;
#[doc(hidden)]
pub mod exports;
#[cfg(test)]
#[cfg(feature = "grpc")]
mod field_matrix;
pub mod fields;
pub mod future;
mod host;
mod http;
pub mod log;
pub mod plugin;
pub mod prelude;
#[doc(hidden)]
pub mod sys;
pub mod tcp;

pub use abi::status::Status;
#[cfg(feature = "grpc")]
pub use callout::grpc;
pub use callout::queue::shared_queue;
pub use callout::timer;
pub use error::kind::ErrorKind;
pub use error::local_reply::LocalReply;
pub use error::policy::FailurePolicy;
pub use error::{Error, Result};
pub use exchange::Exchange;
pub use fields::header_map::HeaderMap;
pub use fields::header_value::HeaderValue;
pub use host::configuration::{Configuration, VmConfiguration};
#[cfg(feature = "json")]
pub use host::json;
pub use host::{
    clock, configured, filter_state, foreign, metadata, metric, property, random, shared_data, stream_info,
};
pub use http::body::{Body, RequestBody, ResponseBody};
pub use http::context::Context;
pub use http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
pub use http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
pub use http::log_context::LogContext;
pub use plugin::root_context::RootContext;
#[doc(hidden)]
pub use proxy_filter_macros::__export;
pub use proxy_filter_macros::{context, filter, module, root, stream_context};

// The names of other modules that the page above links to.
#[cfg(all(doc, feature = "grpc"))]
use grpc::{GrpcBytes, GrpcCall, GrpcMessage, GrpcStream};
#[cfg(doc)]
use {
    callout::HttpCall,
    fields::MediaType,
    log::{LogOutOfMemory, escaped},
    shared_queue::SharedQueue,
    tcp::{DownstreamData, NetworkFilterStatus, PeerType, StreamContext, UpstreamData},
    timer::{Interval, Timer},
};
