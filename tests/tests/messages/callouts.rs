//! Callouts with fields that frame a message or name its hop.

use super::row::{Row, get};

/// Requests of callouts.
pub(crate) fn rows() -> Vec<Row> {
    let calls = [
        ("length and a body", "POST", "content-length=5", "hi"),
        ("coding and a body", "POST", "transfer-encoding=chunked", "hi"),
        ("length without a body", "POST", "content-length=5", ""),
        ("coding without a body", "POST", "transfer-encoding=chunked", ""),
        ("connection", "POST", "connection=close,upgrade=x,te=trailers,keep-alive=1", "hi"),
        ("upgrade", "GET", "connection=upgrade,upgrade=websocket", ""),
        ("host", "GET", "host=b", ""),
        (
            "forwarded",
            "GET",
            "x-forwarded-for=1.2.3.4,x-request-id=abc,x-envoy-retry-on=5xx,x-forwarded-proto=https",
            "",
        ),
        ("HEAD", "HEAD", "x=1", ""),
        ("HEAD with a body", "HEAD", "x=1", "hi"),
        ("CONNECT", "CONNECT", "x=1", ""),
        ("bad name", "GET", "bad%20name=x", ""),
        ("expect", "POST", "expect=100-continue", "hi"),
        ("te", "GET", "te=trailers", ""),
        ("length 0", "POST", "content-length=0", ""),
        ("nothing", "POST", "x=1", ""),
        ("GET with a body", "GET", "x=1", "hi"),
        ("scheme", "GET", ":scheme=https", ""),
        ("cookies", "GET", "cookie=a,cookie=b", ""),
        ("bytes", "GET", "x=%e9", ""),
        ("internal", "GET", "x-envoy-internal=false,x-envoy-expected-rq-timeout-ms=1", ""),
        ("PROPFIND", "PROPFIND", "x=1", ""),
        ("unknown method", "FOOBAR", "x=1", ""),
        ("OPTIONS", "OPTIONS", "x=1", ""),
    ];
    let waits = ["coding and a body", "connection", "upgrade", "length without a body", "coding without a body"];
    let row = |(name, method, fields, body): (&str, &str, &str, &str)| {
        let call = format!("headers svc :method={method},:path=/,:authority=a,{fields} 500 {body}; return 1");
        let row = get(name).does("request-headers", &call).does("answer", "stream; continue 0");
        if waits.contains(&name) { row.breaks("the service waits for what does not come") } else { row }
    };
    let mut rows: Vec<Row> = calls.map(row).into();
    for (name, head) in [
        ("empty authority", ":method=GET,:path=/,:authority="),
        ("path without a slash", ":method=GET,:path=x,:authority=a"),
        ("star", ":method=OPTIONS,:path=*,:authority=a"),
        ("no path", ":method=GET,:authority=a"),
        ("fragment", ":method=GET,:path=/a#b,:authority=a"),
        ("bad authority", ":method=GET,:path=/,:authority=a%20b"),
    ] {
        let call = format!("headers svc {head} 500; return 1");
        rows.push(get(name).does("request-headers", &call).does("answer", "stream; continue 0"));
    }
    rows
}
