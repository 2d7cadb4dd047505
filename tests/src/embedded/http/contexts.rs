//! The contexts of one stream in their VM: runs their callbacks, and applies the host calls of
//! these.

use crate::embedded::functions::Functions;
use crate::embedded::info::{Info, Whose};
use crate::embedded::stream::{Filter, LocalReply, Phase, Side, Stream, Which};
use crate::embedded::vm::Vm;
use crate::embedded::{access_log, event, waiting};
use crate::host_profile::Quirk;
use crate::message::{Fields, Protocol};
use crate::route::Routes;
use crate::violation::Rule;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Why a message is not forwarded any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Ended {
    /// The module made a local reply, or Envoy does.
    Reply(LocalReply),
    /// The module closed the stream.
    Closed,
    /// The client disconnected: nothing resumed the message, or nothing responded, for too long.
    Disconnected,
    /// The VM failed.
    Failed,
}

/// The contexts of the stream that is being played.
pub(in crate::embedded) struct Contexts {
    vm: Rc<Vm>,
    functions: Arc<Functions>,
}

impl Contexts {
    pub(in crate::embedded) fn new(vm: &Rc<Vm>, functions: &Arc<Functions>) -> Self {
        Self { vm: Rc::clone(vm), functions: Arc::clone(functions) }
    }

    /// Whether the VM has failed.
    pub(in crate::embedded) fn failed(&self) -> bool {
        self.vm.failed()
    }

    /// Starts to play a stream, if there is one.
    pub(super) fn begin(&mut self, stream: Option<Stream>, protocol: Protocol) {
        let started = u64::try_from(self.wall().as_nanos()).unwrap_or(u64::MAX);
        self.functions.state().stream = stream.map(Box::new);
        let now = self.now();
        self.with_info(|info| (info.protocol, info.started, info.times.began) = (protocol, started, now));
    }

    /// Forgets the stream, which has ended.
    pub(in crate::embedded) fn end(&mut self) {
        self.functions.state().stream = None;
    }

    /// The contexts that a message passes: a request's in the order of the configuration, a
    /// response's in reverse and only those that the module knows.
    pub(super) fn ids(&self, which: Which) -> Vec<u32> {
        let filters = self.with_stream(|stream| stream.filters.clone()).unwrap_or_default();
        let known = |filter: &&Filter| which == Which::Request || filter.created;
        let mut ids: Vec<u32> = filters.iter().filter(known).map(|filter| filter.id).collect();
        if which == Which::Response {
            ids.reverse();
        }
        ids
    }

    /// Creates the context of a filter, unless the module has it already.
    pub(super) fn create(&mut self, filter: u32) {
        let new = self.with_stream(|stream| {
            let mut new = stream.filters.iter_mut().filter(|known| known.id == filter && !known.created);
            new.next().map(|filter| {
                filter.created = true;
                filter.root
            })
        });
        if let Some(root) = new.flatten() {
            self.vm.call("proxy_on_context_create", &[filter, root]);
        }
    }

    /// Runs a callback of a context, then applies its host calls. Returns its result, or the reason
    /// why the message is not forwarded any further.
    pub(super) fn callback(&mut self, context: u32, phase: Phase, name: &str, arguments: &[u32]) -> Result<u32, Ended> {
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        let ended = arguments.last().is_some_and(|end| *end != 0);
        self.with_stream(|stream| stream.enter(context, phase, ended));
        let arguments: Vec<u32> = std::iter::once(context).chain(arguments.iter().copied()).collect();
        let raw = self.vm.call(name, &arguments).unwrap_or_default();
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        let now = self.now();
        self.with_stream(|stream| stream.returned(name, context, raw, now));
        self.set_phase(Phase::Idle);
        self.asked()?;
        Ok(raw)
    }

    /// Whether the module has closed the stream, or made a local reply, since the last call.
    pub(super) fn asked(&self) -> Result<(), Ended> {
        let asked = self.with_stream(|stream| {
            if std::mem::take(&mut stream.closed) {
                let code = stream.info.code.as_ref().map_or(0, |(code, _)| *code);
                stream.info.code = Some((code, b"wasm_close_stream".to_vec()));
                return Some(Ended::Closed);
            }
            stream.local_reply.take().map(Ended::Reply)
        });
        asked.flatten().map_or(Ok(()), Err)
    }

    /// A METADATA frame of HTTP/2 passes the filters, which cannot stop it.
    pub(super) fn metadata(&mut self, which: Which, entries: &Fields) -> Result<(), Ended> {
        if !self.functions.state().settings.allow_metadata {
            return Ok(());
        }
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        for context in self.ids(which) {
            self.callback(context, Phase::Idle, &which.name("metadata"), &[count])?;
        }
        Ok(())
    }

    /// The end of each filter: all of them log, then one after the other is deleted.
    pub(in crate::embedded) fn close(&mut self) {
        let contexts = self.ids(Which::Request);
        let done_first = self.plays(Quirk::DoneBeforeLog);
        for context in &contexts {
            // A request that did not reach the filter is logged, too.
            self.create(*context);
            if done_first {
                let _ = self.callback(*context, Phase::Done, "proxy_on_done", &[]);
            }
            let _ = self.callback(*context, Phase::Log, "proxy_on_log", &[]);
        }
        self.log_access();
        self.write_access_log();
        for context in contexts {
            if !done_first {
                let _ = self.callback(context, Phase::Done, "proxy_on_done", &[]);
            }
            let _ = self.callback(context, Phase::Delete, "proxy_on_delete", &[]);
        }
    }

    /// Writes the line of the host's access log, after the filters and access loggers have logged.
    fn write_access_log(&self) {
        let mut state = self.functions.state();
        let now = state.clock.now();
        let line = state.stream.as_ref().and_then(|stream| access_log::line(&state.settings, stream, now));
        if let Some(stream) = &mut state.stream {
            stream.access_log = line;
        }
    }

    /// An access logger has no context of the stream: its root context logs.
    fn log_access(&mut self) {
        let logger = {
            let state = self.functions.state();
            let roots = if state.settings.access_logger { state.roots.serving(1) } else { Vec::new() };
            roots.first().copied()
        };
        self.with_stream(|stream| stream.logger = logger);
        if let Some(root) = logger {
            let _ = self.callback(root, Phase::Log, "proxy_on_log", &[]);
        }
        self.with_stream(|stream| stream.logger = None);
    }

    /// Notifies root contexts of queued items. Envoy does so after it has processed what it has
    /// read: the head, a chunk of the body, or the end and what follows it.
    pub(super) fn notify_of_items(&mut self) {
        event::tell(&self.vm, &self.functions);
    }

    /// Runs the callbacks of what is due by now.
    pub(super) fn deliver_due(&mut self) {
        event::deliver_due(&self.vm, &self.functions);
    }

    pub(super) fn now(&self) -> Duration {
        self.functions.state().clock.now()
    }

    /// What the wall clock says, since 1970.
    pub(super) fn wall(&self) -> Duration {
        self.functions.state().clock.wall()
    }

    /// Lets time pass without events.
    pub(super) fn go_on_to(&self, time: Duration) {
        self.functions.state().clock.go_on_to(time);
    }

    /// Notes what the stream waits for while its client disconnects at this time.
    pub(super) fn note_pending(&self, time: Duration) {
        let mut state = self.functions.state();
        let waits = state.stream.as_ref().map(|stream| waiting::waits(&state, stream, time));
        state.left.extend(waits);
    }

    /// Notes that the module broke a rule.
    pub(super) fn violation(&self, rule: Rule, text: impl Into<String>) {
        self.functions.state().violate(rule, text);
    }

    /// All of the request has come.
    pub(super) fn note_request(&self) {
        let now = self.now();
        self.with_side(Which::Request, |side| side.arrived = true);
        self.with_info(|info| info.times.request_ended = Some(now));
    }

    /// The routes of the configuration.
    pub(super) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.functions.state().settings.routes)
    }

    pub(super) fn buffer_limit(&self) -> usize {
        self.functions.state().buffer_limit()
    }

    /// Whether the host that is played differs from Envoy in this.
    pub(super) fn plays(&self, quirk: Quirk) -> bool {
        self.functions.state().plays(quirk)
    }

    /// Whether the filter still gets the body after the result 1 of a headers callback.
    pub(super) fn allows_stop_iteration(&self) -> bool {
        self.functions.state().settings.allow_on_headers_stop_iteration
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.with_stream(|stream| stream.phase = phase);
    }

    pub(super) fn with_stream<T>(&self, body: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.functions.state().stream.as_deref_mut().map(body)
    }

    pub(super) fn with_side<T>(&self, which: Which, body: impl FnOnce(&mut Side) -> T) -> T {
        let mut state = self.functions.state();
        let stream = state.stream.get_or_insert_with(|| Box::new(Stream::new(0)));
        body(match which {
            Which::Request => &mut stream.request,
            Which::Response => &mut stream.response,
        })
    }

    pub(super) fn with_info(&self, body: impl FnOnce(&mut Info)) {
        self.with_stream(|stream| body(&mut stream.info));
    }

    /// Notes what the response is, if it is not the upstream's.
    pub(super) fn note_local_reply(&self, reply: &LocalReply) {
        self.with_info(|info| {
            info.code = Some((reply.status, reply.details.clone()));
            info.whose = Whose::Own;
        });
    }
}
