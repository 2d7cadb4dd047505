use std::cell::Cell;

/// A callback of the Proxy-Wasm ABI, for messages about it.
///
/// It points to its name, so that a module contains the names of the callbacks that it has, and not a table of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback(&'static &'static str);

macro_rules! callbacks {
    ($($case:ident = $name:literal;)*) => {
        #[allow(non_upper_case_globals, reason = "they are the cases of the type, and read as such where they are used")]
        impl Callback {
            $(pub(crate) const $case: Self = Self(&$name);)*
        }
    };
}

callbacks! {
    Initialize = "_initialize";
    ContextCreate = "on_create";
    Start = "on_start";
    Configure = "on_configure";
    Tick = "on_tick";
    QueueReady = "on_queue_ready";
    RequestHeaders = "on_request_headers";
    RequestBody = "on_request_body";
    RequestTrailers = "on_request_trailers";
    ResponseHeaders = "on_response_headers";
    ResponseBody = "on_response_body";
    ResponseTrailers = "on_response_trailers";
    NewConnection = "on_new_connection";
    DownstreamData = "on_downstream_data";
    UpstreamData = "on_upstream_data";
    DownstreamClose = "on_downstream_close";
    UpstreamClose = "on_upstream_close";
    Done = "on_done";
    Log = "on_log";
    Delete = "on_delete";
}

impl Callback {
    /// The callback's name in [`RootContext`](crate::RootContext), [`Context`](crate::Context) or
    /// [`StreamContext`](crate::StreamContext).
    pub(crate) const fn name(self) -> &'static str {
        self.0
    }
}

/// The callback that runs now, and the context it runs for.
#[cfg(feature = "panic-hook")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) callback: Callback,
    pub(crate) context_id: u32,
}

thread_local! {
    static CALLBACK: Cell<Callback> = const { Cell::new(Callback::Initialize) };
    static CONTEXT: Cell<u32> = const { Cell::new(0) };
    static EPOCH: Cell<u32> = const { Cell::new(1) };
    static NEWEST: Cell<u32> = const { Cell::new(0) };
    static IGNORED: Cell<u32> = const { Cell::new(0) };
}

/// The callback that was entered last. After a host has entered the module again during a host call, that is the inner one.
#[cfg(feature = "panic-hook")]
pub(crate) fn current() -> Current {
    Current { callback: CALLBACK.get(), context_id: CONTEXT.get() }
}

/// Notes that a callback runs.
#[inline]
pub(crate) fn enter(callback: Callback, context_id: u32) {
    CALLBACK.set(callback);
    CONTEXT.set(context_id);
}

/// After this many streams, values cached from the host are read again.
const STREAMS_PER_EPOCH: u32 = 32;

/// A number that changes when something the module has cached from the host, such as the log level, should be read again: when a
/// plugin is started or configured, and with the stream that runs now every so many streams. Context ids count them already.
pub(crate) fn epoch() -> u32 {
    let streams = CONTEXT.get() / STREAMS_PER_EPOCH;
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
