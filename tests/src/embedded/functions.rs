//! The host functions, with the results of Envoy 1.40.

use super::fields::{self, Map, UNAVAILABLE};
use super::process::Process;
use super::rpc::{self, Address};
use super::state::{Permission, State};
use super::stream::{LocalReply, Phase, Stream};
use super::{access, callout, foreign, other_hosts, property};
use crate::engine::abi::Version;
use crate::engine::{Reentrant, Trap};
use crate::host_profile::{HostProfile, Quirk};
use crate::record::{Event, LogLine};
use crate::violation::Rule;
use proxy_filter::sys::HostFunctions;
use proxy_filter::{Status, log::LogLevel};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Result<T> = std::result::Result<T, Status>;

/// The host functions of one VM. A call locks the state; nothing is locked while the module runs.
#[derive(Debug)]
pub(crate) struct Functions(Mutex<State>);

impl Functions {
    pub(crate) fn new(process: &Process, vm: usize) -> Self {
        Self(Mutex::new(State::new(process, vm)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the module may call this function now. If not, Envoy fails the VM.
    pub(crate) fn permit(&self, function: &str) -> std::result::Result<(), Trap> {
        let mut state = self.state();
        match state.permission {
            Permission::Nothing => {
                state.violate(
                    Rule::StartSection,
                    format!(
                        "{function} was called from the module's start section: Envoy 1.40 crashes with a segmentation fault"
                    ),
                );
                Err(Trap(format!("{function} was called from the start section")))
            }
            Permission::Initialisation(export) if !when_initialising(function) => {
                Err(Trap(format!("restricted_callback: {function} was called during {export}")))
            }
            Permission::Allocation if !when_allocating(function) => {
                Err(Trap(format!("restricted_callback: {function} was called during an allocation")))
            }
            _ => Ok(()),
        }?;
        let host = state.settings.profile;
        drop(state);
        other_hosts::runs(host, function)
    }

    /// The same for a module that runs natively, and is initialised as any native code.
    pub(crate) fn permit_natively(&self, function: &str) -> std::result::Result<(), Trap> {
        other_hosts::runs(self.state().settings.profile, function)
    }

    /// Whether the host call that has run traps the VM.
    pub(crate) fn take_trap(&self) -> std::result::Result<(), Trap> {
        self.state().trap.take().map_or(Ok(()), Err)
    }

    /// Notes that the module has no memory, which a host function was to read or write.
    pub(crate) fn without_memory(&self, function: &str) -> Trap {
        let why = format!("{function} was called by a module without a memory");
        self.state().violate(Rule::Memory, format!("{why}: Envoy 1.40 crashes with a segmentation fault"));
        Trap(why)
    }

    /// The status with which this call fails: because a test lets it fail, or because the function
    /// does not work in the host that is played.
    pub(crate) fn fault(&self, name: &'static str) -> Option<Status> {
        let mut state = self.state();
        let broken = other_hosts::status_of(state.settings.profile, name);
        if broken.is_some() {
            return broken;
        }
        let may_fail = !CANNOT_FAIL.contains(&name);
        let fault = state.fault.as_mut().filter(|fault| fault.failed.is_none() && may_fail)?;
        if fault.call > 0 {
            fault.call -= 1;
            return None;
        }
        fault.failed = Some(name);
        Status::from_raw(fault.status)
    }

    /// Notes a finished call.
    pub(crate) fn called(&self, name: &'static str, status: u32) {
        if name != "proxy_log" {
            self.state().events.note(|| Event::HostCall { name: name.into(), status });
        }
    }

    /// Notes that a callback begins: it acts on its own context. Returns what it acted
    /// on before, for [`Self::leave`].
    pub(crate) fn enter(&self, name: &str, arguments: &[u32]) -> (u32, u32) {
        let mut state = self.state();
        let outer = (state.current, state.effective);
        let given = std::mem::take(&mut state.given);
        (state.current, state.effective) = (arguments.first().copied().unwrap_or_default(), given);
        state.events.note(|| {
            let arguments = arguments.iter().map(|argument| u64::from(*argument)).collect();
            Event::Callback { name: name.into(), arguments }
        });
        outer
    }

    /// Records that a callback has returned, with its result if it has one.
    pub(crate) fn leave(&self, name: &str, result: Option<u32>, outer: (u32, u32)) {
        let mut state = self.state();
        (state.current, state.effective) = outer;
        state.events.note(|| Event::Returned { name: name.into(), result: result.map(u64::from) });
    }

    /// Runs the callbacks that the host enters while a host function runs, as far as the module
    /// exports them.
    pub(crate) fn call_inside(&self, function: &str, module: &mut dyn Reentrant) -> std::result::Result<(), Trap> {
        let host = self.state().settings.profile;
        let next = if function == "proxy_grpc_stream" { rpc::next_inside } else { foreign::next_inside };
        let outer = self.state().backs.arguments.take();
        loop {
            // Not in the condition: nothing is locked while the module runs.
            let found = next(&mut self.state());
            let Some((name, arguments)) = found else { break };
            let known = name != "proxy_on_foreign_function" || self.state().version != Version::V0_1_0;
            if known && !host.suppresses(name) && module.exports(name) {
                let outer = self.enter(name, &arguments);
                let called = module.call(name, &arguments);
                self.leave(name, None, outer);
                called?;
            }
        }
        self.state().backs.arguments = outer;
        Ok(())
    }

    /// Runs the module's allocator, which may do less than other code of the module.
    pub(crate) fn while_allocating<T>(&self, body: impl FnOnce() -> T) -> T {
        let outer = std::mem::replace(&mut self.state().permission, Permission::Allocation);
        let result = body();
        self.state().permission = outer;
        result
    }

    /// Edits a map, if the host that is played allows it.
    fn edit_map(&self, map: u32, edit: impl FnOnce(HostProfile, &mut Map)) -> Result<()> {
        let mut state = self.state();
        other_hosts::check_edit(&mut state, map)?;
        let host = state.settings.profile;
        access::edit_map(&mut state, map, |map| edit(host, map))
    }

    /// Whether a local reply or a reset of the stream here would crash the process of Envoy.
    fn too_late(stream: &Stream) -> bool {
        matches!(stream.phase, Phase::Log | Phase::Done | Phase::Delete)
    }
}

/// Functions that no fault is made for. No host refuses the last two for a stream that is alive,
/// and a module can do nothing without them.
const CANNOT_FAIL: [&str; 3] = ["proxy_log", "proxy_set_effective_context", "proxy_continue_stream"];

/// Whether a module may call a function while it is initialised.
fn when_initialising(function: &str) -> bool {
    const NOT: [&str; 7] = ["fd_read", "fd_seek", "fd_close", "path_open", "proc_exit", "sched_yield", "pthread_equal"];
    match function {
        "proxy_log" => true,
        _ if function.starts_with("proxy_") => false,
        _ => !NOT.contains(&function),
    }
}

/// Whether a module's allocator may call a function.
fn when_allocating(function: &str) -> bool {
    matches!(function, "proxy_log" | "fd_write" | "clock_time_get" | "poll_oneoff")
}

impl HostFunctions for Functions {
    fn proxy_log(&self, level: u32, message: &[u8]) -> Result<()> {
        let level = LogLevel::from_raw(level).ok_or(Status::BAD_ARGUMENT)?;
        let mut state = self.state();
        if level >= state.settings.log_level {
            state.log(LogLine { level, message: String::from_utf8_lossy(message).into_owned() });
        }
        Ok(())
    }

    fn proxy_get_log_level(&self) -> Result<u32> {
        Ok(self.state().settings.log_level.raw())
    }

    fn proxy_get_current_time_nanoseconds(&self) -> Result<u64> {
        Ok(other_hosts::wall(&mut self.state()))
    }

    fn proxy_set_tick_period_milliseconds(&self, period: u32) -> Result<()> {
        let mut state = self.state();
        other_hosts::check_tick(&mut state, period)?;
        let root = state.root().map(|root| root.id);
        if let Some(root) = root {
            state.clock.set_tick_period(root, period);
        }
        Ok(())
    }

    fn proxy_get_buffer_bytes(&self, buffer_type: u32, start: u32, max_size: u32) -> Result<Vec<u8>> {
        let mut state = self.state();
        other_hosts::check_body(&mut state, buffer_type)?;
        let bytes = access::buffer(&mut state, buffer_type)?;
        let (start, max_size) = other_hosts::range(&state, start, max_size, Quirk::ReadsWhole);
        let end = start.saturating_add(max_size).min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    fn proxy_set_buffer_bytes(&self, buffer_type: u32, start: u32, size: u32, bytes: &[u8]) -> Result<()> {
        let mut state = self.state();
        other_hosts::check_body(&mut state, buffer_type)?;
        let (start, size) = other_hosts::range(&state, start, size, Quirk::WritesWhole);
        let absent = match buffer_type {
            4 => state.callouts.response.is_none(),
            7 => !state.configuring,
            _ => false,
        };
        if absent {
            return Err(Status::NOT_FOUND);
        }
        let stream = state.stream().ok_or(Status::BAD_ARGUMENT)?;
        let body = access::body(stream, buffer_type).ok_or(Status::BAD_ARGUMENT)?;
        access::edit(body, start, size, bytes)
    }

    fn proxy_get_buffer_status(&self, buffer_type: u32) -> Result<(u32, u32)> {
        Ok((u32::try_from(access::buffer(&mut self.state(), buffer_type)?.len()).unwrap_or(u32::MAX), 0))
    }

    fn proxy_get_header_map_size(&self, map_type: u32) -> Result<u32> {
        access::edit_map(&mut self.state(), map_type, |map| map.byte_size())
    }

    fn proxy_get_header_map_pairs(&self, map_type: u32) -> Result<Vec<u8>> {
        access::read_map(&mut self.state(), map_type, |map, _| {
            Ok(map.map(|map| fields::encode(map.fields())).unwrap_or_default())
        })
    }

    fn proxy_set_header_map_pairs(&self, map_type: u32, pairs: &[u8]) -> Result<()> {
        let pairs = fields::decode(pairs);
        self.edit_map(map_type, |host, map| other_hosts::set_all(host, map, &pairs))
    }

    fn proxy_get_header_map_value(&self, map_type: u32, name: &[u8]) -> Result<Vec<u8>> {
        let mut state = self.state();
        // Modules of the first version get an empty value.
        let is_empty = state.version == Version::V0_1_0 || state.plays(Quirk::MissingFieldIsEmpty);
        let missing = if is_empty { Ok(Vec::new()) } else { Err(Status::NOT_FOUND) };
        access::read_map(&mut state, map_type, |map, logging| match map {
            Some(map) => map.get(name).map_or(missing, |value| Ok(value.to_vec())),
            None if logging => Err(Status::NOT_FOUND),
            None => Err(UNAVAILABLE),
        })
    }

    fn proxy_add_header_map_value(&self, map_type: u32, name: &[u8], value: &[u8]) -> Result<()> {
        self.edit_map(map_type, |host, map| other_hosts::add(host, map, name, value))
    }

    fn proxy_replace_header_map_value(&self, map_type: u32, name: &[u8], value: &[u8]) -> Result<()> {
        self.edit_map(map_type, |host, map| other_hosts::replace(host, map, name, value))
    }

    fn proxy_remove_header_map_value(&self, map_type: u32, name: &[u8]) -> Result<()> {
        self.edit_map(map_type, |_, map| map.remove(name))
    }

    fn proxy_get_property(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut state = self.state();
        match property::get(&mut state, path) {
            Err(Status::NOT_FOUND) if state.plays(Quirk::MissingPropertyIsEmpty) => Ok(Vec::new()),
            result => result,
        }
    }

    fn proxy_set_property(&self, path: &[u8], value: &[u8]) -> Result<()> {
        property::set(&mut self.state(), path, value)
    }

    fn proxy_continue_stream(&self, stream_type: u32) -> Result<()> {
        let mut state = self.state();
        match stream_type {
            0 | 1 => {}
            2 => {
                if let Some(stream) = state.stream() {
                    let viewer = stream.viewer;
                    stream.connection.iter_mut().for_each(|flows| flows.continued.push(viewer));
                }
                return Ok(());
            }
            3 => return Err(Status::UNIMPLEMENTED),
            _ => return Err(Status::BAD_ARGUMENT),
        }
        let Some(stream) = state.stream().filter(|stream| stream.connection.is_none()) else { return Ok(()) };
        let viewer = stream.viewer;
        let early = stream_type == 1 && !stream.response_started;
        if stream_type == 0 {
            stream.request.continued.push(viewer);
        } else {
            stream.response.continued.push(viewer);
            stream.response.held.retain(|hold| hold.filter != viewer);
        }
        // The request side is out of reach at once, whichever side is continued.
        stream.request.continued_by(viewer);
        stream.continue_body(viewer);
        if early {
            state.violate(
                Rule::ResumeWithoutResponse,
                "proxy_continue_stream for a response that does not exist yet: Envoy 1.40 crashes with a segmentation fault",
            );
        }
        Ok(())
    }

    fn proxy_close_stream(&self, stream_type: u32) -> Result<()> {
        let mut state = self.state();
        if stream_type > 3 {
            return Err(Status::BAD_ARGUMENT);
        }
        // What is of the other kind of streams does nothing.
        let Some(stream) = state.stream().filter(|stream| (stream_type < 2) == stream.connection.is_none()) else {
            return Ok(());
        };
        if stream.connection.is_some() {
            stream.closed = true;
        } else if Self::too_late(stream) {
            state.violate(
                Rule::DecisionAtTheEnd,
                "proxy_close_stream in on_log, on_done or on_delete: Envoy 1.40 crashes",
            );
        } else {
            stream.closed = true;
        }
        Ok(())
    }

    fn proxy_send_local_response(
        &self,
        code: u32,
        details: &[u8],
        body: &[u8],
        headers: &[u8],
        grpc_status: i32,
    ) -> Result<()> {
        let mut state = self.state();
        other_hosts::check_reply(&mut state)?;
        let replaces = state.plays(Quirk::LastReplyCounts);
        // On a root context, and for a connection, Envoy says Ok and does nothing.
        let Some(stream) = state.stream().filter(|stream| stream.connection.is_none()) else {
            state.violate(
                Rule::IgnoredReply,
                "proxy_send_local_response for what is no HTTP stream: Envoy 1.40 returns Ok and sends nothing",
            );
            return Ok(());
        };
        if Self::too_late(stream) {
            state.violate(
                Rule::DecisionAtTheEnd,
                "proxy_send_local_response in on_log, on_done or on_delete: Envoy 1.40 crashes",
            );
        } else if stream.local_reply.is_none() || replaces {
            stream.local_reply = Some(LocalReply {
                status: code,
                details: details.to_vec(),
                body: body.to_vec(),
                headers: fields::decode(headers),
                grpc_status,
            });
        } else {
            state.violate(
                Rule::IgnoredReply,
                "proxy_send_local_response for a stream that has a local reply: Envoy 1.40 returns Ok and sends the first",
            );
        }
        Ok(())
    }

    fn proxy_http_call(
        &self,
        upstream: &[u8],
        headers: &[u8],
        body: &[u8],
        _trailers: &[u8],
        timeout: u32,
    ) -> Result<u32> {
        // Envoy 1.40 never sends the trailers.
        let mut state = self.state();
        other_hosts::check_call(&mut state)?;
        callout::call(&mut state, upstream, headers, body, timeout)
    }

    fn proxy_grpc_call(
        &self,
        upstream: &[u8],
        service: &[u8],
        method: &[u8],
        metadata: &[u8],
        message: &[u8],
        timeout: u32,
    ) -> Result<u32> {
        let address = Address { upstream, service, method, metadata };
        rpc::call(&mut self.state(), &address, message, timeout)
    }

    fn proxy_grpc_stream(&self, upstream: &[u8], service: &[u8], method: &[u8], metadata: &[u8]) -> Result<u32> {
        rpc::stream(&mut self.state(), &Address { upstream, service, method, metadata })
    }

    fn proxy_grpc_send(&self, token: u32, message: &[u8], end_of_stream: u32) -> Result<()> {
        rpc::send(&mut self.state(), token, message, end_of_stream != 0)
    }

    fn proxy_grpc_cancel(&self, token: u32) -> Result<()> {
        rpc::cancel(&mut self.state(), token)
    }

    fn proxy_grpc_close(&self, token: u32) -> Result<()> {
        rpc::close(&mut self.state(), token)
    }

    fn proxy_get_status(&self) -> Result<(u32, Vec<u8>)> {
        Ok(self.state().callouts.status.clone())
    }

    fn proxy_set_effective_context(&self, context_id: u32) -> Result<()> {
        let mut state = self.state();
        if state.plays(Quirk::ContextIsGiven) {
            return Ok(());
        }
        if context_id != 0 && !state.knows(context_id) {
            return Err(Status::BAD_ARGUMENT);
        }
        state.effective = context_id;
        Ok(())
    }

    fn proxy_set_shared_data(&self, key: &[u8], value: &[u8], cas: u32) -> Result<()> {
        self.state().shared_data.set(key, value, cas)
    }

    fn proxy_get_shared_data(&self, key: &[u8]) -> Result<(Vec<u8>, u32)> {
        self.state().shared_data.get(key)
    }

    fn proxy_register_shared_queue(&self, name: &[u8]) -> Result<u32> {
        let state = self.state();
        Ok(state.queues.register(name, state.registrant()))
    }

    fn proxy_resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32> {
        let state = self.state();
        let own = vm_id.is_empty() || vm_id == state.settings.vm_id.as_bytes();
        if own { state.queues.resolve(name) } else { Err(Status::NOT_FOUND) }
    }

    fn proxy_enqueue_shared_queue(&self, queue: u32, item: &[u8]) -> Result<()> {
        self.state().queues.enqueue(queue, item)
    }

    fn proxy_dequeue_shared_queue(&self, queue: u32) -> Result<Vec<u8>> {
        self.state().queues.dequeue(queue)
    }

    fn proxy_define_metric(&self, metric_type: u32, name: &[u8]) -> Result<u32> {
        self.state().metrics.define(metric_type, name)
    }

    fn proxy_increment_metric(&self, metric: u32, offset: i64) -> Result<()> {
        let mut state = self.state();
        let result = state.metrics.increment(metric, offset);
        other_hosts::check_metric(&mut state, result)
    }

    fn proxy_record_metric(&self, metric: u32, value: u64) -> Result<()> {
        let mut state = self.state();
        let result = state.metrics.record(metric, value);
        other_hosts::check_metric(&mut state, result)
    }

    fn proxy_get_metric(&self, metric: u32) -> Result<u64> {
        let mut state = self.state();
        let result = state.metrics.get(metric);
        other_hosts::check_metric(&mut state, result)
    }

    fn proxy_call_foreign_function(&self, name: &[u8], argument: &[u8]) -> Result<Vec<u8>> {
        let function = self.state().settings.foreign.get(name);
        // A part of a test: nothing is locked while it runs.
        let reply = function.map(|function| function(argument));
        let mut state = self.state();
        if let Some(reply) = reply {
            return foreign::answer(&mut state, reply);
        }
        other_hosts::check_foreign(&mut state, name)?;
        foreign::call(&mut state, name, argument)
    }

    fn proxy_done(&self) -> Result<()> {
        let mut state = self.state();
        let context = if state.effective == 0 { state.current } else { state.effective };
        state.roots.release(context)
    }
}
