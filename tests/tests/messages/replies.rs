//! Responses, of upstreams and of filters.

use super::row::{Row, get, post};
use proxy_filter_host::{Body, Protocol, Reply};

/// The host's message about a field.
const NOT_VALID: &str = "which is not valid HTTP";
/// The host's message about a length.
const LENGTH: &str = "content-length is";
/// The host's message about a status.
const NOT_FINAL: &str = "which is none of a final response";

fn html() -> Reply {
    Reply::new(200).header("content-type", "text/html")
}

/// Responses of the upstream.
pub(crate) fn of_the_upstream() -> Vec<Row> {
    let mut rows = vec![
        get("204 cl").reply(Reply::new(204).header("content-length", "0")),
        get("204 cl5").reply(Reply::new(204).header("content-length", "5")),
        get("204 te").reply(Reply::new(204).header("transfer-encoding", "chunked")),
        get("304 cl").reply(Reply::new(304).header("content-length", "55").header("etag", "\"x\"")),
        get("205").reply(Reply::new(205)),
        get("205 body").reply(Reply::new(205).body("x")),
        get("299").reply(Reply::new(299).body("x")),
        get("600").reply(Reply::new(600).body("x")),
        get("999").reply(Reply::new(999).body("x")),
        get("099").reply(Reply::new(99).body("x")),
        get("302").reply(Reply::new(302).header("location", "/x")),
        get("obs fold").reply(html().header("x-folded", "one\r\n two").body("x")),
        get("latin1").reply(html().header("x-latin", b"caf\xe9").body("x")),
        get("ctl").reply(html().header("x-ctl", b"a\x01b").body("x")),
        get("set cookies").reply(html().header("set-cookie", "a=1; Path=/").header("set-cookie", "b=2, c").body("x")),
        get("gzip").reply(
            html()
                .header("content-encoding", "gzip")
                .body(&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..]),
        ),
        get("connection close").reply(html().header("connection", "close").body("x")),
        get("connection nominates").reply(html().header("connection", "x-hop").header("x-hop", "1").body("x")),
        get("keep alive").reply(html().header("keep-alive", "timeout=5").header("proxy-connection", "close").body("x")),
        get("upgrade").reply(html().header("upgrade", "h2c").header("connection", "upgrade").body("x")),
        get("server date").reply(
            html()
                .header("server", "nginx")
                .header("date", "Tue, 15 Nov 1994 08:12:31 GMT")
                .header("via", "1.1 x")
                .body("x"),
        ),
        get("service time").reply(html().header("x-envoy-upstream-service-time", "77").body("x")),
        get("envoy").reply(
            html()
                .header("x-envoy-degraded", "true")
                .header("x-envoy-upstream-canary", "true")
                .header("x-envoy-ratelimited", "true")
                .header("x-envoy-attempt-count", "4")
                .body("x"),
        ),
        get("envoy decorator")
            .reply(html().header("x-envoy-decorator-operation", "x").header("x-envoy-peer-metadata", "y").body("x")),
        get("hcfail").reply(html().header("x-envoy-immediate-health-check-fail", "true").body("x")),
        get("trailers").reply(
            html().chunks(["a"]).trailer("x-t", "1").trailer("content-length", "3").trailer("set-cookie", "q=1"),
        ),
        get("trailers only").reply(html().trailer("x-t", "1")),
        get("empty chunked").reply(html().chunks(Vec::<&str>::new())),
        get("www auth").reply(
            Reply::new(401)
                .header("www-authenticate", "Basic realm=\"a\"")
                .header("www-authenticate", "Digest realm=\"b\""),
        ),
        get("dup ct")
            .reply(Reply::new(200).header("content-type", "text/html").header("content-type", "text/plain").body("x")),
        get("dup cl").reply(Reply::new(200).header("content-length", "1").header("content-length", "1").body("x")),
        get("dup cl differ")
            .reply(Reply::new(200).header("content-length", "1").header("content-length", "2").body("x")),
        get("cl bad").reply(Reply::new(200).header("content-length", "abc").body("x")),
        get("cl plus").reply(Reply::new(200).header("content-length", "+1").body("x")),
        get("cl short").reply(Reply::new(200).header("content-length", "1").body("xyz")),
        get("cl long").reply(Reply::new(200).header("content-length", "5").body("xyz")),
        get("te gzip").reply(Reply::new(200).header("transfer-encoding", "gzip, chunked").body("x")),
        get("alt svc").reply(
            html()
                .header("alt-svc", "h3=\":443\"")
                .header("strict-transport-security", "max-age=1")
                .header("vary", "a")
                .header("vary", "b")
                .header("cache-control", "a")
                .header("cache-control", "b")
                .header("link", "<a>")
                .header("link", "<b>")
                .body("x"),
        ),
        get("empty values").reply(html().header("x-empty", "").header("etag", "").body("x")),
        get("name upper").reply(html().header("X-UPPER", "1").body("x")),
        get("name bad").reply(html().header("x bad", "1").body("x")),
        get("accept ranges").reply(Reply::new(206).header("content-range", "bytes 0-0/3").body("x")),
        get("421").reply(Reply::new(421).body("x")),
        get("sse").reply(Reply::new(200).header("content-type", "text/event-stream").chunks([
            "data: 1\n\n",
            "data: 2\n\n",
            "data: [DONE]\n\n",
        ])),
        get("many headers").reply((0..150).fold(html(), |r, i| r.header(format!("x-{i}"), "v")).body("x")),
        get("big header").reply(html().header("x-big", "v".repeat(70_000)).body("x")),
        get("status 101").reply(Reply::new(101)).not_played(),
        get("status 103").reply(Reply::new(103).header("link", "</x>; rel=preload")).not_played(),
        get("status 100").reply(Reply::new(100)).not_played(),
        get("204").reply(Reply::new(204)),
        get("304 cl").reply(Reply::new(304).header("content-length", "55")),
        get("te").reply(html().header("transfer-encoding", "chunked").body("x")),
        get("upgrade").reply(html().header("upgrade", "h2c").body("x")),
        get("keep alive").reply(html().header("keep-alive", "timeout=5").body("x")),
        get("cl short").reply(html().header("content-length", "1").body("xyz")),
        get("cl long").reply(html().header("content-length", "5").body("xyz")),
        get("sse").reply(
            Reply::new(200).header("content-type", "text/event-stream").chunks(["data: 1\n\n", "data: [DONE]\n\n"]),
        ),
        get("set cookies").reply(html().header("set-cookie", "a=1").header("set-cookie", "b=2").body("x")),
        get("dup cl").reply(html().header("content-length", "1").header("content-length", "1").body("x")),
        get("status 103").reply(Reply::new(103)).not_played(),
        get("trailers and a length").reply(html().body("abc").trailer("x-t", "1")),
        get("forbidden trailers")
            .reply(html().chunks(["a"]).trailer("transfer-encoding", "x").trailer("connection", "close")),
        get("odd trailers").reply(html().chunks(["a"]).trailer("a b", "1")),
        get("trailer of a control byte").reply(html().chunks(["a"]).trailer("x-t", "a\u{1}b")),
        get("trailer of a pseudo-header").reply(html().chunks(["a"]).trailer(":status", "500")),
        get("chunk of 40,000 bytes").reply(html().body(vec![b'x'; 40_000])),
        get("two large chunks").reply(html().body(Body::Chunked(vec![vec![b'x'; 20_000], vec![b'y'; 33_000]]))),
        get("pseudo-header of a request").reply(html().header(":path", "/").body("x")),
        get("status twice").reply(html().header(":status", "500").body("x")),
        get("te").reply(html().header("te", "trailers").body("x")),
        get("cut off with a length").reply(html().body("abc").cut_off()),
        get("cut off in chunks").reply(html().chunks(["abc"]).cut_off()),
        get("cut off at once").reply(html().cut_off()),
        get("reset").reply(Reply::reset()),
        get("connection close, upgrade").reply(html().header("connection", "close, upgrade").body("x")),
        get("connection empty").reply(html().header("connection", "").body("x")),
        get("value folded with a tab").reply(html().header("x-folded", "one\r\n\ttwo").body("x")),
        get("value with a line feed").reply(html().header("x-lf", "a\nb").body("x")),
        get("value with a carriage return").reply(html().header("x-cr", "a\rb").body("x")),
        get("value of NUL").reply(html().header("x-nul", "a\0b").body("x")),
        get("value of DEL").reply(html().header("x-del", "a\u{7f}b").body("x")),
        get("value of spaces").reply(html().header("x-spaces", "  a  ").body("x")),
        get("name empty").reply(html().header("", "1").body("x")),
        get("name of bytes").reply(html().header(b"a\xe9", "1").body("x")),
        get("content-length of spaces").reply(html().header("content-length", " 1 ").body("x")),
        get("content-length empty").reply(html().header("content-length", "").body("x")),
        get("content-length list").reply(html().header("content-length", "1, 1").body("x")),
        get("content-length negative").reply(html().header("content-length", "-1").body("x")),
        get("content-length 01").reply(html().header("content-length", "01").body("x")),
        get("content-length without a body").reply(html().header("content-length", "5")),
        get("length and coding").reply(html().header("content-length", "1").chunks(["x"]).trailer("x-t", "1")),
        get("coding identity").reply(html().header("transfer-encoding", "identity").body("x")),
        get("coding in upper case").reply(html().header("transfer-encoding", "Chunked").chunks(["x"])),
        post("to a POST").body("data").reply(html().body("x")),
        post("204 to a POST").body("data").reply(Reply::new(204)),
        get("204 with chunks").reply(Reply::new(204).chunks(["x"])),
        get("304 with a body").reply(Reply::new(304).body("x")),
        get("204 with trailers").reply(Reply::new(204).trailer("x-t", "1")),
        get("value of 90,000 bytes").reply(html().header("x-big", "v".repeat(90_000)).body("x")),
        get("value of 100,000 bytes").reply(html().header("x-big", "v".repeat(100_000)).body("x")),
        get("grpc")
            .header("content-type", "application/grpc")
            .reply(Reply::new(200).header("content-type", "application/grpc").trailer("grpc-status", "0")),
        get("large trailers").reply(html().chunks(["a"]).trailer("x-t", "v".repeat(100_000))),
        get("1,100 trailers")
            .reply((0..1100).fold(html().chunks(["a"]), |reply, index| reply.trailer(format!("x-{index}"), "v"))),
    ];
    for status in [200, 201, 203, 206, 226, 300, 301, 307, 400, 404, 408, 413, 426, 431, 500, 503, 504, 599] {
        rows.push(get(format!("status {status}")).reply(Reply::new(status)));
        rows.push(get(format!("status {status} with a body")).reply(Reply::new(status).body("b")));
    }
    for count in [997, 998, 999] {
        rows.push(
            get(format!("{count} fields"))
                .reply((0..count).fold(html(), |reply, index| reply.header(format!("x-{index}"), "v")).body("x")),
        );
    }
    rows
}

/// Responses to `HEAD`.
pub(crate) fn to_head() -> Vec<Row> {
    let head = |name: &str| get(name).method("HEAD");
    vec![
        head("cl").reply(html().header("content-length", "29")),
        head("none").reply(html()),
        head("chunked").reply(html().chunks(["abc"])),
        head("sized").reply(html().body("abc")),
        head("404").reply(Reply::new(404).body("abc")),
        head("204").reply(Reply::new(204)),
        head("304").reply(Reply::new(304)),
        head("te").reply(html().header("transfer-encoding", "chunked")),
        head("local reply").does("request-headers", "reply 403 a-reply ; return 1"),
        head("local reply without a body").does("request-headers", "reply 403  ; return 1"),
        head("trailers").reply(html().trailer("x-t", "1")),
        head("redirect").reply(Reply::new(302).header("location", "/x")),
        head("with a body").body("data"),
        head("length 0").reply(html().header("content-length", "0")),
        head("bad length").reply(html().header("content-length", "abc")),
        head("to a POST").method("HEAD").body("x"),
    ]
}

/// Local replies of the filter.
pub(crate) fn of_the_filter() -> Vec<Row> {
    let reply = |name: &str, reply: &str| get(name).does("request-headers", &format!("reply {reply}; return 1"));
    let late = |name: &str, reply: &str| get(name).does("response-headers", &format!("reply {reply}; return 1"));
    let mut rows = vec![
        reply("server and date", "200 body server=me,date=x,content-type=a/b"),
        reply("server, length", "200 body server=me,content-type=a/b,content-length=77"),
        reply("coding", "200 body transfer-encoding=chunked,connection=close"),
        reply("repeated", "200 x set-cookie=a,set-cookie=b,via=1,via=2,content-type=a,content-type=b"),
        reply("pseudo", "200 x :status=404,:foo=x"),
        reply("upper case", "200 x X-Upper=V"),
        reply("upgrade", "200 x upgrade=websocket,connection=upgrade"),
        reply("keep-alive", "200 x keep-alive=5,proxy-connection=close,te=trailers,trailer=a"),
        reply("bad name", "200 x a%20b=1").breaks(NOT_VALID),
        reply("bad value", "200 x a=b%01").breaks(NOT_VALID),
        reply("line feed", "200 x a=b%0ac").breaks(NOT_VALID),
        reply("bytes", "200 x a=%e9"),
        reply("x-envoy", "200 x x-envoy-upstream-service-time=5,x-envoy-decorator-operation=z,x-request-id=1"),
        reply("type without a body", "200  content-type=a/b,server=me"),
        reply("type without a body, to gRPC", "200  content-type=a/b").header("content-type", "application/grpc"),
        reply("length added to a reply", "403 no")
            .does("response-headers", "replace 2 content-length 9")
            .breaks(LENGTH),
        late("late", "403 late a=b"),
        late("late, type without a body", "403  content-type=a/b"),
        late("late 204", "204 late a=b"),
    ];
    for status in [
        "0", "99", "100", "101", "103", "199", "200", "204", "205", "206", "301", "304", "400", "401", "413", "426",
        "429", "431", "500", "503", "599", "600", "999", "1000", "65536",
    ] {
        let rest = [
            reply(&format!("reply {status}"), &format!("{status} body ")),
            reply(&format!("reply {status} without a body"), status),
        ];
        let is_final = (200..1000).contains(&status.parse::<u32>().unwrap());
        rows.extend(rest.map(|row| if is_final { row } else { row.breaks(NOT_FINAL) }));
    }
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web+proto",
        "application/GRPC",
        "application/grpc;charset=utf-8",
        "application/grpcx",
    ] {
        for status in ["200", "403", "503"] {
            rows.push(reply(&format!("{kind} {status}"), &format!("{status} no%way a=b")).header("content-type", kind));
        }
    }
    rows.push(post("to a body").body("data").does("request-headers", "reply 403 no a=b; return 1"));
    rows.push(post("in the body").body("data").does("request-body", "reply 403 no a=b; return 1"));
    rows.push(post("in the body, in chunks").chunks(&["a", "b"]).does("request-body", "reply 403 no a=b; return 1"));
    rows.push(
        post("at trailers").chunks(&["a"]).trailer("x-t", "1").does("request-trailers", "reply 403 no a=b; return 1"),
    );
    rows.push(get("at the response's body").does("response-body", "reply 403 no a=b; return 1"));
    rows.push(
        get("edited")
            .does("request-headers", "reply 403 no a=b; return 1")
            .does("response-headers", "replace 2 :status 401; add 2 x-new 1; replace 2 server me"),
    );
    rows.push(get("closed").does("request-headers", "close 0; return 1"));
    rows.push(get("http1 only").does("request-headers", "reply 200 x a=b; return 1").only(Protocol::Http1));
    rows
}
