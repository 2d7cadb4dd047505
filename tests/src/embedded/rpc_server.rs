//! The servers of gRPC calls and streams. They are parts of a test, so nothing is locked while they
//! run.

use super::functions::Functions;
use super::happening::{self, Failure, Happening};
use super::rpcs::{Progress, Rpc};
use crate::action::{GrpcAction, GrpcCall};
use crate::cluster::Endpoint;
use crate::grpc::{self, GrpcStreamAnswer, GrpcStreamReply};
use crate::message::{Answer, Received, Reply};
use std::time::Duration;

/// What a server has to do next.
enum Work {
    /// Answer all of it.
    Answer(Answer, Received),
    /// Answer a message.
    Reply(GrpcStreamAnswer, Vec<u8>),
    /// Pass it to the server of a live filter.
    Pass(GrpcAction),
}

/// Lets the servers do all that is due.
pub(super) fn work(functions: &Functions) {
    loop {
        let (token, work) = {
            let mut state = functions.state();
            let now = state.clock.now();
            let refused = Failure::refused(state.settings.profile);
            let Some(rpc) = state.rpcs.open.iter_mut().find(|rpc| !is_idle(rpc)) else { return };
            let token = rpc.token();
            let work = begin(rpc, now, refused);
            let context = rpc.context;
            let reached = (!matches!(rpc.endpoint, Endpoint::Refusing | Endpoint::Live))
                .then(|| (rpc.cluster.clone(), rpc.request.clone()));
            if let Some((cluster, request)) = reached {
                state.callouts.note(&cluster, token, request);
            }
            if let Some(Work::Pass(action)) = work {
                state.rpcs.live.push((context, action));
                continue;
            }
            (token, work)
        };
        match work {
            None | Some(Work::Pass(_)) => {}
            Some(Work::Answer(answer, request)) => {
                let reply = answer(&request);
                finish(functions, token, |rpc, now| answered(rpc, now, &reply));
            }
            Some(Work::Reply(turns, message)) => {
                let turn = turns(&message);
                finish(functions, token, |rpc, now| took_turn(rpc, now, turn));
            }
        }
    }
}

fn is_idle(rpc: &Rpc) -> bool {
    rpc.server == Progress::Done
        || match rpc.endpoint {
            Endpoint::GrpcStream(_) | Endpoint::Live => {
                rpc.server == Progress::Opened && rpc.unanswered.is_empty() && !rpc.request.complete
            }
            Endpoint::Refusing => false,
            _ => !rpc.request.complete,
        }
}

/// Handles an event without a server of the test, or returns the one that needs it.
fn begin(rpc: &mut Rpc, now: Duration, refused: Failure) -> Option<Work> {
    match &rpc.endpoint {
        Endpoint::Server(answer) | Endpoint::Grpc(answer) => {
            let work = Work::Answer(Answer::clone(answer), rpc.request.clone());
            rpc.server = Progress::Done;
            return Some(work);
        }
        Endpoint::GrpcStream(turns) => {
            let turns = GrpcStreamAnswer::clone(turns);
            if rpc.server == Progress::Unasked {
                rpc.server = Progress::Opened;
                let mut headers =
                    happening::of(&Reply::grpc_messages::<&[u8]>([])).into_iter().take(1).collect::<Vec<_>>();
                if let (Some(Happening::Initial(map)), false) = (headers.first_mut(), rpc.request.complete) {
                    // Envoy measures the time from the end of the request.
                    map.remove(b"x-envoy-upstream-service-time");
                }
                tell(rpc, now, headers);
            }
            if let Some(message) = rpc.unanswered.pop_front() {
                return Some(Work::Reply(turns, message));
            }
            if rpc.request.complete {
                rpc.server = Progress::Done;
                tell(rpc, now, happening::status(0, "").into());
            }
        }
        Endpoint::Live => return Some(Work::Pass(pass(rpc))),
        Endpoint::Refusing | Endpoint::Absent => {
            rpc.server = Progress::Done;
            tell(rpc, now, refused.happenings());
        }
    }
    None
}

/// The next step of a call to the server of a live filter: its begin, a message, or its end.
fn pass(rpc: &mut Rpc) -> GrpcAction {
    if rpc.server == Progress::Unasked {
        rpc.server = Progress::Opened;
        return GrpcAction::Begin(GrpcCall {
            token: rpc.token(),
            stream: None,
            cluster: rpc.cluster.clone(),
            headers: rpc.request.headers.clone(),
            timeout: rpc.timeout,
        });
    }
    let message = rpc.unanswered.pop_front();
    let end = rpc.unanswered.is_empty() && rpc.request.complete;
    if end {
        rpc.server = Progress::Done;
    }
    GrpcAction::Send(rpc.token(), message.map(|message| grpc::frame(&message)).unwrap_or_default(), end)
}

fn finish(functions: &Functions, token: u32, body: impl FnOnce(&mut Rpc, Duration)) {
    let mut state = functions.state();
    let now = state.clock.now();
    // A server of a test may be slow, but the module cannot cancel the call while it runs.
    if let Some(rpc) = state.rpcs.find(token) {
        body(rpc, now);
    }
}

fn answered(rpc: &mut Rpc, now: Duration, reply: &Reply) {
    let late = rpc.timeout.filter(|timeout| *timeout <= reply.after);
    match late {
        Some(timeout) => {
            let at = rpc.made + timeout;
            tell(rpc, at, Failure::TimedOut.happenings());
        }
        None => tell(rpc, now + reply.after, happening::of(reply)),
    }
}

fn took_turn(rpc: &mut Rpc, now: Duration, turn: GrpcStreamReply) {
    let mut happenings: Vec<_> = turn.messages.into_iter().map(Happening::Message).collect();
    // A unary call ends with its only message.
    let status = turn.status.or_else(|| (!rpc.is_stream()).then(|| (0, String::new())));
    if let Some((code, message)) = status {
        rpc.server = Progress::Done;
        happenings.extend(happening::status(code, &message));
    }
    tell(rpc, now + turn.after, happenings);
}

/// Tells the module; of a call only its end.
fn tell(rpc: &mut Rpc, at: Duration, happenings: Vec<Happening>) {
    if rpc.is_stream() {
        rpc.will_tell(at, happenings);
    } else {
        rpc.will_tell(at, happening::of_call(happenings));
    }
}
