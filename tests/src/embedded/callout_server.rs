//! The servers of HTTP callouts. They are parts of a test, so nothing is locked while they run.

use super::callouts::{Callout, End, RESET, Response, TIMED_OUT, own, refused};
use super::fields::{Kind, Map};
use super::functions::Functions;
use super::wire;
use crate::action::Call;
use crate::cluster::Endpoint;
use crate::message::{Answer, Protocol, Received, Reply};
use std::time::Duration;

/// Runs the servers of the callouts that were made since the previous call. Nothing is locked while
/// a server runs, because it is a part of a test.
pub(super) fn ask_servers(functions: &Functions) {
    loop {
        let mut state = functions.state();
        let text_of_refusal = refused(state.settings.profile);
        let (answer, request) = match state.callouts.unanswered() {
            None => return,
            Some(callout) if matches!(callout.endpoint, Endpoint::Live) => {
                let due = callout.timeout.map_or(Duration::MAX, |timeout| callout.made + timeout);
                callout.end = Some((due, End::Response(own(504, TIMED_OUT))));
                let call = Call {
                    token: callout.token,
                    stream: None,
                    cluster: callout.cluster.clone(),
                    headers: callout.request.headers.clone(),
                    body: callout.request.body.clone(),
                    timeout: callout.timeout,
                };
                let context = callout.context;
                state.callouts.live.push((context, call));
                continue;
            }
            Some(Callout { endpoint: Endpoint::Server(answer) | Endpoint::Grpc(answer), request, .. }) => {
                (Answer::clone(answer), request.clone())
            }
            Some(callout) => {
                callout.end = Some((callout.made, End::Response(own(503, text_of_refusal))));
                continue;
            }
        };
        drop(state);
        let reply = answer(&request);
        if let Some(callout) = functions.state().callouts.unanswered() {
            callout.end = Some(end(callout.made, callout.timeout, &request, &reply));
        }
    }
}

/// The time and the result of a callout to a server with this reply.
fn end(made: Duration, timeout: Option<Duration>, request: &Received, reply: &Reply) -> (Duration, End) {
    if let Some(timeout) = timeout.filter(|timeout| *timeout <= reply.after) {
        return (made + timeout, End::Response(own(504, TIMED_OUT)));
    }
    let end = if reply.reset {
        End::Response(own(503, RESET))
    } else if reply.cut_off {
        End::Reset
    } else {
        End::Response(response(request, reply))
    };
    (made + reply.after, end)
}

/// A server's response as it reaches the module.
fn response(request: &Received, reply: &Reply) -> Response {
    let headers = wire::response_map(reply, Protocol::Http1);
    let head = request.header(":method").is_some_and(|method| method == "HEAD");
    let bodiless = head || reply.status == 204 || reply.status == 304;
    let trailers = Map::from_fields(Kind::Trailers, &reply.trailers);
    Response {
        headers,
        body: if bodiless { Vec::new() } else { reply.body.bytes() },
        trailers: Some(trailers).filter(|map| map.len() > 0 && !bodiless),
        is_own: false,
    }
}
