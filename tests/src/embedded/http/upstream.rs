//! The upstream of one exchange, and the router before it.

use super::contexts::{Contexts, Ended};
use crate::embedded::fields::{Kind, Map};
use crate::embedded::flags::{DOWNSTREAM_PROTOCOL_ERROR, NO_ROUTE_FOUND};
use crate::embedded::stream::{Side, Which};
use crate::embedded::{valid, wire};
use crate::host_profile::Quirk;
use crate::message::{CONNECT, Protocol, Received, Request};
use crate::route::Found;
use crate::violation::Rule;

/// Looks for the route of a request with these headers. Envoy finds none without some of them,
/// whatever the routes say.
pub(super) fn select(contexts: &Contexts, headers: Option<&Map>) {
    let tunnels = contexts.with_stream(|stream| stream.info.tunnel) == Some(true);
    let routes = contexts.routes();
    let joins = contexts.plays(Quirk::RoutesJoinValues);
    let found = headers.map_or(Found::Nothing, |map| {
        let values = |name: &str| {
            let same = map.fields().iter().filter(|(found, _)| found == name.as_bytes());
            let values: Vec<Vec<u8>> = same.map(|(_, value)| value.clone()).collect();
            if joins && !values.is_empty() { vec![values.join(&b","[..])] } else { values }
        };
        let authority = map.get(b":authority").unwrap_or_default();
        let has_protocol = map.get(b"x-forwarded-proto").is_some_and(|protocol| !protocol.is_empty());
        match map.get(b":path") {
            Some(path) if path.starts_with(b"/") && has_protocol => routes.find(authority, path, values),
            None if tunnels && map.get(b":method") == Some(CONNECT.as_bytes()) && has_protocol => Found::Default,
            // A path that no route has.
            _ => routes.find(authority, b"", |_| Vec::new()).without_route(),
        }
    });
    contexts.with_info(|info| info.route = found);
}

/// The router looks for a route again when the headers reach it: any edit of a filter may have
/// changed it.
pub(super) fn route(contexts: &Contexts) -> Result<(), Ended> {
    // Not a copy: nothing else reads them meanwhile.
    let headers = contexts.with_side(Which::Request, |side| side.headers.value.take());
    let routed = routed(contexts, headers.as_ref());
    contexts.with_side(Which::Request, |side| side.headers.value = headers);
    routed
}

fn routed(contexts: &Contexts, headers: Option<&Map>) -> Result<(), Ended> {
    select(contexts, headers);
    let routable = contexts.with_stream(|stream| stream.info.route.is_route()) == Some(true);
    contexts.with_info(|info| {
        info.upstream = routable;
        info.flags |= if routable { 0 } else { NO_ROUTE_FOUND };
    });
    if !routable {
        return Err(Ended::Reply(wire::no_route()));
    }
    let Some(refusal) = headers.and_then(valid::refusal) else { return Ok(()) };
    contexts.with_stream(|stream| {
        stream.logged.0 = headers.map(wire::routed);
        (stream.info.upstream, stream.info.flags) = (false, stream.info.flags | DOWNSTREAM_PROTOCOL_ERROR);
    });
    Err(Ended::Reply(wire::refused(refusal)))
}

/// The cluster that the request goes to.
fn cluster(contexts: &Contexts) -> String {
    contexts.with_stream(|stream| stream.info.route.cluster().to_owned()).unwrap_or_default()
}

/// The upstream of one exchange.
#[derive(Default)]
pub(super) struct Upstream {
    /// What it has received of the request.
    pub(super) received: Option<Received>,
}

impl Upstream {
    /// Receives a request that the filters have forwarded. `is_early`: its rest comes after the
    /// response has begun. `only_headers`: it ended with its headers when it came.
    pub(super) fn receive(
        &mut self,
        contexts: &Contexts,
        request: &Request,
        (body, trailers): (&[u8], Option<&Map>),
        is_early: bool,
        only_headers: bool,
    ) {
        let map = contexts.with_side(Which::Request, Side::take_headers).unwrap_or_else(|| Map::new(Kind::Request));
        let routed = wire::routed(&map);
        let wrong_length = valid::wrong_length("request", &routed, body).filter(|_| !is_early);
        let odd_trailers = trailers.and_then(|trailers| valid::odd_fields("request's trailers", trailers));
        let odd = [wrong_length, valid::framing_field(&routed, request), valid::misread_line(&routed, request)];
        for text in odd.into_iter().chain([odd_trailers]).flatten() {
            contexts.violation(Rule::Message, text);
        }
        let protocol = request.protocol;
        let only_headers = only_headers && protocol == Protocol::Http1;
        let received = wire::upstream(&routed, body, trailers, !is_early, only_headers, protocol);
        self.received = Some(Received { cluster: cluster(contexts), ..received });
        contexts.with_stream(|stream| {
            stream.logged.0 = Some(routed);
            stream.asked = true;
        });
    }

    /// The request ends early. If its headers were forwarded, the upstream has received a part of
    /// it.
    pub(super) fn abandon(&mut self, contexts: &Contexts, request: &Request, body: &[u8]) {
        let sent = contexts.with_stream(|stream| stream.info.upstream && stream.request.gone);
        let headers = contexts.with_side(Which::Request, |side| side.headers.value.clone());
        let Some(headers) = headers.filter(|_| sent == Some(true)) else { return };
        let routed = wire::routed(&headers);
        let received = wire::upstream(&routed, body, None, false, false, request.protocol);
        self.received = Some(Received { cluster: cluster(contexts), ..received });
        contexts.with_stream(|stream| stream.logged.0 = Some(routed));
    }

    /// Receives the rest of a request whose response has begun.
    pub(super) fn receive_rest(&mut self, body: Vec<u8>, trailers: Option<Map>, complete: bool) {
        if let Some(received) = &mut self.received {
            received.body = body;
            received.trailers = trailers.map(|map| map.fields().clone()).unwrap_or_default();
            received.complete = complete;
        }
    }
}
