//! The embedded host of `proxy-filter`: it runs a filter's tests natively, as compiled wasm, and in
//! a real Envoy.
//!
//! ```
//! use proxy_filter_host::{Host, Reply};
//! # mod hidden {
//! # }
//! # fn body(mut host: Host) {
//! // In a test file this is `#[proxy_filter_host::test] fn hides_the_server(mut host: Host) { … }`.
//! host.configure(r#"{"header": "x-by", "value": "me"}"#).unwrap();
//! host.upstream(|_request| Reply::new(200).header("server", "secret/1.0").body("hello"));
//! let exchange = host.get("/").header("accept", "*/*").send();
//! assert_eq!(exchange.status(), 200, "{exchange}");
//! assert_eq!(exchange.response().header("x-by"), Some("me".into()));
//! # }
//! ```
//!
//! A test has the request of the client and the response of the upstream, and asserts the messages
//! that both of them received. It does not list the host calls of the filter, so a filter can be
//! changed without changing its tests. [`test`] makes three tests of it:
//!
//! * `native` runs the filter as ordinary code of the test, under a debugger, coverage or Miri;
//! * `wasm` compiles the filter for `wasm32-unknown-unknown` and runs the module;
//! * `envoy` does the same in a real Envoy, and fails if anything differs from the embedded host:
//!   status, headers, body, trailers, what the upstream saw, log lines, callbacks and host calls in
//!   order. It needs an Envoy, and is ignored without `--include-ignored`.
//!
//! The services that a filter calls are a part of the test as well: clusters with servers that
//! respond at once, later, incompletely or not at all.
//!
//! ```
//! use proxy_filter_host::{Host, Reply};
//! use std::time::Duration;
//! # fn body(mut host: Host) {
//! host.cluster("authz", |call| Reply::new(if call.header("x-token").is_some() { 200 } else { 403 }));
//! host.cluster("slow", |_call| Reply::new(200).after(Duration::from_millis(300)));
//! host.cluster_refusing_connections("down");
//! host.configure("{}").unwrap();
//! let exchange = host.get("/").header("x-token", "t").send();
//! assert_eq!(exchange.calls("authz").len(), 1, "{exchange}");
//! # }
//! ```
//!
//! In the embedded host this takes no time. Its clock begins at a fixed time and advances to the
//! next event, and its random bytes are the same in each run. A real Envoy has the machine's clock:
//! compute times from [`Host::now`], and name the values that must differ with
//! [`Host::ignore_value_of`].
//!
//! The embedded host behaves as Envoy 1.40, and as another version if the test runs in one. With
//! [`Host::behave_as`] it behaves as nginx, Apache Traffic Server or Google Service Extensions.
//!
//! In a real Envoy, events at the same time have any order. Where the order matters, give the
//! responses of services and of the upstream different times ([`Reply::after`]). A filter of TCP
//! connections is tested with [`Host::connect`], which plays a connection step by step.
//!
//! When a [`Host`] is dropped it fails the test if the filter broke a rule that Envoy does not
//! report but suffers from, for example a wrong `content-length`. It also fails on each
//! [`FilterError`] that the test does not expect: a trap, an `Err` of a callback or an async
//! function, a local reply that the host refused. A test that provokes one says so, and an
//! expectation that is not met fails as well.
//!
//! ```
//! # use proxy_filter_host::Host;
//! # fn body(mut host: Host) {
//! let exchange = host.get("/").header("x-count", "many").send();
//! assert_eq!(exchange.status(), 500, "{exchange}");
//! exchange.expect_error("on_request_headers of context 2 failed: invalid digit");
//! # }
//! ```
//!
//! What only many exchanges show has one line each: [`Host::soak`] fails on a plugin that keeps
//! more and more, [`Host::sweep_faults`] on one that a failing host call traps, stops or opens.
//! [`Host::sweep_forms`] does the same for other forms of the messages, and
//! [`Host::sweep_outages`] for services that fail. The costs of an exchange are
//! [numbers](Outcome::spent).
//!
//! ```
//! # use proxy_filter_host::Host;
//! # fn body(mut host: Host) {
//! host.soak(1_000, |host| drop(host.get("/").send()));
//! host.sweep_faults(|host| host.get("/").send());
//! host.sweep_forms(|host| host.get("/").send());
//! host.sweep_outages(|host| host.get("/").send());
//! assert!(host.get("/").send().spent().instructions < 20_000);
//! # }
//! ```

mod action;
mod backend;
mod base64;
mod blocks;
mod cluster;
mod compare;
mod connection;
mod embedded;
mod engine;
#[cfg(feature = "envoy")]
mod envoy;
mod fault;
mod filter_error;
mod fixture;
mod foreign;
mod form;
mod grpc;
mod guest;
pub mod handles;
mod host;
mod host_profile;
mod ignored;
mod live;
mod message;
#[cfg(feature = "wasmtime")]
mod metered;
mod module;
mod not_played;
mod outcome;
#[cfg(feature = "profile")]
mod profile;
mod record;
mod route;
mod run;
mod schema;
mod spent;
mod string_match;
mod tcp;
mod tls;
mod trace;
mod usage;
mod variation;
mod violation;

pub use action::{Action, Call, CallEnd, Direction, GrpcAction, GrpcCall, GrpcEvent, Part};
pub use backend::ConfigureError;
pub use compare::differences;
pub use connection::Connection;
pub use engine::{Engine, Trap};
pub use fault::Fault;
pub use filter_error::{FilterError, FilterErrorKind};
pub use fixture::MetadataSource;
pub use foreign::ForeignReply;
pub use grpc::GrpcStreamReply;
pub use guest::{BuildError, build_guest};
pub use host::{ConnectionBuilder, Host, InFlight, RequestBuilder};
pub use host_profile::{FailingFunctions, HostDifference, HostProfile};
pub use live::{LiveFilter, LivePlugin, LiveProcess};
pub use message::{Body, Fields, Protocol, Received, Reply, Request};
#[cfg(feature = "wasmtime")]
pub use metered::Metered;
pub use module::{ForeignImport, ModuleReport};
pub use not_played::NotPlayed;
pub use outcome::Outcome;
#[cfg(feature = "profile")]
pub use profile::{ProfileFrame, Profiler};
pub use proxy_filter_macros::test;
pub use record::{Event, LogLine, Record, VmRole};
pub use route::Route;
pub use run::Subject;
pub use schema::check_schema;
pub use spent::Spent;
pub use string_match::StringMatch;
pub use tcp::{ConnectionRecord, DirectionState, ReceivedBytes, StepOutcome};
pub use tls::{Certificate, Tls};
pub use trace::{Colour, changes, event_line};
pub use usage::Usage;
pub use variation::Variation;
pub use violation::{Rule, Violation};

/// What the test attribute and the benchmarks of this repository name. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "envoy")]
    pub use crate::envoy::{binary::find as find_envoy, http1::exchange as exchange_over_http1};
    pub use crate::guest::{build_modules, module_in};
    #[cfg(feature = "envoy")]
    pub use crate::run::module_in_envoy;
    pub use crate::run::{envoy, native, wasm};
}

/// The code in the pages of the guide is compiled with the examples of this crate.
#[cfg(doctest)]
mod guide {
    macro_rules! pages {
        ($($name:ident: $page:literal,)*) => {
            $(#[doc = include_str!(concat!("../../docs/guide/src/", $page, ".md"))] struct $name;)*
        };
    }
    pages! {
        Plugin: "concepts/plugin",
        Stream: "concepts/stream",
        Pausing: "concepts/pausing",
        Bodies: "concepts/bodies",
        Callouts: "concepts/callouts",
        Async: "concepts/async",
        Errors: "concepts/errors",
        State: "concepts/state",
        Connections: "concepts/connections",
        Configuration: "how-to/configuration",
        Observability: "how-to/observability",
    }
}
