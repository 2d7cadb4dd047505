use std::cell::Cell;

/// A callback of the Proxy-Wasm ABI, for messages about it: a place that has its name in [`RootContext`](crate::RootContext),
/// [`Context`](crate::Context) or [`StreamContext`](crate::StreamContext). A module has the names of those callbacks only that it enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callback(&'static &'static str);

macro_rules! callbacks {
    ($($(#[$condition:meta])? $name:ident = $text:literal;)*) => {
        impl Callback {
            $($(#[$condition])? pub(crate) const $name: Self = Self(&$text);)*
        }
    };
}

callbacks! {
    INITIALIZE = "_initialize";
    CONTEXT_CREATE = "on_create";
    START = "on_start";
    CONFIGURE = "on_configure";
    TICK = "on_tick";
    QUEUE_READY = "on_queue_ready";
    HTTP_CALL_RESPONSE = "the completion of an HTTP call";
    TIMER = "the completion of a timer";
    #[cfg(feature = "grpc")]
    GRPC_CALL = "the completion of a gRPC call";
    #[cfg(feature = "grpc")]
    GRPC_STREAM = "the handler of a gRPC stream";
    REQUEST_HEADERS = "on_request_headers";
    REQUEST_BODY = "on_request_body";
    REQUEST_TRAILERS = "on_request_trailers";
    RESPONSE_HEADERS = "on_response_headers";
    RESPONSE_BODY = "on_response_body";
    RESPONSE_TRAILERS = "on_response_trailers";
    NEW_CONNECTION = "on_new_connection";
    DOWNSTREAM_DATA = "on_downstream_data";
    UPSTREAM_DATA = "on_upstream_data";
    DOWNSTREAM_CLOSE = "on_downstream_close";
    UPSTREAM_CLOSE = "on_upstream_close";
    FOREIGN_FUNCTION = "on_foreign_function";
    REQUEST_METADATA = "on_request_metadata";
    RESPONSE_METADATA = "on_response_metadata";
    TASK = "a filter function";
    DONE = "on_done";
    LOG = "on_log";
    DELETE = "on_delete";
}

impl Callback {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        self.0
    }

    /// Whether it is about a request or about its response, told by the name: a module has no names of callbacks that it does not have.
    pub(crate) fn is_of_response(self) -> bool {
        self.0.starts_with("on_response_")
    }

    /// Whether it carries a body or trailers of a request.
    pub(crate) fn continues_request(self) -> bool {
        self.0.starts_with("on_request_b") || self.0.starts_with("on_request_t")
    }
}

/// The callback that runs now, and the context it runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) callback: Callback,
    pub(crate) context_id: u32,
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { callback: Callback::INITIALIZE, context_id: 0 }) };
    static ROOT: Cell<u32> = const { Cell::new(0) };
    static EFFECTIVE: Cell<u32> = const { Cell::new(0) };
    static EPOCH: Cell<u32> = const { Cell::new(1) };
    static NEWEST: Cell<u32> = const { Cell::new(0) };
    static IGNORED: Cell<u32> = const { Cell::new(0) };
}

/// The callback that runs.
pub(crate) fn callback() -> Callback {
    CURRENT.get().callback
}

/// The context whose callback runs.
#[inline]
pub(crate) fn context_id() -> u32 {
    CURRENT.get().context_id
}

/// The root context of the callback that runs. Known in modules that have timers, futures or gRPC streams only.
#[inline]
pub(crate) fn root_id() -> u32 {
    ROOT.get()
}

/// Notes the root context of the callback that runs.
#[inline]
pub(crate) fn set_root_id(root: u32) {
    ROOT.set(root);
}

/// The context that host functions are about, in callbacks of root contexts.
#[inline]
pub(crate) fn effective() -> u32 {
    EFFECTIVE.get()
}

/// Notes the context that host functions are about.
#[inline]
pub(crate) fn set_effective(context_id: u32) {
    EFFECTIVE.set(context_id);
}

/// Runs what a host may do inside of a callback, which then goes on as the same callback of the same context.
pub(crate) fn inside<T>(body: impl FnOnce() -> T) -> T {
    let outer = (CURRENT.get(), ROOT.get(), EFFECTIVE.get());
    let result = body();
    CURRENT.set(outer.0);
    ROOT.set(outer.1);
    EFFECTIVE.set(outer.2);
    result
}

/// Notes that a callback runs.
#[inline]
pub(crate) fn enter(callback: Callback, context_id: u32) {
    CURRENT.set(Current { callback, context_id });
}

/// After this many streams, values cached from the host are read again.
const STREAMS_PER_EPOCH: u32 = 32;

/// A number that changes when something the module has cached from the host, such as the log level, should be read again: when a
/// plugin is started or configured, and with the stream that runs now every so many streams. Context ids count them already.
pub(crate) fn epoch() -> u32 {
    let streams = CURRENT.get().context_id / STREAMS_PER_EPOCH;
    if streams.wrapping_sub(NEWEST.get()).wrapping_sub(1) < u32::MAX / 2 {
        NEWEST.set(streams);
        advance_epoch();
    }
    EPOCH.get()
}

/// Makes cached values be read again.
pub(crate) fn advance_epoch() {
    EPOCH.set(EPOCH.get().wrapping_add(1));
}

/// Counts an event for a context that does not exist or is busy. Hosts send such events: Envoy calls `on_response_headers` for a
/// deleted context after a local reply and a reset in one callback.
#[cold]
pub(crate) fn ignore_event() {
    IGNORED.set(IGNORED.get().saturating_add(1));
}

/// How many callbacks the module has ignored since it started, because they were for a context that does not exist or that was in a
/// callback already. Hosts do such things rarely; a number that grows with every stream is a bug in the host.
///
/// ```
/// # fn f() {
/// log::debug!("{} callbacks ignored", proxy_filter::ignored_events());
/// # }
/// ```
pub fn ignored_events() -> u32 {
    IGNORED.get()
}
