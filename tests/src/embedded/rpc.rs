//! gRPC calls and streams that the module makes.

use super::fields::{self, Kind, Map};
use super::grpc_service::GrpcService;
use super::happening::{Arrived, Failure, Happening};
use super::rpcs::{CALL, Progress, Rpc, STREAM, kind};
use super::state::State;
use super::wire;
use crate::base64;
use crate::cluster::Endpoint;
use crate::grpc;
use crate::message::{Protocol, Received};
use crate::violation::Rule;
use proxy_filter::Status;
use std::collections::VecDeque;
use std::time::Duration;

/// The parts of a call besides its message.
pub(super) struct Address<'a> {
    pub(super) upstream: &'a [u8],
    pub(super) service: &'a [u8],
    pub(super) method: &'a [u8],
    pub(super) metadata: &'a [u8],
}

/// `proxy_grpc_call`.
pub(super) fn call(state: &mut State, address: &Address<'_>, message: &[u8], timeout: u32) -> Result<u32, Status> {
    start(state, address, Some((message, timeout)))
}

/// `proxy_grpc_stream`.
pub(super) fn stream(state: &mut State, address: &Address<'_>) -> Result<u32, Status> {
    start(state, address, None)
}

fn start(state: &mut State, address: &Address<'_>, call: Option<(&[u8], u32)>) -> Result<u32, Status> {
    let known = |name: &str| state.settings.clusters.iter().find(|cluster| cluster.name == name);
    let (cluster, endpoint) = match GrpcService::parse(address.upstream) {
        GrpcService::Name(name) => {
            let cluster = known(&name).ok_or(Status::PARSE_FAILURE)?;
            (name, Some(cluster.endpoint.clone()))
        }
        GrpcService::Cluster(name) => {
            let endpoint = known(&name).map(|cluster| cluster.endpoint.clone());
            (name, endpoint)
        }
        GrpcService::Google => return Err(Status::BAD_ARGUMENT),
        GrpcService::Nothing => {
            state.violate(
                Rule::GrpcService,
                format!(
                    "the service `{}` of a gRPC call is a `GrpcService` that names nothing: Envoy 1.40 aborts",
                    address.upstream.escape_ascii()
                ),
            );
            return Err(Status::BAD_ARGUMENT);
        }
    };
    let (root, context, made) = (state.root().map_or(0, |root| root.id), state.context(), state.clock.now());
    let rpcs = &mut state.rpcs;
    let token = if call.is_some() {
        rpcs.calls += 4;
        rpcs.calls + CALL
    } else {
        rpcs.streams += 4;
        rpcs.streams + STREAM
    };
    let failure = match endpoint {
        None => Some(Failure::NoCluster),
        Some(Endpoint::Absent) => Some(Failure::NoHost),
        Some(_) => None,
    };
    if let Some(failure) = failure {
        let mut happenings = failure.happenings();
        rpcs.failed.extend(happenings.pop().map(|end| (root, token, end)));
        if kind(token) == STREAM && failure == Failure::NoHost {
            rpcs.inside = happenings.into_iter().map(|happening| (root, token, happening)).collect();
        }
        return Err(Status::INTERNAL_FAILURE);
    }
    let timeout = call.map(|(_, milliseconds)| milliseconds);
    let request = request(&cluster, address, call.map(|(message, _)| message), timeout);
    rpcs.open.push(Rpc {
        root,
        context,
        token,
        cluster,
        endpoint: endpoint.unwrap_or(Endpoint::Absent),
        made,
        timeout: timeout.filter(|timeout| *timeout > 0).map(|timeout| Duration::from_millis(timeout.into())),
        request,
        unanswered: call.map(|(message, _)| message.to_vec()).into_iter().collect(),
        server: Progress::Unasked,
        arrived: Arrived::default(),
        outbox: VecDeque::new(),
        closed: false,
        told: false,
    });
    Ok(token)
}

/// The request as the server receives it. That of a stream has no message yet.
fn request(cluster: &str, address: &Address<'_>, message: Option<&[u8]>, timeout: Option<u32>) -> Received {
    let path = [b"/", address.service, b"/", address.method].concat();
    let mut map = Map::new(Kind::Request);
    map.add(b":method", b"POST");
    map.add(b":path", &path);
    map.add(b":authority", cluster.as_bytes());
    map.add(b"te", b"trailers");
    if let Some(timeout) = timeout {
        map.add(b"grpc-timeout", format!("{timeout}m").as_bytes());
    }
    map.add(b"content-type", b"application/grpc");
    let is_binary = |(name, _): &(Vec<u8>, Vec<u8>)| name.to_ascii_lowercase().ends_with(b"-bin");
    let (binary, text): (Vec<_>, Vec<_>) = fields::decode(address.metadata).into_iter().partition(is_binary);
    for (name, value) in text {
        map.add(&name, &value);
    }
    for (name, value) in binary {
        map.add(&name, base64::encode(&value).as_bytes());
    }
    map.overwrite(b"x-envoy-internal", b"true");
    if let Some(timeout) = timeout.filter(|timeout| *timeout > 0) {
        map.overwrite(b"x-envoy-expected-rq-timeout-ms", timeout.to_string().as_bytes());
    }
    let body = message.map(grpc::frame).unwrap_or_default();
    wire::upstream(&map, &body, None, message.is_some(), false, Protocol::Http2)
}

/// `proxy_grpc_send`.
pub(super) fn send(state: &mut State, token: u32, message: &[u8], end_of_stream: bool) -> Result<(), Status> {
    if kind(token) != STREAM {
        return Err(Status::BAD_ARGUMENT);
    }
    let rpc = state.rpcs.find(token).ok_or(Status::NOT_FOUND)?;
    // After the end of either half it is dropped, without an error.
    if !rpc.request.complete && !rpc.told {
        rpc.request.body.extend(grpc::frame(message));
        rpc.unanswered.push_back(message.to_vec());
        rpc.request.complete = end_of_stream;
    }
    Ok(())
}

/// `proxy_grpc_close`: the end of a call, or of this half of a stream.
pub(super) fn close(state: &mut State, token: u32) -> Result<(), Status> {
    if kind(token) == CALL {
        return cancel(state, token);
    }
    if kind(token) != STREAM {
        return Err(Status::BAD_ARGUMENT);
    }
    let rpc = state.rpcs.find(token).ok_or(Status::NOT_FOUND)?;
    rpc.request.complete = true;
    rpc.closed = true;
    if rpc.told {
        state.rpcs.forget(token);
    }
    Ok(())
}

/// `proxy_grpc_cancel`: no callback follows.
pub(super) fn cancel(state: &mut State, token: u32) -> Result<(), Status> {
    if kind(token) != CALL && kind(token) != STREAM {
        return Err(Status::BAD_ARGUMENT);
    }
    state.rpcs.find(token).ok_or(Status::NOT_FOUND)?;
    state.rpcs.forget(token);
    Ok(())
}

/// Puts what a callback is about into reach: the callback's name, and its last argument.
fn show(state: &mut State, happening: Happening) -> (&'static str, u32) {
    match happening {
        Happening::Initial(map) => {
            let count = map.len();
            state.rpcs.initial = Some(map);
            ("proxy_on_grpc_receive_initial_metadata", count)
        }
        Happening::Message(bytes) => {
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            state.rpcs.message = Some(bytes);
            ("proxy_on_grpc_receive", size)
        }
        Happening::Trailing(map) => {
            let count = map.len();
            state.rpcs.trailing = Some(map);
            ("proxy_on_grpc_receive_trailing_metadata", count)
        }
        Happening::Close(code, message) => {
            state.callouts.status = (code, message.into_bytes());
            ("proxy_on_grpc_close", code)
        }
    }
}

fn hide(state: &mut State) {
    (state.rpcs.initial, state.rpcs.message, state.rpcs.trailing) = (None, None, None);
    state.callouts.status.1.clear();
}

/// A callback that runs inside of the host function that runs now, as it is shown to the module.
pub(crate) fn next_inside(state: &mut State) -> Option<(&'static str, [u32; 3])> {
    hide(state);
    if state.rpcs.inside.is_empty() {
        return None;
    }
    let (root, token, happening) = state.rpcs.inside.remove(0);
    let (name, argument) = show(state, happening);
    Some((name, [root, token, argument]))
}

/// A callback about a call or a stream, as it is shown to the module.
pub(super) struct Callback {
    pub(super) name: &'static str,
    pub(super) arguments: [u32; 3],
    /// The context that made the call, if it is known.
    pub(super) context: Option<u32>,
    root: u32,
    token: u32,
    ends_call: bool,
    closes: bool,
}

/// The callback that is due next.
pub(super) fn next_due(state: &mut State) -> Option<Callback> {
    let (root, token, happening) = state.rpcs.take_due()?;
    if !state.roots.contains(root) {
        state.rpcs.forget(token);
        return None;
    }
    Some(begin(state, root, token, happening))
}

/// The callback for the next call that failed at once. It runs when the callback that made the call
/// has returned.
pub(super) fn next_failed(state: &mut State) -> Option<Callback> {
    let (root, token, happening) = state.rpcs.failed.pop_front()?;
    Some(begin(state, root, token, happening))
}

fn begin(state: &mut State, root: u32, token: u32, happening: Happening) -> Callback {
    let ends_call = kind(token) == CALL && matches!(happening, Happening::Message(_));
    let closes = matches!(happening, Happening::Close(..));
    let rpc = state.rpcs.find(token);
    let context = rpc.as_ref().map(|rpc| rpc.context);
    if let Some(rpc) = rpc.filter(|_| closes) {
        rpc.told = true;
    }
    let (name, argument) = show(state, happening);
    Callback { name, arguments: [root, token, argument], context, root, token, ends_call, closes }
}

impl Callback {
    /// Whether the module is called: a root context that is deleted is not.
    pub(super) fn is_wanted(&self, state: &State) -> bool {
        state.roots.contains(self.root)
    }

    /// The callback has returned, so its response is not available any more.
    pub(super) fn end(&self, state: &mut State) {
        hide(state);
        let over = |rpc: &Rpc| kind(self.token) == CALL || rpc.closed;
        if self.ends_call || (self.closes && state.rpcs.find(self.token).is_some_and(|rpc| over(rpc))) {
            state.rpcs.forget(self.token);
        }
    }
}
