//! Hosts other than Envoy: the calls that fail there, and those that trap the VM.

use super::fields::Map;
use super::state::State;
use super::stream::Phase;
use crate::engine::Trap;
use crate::host_profile::{Failure, HostProfile, Quirk};
use proxy_filter::Status;

type Result<T> = std::result::Result<T, Status>;

/// Whether a host has a function. A call of one that it has not traps the VM, and so does one that
/// it does not implement. As wasm, a module that imports the former does not load at all.
pub(super) fn runs(host: HostProfile, function: &str) -> std::result::Result<(), Trap> {
    if host.not_offered().iter().any(|name| name.strip_prefix("env.") == Some(function)) {
        return Err(Trap(format!("{host} does not offer {function}: as wasm, the module does not load")));
    }
    match host.failure(function) {
        Some(Failure::Trap) => Err(Trap(format!("{host} does not implement {function}, and a call traps the VM"))),
        _ => Ok(()),
    }
}

/// The status that a host returns for a function which does not work.
pub(super) fn status_of(host: HostProfile, function: &str) -> Option<Status> {
    match host.failure(function) {
        Some(Failure::Status(status)) => Status::from_raw(status),
        _ => None,
    }
}

/// The call that runs traps the VM when it returns. Returns its result, which the module
/// does not see.
fn trap(state: &mut State, why: &str) -> Status {
    state.trap = Some(Trap(format!("{} traps the VM: {why}", state.settings.profile)));
    Status::INTERNAL_FAILURE
}

fn trap_if(state: &mut State, wrong: bool, why: &str) -> Result<()> {
    if wrong && state.plays(Quirk::WrongPhaseTraps) { Err(trap(state, why)) } else { Ok(()) }
}

/// The phase of the stream that is acted on, and whether its response has begun.
fn moment(state: &mut State) -> Option<(Phase, bool, bool)> {
    state.stream().map(|stream| (stream.phase, stream.response_started, stream.response.gone))
}

/// The headers of a map are edited.
pub(super) fn check_edit(state: &mut State, map: u32) -> Result<()> {
    if !state.plays(Quirk::WrongPhaseTraps) {
        return Ok(());
    }
    let moment = moment(state);
    let in_request =
        |phase| matches!(phase, Phase::RequestHeaders | Phase::RequestBody { .. } | Phase::RequestTrailers);
    match map {
        0 => {
            let fits = |(phase, begun, _): (Phase, bool, bool)| in_request(phase) || phase == Phase::Idle && !begun;
            trap_if(state, !moment.is_some_and(fits), "request headers can be edited before the response has begun")
        }
        2 => {
            let fits = |(phase, _, sent): (Phase, bool, bool)| {
                in_request(phase) || phase == Phase::ResponseHeaders || phase == Phase::Idle && !sent
            };
            trap_if(state, !moment.is_some_and(fits), "response headers can be edited before `on_response_body`")
        }
        _ => Err(Status::BAD_ARGUMENT),
    }
}

/// A body is read or edited.
pub(super) fn check_body(state: &mut State, buffer: u32) -> Result<()> {
    let phase = moment(state).map(|(phase, ..)| phase);
    let wrong = match buffer {
        0 => !matches!(phase, Some(Phase::RequestBody { .. })),
        1 => !matches!(phase, Some(Phase::ResponseBody { .. })),
        _ => false,
    };
    trap_if(state, wrong, "a body can be read and edited in its own callback")
}

/// A tick period is set.
pub(super) fn check_tick(state: &mut State, period: u32) -> Result<()> {
    let context = state.context();
    trap_if(state, !state.roots.contains(context), "a context of a stream cannot set a tick period")?;
    let is_set = state.clock.ticks().any(|(root, ..)| root == context);
    trap_if(state, period > 0 && is_set, "the tick period is set already")
}

/// A local reply is made.
pub(super) fn check_reply(state: &mut State) -> Result<()> {
    let replied = state.stream().is_some_and(|stream| stream.local_reply.is_some());
    trap_if(state, replied, "there is a local reply already")
}

/// An HTTP callout is made.
pub(super) fn check_call(state: &mut State) -> Result<()> {
    let wrong = match moment(state) {
        Some((phase, ..)) => !matches!(phase, Phase::Idle | Phase::RequestHeaders | Phase::RequestBody { .. }),
        None => state.starting,
    };
    trap_if(
        state,
        wrong,
        "a callout can be made in the request's headers and body, in a tick and in the completion of a callout",
    )
}

/// What became of a call that reads or changes a metric.
pub(super) fn check_metric<T>(state: &mut State, result: Result<T>) -> Result<T> {
    trap_if(state, result.is_err(), "there is no such metric, or it is a histogram")?;
    result
}

/// A foreign function is called that a test has not defined.
pub(super) fn check_foreign(state: &mut State, name: &[u8]) -> Result<()> {
    let Some(Failure::TrapUnless(known)) = state.settings.profile.failure("proxy_call_foreign_function") else {
        return Ok(());
    };
    let name = name.escape_ascii();
    if name.to_string() == known {
        return Err(trap(state, &format!("the test has no foreign function `{known}`: Host::foreign_function")));
    }
    Err(trap(state, &format!("there is no foreign function `{name}`")))
}

/// The part of a buffer that a host reads or replaces: where it begins, and its size.
pub(super) fn range(state: &State, start: u32, size: u32, whole: Quirk) -> (usize, usize) {
    if state.plays(whole) {
        return (0, usize::MAX);
    }
    let start = if whole == Quirk::ReadsWhole && state.plays(Quirk::ReadsFromStart) { 0 } else { start };
    (start as usize, size as usize)
}

/// The time that a module reads: that of the clock, or of the beginning of its stream.
pub(super) fn wall(state: &mut State) -> u64 {
    let stands_still = state.plays(Quirk::ClockStandsStill);
    let began = state.stream().filter(|_| stands_still).map(|stream| stream.info.started);
    began.unwrap_or_else(|| u64::try_from(state.clock.wall().as_nanos()).unwrap_or(u64::MAX))
}

/// Adds a field as a host does.
pub(super) fn add(host: HostProfile, map: &mut Map, name: &[u8], value: &[u8]) {
    if host.plays(Quirk::AddOverwrites) && map.get(name).is_some() {
        map.set_first(name, value);
    } else {
        map.add(name, value);
    }
}

/// Replaces a field as a host does.
pub(super) fn replace(host: HostProfile, map: &mut Map, name: &[u8], value: &[u8]) {
    if !host.plays(Quirk::ReplaceNeedsField) {
        map.replace(name, value);
    } else if map.get(name).is_some() {
        map.set_only(name, value);
    }
}

/// Sets all fields as a host does.
pub(super) fn set_all(host: HostProfile, map: &mut Map, pairs: &[(Vec<u8>, Vec<u8>)]) {
    if !host.plays(Quirk::PairsMerge) {
        *map = Map::from_fields(map.kind(), pairs);
        return;
    }
    for (name, value) in pairs {
        map.set_only(name, value);
    }
}
