//! The macros of `proxy-filter`, which re-exports and documents them.
//!
//! This crate has no dependencies: `syn` would take most of a filter's build time. The macros need
//! only a small part of Rust's grammar: the header of an impl, and the signatures in it. Each macro
//! parses its input into a model (`impl_block`, `filter`), validates it (`valid`), and expands it
//! (`export`).

mod args;
mod awaits;
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
mod log_line;
mod member;
mod module;
mod one_type;
mod path;
mod policy;
mod quote;
mod root;
mod test_attr;
mod valid;

use proc_macro::TokenStream;

/// Registers an `impl RootContext` as a filter.
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
/// The impl is not changed. The attribute adds the functions that a Proxy-Wasm module must export:
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
/// | `proxy_on_new_connection`, `proxy_on_downstream_data`, `proxy_on_upstream_data` | the callback of [`StreamContext`](macro@stream_context) with that name. Without a filter of connections, the first two of them pause connections that are sent to the module by mistake |
/// | `proxy_on_downstream_connection_close`, `proxy_on_upstream_connection_close` | `on_downstream_close`, `on_upstream_close` |
///
/// The host does not call what is not exported, so a filter pays only for the callbacks it has. (A
/// body can end with the headers or with trailers. A body callback therefore needs these exports
/// too.)
///
/// # Filters without state
///
/// Entering a module is most of what a small filter costs, and the host enters it twice more for
/// the beginning and the end of each stream. The module omits these two exports if all of this
/// holds:
///
/// - The root has no `root_id`, no other argument and no callback, and its `new_context` consists
///   of the name of the context, as above.
/// - The context implements `Context`, is a unit struct without a destructor, sends no callouts
///   (its attribute has no arguments), and has none of `on_create`, `on_done` and `on_delete`.
///
/// Each callback then creates its own context, and no root context is created: `Default` is
/// required but not called. A filter with a configuration has state. A filter with a body callback
/// keeps `proxy_on_delete`, so that the SDK can drop what it stores about the stream. To keep
/// contexts in any case, write `new_context` with braces: `Stamped {}`.
///
/// # Several filters in one module
///
/// Each root then has a name, which the host's configuration selects as `root_id`. [`module!`]
/// lists the roots:
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
/// A root without `root_id` must be the only one of its module, and accepts every `root_id`.
///
/// # Arguments
///
/// | | |
/// |---|---|
/// | `root_id = "name"` | the filter is one of several in the module |
/// | `http_calls`, `timers`, `grpc_calls`, `grpc_streams` | the root context itself starts callouts of this kind, with completions: `HttpCall`, `Timer` and `Interval`, `GrpcCall`, `GrpcStream` |
///
/// # Requirements
///
/// - The type implements [`Default`]: the host creates root contexts before it passes the
///   configuration.
/// - The type is not generic, and the impl is in the module that declares the type, or in one where
///   the type's name is in scope.
/// - `type Context` is the path of a type whose `impl Context` has [`#[context]`](macro@context),
///   or whose `impl StreamContext` has [`#[stream_context]`](macro@stream_context). The attribute
///   finds the callbacks by this name: an imported name works, a type alias does not.
/// - Callbacks are written in the impl. A macro must not generate them, and a `#[cfg]` may be
///   inside a callback but not on it.
///
/// If something is missing, the compiler reports it at the code that needs it, with the expected
/// signature.
#[proc_macro_attribute]
pub fn root(arguments: TokenStream, item: TokenStream) -> TokenStream {
    root::expand(arguments, fields::check(item))
}

/// Registers an async function, or a context, as a filter.
///
/// # Functions
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     value: String,
/// }
///
/// #[proxy_filter::filter]
/// async fn stamp(mut exchange: Exchange<Config>) -> Result<()> {
///     let config = exchange.config();
///     exchange.request_headers().await?.replace("x-stamp", &config.value)
/// }
/// # fn main() {}
/// ```
///
/// The handles of a message borrow the exchange. `exchange.config()` returns a value of its own, so
/// take it before the first part is awaited: it can then be used beside every handle.
///
/// `Exchange` describes what the function can do. The parameter is `Exchange<Config>`, where
/// `Config` is read from the plugin's configuration as JSON with serde (feature `json`), or
/// `Exchange` for a filter without a configuration.
///
/// The function is not changed, and other code may call it. The macro adds a root context whose
/// name is the function's name in camel case, such as `Stamp`; [`module!`] lists it if the module
/// has several filters. No other type of the Rust module may have this name, including the type of
/// the configuration.
///
/// The module exports the callbacks for what the function awaits: always for `request_headers`, for
/// the other parts of the stream if the function calls the method that awaits them, and for
/// callouts if the function names `HttpCall`, `GrpcCall`, `GrpcStream`, `SharedQueue`, `Timer`,
/// `Interval`, `timeout` or `retry`.
///
/// Code of the function may be moved into other functions. If the function passes the exchange on,
/// the module exports the callbacks of all parts. If it awaits a future of another function, has a
/// root task, or calls `exchange.spawner()`, the module exports the callbacks of all callouts. Name
/// the type of an awaited future to export less:
///
/// ```
/// # use proxy_filter::prelude::*;
/// # fn question(request: &RequestHeaders) -> Result<HttpCall> {
/// #     Ok(HttpCall::get("authz", "/"))
/// # }
/// #[proxy_filter::filter]
/// async fn authorize(mut exchange: Exchange) -> Result<()> {
///     let request = exchange.request_headers().await?;
///     let call: HttpCall = question(request)?;
///     request.replace("x-status", call.await?.status().to_string())
/// }
/// # fn main() {}
/// ```
///
/// Arguments, all optional:
///
/// | | |
/// |---|---|
/// | `root_id = "name"` | the filter is one of several in the module |
/// | `deadline = Duration::from_secs(2)` | the maximum time that the function may take, counted from the request's headers: a constant expression. The function is then dropped |
/// | `fail_open` | an `Err` resumes the stream instead of refusing it |
/// | `failure_policy = function` | the configuration selects the policy: a function or closure from `&Config` to `FailurePolicy` |
/// | `response_failure_policy = function` | the policy for the response, if it differs: used once the function has awaited a part of the response |
/// | `root_task = function` | `async fn function(config: Rc<Config>) -> Result<()>` runs beside the streams, from the configuration of the plugin to its end |
/// | `configure = function` | like `root_task`, and streams are paused until it has returned `Ok` |
///
/// The effect of an `Err` can depend on the configuration, for example to report problems first and
/// to enforce later:
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
/// A reply, or an error that carries one, is sent under every policy.
///
/// A function that exceeds its `deadline` fails like one that returns an `Err`: its future is
/// dropped at the current await point, and the failure policy applies. Time spent waiting for the
/// plugin, the client and the upstream counts: a function that awaits the response's body takes as
/// long as the response. Root tasks have no deadline, because they run as long as the plugin;
/// `timer::timeout` limits a part of them.
///
/// # Contexts
///
/// On an `impl Context` or an `impl StreamContext`, the attribute stands for
/// [`#[context]`](macro@context) or [`#[stream_context]`](macro@stream_context), and for a root
/// context that creates the type for each stream, by [`Default`]:
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[derive(Default)]
/// struct Guard;
///
/// #[proxy_filter::filter]
/// impl Context for Guard {
///     fn on_request_headers(
///         &mut self,
///         request: &mut RequestHeaders,
///         _: bool,
///     ) -> Result<FilterHeadersStatus> {
///         request.remove("x-internal")?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// With `config = Config`, the plugin's configuration is read as JSON with serde (feature `json`),
/// and [`From<&Config>`](From) creates the type. A configuration that cannot be read is refused,
/// with the path of the bad field. `config = Rc<Config>` reads a `Config` that streams share:
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
/// struct Stamp {
///     config: Rc<Config>,
/// }
///
/// impl From<&Rc<Config>> for Stamp {
///     fn from(config: &Rc<Config>) -> Self {
///         Self { config: config.clone() }
///     }
/// }
///
/// #[proxy_filter::filter(config = Rc<Config>)]
/// impl Context for Stamp {
///     fn on_response_headers(
///         &mut self,
///         response: &mut ResponseHeaders,
///         _: bool,
///     ) -> Result<FilterHeadersStatus> {
///         response.replace("x-stamp", &self.config.value)?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// | Argument | |
/// |---|---|
/// | `config = Config` | the type of the configuration. Without it, the filter has none |
/// | `root_id = "name"` | the filter is one of several in the module: [`module!`] lists the type |
/// | `http_calls`, `timers`, `grpc_calls`, `grpc_streams` | the callouts that the context starts, as in [`#[context]`](macro@context) |
///
/// If no callback of an `impl Context` uses `self`, the filter has no state: each callback creates
/// its own value. [`#[root]`](macro@root#filters-without-state) has the other conditions. A type
/// with fields or a destructor is then a compile error. A filter that needs other callbacks of the
/// plugin, such as `on_tick`, is written with [`#[root]`](macro@root) and
/// [`#[context]`](macro@context).
#[proc_macro_attribute]
pub fn filter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = fields::check(item);
    if one_type::is_impl(item.clone()) { one_type::expand(arguments, item) } else { function::expand(arguments, item) }
}

/// Registers the callbacks of an `impl Context`.
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
///     fn on_response_headers(
///         &mut self,
///         response: &mut ResponseHeaders,
///         _: bool,
///     ) -> Result<FilterHeadersStatus> {
///         response.add("x-stamped", "1")?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// The impl is not changed. The module exports exactly what its callbacks need:
/// [`#[root]`](macro@root) has the table. The two attributes are connected by the name of the type:
/// it must be the `type Context` of a registered root. Otherwise the crate does not compile.
///
/// # Arguments
///
/// The callouts that the context starts with a completion: `http_calls` for `HttpCall`, `timers`
/// for `Timer` and `Interval`, `grpc_calls` for `GrpcCall`, `grpc_streams` for `GrpcStream`.
/// Without the argument, starting such a callout does not compile. A context without callouts needs
/// no argument.
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
///     fn on_request_headers(
///         &mut self,
///         request: &mut RequestHeaders,
///         _: bool,
///     ) -> Result<FilterHeadersStatus> {
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
/// As for [`#[root]`](macro@root): the type is not generic, and callbacks are written in the impl.
/// A macro must not generate them, and a `#[cfg]` must not be on a callback.
#[proc_macro_attribute]
pub fn context(arguments: TokenStream, item: TokenStream) -> TokenStream {
    context::expand(filter::Kind::Http, arguments, fields::check(item))
}

/// Registers the callbacks of an `impl StreamContext`.
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
///     fn on_downstream_data(
///         &mut self,
///         data: &mut DownstreamData,
///         _: bool,
///     ) -> Result<NetworkFilterStatus> {
///         Ok(if data.bytes(0, 4)? == b"SSH-" {
///             NetworkFilterStatus::Continue
///         } else {
///             NetworkFilterStatus::Close
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// It is the attribute for TCP connections that [`#[context]`](macro@context) is for requests, with
/// the same requirements and arguments. The type must be the `type Context` of a registered root.
#[proc_macro_attribute]
pub fn stream_context(arguments: TokenStream, item: TokenStream) -> TokenStream {
    context::expand(filter::Kind::Tcp, arguments, fields::check(item))
}

/// Combines several filters into one module.
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
/// Write the call in the crate root, once, and list every root context that has a `root_id`. The
/// module exports what any of its filters needs. If the host's configuration has a `root_id` that
/// no filter has, the plugin is refused, and the log line lists the known ones.
///
/// A path names the root's type, also through a `use`. Compilation fails if two roots have the same
/// `root_id`, if a root is listed twice, or if a root has no `root_id` (it then already is a module
/// of its own).
#[proc_macro]
pub fn module(paths: TokenStream) -> TokenStream {
    module::expand(paths)
}

/// Receives the exports of each type from the other macros. Not for use by hand.
#[doc(hidden)]
#[proc_macro]
pub fn __export(facts: TokenStream) -> TokenStream {
    module::export(facts)
}

/// Logs a line at the level `error`, see the module `log`.
///
/// ```
/// use proxy_filter::log;
///
/// # let attempts = 3;
/// log::error!("no response after {attempts} attempts");
/// ```
#[proc_macro]
pub fn error(line: TokenStream) -> TokenStream {
    log_line::expand("Error", line)
}

/// Logs a line at the level `warn`, see the module `log`.
///
/// ```
/// use proxy_filter::log;
///
/// # let attempts = 3;
/// log::warn!("no response after {attempts} attempts");
/// ```
#[proc_macro]
pub fn warn(line: TokenStream) -> TokenStream {
    log_line::expand("Warn", line)
}

/// Logs a line at the level `info`, see the module `log`.
///
/// ```
/// use proxy_filter::log;
///
/// # let attempts = 3;
/// log::info!("no response after {attempts} attempts");
/// ```
#[proc_macro]
pub fn info(line: TokenStream) -> TokenStream {
    log_line::expand("Info", line)
}

/// Logs a line at the level `debug`, see the module `log`.
///
/// ```
/// use proxy_filter::log;
///
/// # let attempts = 3;
/// log::debug!("no response after {attempts} attempts");
/// ```
#[proc_macro]
pub fn debug(line: TokenStream) -> TokenStream {
    log_line::expand("Debug", line)
}

/// Logs a line at the level `trace`, see the module `log`.
///
/// ```
/// use proxy_filter::log;
///
/// # let attempts = 3;
/// log::trace!("no response after {attempts} attempts");
/// ```
#[proc_macro]
pub fn trace(line: TokenStream) -> TokenStream {
    log_line::expand("Trace", line)
}

/// Runs a test of a filter natively, as wasm in the embedded host, and in Envoy.
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
/// The function becomes three tests, which cargo lists as `refuses_without_a_token::native`,
/// `…::wasm` and `…::envoy`. The last one is ignored by default:
/// `ENVOY=/path/to/envoy cargo test -- --include-ignored` runs it.
///
/// The filter is the library of the test's package. Put the tests into `src/tests.rs`. In
/// `tests/*.rs` they work too if the library is also an `rlib`, but the module then loses its
/// link-time optimisation.
///
/// - `#[test(module = some::path)]` tests the filter whose `#[proxy_filter::root]` or `module!` is
///   in another Rust module.
/// - `#[test(guest = "name")]` tests a wasm module that is an example of the package
///   `proxy-filter-guests`. It has no native test, unless `module = some::path` names the Rust
///   module of the test that contains the same source.
/// - `embedded`, alone or after one of these, omits the test in Envoy. It is for features that only
///   the embedded host has.
///
/// `#[should_panic]` and `#[ignore]` apply to all three tests. The function takes the host and
/// returns nothing.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test_attr::expand(arguments, item)
}
