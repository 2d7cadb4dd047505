use std::cell::Cell;

/// A callback of the Proxy-Wasm ABI, for messages about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Initialize,
    ContextCreate,
    Start,
    Configure,
    Tick,
    QueueReady,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    NewConnection,
    DownstreamData,
    UpstreamData,
    DownstreamClose,
    UpstreamClose,
    Done,
    Log,
    Delete,
}

impl Callback {
    /// The callback's name in [`RootContext`](crate::RootContext) and [`Context`](crate::Context) or
    /// [`StreamContext`](crate::StreamContext).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "_initialize",
            Self::ContextCreate => "on_create",
            Self::Start => "on_start",
            Self::Configure => "on_configure",
            Self::Tick => "on_tick",
            Self::QueueReady => "on_queue_ready",
            Self::RequestHeaders => "on_request_headers",
            Self::RequestBody => "on_request_body",
            Self::RequestTrailers => "on_request_trailers",
            Self::ResponseHeaders => "on_response_headers",
            Self::ResponseBody => "on_response_body",
            Self::ResponseTrailers => "on_response_trailers",
            Self::NewConnection => "on_new_connection",
            Self::DownstreamData => "on_downstream_data",
            Self::UpstreamData => "on_upstream_data",
            Self::DownstreamClose => "on_downstream_close",
            Self::UpstreamClose => "on_upstream_close",
            Self::Done => "on_done",
            Self::Log => "on_log",
            Self::Delete => "on_delete",
        }
    }
}

/// The callback that runs now, and the context it runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) callback: Callback,
    pub(crate) context_id: u32,
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { callback: Callback::Initialize, context_id: 0 }) };
    static EPOCH: Cell<u32> = const { Cell::new(1) };
    static NEWEST: Cell<u32> = const { Cell::new(0) };
    static IGNORED: Cell<u32> = const { Cell::new(0) };
}

/// The callback that was entered last. After a host has entered the module again during a host call, that is the inner one.
#[cfg(feature = "panic-hook")]
pub(crate) fn current() -> Current {
    CURRENT.get()
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
