//! What comes to the root context by itself, in the order of its time: ticks, and what comes back of HTTP callouts and gRPC.

use super::functions::Functions;
use super::vm::Vm;
use super::{callout, foreign, rpc, rpc_server, time};
use std::time::Duration;

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Callout,
    Rpc,
    Foreign,
    Tick,
}

/// Goes on to the next event, if it comes no later than this, and tells the module. Whether there was one.
///
/// Of events at the same time the end of an HTTP callout comes first, then gRPC, then foreign functions, then the tick; what was called first comes first.
pub(super) fn next(vm: &mut Vm, functions: &Functions, until: Duration) -> bool {
    if vm.failed() {
        return false;
    }
    callout::ask_servers(functions);
    rpc_server::work(functions);
    let event = {
        let mut state = functions.state();
        let callout = state.callouts.due().map(|due| (due, Event::Callout));
        let rpc = state.rpcs.due().map(|due| (due, Event::Rpc));
        let foreign = state.backs.due().map(|due| (due, Event::Foreign));
        let tick = state.clock.tick_due().map(|due| (due, Event::Tick));
        let earliest = [callout, rpc, foreign, tick].into_iter().flatten().min_by_key(|(due, _)| *due);
        let Some((due, event)) = earliest.filter(|(due, _)| *due <= until) else { return false };
        state.clock.go_on_to(due);
        event
    };
    match event {
        Event::Callout => callout::deliver(vm, functions),
        Event::Rpc => rpc::deliver(vm, functions),
        Event::Foreign => foreign::deliver(vm, functions),
        Event::Tick => time::tick(vm, functions),
    }
    time::tell(vm, functions);
    true
}

/// Delivers what is due by now.
pub(super) fn deliver_due(vm: &mut Vm, functions: &Functions) {
    let now = functions.state().clock.now();
    while next(vm, functions, now) {}
}
