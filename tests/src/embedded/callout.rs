//! HTTP callouts: requests that the module sends itself, and what comes of them.

use super::fields::{self, Kind, Map};
use super::functions::Functions;
use super::state::State;
use super::valid;
use super::vm::Vm;
use super::waiting::UnderWay;
use super::wire;
use crate::backend::Answer;
use crate::cluster::Endpoint;
use crate::fixture;
use crate::message::{Protocol, Received, Reply};
use proxy_filter::Status;
use std::collections::BTreeMap;
use std::time::Duration;

/// What Envoy says when the upstream does not answer in time.
const TIMED_OUT: &str = "upstream request timeout";
/// What Envoy says when the upstream's connection ends before a response.
const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// What Envoy says when the upstream refuses the connection.
const REFUSED: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";

/// All that is known about callouts.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    /// How many tokens have been given.
    tokens: u32,
    /// Callouts that are under way, in the order in which they were made.
    pending: Vec<Callout>,
    /// The response whose callback runs.
    pub(crate) response: Option<Response>,
    /// What `proxy_get_status` tells. The code stays what the last failure made it.
    pub(crate) status: (u32, Vec<u8>),
    /// What each cluster has received, with the token of the call.
    received: Noted,
}

/// What each cluster has received, with the token of the call.
pub(super) type Noted = BTreeMap<String, Vec<(u32, Received)>>;

/// A response as the module sees it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) headers: Map,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Map>,
}

/// A request that is under way.
#[derive(Debug)]
struct Callout {
    root: u32,
    /// The context that made it.
    context: u32,
    cluster: String,
    token: u32,
    made: Duration,
    timeout: Option<Duration>,
    request: Received,
    endpoint: Endpoint,
    /// When it ends, and how. A server has not been asked before this is known.
    end: Option<(Duration, End)>,
}

/// How a callout ends.
#[derive(Debug)]
enum End {
    Response(Response),
    /// The response began and was cut off.
    Reset,
}

impl Callouts {
    /// What the clusters have received since this was last asked.
    pub(crate) fn take_received(&mut self) -> BTreeMap<String, Vec<Received>> {
        let of = |calls: Vec<(u32, Received)>| calls.into_iter().map(|(_, received)| received).collect();
        std::mem::take(&mut self.received).into_iter().map(|(cluster, calls)| (cluster, of(calls))).collect()
    }

    /// Puts what has been received so far away, until [`put_back`](Self::put_back).
    pub(super) fn put_away(&mut self) -> Noted {
        std::mem::take(&mut self.received)
    }

    /// What was put away comes before what has been received since, and more may come with it.
    pub(super) fn put_back(&mut self, noted: Noted) {
        let since = std::mem::replace(&mut self.received, noted);
        for (cluster, calls) in since {
            self.received.entry(cluster).or_default().extend(calls);
        }
    }

    /// Keeps what has come with a call, in place of what had come before.
    pub(super) fn note(&mut self, cluster: &str, token: u32, request: Received) {
        let calls = self.received.entry(cluster.into()).or_default();
        match calls.iter_mut().find(|(noted, _)| *noted == token) {
            Some((_, before)) => *before = request,
            None => calls.push((token, request)),
        }
    }

    /// When the next callout ends, as far as its end is known.
    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.iter().filter_map(|callout| callout.end.as_ref().map(|(at, _)| *at)).min()
    }

    /// The callouts that are under way, in words.
    pub(super) fn under_way(&self) -> Vec<UnderWay> {
        let one = |callout: &Callout| {
            let part = |name| callout.request.header(name).unwrap_or_default();
            UnderWay {
                context: callout.context,
                what: format!(
                    "HTTP call {} to `{}`, {} {}",
                    callout.token,
                    callout.cluster,
                    part(":method"),
                    part(":path")
                ),
                made: callout.made,
                timeout: callout.timeout,
                due: callout.end.as_ref().map(|(at, _)| *at),
            }
        };
        self.pending.iter().map(one).collect()
    }

    /// A callout that nobody has answered yet.
    fn unanswered(&mut self) -> Option<&mut Callout> {
        self.pending.iter_mut().find(|callout| callout.end.is_none())
    }

    /// Takes the callout that ends now: of several the one that was made first.
    fn take_due(&mut self) -> Option<(Callout, End)> {
        let due = self.due()?;
        let ends = |callout: &Callout| callout.end.as_ref().is_some_and(|(at, _)| *at == due);
        let index = self.pending.iter().position(ends)?;
        let mut callout = self.pending.remove(index);
        let (_, end) = callout.end.take()?;
        Some((callout, end))
    }
}

/// `proxy_http_call`.
pub(super) fn call(
    state: &mut State,
    cluster: &[u8],
    headers: &[u8],
    body: &[u8],
    milliseconds: u32,
) -> Result<u32, Status> {
    let name = String::from_utf8_lossy(cluster).into_owned();
    if milliseconds > i32::MAX.cast_unsigned() {
        return Err(Status::BAD_ARGUMENT);
    }
    if name == fixture::CLUSTER {
        state.violations.push(format!(
            "the embedded host does not play a callout to the cluster `{name}`, where requests go: make one with `Host::cluster`"
        ));
    }
    let known = state.settings.clusters.iter().find(|cluster| cluster.name == name);
    let endpoint = known.ok_or(Status::BAD_ARGUMENT)?.endpoint.clone();
    let mut map = Map::from_fields(Kind::Request, &fields::decode(headers));
    if [":method", ":path", ":authority"].iter().any(|pseudo| map.get(pseudo.as_bytes()).is_none()) {
        return Err(Status::BAD_ARGUMENT);
    }
    if matches!(endpoint, Endpoint::GrpcStream(_)) {
        state
            .violations
            .push(format!("the embedded host does not play an HTTP callout to `{name}`, a server of gRPC streams"));
    }
    let (root, context, made) = (state.root().map_or(0, |root| root.id), state.context(), state.clock.now());
    let callouts = &mut state.callouts;
    callouts.tokens += 4;
    let token = callouts.tokens;
    if matches!(endpoint, Endpoint::Absent) {
        return Err(Status::INTERNAL_FAILURE);
    }
    if !body.is_empty() {
        map.overwrite(b"content-length", body.len().to_string().as_bytes());
    }
    // A service waits for a body that is announced and does not come.
    let length = map.get(b"content-length").filter(|length| *length != b"0");
    let complete = !body.is_empty() || (length.is_none() && map.get(b"transfer-encoding").is_none());
    let timeout = obey(&mut map, milliseconds, &mut state.violations);
    map.overwrite(b"x-envoy-internal", b"true");
    if let Some(timeout) = timeout {
        map.overwrite(b"x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string().as_bytes());
    }
    let refusal = valid::refusal(&map).map(|why| (made, End::Response(own(503, why))));
    if refusal.is_none() && valid::is_line_misread(&map) {
        state.violations.push(format!(
            "the request line of a callout to the cluster `{name}` would be read in another way than it was meant: a space or control \
             byte in `:method` or `:path`, or none of them"
        ));
    }
    let request = Received { complete, ..wire::upstream(&map, body, None, true, Protocol::Http1) };
    let callouts = &mut state.callouts;
    if let Some(end) = refusal {
        let end = Some(end);
        callouts.pending.push(Callout { root, context, cluster: name, token, made, timeout, request, endpoint, end });
        return Ok(token);
    }
    if !complete {
        callouts.note(&name, token, request.clone());
        let due = timeout.map_or(Duration::MAX, |timeout| made + timeout);
        let end = Some((due, End::Response(own(504, TIMED_OUT))));
        callouts.pending.push(Callout { root, context, cluster: name, token, made, timeout, request, endpoint, end });
        return Ok(token);
    }
    if matches!(endpoint, Endpoint::Server(_) | Endpoint::Grpc(_)) {
        callouts.note(&name, token, request.clone());
    }
    callouts.pending.push(Callout { root, context, cluster: name, token, made, timeout, request, endpoint, end: None });
    Ok(token)
}

/// Takes out the fields that Envoy's router obeys: how long the callout may take then.
fn obey(map: &mut Map, milliseconds: u32, violations: &mut Vec<String>) -> Option<Duration> {
    const TIMEOUTS: [&str; 2] = ["x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms"];
    const OBEYED: [&str; 4] = ["x-envoy-upstream-", "x-envoy-retr", "x-envoy-max-retries", "x-envoy-hedge-on-"];
    const PLAYED: [&str; 5] =
        [TIMEOUTS[0], TIMEOUTS[1], "x-envoy-max-retries", "x-envoy-upstream-alt-stat-name", "x-envoy-retry-on"];
    let mut timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
    let obeyed: Vec<_> = map
        .fields()
        .iter()
        .filter_map(|(name, value)| {
            let name = std::str::from_utf8(name).ok()?;
            let is_obeyed = OBEYED.iter().any(|start| name.starts_with(start));
            is_obeyed.then(|| (name.to_owned(), value.clone()))
        })
        .collect();
    for (name, value) in obeyed {
        map.remove(name.as_bytes());
        let given = std::str::from_utf8(&value).ok().and_then(|value| value.parse().ok()).map(Duration::from_millis);
        match given {
            Some(given) if name == TIMEOUTS[0] => timeout = Some(given).filter(|given| !given.is_zero()),
            Some(given) if name == TIMEOUTS[1] && !given.is_zero() => {
                timeout = timeout.map_or(Some(given), |timeout| Some(timeout.min(given)));
            }
            _ if PLAYED.contains(&name.as_str()) => {}
            _ => violations.push(format!("the embedded host does not play a callout with `{name}`, which Envoy obeys")),
        }
    }
    timeout
}

/// Asks the servers of the callouts that were made since this was last called. Nothing is locked while a server, which is a part
/// of a test, answers.
pub(super) fn ask_servers(functions: &Functions) {
    loop {
        let (answer, request) = match functions.state().callouts.unanswered() {
            None => return,
            Some(Callout { endpoint: Endpoint::Server(answer) | Endpoint::Grpc(answer), request, .. }) => {
                (Answer::clone(answer), request.clone())
            }
            Some(callout) => {
                callout.end = Some((callout.made, End::Response(own(503, REFUSED))));
                continue;
            }
        };
        let reply = answer(&request);
        if let Some(callout) = functions.state().callouts.unanswered() {
            callout.end = Some(end(callout.made, callout.timeout, &request, &reply));
        }
    }
}

/// When and how a callout ends that a server answers so.
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
    }
}

/// A response of Envoy's own in place of one that did not come. It has no `x-envoy-upstream-service-time`.
fn own(status: u16, body: impl AsRef<[u8]>) -> Response {
    let body = body.as_ref();
    let mut headers = Map::new(Kind::Response);
    headers.add(b":status", status.to_string().as_bytes());
    headers.add(b"content-length", body.len().to_string().as_bytes());
    headers.add(b"content-type", b"text/plain");
    Response { headers, body: body.into(), trailers: None }
}

/// Tells the root context that a callout has ended. Its stream may be gone.
pub(super) fn deliver(vm: &mut Vm, functions: &Functions) {
    let Some((callout, end)) = functions.state().callouts.take_due() else { return };
    if !functions.state().roots.contains(callout.root) {
        return;
    }
    let sizes = match end {
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
    vm.call("proxy_on_http_call_response", &[callout.root, callout.token, headers, body, trailers]);
    let mut state = functions.state();
    state.callouts.response = None;
    state.callouts.status.1.clear();
}

/// The code of a status that ABI 0.2.1 does not list.
const BROKEN_CONNECTION: u32 = 11;
