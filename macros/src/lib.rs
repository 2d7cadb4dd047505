//! The macros of `proxy-filter`, which re-exports and explains them.
//!
//! This crate has no dependencies: a filter would otherwise spend most of its build on `syn`. What it needs of Rust's grammar
//! is small: the header of an impl, and the signatures in it. Each macro parses into a model (`impl_block`, `filter`), validates
//! it (`valid`) and expands it (`export`).

mod args;
mod callback;
mod context;
mod cursor;
mod error;
mod export;
mod exports;
mod fields;
mod filter;
mod function;
mod impl_block;
mod literal;
mod module;
mod path;
mod policy;
mod quote;
mod root;
mod test_attr;
mod valid;

use proc_macro::TokenStream;

/// Makes an `impl RootContext` a filter.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[derive(Default)]
/// struct Stamp;
///
/// #[proxy_filter::root]
/// impl RootContext for Stamp {
///     type Context = Stamped;
///     fn new_context(&self) -> Stamped { Stamped }
/// }
/// # struct Stamped;
/// # #[proxy_filter::context]
/// # impl Context for Stamped {}
/// # fn main() {}
/// ```
///
/// The impl stays as it is. For the host, the attribute adds the functions that a Proxy-Wasm module has to export:
///
/// | Export | If the filter has |
/// |---|---|
/// | `proxy_abi_version_0_2_1`, `_initialize`, `proxy_on_memory_allocate` | (always) |
/// | `proxy_on_context_create` | state, see below |
/// | `proxy_on_delete` | state or a body callback |
/// | `proxy_on_vm_start` | `RootContext::on_start`, or a `root_id` |
/// | `proxy_on_configure` | `RootContext::on_configure` |
/// | `proxy_on_done` | `on_done`, of any of the traits |
/// | `proxy_on_log` | `on_log`, of any of the traits |
/// | `proxy_on_request_metadata`, `proxy_on_response_metadata` | the callback of that name |
/// | `proxy_on_request_headers`, `proxy_on_response_headers` | the headers or the body callback of that side |
/// | `proxy_on_request_body`, `proxy_on_response_body` | the body callback of that side |
/// | `proxy_on_request_trailers`, `proxy_on_response_trailers` | the trailers or the body callback of that side |
/// | `proxy_on_new_connection`, `proxy_on_downstream_data`, `proxy_on_upstream_data` | the callback of [`StreamContext`](macro@stream_context) with that name |
/// | `proxy_on_downstream_connection_close`, `proxy_on_upstream_connection_close` | `on_downstream_close`, `on_upstream_close` |
///
/// The host makes no calls for what is not exported, so a filter pays for what it has written. (A body can end with the headers
/// or with trailers; that is why its callback needs those exports.)
///
/// # Filters without state
///
/// Entering a module is most of what a small filter costs, and the beginning and end of each stream's context are two entries. A
/// filter is spared them if all of this holds:
///
/// - the root has no `root_id`, no other argument and no callback, and its `new_context` consists of the name of the context, as above;
/// - the context is of requests, a unit struct without a destructor, waits for nothing (its attribute has no arguments), and has none of
///   `on_create`, `on_done` and `on_delete`.
///
/// Then each callback makes the context for itself, and no root context is ever made: `Default` is required, and not called. A
/// filter with a configuration has state. One that looks at bodies is told the end of a stream, for what the SDK remembers of them. To
/// have contexts kept where this says they are not, write `new_context` with braces: `Stamped {}`.
///
/// # Several filters in one module
///
/// Each root then has a name, which the host's configuration selects as `root_id`, and [`module!`] lists the roots:
///
/// ```
/// # use proxy_filter::prelude::*;
/// # #[derive(Default)] struct Auth;
/// # #[derive(Default)] struct Stamp;
/// # struct Stream;
/// # #[proxy_filter::context] impl Context for Stream {}
/// #[proxy_filter::root(root_id = "auth")]
/// impl RootContext for Auth {
///     // …
/// #   type Context = Stream;
/// #   fn new_context(&self) -> Stream { Stream }
/// }
///
/// #[proxy_filter::root(root_id = "stamp")]
/// impl RootContext for Stamp {
///     // …
/// #   type Context = Stream;
/// #   fn new_context(&self) -> Stream { Stream }
/// }
///
/// proxy_filter::module!(Auth, Stamp);
/// # fn main() {}
/// ```
///
/// A root without `root_id` is the only one of its module, and answers to any `root_id`.
///
/// # Arguments
///
/// | | |
/// |---|---|
/// | `root_id = "name"` | the filter is one of several |
/// | `http_calls`, `timers`, `grpc_calls`, `grpc_streams` | what the root context sends or starts by itself, with a completion of its own: `HttpCall`, `Timer` and `Interval`, `GrpcCall`, `GrpcStream` |
///
/// # Requirements
///
/// - The type implements [`Default`]: the host creates root contexts before it has a configuration for them.
/// - The type is not generic, and the impl is in the module that declares the type, or one that has the type's name in scope.
/// - `type Context` is the path of a type whose `impl Context` has [`#[context]`](macro@context), or whose `impl StreamContext` has
///   [`#[stream_context]`](macro@stream_context). The attribute finds the callbacks by this name: a `use` of the type is enough, a type alias is not.
/// - Callbacks are written out in the impl: not behind a `#[cfg]`, which may go inside of them, and not by a macro.
///
/// Whatever is missing is reported at the code that needs it, with the signature that was expected.
#[proc_macro_attribute]
pub fn root(arguments: TokenStream, item: TokenStream) -> TokenStream {
    root::expand(arguments, fields::check(item))
}

/// Makes an async function a filter.
///
/// ```
/// use proxy_filter::prelude::*;
/// use std::rc::Rc;
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     value: String,
/// }
///
/// #[proxy_filter::filter]
/// async fn stamp(mut exchange: Exchange<Config>) -> Result<()> {
///     let config = Rc::clone(exchange.config());
///     exchange.request_headers().await?.replace("x-stamp", &config.value)
/// }
/// # fn main() {}
/// ```
///
/// The handles of the message borrow the exchange. What else is needed of it, the configuration for one, is taken out of it before.
///
/// `Exchange` describes what such a function can do. The parameter is `Exchange<Config>` with the type of the configuration, which is read as JSON with
/// serde (feature `json`), or `Exchange` for a filter without one.
///
/// The function stays as it is, and may be called by others. Beside it comes a root context with its name in camel case, `Stamp`, which is what
/// [`module!`] lists if the filter is one of several: no other type of the module may have this name, that of the configuration included. The module exports what is awaited in the function: `request_headers` always, and the other
/// parts of the stream if the function calls the method that waits for them; what `HttpCall`, `GrpcCall`, `GrpcStream`, `Timer`, `Interval`, `timeout` and
/// `retry` need if it names these.
///
/// Arguments, all optional:
///
/// | | |
/// |---|---|
/// | `root_id = "name"` | the filter is one of several |
/// | `deadline = Duration::from_secs(2)` | the function has so long, counted from the request's headers, and is dropped then: a constant expression |
/// | `fail_open` | an `Err` lets the stream go on, instead of refusing it |
/// | `failure_policy = function` | the same as the configuration says: a function or closure from `&Config` to `FailurePolicy` |
/// | `response_failure_policy = function` | that of the response, if it differs: it applies once the function has awaited a part of the response |
/// | `request_body`, `request_trailers`, `response_headers`, `response_body`, `response_trailers`, `finished`, `http_calls`, `grpc_calls`, `grpc_streams`, `timers` | waited for in a function that this one calls |
/// | `queues` | the root task waits for items of queues |
/// | `root_task = function` | `async fn function(config: Rc<Config>) -> Result<()>` runs beside the streams, from the configuration of the plugin to its end |
/// | `configure = function` | the same, and streams wait until it has returned `Ok` |
///
/// What an `Err` does can depend on the configuration, for example to report first and enforce later:
///
/// ```text
/// #[derive(Deserialize)]
/// struct Config {
///     on_failure: FailurePolicy,      // "closed" or "open"
/// }
///
/// #[proxy_filter::filter(failure_policy = |config: &Config| config.on_failure)]
/// async fn scan(mut exchange: Exchange<Config>) -> Result<()> {
/// ```
///
/// A reply, and an error that carries one, is sent whatever the policy is.
///
/// A function that is not done at its `deadline` fails as one that returns an `Err`: what it awaits is given up, its destructors run, and the failure
/// policy decides about the stream. The time spent in waiting for the plugin, for the client and for the upstream counts: a function that awaits the
/// response's body takes as long as the response. Root tasks have no deadline, for they last as long as the plugin; `timer::timeout` bounds parts of them.
#[proc_macro_attribute]
pub fn filter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(arguments, fields::check(item))
}

/// Tells the host which callbacks an `impl Context` has.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # #[derive(Default)] struct Stamp;
/// # #[proxy_filter::root]
/// # impl RootContext for Stamp { type Context = Stamped; fn new_context(&self) -> Stamped { Stamped } }
/// struct Stamped;
///
/// #[proxy_filter::context]
/// impl Context for Stamped {
///     fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
///         response.add("x-stamped", "1")?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// The impl stays as it is. The module exports exactly what its callbacks need; [`#[root]`](macro@root) has the table. Neither
/// attribute sees the other impl, so they meet by the name of the type: the `type Context` of some registered root has to be
/// this type, or the crate does not compile.
///
/// # Arguments
///
/// What the context sends or starts, and awaits with a completion: `http_calls` for `HttpCall`, `timers` for `Timer` and `Interval`, `grpc_calls` for
/// `GrpcCall`, `grpc_streams` for `GrpcStream`. Without the word, the call does not compile. None is needed for a context that awaits nothing.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use std::time::Duration;
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root]
/// # impl RootContext for Root { type Context = Delayed; fn new_context(&self) -> Delayed { Delayed } }
/// struct Delayed;
///
/// #[proxy_filter::context(timers)]
/// impl Context for Delayed {
///     fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
///         request.pause_for(self, Timer::after(Duration::from_millis(100)), |_, _, elapsed| {
///             elapsed?;
///             Ok(FilterHeadersStatus::Continue)
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// # Requirements
///
/// As for [`#[root]`](macro@root): the type is not generic, and callbacks are written out in the impl, not behind a `#[cfg]` or
/// a macro.
#[proc_macro_attribute]
pub fn context(arguments: TokenStream, item: TokenStream) -> TokenStream {
    context::expand(filter::Kind::Http, arguments, fields::check(item))
}

/// Tells the host which callbacks an `impl StreamContext` has.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root]
/// # impl RootContext for Root { type Context = Guard; fn new_context(&self) -> Guard { Guard } }
/// struct Guard;
///
/// #[proxy_filter::stream_context]
/// impl StreamContext for Guard {
///     fn on_downstream_data(&mut self, data: &mut DownstreamData, _: bool) -> Result<NetworkFilterStatus> {
///         Ok(if data.bytes(0, 4)? == b"SSH-" { NetworkFilterStatus::Continue } else { NetworkFilterStatus::Close })
///     }
/// }
/// # fn main() {}
/// ```
///
/// It is for TCP connections what [`#[context]`](macro@context) is for requests, with the same requirements and arguments: the `type Context` of
/// some registered root has to be this type.
#[proc_macro_attribute]
pub fn stream_context(arguments: TokenStream, item: TokenStream) -> TokenStream {
    context::expand(filter::Kind::Tcp, arguments, fields::check(item))
}

/// Makes one module of several filters.
///
/// ```
/// mod auth {
///     // #[proxy_filter::root(root_id = "auth")] impl RootContext for Auth …
/// #   use proxy_filter::prelude::*;
/// #   #[proxy_filter::filter(root_id = "auth")] async fn auth(mut exchange: Exchange) -> Result<()> { exchange.request_headers().await?; Ok(()) }
/// }
/// mod stamp {
///     // #[proxy_filter::root(root_id = "stamp")] impl RootContext for Stamp …
/// #   use proxy_filter::prelude::*;
/// #   #[proxy_filter::filter(root_id = "stamp")] async fn stamp(mut exchange: Exchange) -> Result<()> { exchange.request_headers().await?; Ok(()) }
/// }
///
/// proxy_filter::module!(auth::Auth, stamp::Stamp);
/// # fn main() {}
/// ```
///
/// The call goes into the crate root, once, and lists every root context that has a `root_id`. The module exports what any of its
/// filters needs. A `root_id` that no filter has makes the host's start of the plugin fail, with the known ones in the log.
///
/// A path is that of the root's type, also as a `use` imports it. It is an error if two roots have one `root_id`, if a root is
/// listed twice, or if a root has no `root_id`, and so has a module of its own.
#[proc_macro]
pub fn module(paths: TokenStream) -> TokenStream {
    module::expand(paths)
}

/// Where the macros of the types hand their facts. Not for use by hand.
#[doc(hidden)]
#[proc_macro]
pub fn __export(facts: TokenStream) -> TokenStream {
    module::export(facts)
}

/// A test of a filter, run natively, as wasm in the embedded host, and in Envoy.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # #[proxy_filter::filter] async fn guard(mut exchange: Exchange) -> Result<()> { exchange.request_headers().await?; Ok(()) }
/// # fn main() {}
/// # #[cfg(test)]
/// # mod tests {
/// # use proxy_filter_host::Host;
/// #[proxy_filter_host::test]
/// fn refuses_without_a_token(mut host: Host) {
///     assert_eq!(host.get("/").send().status(), 401);
/// }
/// # }
/// ```
///
/// The function becomes three tests, which cargo lists as `refuses_without_a_token::native`, `…::wasm` and `…::envoy`. The last
/// one is ignored unless asked for: `ENVOY=/path/to/envoy cargo test -- --include-ignored`.
///
/// The filter is the one in the library of the test's package: put the tests in `src/tests.rs`. In `tests/*.rs` it works as well if the
/// library is also an `rlib`, which costs the module its link-time optimisation.
///
/// - `#[test(module = some::path)]` tests the filter whose `#[proxy_filter::root]` or `module!` is in another module.
/// - `#[test(guest = "name")]` tests a wasm module that is an example of the package `proxy-filter-guests`; it has no native
///   test, unless `module = some::path` says where the same source is a module of the test.
/// - `embedded`, alone or after one of these, is for a test of what the embedded host has and Envoy has not: it is not run there.
///
/// `#[should_panic]` and `#[ignore]` hold for the three tests. The function takes the host and returns nothing.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test_attr::expand(arguments, item)
}
