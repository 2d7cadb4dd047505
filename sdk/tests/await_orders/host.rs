//! A host that plays two messages part by part, and does with them what the callbacks return: as
//! Envoy with `allow_on_headers_stop_iteration`.

use proxy_filter::Status;
use proxy_filter::sys::{self, HostFunctions};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Request,
    Response,
}

/// A part of a message that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Whether they are the end.
    Headers(bool),
    Data(&'static [u8], bool),
    Trailers,
}

/// How far a message is for the filter.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Side {
    /// The headers were given to the filter.
    pub(crate) begun: bool,
    /// They were forwarded.
    pub(crate) headers_forwarded: bool,
    /// The bytes that were given to the filter.
    pub(crate) delivered: Vec<u8>,
    /// The end of the stream was.
    pub(crate) ended: bool,
    /// The trailers were.
    pub(crate) trailers: bool,
    pub(crate) forwarded: Vec<u8>,
    /// The end of the stream was forwarded.
    pub(crate) end_forwarded: bool,
    /// What the filter sees of the body.
    visible: Vec<u8>,
    /// The bytes that arrived for it, before the edits of the filter.
    original: Vec<u8>,
    /// The host appends the next chunk to it.
    buffers: bool,
    /// Bytes that stay buffered although the filter has dropped later bytes.
    kept: Vec<u8>,
    /// Nothing is given to the filter until it continues the stream.
    paused: bool,
    waiting: VecDeque<Event>,
    /// Nothing more comes.
    stopped: bool,
}

/// How far both messages are, and what the filter did besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) request: Side,
    pub(crate) response: Side,
    /// The statuses of local replies; 0 for a reset.
    pub(crate) refusals: Vec<u32>,
    /// Lines at error level.
    pub(crate) failures: Vec<String>,
}

impl Truth {
    pub(crate) fn side(&self, which: Which) -> &Side {
        match which {
            Which::Request => &self.request,
            Which::Response => &self.response,
        }
    }

    fn side_mut(&mut self, which: Which) -> &mut Side {
        match which {
            Which::Request => &mut self.request,
            Which::Response => &mut self.response,
        }
    }
}

impl Side {
    fn forward_all(&mut self) {
        self.headers_forwarded = self.begun;
        self.forwarded.append(&mut self.kept);
        self.forwarded.append(&mut self.original);
        self.visible.clear();
        self.end_forwarded = self.ended;
        (self.buffers, self.paused) = (false, false);
    }

    /// Whether something is held back, or comes that the filter was not given.
    pub(crate) fn is_held(&self) -> bool {
        !self.stopped
            && (self.begun && !self.headers_forwarded
                || self.ended && !self.end_forwarded
                || self.forwarded.len() < self.delivered.len()
                || !self.waiting.is_empty())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }
}

#[derive(Default)]
struct State {
    truth: Truth,
    /// The streams that are continued when the callback has returned.
    continued: Vec<Which>,
    calls: Vec<u32>,
    last_call: u32,
}

/// The roots of the module, by their contexts from 1.
pub(crate) const ROOTS: [&str; 2] = ["closed", "open"];

thread_local! {
    static ROOT: Cell<usize> = const { Cell::new(0) };
    static STATE: RefCell<State> = RefCell::default();
}

pub(crate) fn truth() -> Truth {
    STATE.with(|state| state.borrow().truth.clone())
}

fn with<T>(body: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|state| body(&mut state.borrow_mut()))
}

struct Functions;

impl HostFunctions for Functions {
    fn proxy_log(&self, level: u32, message: &[u8]) -> Result<(), Status> {
        if level >= 4 {
            with(|state| state.truth.failures.push(String::from_utf8_lossy(message).into()));
        }
        Ok(())
    }

    fn proxy_get_log_level(&self) -> Result<u32, Status> {
        Ok(0)
    }

    fn proxy_get_property(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        if path == b"plugin_root_id" { Ok(ROOTS[ROOT.get()].into()) } else { Err(Status::NOT_FOUND) }
    }

    fn proxy_get_buffer_bytes(&self, buffer: u32, start: u32, length: u32) -> Result<Vec<u8>, Status> {
        with(|state| {
            let which = if buffer == 0 { Which::Request } else { Which::Response };
            let rest = state.truth.side(which).visible.get(start as usize..).unwrap_or_default();
            Ok(rest.iter().take(length as usize).copied().collect())
        })
    }

    fn proxy_get_header_map_value(&self, map: u32, name: &[u8]) -> Result<Vec<u8>, Status> {
        with(|state| {
            let side = state.truth.side(if map < 2 { Which::Request } else { Which::Response });
            let is_here = match map {
                0 | 2 => side.begun && !side.headers_forwarded,
                _ => side.trailers && !side.end_forwarded,
            };
            match name {
                _ if !is_here => Err(Status::BAD_ARGUMENT),
                b"x-known" => Ok(b"1".to_vec()),
                _ => Err(Status::NOT_FOUND),
            }
        })
    }

    fn proxy_remove_header_map_value(&self, _: u32, _: &[u8]) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_set_buffer_bytes(&self, buffer: u32, start: u32, length: u32, bytes: &[u8]) -> Result<(), Status> {
        with(|state| {
            let which = if buffer == 0 { Which::Request } else { Which::Response };
            let visible = &mut state.truth.side_mut(which).visible;
            assert!(start == 0 && length as usize >= visible.len(), "an edit replaces what is visible");
            *visible = bytes.to_vec();
        });
        Ok(())
    }

    fn proxy_continue_stream(&self, stream: u32) -> Result<(), Status> {
        with(|state| state.continued.push(if stream == 0 { Which::Request } else { Which::Response }));
        Ok(())
    }

    fn proxy_send_local_response(&self, status: u32, _: &[u8], _: &[u8], _: &[u8], _: i32) -> Result<(), Status> {
        with(|state| state.truth.refusals.push(status));
        Ok(())
    }

    fn proxy_close_stream(&self, _: u32) -> Result<(), Status> {
        with(|state| state.truth.refusals.push(0));
        Ok(())
    }

    fn proxy_http_call(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8], _: u32) -> Result<u32, Status> {
        with(|state| {
            state.last_call += 1;
            state.calls.push(state.last_call);
            Ok(state.last_call)
        })
    }

    fn proxy_set_effective_context(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_set_tick_period_milliseconds(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_get_current_time_nanoseconds(&self) -> Result<u64, Status> {
        Ok(1_000_000_000)
    }
}

/// A module with its root contexts.
pub(crate) struct Host {
    exports: &'static [(&'static str, proxy_filter::__private::Export)],
    root: u32,
    stream: u32,
}

impl Host {
    pub(crate) fn new(module: proxy_filter::__private::Module) -> Self {
        sys::install(Some(Rc::new(Functions)));
        let host = Self { exports: module.exports, root: 1, stream: 2 };
        host.call("_initialize", [0; 5]);
        // Panics of the test are printed.
        drop(std::panic::take_hook());
        for (index, context) in (1..).enumerate().take(ROOTS.len()) {
            ROOT.set(index);
            host.call("proxy_on_context_create", [context, 0, 0, 0, 0]);
            host.call("proxy_on_vm_start", [context, 0, 0, 0, 0]);
            host.call("proxy_on_configure", [context, 0, 0, 0, 0]);
        }
        host
    }

    fn call(&self, name: &str, arguments: [u32; 5]) -> u32 {
        let export = self.exports.iter().find(|(exported, _)| *exported == name);
        export.map_or(0, |(_, function)| function(arguments))
    }

    /// Begins a stream of this root.
    pub(crate) fn begin(&mut self, root: u32) {
        // The SDK limits its lines for each 512 context ids: no line is one too many.
        self.stream += 512;
        self.root = root;
        with(|state| *state = State { last_call: state.last_call, ..State::default() });
        self.call("proxy_on_context_create", [self.stream, root, 0, 0, 0]);
    }

    /// A part of a message comes.
    pub(crate) fn deliver(&self, which: Which, event: Event) {
        if which == Which::Response && !truth().request.headers_forwarded {
            // A local reply of the host's or of another filter: no more of the request comes.
            with(|state| state.truth.request.stopped = true);
        }
        if !truth().refusals.is_empty() || truth().side(which).stopped {
            return;
        }
        if truth().side(which).paused {
            return with(|state| state.truth.side_mut(which).waiting.push_back(event));
        }
        with(|state| {
            let side = state.truth.side_mut(which);
            match event {
                Event::Headers(end) => (side.begun, side.ended) = (true, end),
                Event::Data(bytes, end) => {
                    if !side.buffers {
                        side.visible.clear();
                        side.original.clear();
                    }
                    side.visible.extend_from_slice(bytes);
                    side.original.extend_from_slice(bytes);
                    side.delivered.extend_from_slice(bytes);
                    side.ended = end;
                }
                Event::Trailers => (side.ended, side.trailers) = (true, true),
            }
        });
        let name =
            |part: &str| format!("proxy_on_{}_{part}", if which == Which::Request { "request" } else { "response" });
        let visible = u32::try_from(truth().side(which).visible.len()).unwrap();
        let result = match event {
            Event::Headers(end) => self.call(&name("headers"), [self.stream, 3, end.into(), 0, 0]),
            Event::Data(_, end) => self.call(&name("body"), [self.stream, visible, end.into(), 0, 0]),
            Event::Trailers => self.call(&name("trailers"), [self.stream, 1, 0, 0, 0]),
        };
        with(|state| {
            let side = state.truth.side_mut(which);
            match (event, result) {
                (Event::Headers(_), 0 | 2) | (_, 0) => side.forward_all(),
                (Event::Headers(end), result) => side.paused = end || result != 1,
                (Event::Data(..), 1) => side.buffers = true,
                // What was buffered before stays; otherwise it is dropped.
                (Event::Data(..), _) if side.buffers => {
                    side.kept.append(&mut side.original);
                    side.visible.clear();
                    side.buffers = false;
                }
                (Event::Data(..), _) => side.visible.clear(),
                (Event::Trailers, _) => {}
            }
        });
        self.make_up();
    }

    /// Does what the callback asked for.
    fn make_up(&self) {
        while let Some(which) = with(|state| state.continued.pop()) {
            let waiting = with(|state| {
                let side = state.truth.side_mut(which);
                side.forward_all();
                std::mem::take(&mut side.waiting)
            });
            for event in waiting {
                self.deliver(which, event);
            }
        }
    }

    /// How many calls have no answer.
    pub(crate) fn calls() -> usize {
        with(|state| state.calls.len())
    }

    /// The first of them fails.
    pub(crate) fn complete_call(&self) {
        if let Some(call) = with(|state| (!state.calls.is_empty()).then(|| state.calls.remove(0))) {
            self.call("proxy_on_http_call_response", [self.root, call, 0, 0, 0]);
            self.make_up();
        }
    }

    /// The stream is over.
    pub(crate) fn end(&self) {
        self.call("proxy_on_log", [self.stream, 0, 0, 0, 0]);
        self.call("proxy_on_done", [self.stream, 0, 0, 0, 0]);
        self.call("proxy_on_delete", [self.stream, 0, 0, 0, 0]);
    }
}
