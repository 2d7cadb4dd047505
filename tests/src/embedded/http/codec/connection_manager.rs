//! The checks of Envoy's HTTP connection manager: of a request before the filters run, and of the
//! messages that they forward.

use super::decoded::{Decoded, Head, Refusal};
use super::syntax::{elements, is_referer};
use crate::embedded::fields::Map;
use crate::embedded::stream::LocalReply;
use crate::message::{CONNECT, Fields, Request};

/// Fields by which Envoys talk to each other. External clients may not set them.
const OF_ENVOYS: [&[u8]; 16] = [
    b"x-envoy-internal",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retry-on",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-max-retries",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-stream-duration-ms",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-force-trace",
    b"x-envoy-ip-tags",
    b"x-envoy-original-url",
    b"x-envoy-hedge-on-per-try-timeout",
];
/// Fields that no filter sees.
const REMOVED: [&[u8]; 4] = [b"keep-alive", b"proxy-connection", b"transfer-encoding", b"x-forwarded-client-cert"];

/// Accepts a request, or refuses it with a local reply.
pub(super) fn admit(mut head: Head, request: &Request, upgrades: &[String]) -> Decoded {
    if head.map.get(b"expect").is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        head.map.remove(b"expect");
    }
    if let Some((status, details, closes)) = refusal(&head.map) {
        return refuse(head, status, details, closes);
    }
    clean(&mut head.map, request.scheme());
    let asked = head.map.get(b"upgrade").map(<[u8]>::to_vec);
    if let Some(asked) = asked {
        if !upgrades.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(&asked)) {
            return refuse(head, 403, "upgrade_failed", true);
        }
        (head.tunnel, head.end) = (request.is_upgrade(), false);
    }
    // Without a route, the router refuses it after the filters.
    head.tunnel |= request.is_connect() && upgrades.iter().any(|allowed| allowed.eq_ignore_ascii_case(CONNECT));
    Decoded::Request(Box::new(head))
}

/// The reason why a request is refused: the status, the details, and whether the connection is
/// closed.
fn refusal(map: &Map) -> Option<(u32, &'static str, bool)> {
    if map.get(b":authority").is_none() {
        return Some((400, "missing_host_header", true));
    }
    let is_connect = map.get(b":method") == Some(b"CONNECT");
    let path = map.get(b":path").unwrap_or_default();
    if !is_connect && !path.starts_with(b"/") {
        return Some((404, "absolute_path_rejected", false));
    }
    if path.contains(&b'#') {
        return Some((400, "path_normalization_failed", true));
    }
    let is_query = map.get(b":method") == Some(b"QUERY");
    (is_query && map.get(b"content-type").is_none()).then_some((400, "query_missing_content_type", true))
}

fn refuse(head: Head, status: u32, details: &str, closes: bool) -> Decoded {
    let reply =
        LocalReply { status, details: details.into(), body: Vec::new(), headers: Fields::new(), grpc_status: -1 };
    Decoded::Refused(Box::new(Refusal { reply, flags: 0, closes: closes || head.closes, logged: Some(head.map) }))
}

/// Takes out what belongs to the hop and what clients may not set, and adds what filters expect.
fn clean(map: &mut Map, scheme: &str) {
    let lists = map.fields().iter().filter(|(name, _)| name == b"connection");
    let upgrades = lists.flat_map(|(_, list)| elements(list)).any(|name| name.eq_ignore_ascii_case(b"upgrade"));
    if !(upgrades && map.get(b"upgrade").is_some()) {
        map.remove(b"connection");
        map.remove(b"upgrade");
    }
    for name in REMOVED.iter().chain(&OF_ENVOYS) {
        map.remove(name);
    }
    let te = map.fields().iter().filter(|(name, _)| name == b"te").map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let te = te.join(&b","[..]);
    if !te.is_empty() {
        if elements(&te).any(|element| element == b"trailers") {
            map.overwrite(b"te", b"trailers");
        } else {
            map.remove(b"te");
        }
    }
    if map.get(b"referer").is_some_and(|referer| !is_referer(referer)) {
        map.remove(b"referer");
    }
    map.add_if_missing("x-forwarded-proto", scheme);
    if map.get(b":scheme").is_none() {
        let forwarded = map.get(b"x-forwarded-proto").unwrap_or_default();
        let scheme = if forwarded.eq_ignore_ascii_case(b"https") { "https" } else { "http" };
        map.add(b":scheme", scheme.as_bytes());
    }
}

/// Why Envoy does not send a response with these headers.
pub(in crate::embedded) fn refuse_response(map: &Map) -> Option<LocalReply> {
    let status = map.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse::<u64>().ok());
    status.is_none().then(|| LocalReply {
        status: 502,
        details: b"filter_removed_required_response_headers{missing_required_header:_:status}".to_vec(),
        body: b"missing required header: :status".to_vec(),
        headers: Fields::new(),
        grpc_status: -1,
    })
}
