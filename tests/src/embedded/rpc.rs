//! gRPC calls and streams that the module makes.

use super::fields::{self, Kind, Map};
use super::functions::Functions;
use super::grpc_service::GrpcService;
use super::happening::{Failure, Happening};
use super::state::State;
use super::vm::Vm;
use super::waiting::UnderWay;
use super::wire;
use crate::base64;
use crate::cluster::Endpoint;
use crate::grpc;
use crate::message::{Protocol, Received};
use proxy_filter::Status;
use std::collections::VecDeque;
use std::time::Duration;

/// All that is known about gRPC.
#[derive(Debug, Default)]
pub(crate) struct Rpcs {
    calls: u32,
    streams: u32,
    pub(super) open: Vec<Rpc>,
    /// What the running callback is about.
    pub(crate) initial: Option<Map>,
    pub(crate) trailing: Option<Map>,
    pub(crate) message: Option<Vec<u8>>,
    /// Callbacks that run inside of the host function that runs now.
    inside: Vec<(u32, u32, Happening)>,
    /// Calls that failed at once, whose end is told after the running callback.
    failed: VecDeque<(u32, u32, Happening)>,
}

/// A call or a stream.
#[derive(Debug)]
pub(super) struct Rpc {
    root: u32,
    /// The context that made it.
    context: u32,
    token: u32,
    pub(super) cluster: String,
    pub(super) endpoint: Endpoint,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    /// What the server has received so far, or will.
    pub(super) request: Received,
    /// Messages that the server has not answered yet.
    pub(super) unanswered: VecDeque<Vec<u8>>,
    /// How far the server is.
    pub(super) server: Progress,
    /// What the module will be told, and when.
    outbox: VecDeque<(Duration, Happening)>,
    /// The module has closed its half with `proxy_grpc_close`.
    closed: bool,
    /// The module has been told of the end.
    told: bool,
}

/// How far the server of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Unasked,
    /// It has opened its half.
    Opened,
    /// It has said all it will.
    Done,
}

/// Which of the two bits of a token say what it is.
const CALL: u32 = 1;
const STREAM: u32 = 2;

const fn kind(token: u32) -> u32 {
    token & 3
}

impl Rpc {
    pub(super) const fn is_stream(&self) -> bool {
        kind(self.token) == STREAM
    }

    pub(super) const fn token(&self) -> u32 {
        self.token
    }

    /// The module will be told of these, in order, not before this time.
    pub(super) fn will_tell(&mut self, at: Duration, happenings: impl IntoIterator<Item = Happening>) {
        let at = self.outbox.back().map_or(at, |(last, _)| at.max(*last));
        self.outbox.extend(happenings.into_iter().map(|happening| (at, happening)));
    }
}

impl Rpcs {
    /// When the module is told of something next.
    pub(super) fn due(&self) -> Option<Duration> {
        self.open.iter().filter_map(|rpc| rpc.outbox.front().map(|(at, _)| *at)).min()
    }

    /// The calls and streams that are under way, in words.
    pub(super) fn under_way(&self) -> impl Iterator<Item = UnderWay> + '_ {
        self.open.iter().filter(|rpc| !rpc.told).map(|rpc| UnderWay {
            context: rpc.context,
            what: format!(
                "gRPC {} {} to `{}`, {}",
                if rpc.is_stream() { "stream" } else { "call" },
                rpc.token,
                rpc.cluster,
                rpc.request.header(":path").unwrap_or_default()
            ),
            made: rpc.made,
            timeout: rpc.timeout,
            due: rpc.outbox.front().map(|(at, _)| *at),
        })
    }

    fn take_due(&mut self) -> Option<(u32, u32, Happening)> {
        let due = self.due()?;
        let rpc = self.open.iter_mut().find(|rpc| rpc.outbox.front().is_some_and(|(at, _)| *at == due))?;
        rpc.outbox.pop_front().map(|(_, happening)| (rpc.root, rpc.token, happening))
    }

    pub(super) fn find(&mut self, token: u32) -> Option<&mut Rpc> {
        self.open.iter_mut().find(|rpc| rpc.token == token)
    }

    fn forget(&mut self, token: u32) {
        self.open.retain(|rpc| rpc.token != token);
    }
}

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
            state.violations.push(format!(
                "the service `{}` of a gRPC call is a `GrpcService` that names nothing: Envoy 1.40 aborts",
                address.upstream.escape_ascii()
            ));
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
    wire::upstream(&map, &body, None, message.is_some(), Protocol::Http2)
}

/// `proxy_grpc_send`.
pub(super) fn send(state: &mut State, token: u32, message: &[u8], end_of_stream: bool) -> Result<(), Status> {
    if kind(token) != STREAM {
        return Err(Status::BAD_ARGUMENT);
    }
    let rpc = state.rpcs.find(token).ok_or(Status::NOT_FOUND)?;
    // After the end of either half it is dropped, and nobody is told.
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

/// `proxy_grpc_cancel`: nothing is told any more.
pub(super) fn cancel(state: &mut State, token: u32) -> Result<(), Status> {
    if kind(token) != CALL && kind(token) != STREAM {
        return Err(Status::BAD_ARGUMENT);
    }
    state.rpcs.find(token).ok_or(Status::NOT_FOUND)?;
    state.rpcs.forget(token);
    Ok(())
}

/// Tells the module what is due next.
pub(super) fn deliver(vm: &mut Vm, functions: &Functions) {
    let Some((root, token, happening)) = functions.state().rpcs.take_due() else { return };
    if !functions.state().roots.contains(root) {
        functions.state().rpcs.forget(token);
        return;
    }
    tell(vm, functions, root, token, happening);
}

/// Tells the module of calls that failed at once, now that the callback in which they were made is over.
pub(super) fn deliver_failed(vm: &mut Vm, functions: &Functions) {
    loop {
        // Not in the loop's condition: nothing is locked while the module runs.
        let failed = functions.state().rpcs.failed.pop_front();
        let Some((root, token, happening)) = failed else { return };
        tell(vm, functions, root, token, happening);
    }
}

fn tell(vm: &mut Vm, functions: &Functions, root: u32, token: u32, happening: Happening) {
    let ends_call = kind(token) == CALL && matches!(happening, Happening::Message(_));
    let closes = matches!(happening, Happening::Close(..));
    let (name, argument) = {
        let mut state = functions.state();
        if let Some(rpc) = state.rpcs.find(token).filter(|_| closes) {
            rpc.told = true;
        }
        show(&mut state, happening)
    };
    // A root context that is gone is told of nothing.
    if functions.state().roots.contains(root) {
        vm.call(name, &[root, token, argument]);
    }
    let mut state = functions.state();
    hide(&mut state);
    let over = |rpc: &Rpc| kind(token) == CALL || rpc.closed;
    if ends_call || (closes && state.rpcs.find(token).is_some_and(|rpc| over(rpc))) {
        state.rpcs.forget(token);
    }
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
