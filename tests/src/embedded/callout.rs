//! HTTP callouts: requests that the module sends itself, and what comes of them.

use super::callouts::{Callout, End, TIMED_OUT, own};
use super::fields::{self, Kind, Map};
use super::state::State;
use super::valid;
use super::wire;
use crate::cluster::{Cluster, Endpoint};
use crate::fixture;
use crate::host_profile::Quirk;
use crate::message::{Protocol, Received};
use crate::violation::{Rule, Violation};
use proxy_filter::Status;
use std::time::Duration;

/// Names a cluster that a filter calls and that the test does not have.
fn unknown(name: &str, clusters: &[Cluster]) -> String {
    let known: Vec<_> = clusters.iter().map(|cluster| format!("`{}`", cluster.name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!(
        "a callout to the cluster `{name}` failed: the test has no such cluster (it has {known}). `Host::cluster` makes one"
    )
}

/// `proxy_http_call`.
pub(super) fn call(
    state: &mut State,
    cluster: &[u8],
    headers: &[u8],
    body: &[u8],
    milliseconds: u32,
) -> Result<u32, Status> {
    let to_authority = state.plays(Quirk::CallsAuthority);
    let (name, milliseconds) = if to_authority {
        let pairs = fields::decode(headers);
        let authority = pairs.iter().find(|(name, _)| name == b":authority");
        (authority.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned()), 0)
    } else {
        (String::from_utf8_lossy(cluster).into_owned(), milliseconds)
    };
    if milliseconds > i32::MAX.cast_unsigned() {
        return Err(Status::BAD_ARGUMENT);
    }
    if name == fixture::CLUSTER || state.settings.routes.clusters().contains(&name.as_str()) {
        state.violate(Rule::NotPlayed, format!(
            "the embedded host does not play a callout to the cluster `{name}`, where requests go: make one with `Host::cluster`"
        ));
    }
    let known = state.settings.clusters.iter().find(|cluster| cluster.name == name);
    let Some(endpoint) = known.map(|cluster| cluster.endpoint.clone()) else {
        state.left.push(unknown(&name, &state.settings.clusters));
        return Err(Status::BAD_ARGUMENT);
    };
    let mut map = Map::from_fields(Kind::Request, &fields::decode(headers));
    if [":method", ":path", ":authority"].iter().any(|pseudo| map.get(pseudo.as_bytes()).is_none()) {
        return Err(Status::BAD_ARGUMENT);
    }
    if matches!(endpoint, Endpoint::GrpcStream(_)) {
        state.violate(
            Rule::NotPlayed,
            format!("the embedded host does not play an HTTP callout to `{name}`, a server of gRPC streams"),
        );
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
    let waits_for = match (length, map.get(b"transfer-encoding"), map.get(b"upgrade")) {
        (_, Some(coding), _) => Some(format!("transfer-encoding: {}", coding.escape_ascii())),
        (_, _, Some(protocol)) => Some(format!("upgrade: {}", protocol.escape_ascii())),
        (Some(length), ..) if body.is_empty() => Some(format!("content-length: {}", length.escape_ascii())),
        _ => None,
    };
    let complete = waits_for.is_none();
    if let Some(field) = waits_for {
        state.violate(Rule::CalloutFraming, format!(
            "a callout to the cluster `{name}` has the field `{field}`: the service waits for what does not come, and \
             the filter for its timeout. Do not copy this field into a callout"
        ));
    }
    let timeout = obey(&mut map, milliseconds, &mut state.violations);
    map.overwrite(b"x-envoy-internal", b"true");
    if let Some(timeout) = timeout {
        map.overwrite(b"x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string().as_bytes());
    }
    let refusal = valid::refusal(&map);
    let has_connection = state.callouts.idle.remove(&name);
    if refusal.is_some() {
        if has_connection && state.plays(Quirk::InvalidCalloutFails) {
            return Err(Status::INTERNAL_FAILURE);
        }
        state.callouts.idle.insert(name.clone());
    }
    let refusal = refusal.map(|why| (made, End::Response(own(503, why))));
    if refusal.is_none() && valid::is_line_misread(&map) {
        state.violate(Rule::Message, format!(
            "the request line of a callout to the cluster `{name}` would be read in another way than it was meant: a space or control \
             byte in `:method` or `:path`, or none of them"
        ));
    }
    // An upgrade has no end; every other call without a body ends with its headers.
    let only_headers = body.is_empty() && map.get(b"upgrade").is_none();
    let request = Received { complete, ..wire::upstream(&map, body, None, true, only_headers, Protocol::Http1) };
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
fn obey(map: &mut Map, milliseconds: u32, violations: &mut Vec<Violation>) -> Option<Duration> {
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
            _ => violations.push(Violation::new(
                Rule::NotPlayed,
                format!("the embedded host does not play a callout with `{name}`, which Envoy obeys"),
            )),
        }
    }
    timeout
}
