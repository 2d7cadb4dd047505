//! What streams that have not ended wait for, in words.
//!
//! The host knows which callback held a message, and which calls and ticks of the module are under way: enough to see why a stream
//! stands still, whether it has callbacks or is one async function.

use super::exchange::Which;
use super::state::{Phase, State, Stream};
use std::fmt::Write as _;
use std::time::Duration;

/// A callback that held a message.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    callback: String,
    pub(super) filter: u32,
    since: Duration,
}

/// A call that is under way.
pub(super) struct UnderWay {
    /// The context that made it: a stream's, or a root context.
    pub(super) context: u32,
    /// What it is, and whom it asks.
    pub(super) what: String,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    /// When the module is told of something next, as far as that is known.
    pub(super) due: Option<Duration>,
}

/// The message that a callback of this phase is about.
const fn message(phase: Phase) -> Option<Which> {
    match phase {
        Phase::RequestHeaders | Phase::RequestBody { .. } | Phase::RequestTrailers => Some(Which::Request),
        Phase::ResponseHeaders | Phase::ResponseBody { .. } | Phase::ResponseTrailers => Some(Which::Response),
        _ => None,
    }
}

impl Stream {
    /// A callback has returned: it holds its message, or lets it go.
    pub(super) fn returned(&mut self, callback: &str, filter: u32, raw: u32, now: Duration) {
        let headers = matches!(self.phase, Phase::RequestHeaders | Phase::ResponseHeaders);
        let side = match message(self.phase) {
            Some(Which::Request) => &mut self.request,
            Some(Which::Response) => &mut self.response,
            None => return,
        };
        // 2 is ContinueAndEndStream, which Envoy treats as Continue.
        let goes_on = raw == 0 || side.continued.contains(&filter) || (headers && raw == 2);
        if goes_on {
            side.held.retain(|hold| hold.filter != filter);
        } else if !side.held.iter().any(|hold| hold.filter == filter) {
            side.held.push(Hold { callback: callback.to_owned(), filter, since: now });
        }
    }

    /// Whether what a context has under way may wake this stream.
    fn is_woken_by(&self, context: u32) -> bool {
        self.filters.iter().any(|filter| filter.id == context || filter.root == context)
    }
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

impl State {
    /// What a stream waits for at this time, a line each.
    pub(super) fn waits(&self, stream: &Stream, now: Duration) -> String {
        let mut text = format!("stream {} has not ended", stream.id);
        let mut held = false;
        let of = |side: &'static str, holds: &[Hold]| holds.iter().map(|hold| (side, hold.clone())).collect::<Vec<_>>();
        let holds = [of("request", &stream.request.held), of("response", &stream.response.held)].concat();
        for (message, Hold { callback, filter, since }) in holds {
            held = true;
            let ago = span(now.saturating_sub(since));
            let _ = write!(text, "\n  its {message} is held since {callback} of context {filter}, {ago} ago");
        }
        let mut under_way = self.callouts.under_way();
        under_way.extend(self.rpcs.under_way());
        under_way.retain(|call| stream.is_woken_by(call.context));
        for UnderWay { what, made, timeout, due: next, .. } in &under_way {
            let timeout = timeout.map_or("no timeout".into(), |timeout| format!("timeout {}", span(timeout)));
            let made = span(now.saturating_sub(*made));
            let _ = write!(text, "\n  {what}, made {made} ago, {timeout}: {}", due(*next, now));
        }
        let ticks = self.clock.ticks().filter(|(root, ..)| stream.is_woken_by(*root)).collect::<Vec<_>>();
        for (root, period, next) in &ticks {
            let _ =
                write!(text, "\n  the tick of root context {root}, every {}: {}", span(*period), due(Some(*next), now));
        }
        if held {
            if under_way.is_empty() && ticks.is_empty() {
                text.push_str("\n  nothing is under way that could let it go on");
            }
        } else if stream.response_started {
            text.push_str("\n  the filter holds nothing: the rest of the response is on its way");
        } else if stream.asked {
            text.push_str("\n  the filter holds nothing: the upstream has not answered");
        } else {
            text.push_str("\n  the filter holds nothing: the rest of the request is on its way");
        }
        text
    }

    /// What each stream waits for that others are played beside.
    pub(super) fn waiting(&self) -> impl Iterator<Item = String> + '_ {
        let now = self.clock.now();
        self.stream.iter().chain(&self.parked).map(move |stream| self.waits(stream, now))
    }
}
