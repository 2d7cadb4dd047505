//! The upstream of one exchange, and the router before it.

use super::contexts::{Contexts, Ended};
use crate::embedded::fields::{Kind, Map};
use crate::embedded::flags::{DOWNSTREAM_PROTOCOL_ERROR, NO_ROUTE_FOUND};
use crate::embedded::stream::{Side, Which};
use crate::embedded::{valid, wire};
use crate::message::{CONNECT, Protocol, Received, Request};
use crate::violation::Rule;

/// The router looks for a route when the headers reach it. Envoy finds none without these fields,
/// whatever the routes say.
pub(super) fn route(contexts: &Contexts) -> Result<(), Ended> {
    let headers = contexts.with_side(Which::Request, |side| side.headers.value.clone());
    let tunnels = contexts.with_stream(|stream| stream.info.tunnel) == Some(true);
    let routable = headers.as_ref().is_some_and(|map| {
        let matches = match map.get(b":path") {
            Some(path) => path.starts_with(b"/"),
            None => tunnels && map.get(b":method") == Some(CONNECT.as_bytes()),
        };
        matches && map.get(b"x-forwarded-proto").is_some_and(|protocol| !protocol.is_empty())
    });
    contexts.with_info(|info| {
        (info.routed, info.upstream) = (routable, routable);
        info.flags |= if routable { 0 } else { NO_ROUTE_FOUND };
    });
    if !routable {
        return Err(Ended::Reply(wire::no_route()));
    }
    let Some(refusal) = headers.as_ref().and_then(valid::refusal) else { return Ok(()) };
    contexts.with_stream(|stream| {
        stream.logged.0 = headers.as_ref().map(wire::routed);
        (stream.info.upstream, stream.info.flags) = (false, stream.info.flags | DOWNSTREAM_PROTOCOL_ERROR);
    });
    Err(Ended::Reply(wire::refused(refusal)))
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
        self.received = Some(wire::upstream(&routed, body, trailers, !is_early, only_headers, protocol));
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
        self.received = Some(wire::upstream(&routed, body, None, false, false, request.protocol));
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
