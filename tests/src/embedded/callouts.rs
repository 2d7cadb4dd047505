//! The HTTP callouts that are pending, and what each cluster has received.

use super::fields::{Kind, Map};
use super::pending::PendingCall;
use crate::action::Call;
use crate::cluster::Endpoint;
use crate::host_profile::{HostProfile, Quirk};
use crate::message::Received;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The text of Envoy for an upstream that does not respond in time.
pub(super) const TIMED_OUT: &str = "upstream request timeout";
/// What Envoy says when the upstream's connection ends before a response.
pub(super) const RESET: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// What Envoy says when the upstream refuses the connection.
pub(super) const REFUSED: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
/// The same of an Envoy whose text has the reason of the transport.
pub(super) const REFUSED_BY_TRANSPORT: &str = "upstream connect error or disconnect/reset before headers. reset reason: \
     remote connection failure, transport failure reason: delayed connect error: Connection refused";

/// What Envoy says of a host when the upstream refuses the connection.
pub(super) fn refused(host: HostProfile) -> &'static str {
    if host.plays(Quirk::TransportReason) { REFUSED_BY_TRANSPORT } else { REFUSED }
}

/// All that is known about callouts.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    /// How many tokens have been given.
    pub(super) tokens: u32,
    /// Pending callouts, in the order in which they were made.
    pub(super) pending: Vec<Callout>,
    /// The response whose callback runs.
    pub(crate) response: Option<Response>,
    /// The status that `proxy_get_status` returns. The code is that of the last failure.
    pub(crate) status: (u32, Vec<u8>),
    /// What each cluster has received, with the token of the call.
    pub(super) received: Noted,
    /// The clusters with a connection that a refused callout has left unused.
    pub(super) idle: BTreeSet<String>,
    /// Callouts that a server is to make, with the context that makes them.
    pub(super) live: Vec<(u32, Call)>,
}

/// What each cluster has received, with the token of the call.
pub(super) type Noted = BTreeMap<String, Vec<(u32, Received)>>;

/// A response as the module sees it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) headers: Map,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Map>,
    /// The host made it, because the service did not respond.
    pub(super) is_own: bool,
}

/// A request that is in flight.
#[derive(Debug)]
pub(super) struct Callout {
    pub(super) root: u32,
    /// The context that made it.
    pub(super) context: u32,
    pub(super) cluster: String,
    pub(super) token: u32,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) request: Received,
    pub(super) endpoint: Endpoint,
    /// The time and the result of its end. They are known once its server has run.
    pub(super) end: Option<(Duration, End)>,
}

/// How a callout ends.
#[derive(Debug)]
pub(super) enum End {
    Response(Response),
    /// The response began and was cut off.
    Reset,
}

impl Callouts {
    /// The messages that the clusters have received since the previous call.
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

    /// Takes the callouts that a server is to make.
    pub(super) fn take_live(&mut self) -> Vec<(u32, Call)> {
        std::mem::take(&mut self.live)
    }

    /// A callout that a server made has ended.
    pub(super) fn end_live(&mut self, token: u32, at: Duration, end: End) {
        if let Some(callout) = self.pending.iter_mut().find(|callout| callout.token == token) {
            callout.end = Some((at, end));
        }
    }

    /// When the next callout ends, as far as its end is known.
    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.iter().filter_map(|callout| callout.end.as_ref().map(|(at, _)| *at)).min()
    }

    /// The callouts that are pending, in words.
    pub(super) fn pending_calls(&self) -> Vec<PendingCall> {
        let one = |callout: &Callout| {
            let part = |name| callout.request.header(name).unwrap_or_default();
            PendingCall {
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

    /// A callout without a response.
    pub(super) fn unanswered(&mut self) -> Option<&mut Callout> {
        self.pending.iter_mut().find(|callout| callout.end.is_none())
    }

    /// Takes the callout that ends now: of several the one that was made first.
    pub(super) fn take_due(&mut self) -> Option<(Callout, End)> {
        let due = self.due()?;
        let ends = |callout: &Callout| callout.end.as_ref().is_some_and(|(at, _)| *at == due);
        let index = self.pending.iter().position(ends)?;
        let mut callout = self.pending.remove(index);
        let (_, end) = callout.end.take()?;
        Some((callout, end))
    }
}

/// A response of Envoy's own in place of one that did not come. It has no
/// `x-envoy-upstream-service-time`.
pub(super) fn own(status: u16, body: impl AsRef<[u8]>) -> Response {
    let body = body.as_ref();
    let mut headers = Map::new(Kind::Response);
    headers.add(b":status", status.to_string().as_bytes());
    headers.add(b"content-length", body.len().to_string().as_bytes());
    headers.add(b"content-type", b"text/plain");
    Response { headers, body: body.into(), trailers: None, is_own: true }
}

/// A callout that failed in a host that makes no response of its own: a pseudo-header says why. The
/// texts are those of nginx.
pub(super) fn bare(end: &End) -> Option<Response> {
    let why: &[u8] = match end {
        End::Response(response) if !response.is_own => return None,
        End::Response(response) if response.headers.get(b":status") == Some(b"504") => b"timeout",
        _ => b"broken connection",
    };
    let mut headers = Map::new(Kind::Response);
    headers.add(b":dispatch_status", why);
    Some(Response { headers, body: Vec::new(), trailers: None, is_own: true })
}
