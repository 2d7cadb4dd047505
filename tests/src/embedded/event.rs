//! What the root context is called for between the messages of streams, in the order of its time:
//! ticks, and the results of HTTP callouts and gRPC.

use super::callouts::{Callout, End, bare};
use super::fields::Map;
use super::functions::Functions;
use super::vm::Vm;
use super::{callout_server, foreign, rpc, rpc_server};
use crate::host_profile::Quirk;
use std::time::Duration;

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Callout,
    Rpc,
    Foreign,
    Tick,
}

/// Returns the next event that is known, and its time.
fn earliest(functions: &Functions) -> Option<(Duration, Event)> {
    callout_server::ask_servers(functions);
    rpc_server::work(functions);
    let state = functions.state();
    let callout = state.callouts.due().map(|due| (due, Event::Callout));
    let rpc = state.rpcs.due().map(|due| (due, Event::Rpc));
    let foreign = state.backs.due().map(|due| (due, Event::Foreign));
    let tick = state.clock.tick_due().map(|due| (due, Event::Tick));
    [callout, rpc, foreign, tick].into_iter().flatten().min_by_key(|(due, _)| *due)
}

/// Returns the time of the next event; not before now.
pub(super) fn due(vm: &Vm, functions: &Functions) -> Option<Duration> {
    let (due, _) = if vm.failed() { None } else { earliest(functions) }?;
    Some(due.max(functions.state().clock.now()))
}

/// Advances to the next event, if it is not later than this, and runs its callback. Returns whether
/// there was one.
///
/// Of events at the same time the end of an HTTP callout comes first, then gRPC, then foreign
/// functions, then the tick; what was called first comes first.
pub(super) fn next(vm: &Vm, functions: &Functions, until: Duration) -> bool {
    if vm.failed() {
        return false;
    }
    let Some((due, event)) = earliest(functions).filter(|(due, _)| *due <= until) else { return false };
    functions.state().clock.go_on_to(due);
    match event {
        Event::Callout => callout(vm, functions),
        Event::Rpc => {
            // Not in the condition: nothing is locked while the module runs.
            let callback = rpc::next_due(&mut functions.state());
            if let Some(callback) = callback {
                vm.tell(&callback);
            }
        }
        Event::Foreign => {
            let arguments = foreign::next_due(&mut functions.state());
            if let Some(arguments) = arguments {
                vm.call(foreign::CALLBACK, &arguments);
                functions.state().backs.arguments = None;
            }
        }
        Event::Tick => tick(vm, functions),
    }
    tell(vm, functions);
    true
}

/// Delivers what is due by now.
pub(super) fn deliver_due(vm: &Vm, functions: &Functions) {
    let now = functions.state().clock.now();
    while next(vm, functions, now) {}
}

/// Lets time pass: what is due comes when it is due.
pub(super) fn advance(vm: &Vm, functions: &Functions, end: Duration) {
    tell(vm, functions);
    while next(vm, functions, end) {}
    functions.state().clock.go_on_to(end);
}

/// The tick of a root context. Envoy starts the next period when the callback has returned.
fn tick(vm: &Vm, functions: &Functions) {
    let Some(root) = functions.state().clock.ticks_next() else { return };
    vm.call("proxy_on_tick", &[root]);
    functions.state().clock.rearm(root);
}

/// Tells the root contexts of a VM of each item that has come into their queues. Envoy does so as
/// soon as what it has read is worked off.
pub(super) fn tell(vm: &Vm, functions: &Functions) {
    loop {
        // Not in the loop's condition: nothing is locked while the module runs.
        let next = {
            let state = functions.state();
            state.queues.tell(state.vm)
        };
        let Some((root, queue)) = next else { break };
        if functions.state().roots.contains(root) {
            vm.call("proxy_on_queue_ready", &[root, queue]);
        }
    }
}

/// Runs the callback of a root context for a callout that has ended. Its stream may have been
/// deleted.
fn callout(vm: &Vm, functions: &Functions) {
    let Some((callout, end)) = functions.state().callouts.take_due() else { return };
    functions.state().events.concerns(Some(callout.context));
    ended(vm, functions, &callout, end);
    functions.state().events.concerns(None);
}

fn ended(vm: &Vm, functions: &Functions, callout: &Callout, end: End) {
    if !functions.state().roots.contains(callout.root) {
        return;
    }
    let bare = if functions.state().plays(Quirk::FailedCallIsBare) { bare(&end) } else { None };
    let sizes = match end {
        _ if bare.is_some() => {
            functions.state().callouts.response = bare;
            [0; 3]
        }
        End::Response(response) => {
            let size = u32::try_from(response.body.len()).unwrap_or(u32::MAX);
            let sizes = [response.headers.len(), size, response.trailers.as_ref().map_or(0, Map::len)];
            functions.state().callouts.response = Some(response);
            sizes
        }
        End::Reset => {
            functions.state().callouts.status = (BROKEN_CONNECTION, b"reset".to_vec());
            [0; 3]
        }
    };
    let [headers, body, trailers] = sizes;
    {
        let mut state = functions.state();
        state.given = if state.plays(Quirk::ContextIsGiven) { callout.context } else { 0 };
    }
    vm.call("proxy_on_http_call_response", &[callout.root, callout.token, headers, body, trailers]);
    let mut state = functions.state();
    state.callouts.response = None;
    state.callouts.status.1.clear();
}

/// The code of a status that ABI 0.2.1 does not list.
const BROKEN_CONNECTION: u32 = 11;
