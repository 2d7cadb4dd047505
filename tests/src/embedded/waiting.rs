//! What streams that have not ended wait for, in words.
//!
//! The host knows which callback paused a message, and which calls and ticks of the module are
//! pending: enough to see why a stream stands still, whether it has callbacks or is one async
//! function.

use super::pending::PendingCall;
use super::state::State;
use super::stream::{Hold, Stream};
use std::fmt::Write as _;
use std::time::Duration;

/// What is said of a stream that nothing can resume.
const NOTHING_IS_PENDING: &str = "\n  nothing is pending that could resume it";

/// Whether this is a stream that is paused, and that nothing can resume.
pub(crate) fn is_paused_for_ever(waits: &str) -> bool {
    waits.contains(NOTHING_IS_PENDING)
}

fn span(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// When something is due, seen from now.
fn due(due: Option<Duration>, now: Duration) -> String {
    match due {
        None => "nothing is due".into(),
        Some(due) if due <= now => "due now".into(),
        Some(due) => format!("due in {}", span(due.saturating_sub(now))),
    }
}

/// What a stream waits for at this time, a line each.
pub(super) fn waits(state: &State, stream: &Stream, now: Duration) -> String {
    let mut text = format!("stream {} has not ended", stream.id);
    let mut held = false;
    let of = |side: &'static str, holds: &[Hold]| holds.iter().map(|hold| (side, hold.clone())).collect::<Vec<_>>();
    let holds = [of("request", &stream.request.held), of("response", &stream.response.held)].concat();
    for (message, Hold { callback, filter, since }) in holds {
        held = true;
        let ago = span(now.saturating_sub(since));
        let _ = write!(text, "\n  its {message} is paused since {callback} of context {filter}, {ago} ago");
    }
    let mut calls = state.callouts.pending_calls();
    calls.extend(state.rpcs.pending_calls());
    calls.retain(|call| stream.is_woken_by(call.context));
    for PendingCall { what, made, timeout, due: next, .. } in &calls {
        let timeout = timeout.map_or("no timeout".into(), |timeout| format!("timeout {}", span(timeout)));
        let made = span(now.saturating_sub(*made));
        let _ = write!(text, "\n  {what}, made {made} ago, {timeout}: {}", due(*next, now));
    }
    let ticks = state.clock.ticks().filter(|(root, ..)| stream.is_woken_by(*root)).collect::<Vec<_>>();
    for (root, period, next) in &ticks {
        let _ = write!(text, "\n  the tick of root context {root}, every {}: {}", span(*period), due(Some(*next), now));
    }
    if held {
        if calls.is_empty() && ticks.is_empty() {
            text.push_str(NOTHING_IS_PENDING);
        }
    } else if stream.response_started {
        text.push_str("\n  the filter pauses nothing: the rest of the response is in flight");
    } else if stream.asked {
        text.push_str("\n  the filter pauses nothing: the upstream has not responded");
    } else {
        text.push_str("\n  the filter pauses nothing: the rest of the request is in flight");
    }
    text
}

/// What each stream waits for that others are played beside.
pub(super) fn waiting(state: &State) -> impl Iterator<Item = String> + '_ {
    let now = state.clock.now();
    state.stream.iter().chain(&state.parked).map(move |stream| waits(state, stream, now))
}
