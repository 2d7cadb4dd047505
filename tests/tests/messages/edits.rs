//! Edits of messages by a filter, and their effect in Envoy.

use super::row::{Row, get, post};
use proxy_filter_host::{Protocol, Reply};

/// Commands that change how a body is framed, or whether there may be one.
const OF_BODIES: [&str; 7] = [":method", "encoding", "upgrade", "expect", "set ", "add 1 ", "add 3 "];

/// Returns the row without a body and with a body in chunks. If the edit concerns the length, also
/// the row with a body that has one.
fn shapes(name: &str, callback: &str, commands: &str) -> Vec<Row> {
    let mut rows = vec![
        get(name),
        post(format!("{name} and chunks")).chunks(&["a", "b"]).reply(Reply::new(200).chunks(["c", "d"])),
    ];
    if OF_BODIES.iter().any(|command| commands.contains(command)) {
        rows.push(post(format!("{name} and a body")).body("hello").reply(Reply::new(200).body("world")));
    }
    rows.into_iter().map(|row| row.does(callback, commands)).collect()
}

/// Request headers.
pub(crate) fn of_requests() -> Vec<Row> {
    let edits = [
        ("fragment", "replace 0 :path /x#y"),
        ("empty path", "replace 0 :path"),
        ("path without a slash", "replace 0 :path x"),
        ("path with a space", "replace 0 :path /a%20b"),
        ("path with a tab", "replace 0 :path /a%09b"),
        ("path with bytes", "replace 0 :path /%e9"),
        ("path of a star", "replace 0 :path *"),
        ("path of a query", "replace 0 :path ?a"),
        ("absolute path", "replace 0 :path http://a.example/b"),
        ("path removed", "remove 0 :path"),
        ("empty method", "replace 0 :method"),
        ("CONNECT", "replace 0 :method CONNECT"),
        ("lower-case method", "replace 0 :method get"),
        ("unknown method", "replace 0 :method FOOBAR"),
        ("method with a space", "replace 0 :method G%20T"),
        ("HEAD", "replace 0 :method HEAD"),
        ("POST", "replace 0 :method POST"),
        ("OPTIONS", "replace 0 :method OPTIONS"),
        ("method removed", "remove 0 :method"),
        ("empty authority", "replace 0 :authority"),
        ("bad authority", "replace 0 :authority bad%20host"),
        ("authority removed", "remove 0 :authority"),
        ("https", "replace 0 :scheme https"),
        ("odd scheme", "replace 0 :scheme ftp"),
        ("scheme removed", "remove 0 :scheme"),
        ("host replaced", "replace 0 host other"),
        ("host added", "add 0 host other"),
        ("host removed", "remove 0 host"),
        ("te trailers", "replace 0 te trailers"),
        ("te gzip", "replace 0 te gzip"),
        ("expect", "replace 0 expect 100-continue"),
        ("expect other", "replace 0 expect 200-ok"),
        ("upgrade", "replace 0 upgrade websocket"),
        ("upgrade and connection", "replace 0 upgrade websocket; replace 0 connection upgrade"),
        ("connection close", "replace 0 connection close"),
        ("connection nominates", "replace 0 connection x-hop; replace 0 x-hop 1"),
        ("keep-alive", "replace 0 keep-alive 5; replace 0 proxy-connection close"),
        ("coding chunked", "replace 0 transfer-encoding chunked"),
        ("coding gzip", "replace 0 transfer-encoding gzip"),
        ("trailer", "replace 0 trailer x-t"),
        ("forwarded proto", "replace 0 x-forwarded-proto https"),
        ("forwarded proto removed", "remove 0 x-forwarded-proto"),
        ("pseudo-header of nobody", "replace 0 :foo 1"),
        ("protocol", "replace 0 :protocol websocket"),
        ("status", "replace 0 :status 200"),
        ("expected timeout", "replace 0 x-envoy-expected-rq-timeout-ms 3"),
        ("internal", "replace 0 x-envoy-internal true"),
        ("downstream cluster", "replace 0 x-envoy-downstream-service-cluster a"),
        ("original path", "replace 0 x-envoy-original-path /z"),
        ("attempt count", "replace 0 x-envoy-attempt-count 3"),
        ("upper case", "add 0 X-Upper V"),
        ("cookie", "add 0 cookie a=1; add 0 cookie b=2"),
        ("spaces", "add 0 x-spaces %20a%20"),
        ("empty value", "add 0 x-empty"),
        ("bytes", "add 0 x-bytes %e9"),
        ("all replaced", "set-pairs 0 :method=GET,:path=/,:authority=a,:scheme=http,x-forwarded-proto=http"),
        ("all replaced without a scheme", "set-pairs 0 :method=GET,:path=/,:authority=a,x-forwarded-proto=http"),
        ("all removed", "set-pairs 0 a=b"),
        ("everything removed", "set-pairs 0"),
    ];
    let misread = ["path with a space", "path with a tab", "path with bytes", "empty method", "method with a space"];
    let frames = ["upgrade", "upgrade and connection", "coding chunked", "coding gzip"];
    let of_hop = ["connection close", "connection nominates", "keep-alive"];
    let row = |row: Row, name: &str| match name {
        name if misread.contains(&name) => row.breaks_over(Protocol::Http1, "the request line"),
        name if frames.contains(&name) => row.breaks("which frames a message"),
        name if of_hop.contains(&name) => row.breaks_over(Protocol::Http2, "which frames a message"),
        _ => row,
    };
    let rows = |(name, commands): &(&str, &str)| {
        shapes(name, "request-headers", commands).into_iter().map(|shape| row(shape, name)).collect::<Vec<_>>()
    };
    edits.iter().flat_map(rows).collect()
}

/// Response headers.
pub(crate) fn of_responses() -> Vec<Row> {
    let edits = [
        ("status removed", "remove 2 :status"),
        ("empty status", "replace 2 :status"),
        ("status abc", "replace 2 :status abc"),
        ("status 99", "replace 2 :status 99"),
        ("status 0", "replace 2 :status 0"),
        ("status 100", "replace 2 :status 100"),
        ("status 101", "replace 2 :status 101"),
        ("status 103", "replace 2 :status 103"),
        ("status 204", "replace 2 :status 204"),
        ("status 205", "replace 2 :status 205"),
        ("status 304", "replace 2 :status 304"),
        ("status 500", "replace 2 :status 500"),
        ("status 1000", "replace 2 :status 1000"),
        ("status 99999", "replace 2 :status 99999"),
        ("status twice", "add 2 :status 500"),
        ("coding gzip", "replace 2 transfer-encoding gzip"),
        ("coding removed", "remove 2 transfer-encoding"),
        ("connection close", "replace 2 connection close"),
        ("connection nominates", "replace 2 connection x-hop; replace 2 x-hop 1"),
        ("upgrade", "replace 2 upgrade h2c"),
        ("keep-alive", "replace 2 keep-alive 5; replace 2 proxy-connection close; replace 2 te trailers"),
        ("server", "replace 2 server x"),
        ("date", "replace 2 date x"),
        ("date removed", "remove 2 date"),
        ("via", "add 2 via 1.1%20x"),
        ("service time", "replace 2 x-envoy-upstream-service-time 5"),
        ("service time removed", "remove 2 x-envoy-upstream-service-time"),
        ("pseudo-header", "replace 2 :foo 1"),
        ("path", "replace 2 :path /"),
        ("upper case", "add 2 X-Upper V"),
        ("spaces", "add 2 x-spaces %20a%20"),
        ("empty value", "add 2 x-empty"),
        ("bytes", "add 2 x-bytes %e9"),
        ("x-envoy", "add 2 x-envoy-decorator-operation z; add 2 x-envoy-peer-metadata a; add 2 x-request-id 1"),
        ("all replaced", "set-pairs 2 :status=200,a=b"),
        ("all removed", "set-pairs 2 a=b"),
    ];
    let informational = ["99", "0", "100", "101", "103", "1000", "99999"].map(|status| format!("status {status}"));
    let row = |row: Row, name: &str| {
        let is_final = !informational.iter().any(|status| status == name);
        if is_final { row } else { row.breaks("which is none of a final response") }
    };
    let rows = |(name, commands): &(&str, &str)| {
        shapes(name, "response-headers", commands).into_iter().map(|shape| row(shape, name)).collect::<Vec<_>>()
    };
    edits.iter().flat_map(rows).collect()
}

/// Bodies and trailers.
pub(crate) fn of_bodies() -> Vec<Row> {
    let mut rows = Vec::new();
    let edits = [
        ("request body replaced", "request-body", "set 0 0 4294967295 HELLO"),
        ("request body dropped", "request-body", "set 0 0 4294967295"),
        ("request trailers added", "request-body", "add 1 x-new 1"),
        ("request trailers added twice", "request-body", "add 1 x-new 1; add 1 x-new 2"),
        ("response body dropped", "response-body", "set 1 0 4294967295"),
        ("response trailers added", "response-body", "add 3 x-new 1"),
    ];
    for (name, callback, commands) in edits {
        let strip = if callback.starts_with("request") {
            ("request-headers", "remove 0 content-length")
        } else {
            ("response-headers", "remove 2 content-length")
        };
        rows.extend(shapes(name, callback, commands).into_iter().map(|row| row.does(strip.0, strip.1)));
    }
    for (name, callback, commands) in [
        ("request trailers added, with a length", "request-body", "add 1 x-new 1"),
        ("response trailers added, with a length", "response-body", "add 3 x-new 1"),
    ] {
        rows.push(post(name).body("hello").reply(Reply::new(200).body("world")).does(callback, commands));
    }
    let empty = post("length added without a body").reply(Reply::new(200));
    rows.push(empty.does("response-headers", "replace 2 content-length 2").breaks("content-length is 2"));
    // Envoy makes request trailers for a filter that has paused the body, also in the response.
    for commands in ["size 1; get 1 x-t; pairs 1", "add 1 x-new 1; pairs 1", "remove 1 x-new", "pairs 1; size 1"] {
        for (name, reply) in [("reply", "reply 403 no; return 1"), ("empty reply", "reply 403; return 1")] {
            let row = post(format!("{name}, then {commands}")).does("request-body", reply);
            let row = row.does("response-headers", commands).does("response-body", commands);
            rows.push(row.clone().body("hello"));
            rows.push(row.clone().chunks(&["a", "b"]));
            rows.push(row.clone().chunks(&["a", "b"]).trailer("x-t", "1"));
            rows.push(row.chunks(&["a"]).does("request-body", ""));
        }
    }
    let with_trailers = |name: &str| {
        post(name).chunks(&["a", "b"]).trailer("x-t", "1").reply(Reply::new(200).chunks(["c", "d"]).trailer("x-u", "2"))
    };
    for (name, callback, commands) in [
        ("request trailers edited", "request-trailers", "replace 1 x-t 2; add 1 x-new 3"),
        ("request trailers removed", "request-trailers", "remove 1 x-t"),
        ("response trailers edited", "response-trailers", "replace 3 x-u 3; add 3 x-new 4"),
        ("response trailers removed", "response-trailers", "remove 3 x-u"),
        ("request length added", "request-headers", "replace 0 content-length 2"),
        ("response length added", "response-headers", "replace 2 content-length 2"),
        ("response without trailers", "response-headers", "replace 2 :status 204"),
    ] {
        rows.push(with_trailers(name).does(callback, commands));
    }
    rows
}
