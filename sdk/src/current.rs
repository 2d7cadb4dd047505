use std::cell::Cell;

/// A callback of the Proxy-Wasm ABI, for messages about it. It is a place that contains the name in
/// [`RootContext`](crate::RootContext), [`Context`](crate::Context) or
/// [`StreamContext`](crate::tcp::StreamContext). A module contains only the names of callbacks that
/// it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callback(&'static &'static str);

macro_rules! names {
    ($($(#[$condition:meta])? $name:ident = $text:literal;)*) => {
        impl Callback {
            $($(#[$condition])? pub(crate) const $name: Self = Self(&$text);)*
        }
    };
}

names! {
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
    /// Returns the name.
    pub(crate) const fn name(self) -> &'static str {
        self.0
    }

    /// Returns whether the callback is about the response. It compares names, because a module must
    /// not contain the names of callbacks that it does not export.
    pub(crate) fn is_of_response(self) -> bool {
        self.0.starts_with("on_response_")
    }

    /// Returns whether the callback is for a body or trailers of a request.
    pub(crate) fn continues_request(self) -> bool {
        self.0.starts_with("on_request_b") || self.0.starts_with("on_request_t")
    }
}

/// The callback that runs now, and its context.
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

/// Returns the callback that runs.
pub(crate) fn callback() -> Callback {
    CURRENT.get().callback
}

/// Returns the context whose callback runs.
#[inline]
pub(crate) fn context_id() -> u32 {
    CURRENT.get().context_id
}

/// Returns the root context of the callback that runs. It is known only in modules with timers,
/// futures or gRPC streams.
#[inline]
pub(crate) fn root_id() -> u32 {
    ROOT.get()
}

/// Records the root context of the callback that runs.
#[inline]
pub(crate) fn set_root_id(root: u32) {
    ROOT.set(root);
}

/// Returns the context that host functions act on, in callbacks of root contexts.
#[inline]
pub(crate) fn effective() -> u32 {
    EFFECTIVE.get()
}

/// Records the context that host functions act on.
#[inline]
pub(crate) fn set_effective(context_id: u32) {
    EFFECTIVE.set(context_id);
}

/// Runs a reentrant callback, and then restores the callback that the host interrupted.
pub(crate) fn inside<T>(body: impl FnOnce() -> T) -> T {
    let outer = (CURRENT.get(), ROOT.get(), EFFECTIVE.get());
    let result = body();
    CURRENT.set(outer.0);
    ROOT.set(outer.1);
    EFFECTIVE.set(outer.2);
    result
}

/// Records that a callback runs.
#[inline]
pub(crate) fn enter(callback: Callback, context_id: u32) {
    CURRENT.set(Current { callback, context_id });
}

/// After this many streams, values cached from the host are read again.
const STREAMS_PER_EPOCH: u32 = 32;

/// Returns a number that changes when cached values of the host, such as the log level, must be
/// read again: when a plugin is started or configured, and after a number of streams, which context
/// ids count.
pub(crate) fn epoch() -> u32 {
    let streams = CURRENT.get().context_id / STREAMS_PER_EPOCH;
    if streams.wrapping_sub(NEWEST.get()).wrapping_sub(1) < u32::MAX / 2 {
        NEWEST.set(streams);
        advance_epoch();
    }
    EPOCH.get()
}

/// The epoch, and the part of it that the stream of the callback belongs to. As long as it is
/// equal, [`epoch`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) epoch: u32,
    streams: u32,
}

impl Moment {
    pub(crate) const NEVER: Self = Self { epoch: 0, streams: 0 };

    #[inline]
    pub(crate) fn now() -> Self {
        Self { epoch: EPOCH.get(), streams: CURRENT.get().context_id / STREAMS_PER_EPOCH }
    }
}

/// Makes cached values be read again.
pub(crate) fn advance_epoch() {
    EPOCH.set(EPOCH.get().wrapping_add(1));
}

/// Counts an event for a context that does not exist or is busy. Hosts send such events: Envoy
/// calls `on_response_headers` for a deleted context after a local reply and a reset in one
/// callback.
#[cold]
pub(crate) fn ignore_event() {
    IGNORED.set(IGNORED.get().saturating_add(1));
}

/// Returns how many callbacks the module has ignored since it started. It ignores a callback for a
/// context that does not exist, or that already runs a callback. A few such callbacks are normal; a
/// number that grows with every stream is a bug in the host.
///
/// ```
/// # fn f() {
/// log::debug!("{} callbacks ignored", proxy_filter::plugin::ignored_callbacks());
/// # }
/// ```
pub fn ignored_callbacks() -> u32 {
    IGNORED.get()
}
