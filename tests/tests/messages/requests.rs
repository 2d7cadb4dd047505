//! Requests as clients send them.

use super::row::{Row, get, post};

use proxy_filter_host::{Body, Protocol};

/// Header fields.
pub(crate) fn fields() -> Vec<Row> {
    vec![
        get("websocket")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13"),
        get("upgrade h2c")
            .header("connection", "Upgrade, HTTP2-Settings")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__"),
        get("te trailers").header("te", "trailers"),
        get("te gzip").header("te", "gzip, trailers"),
        get("connection nominates")
            .header("connection", "keep-alive, x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5"),
        get("connection close").header("connection", "close"),
        get("dup authorization").header("authorization", "Bearer a").header("authorization", "Bearer b"),
        get("two cookies").header("cookie", "a=1").header("cookie", "b=2"),
        get("obs fold").header("x-folded", "one\r\n two"),
        get("latin1").header("x-latin", b"caf\xe9 \xa0").header("user-agent", b"\xe4\xf6"),
        get("tab").header("x-tab", "a\tb"),
        get("ctl1").header("x-ctl", "a\x01b"),
        get("del").header("x-del", "a\x7fb"),
        get("nul").header("x-nul", "a\x00b"),
        get("underscore").header("x_under_score", "1"),
        get("upper").header("X-UPPER", "Yes"),
        get("empty value").header("x-empty", ""),
        get("space value").header("x-space", "   "),
        get("name space").header("x name", "1"),
        get("name paren").header("x(name)", "1"),
        get("second host").header("host", "evil.example"),
        get("forwarded set")
            .header("x-forwarded-for", "10.1.2.3")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "a.example")
            .header("forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43"),
        get("xff dup").header("x-forwarded-for", "1.1.1.1").header("x-forwarded-for", "2.2.2.2, 3.3.3.3"),
        get("xfp bad").header("x-forwarded-proto", "gopher"),
        get("xfp dup").header("x-forwarded-proto", "https").header("x-forwarded-proto", "http"),
        get("envoy internal").header("x-envoy-internal", "true"),
        get("envoy timeout").header("x-envoy-upstream-rq-timeout-ms", "700"),
        get("envoy retry").header("x-envoy-retry-on", "5xx").header("x-envoy-max-retries", "2"),
        get("envoy original path").header("x-envoy-original-path", "/secret"),
        get("envoy expected").header("x-envoy-expected-rq-timeout-ms", "5"),
        get("envoy external").header("x-envoy-external-address", "8.8.8.8"),
        get("envoy force trace").header("x-envoy-force-trace", "1").header("x-client-trace-id", "abc"),
        get("envoy dscluster")
            .header("x-envoy-downstream-service-cluster", "me")
            .header("x-envoy-downstream-service-node", "n"),
        get("envoy ipmatch")
            .header("x-envoy-ip-tags", "t")
            .header("x-envoy-attempt-count", "7")
            .header("x-envoy-peer-metadata", "abc"),
        get("envoy decorator").header("x-envoy-decorator-operation", "op"),
        get("request id").header("x-request-id", "not-a-uuid"),
        get("traceparent")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("tracestate", "a=1")
            .header("tracestate", "b=2"),
        get("traceparent dup")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("traceparent", "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        get("proxy auth").header("proxy-authorization", "Basic x").header("proxy-connection", "keep-alive"),
        get("via").header("via", "1.1 a").header("via", "1.0 b").header("max-forwards", "0"),
        get("accept dups")
            .header("accept", "a/b")
            .header("accept", "c/d")
            .header("accept-language", "en")
            .header("accept-language", "de")
            .header("accept-encoding", "gzip")
            .header("accept-encoding", "br"),
        get("content length get").header("content-length", "0"),
        get("scheme header")
            .header("x-forwarded-scheme", "https")
            .header("x-forwarded-port", "443")
            .header("x-forwarded-client-cert", "Hash=1"),
        get("range").header("range", "bytes=0-1").header("if-none-match", "\"a\"").header("if-none-match", "\"b\""),
        get("grpc web")
            .header("content-type", "application/grpc-web+proto")
            .does("request-headers", "reply 403 a-reply content-type=text/plain; return 1"),
        get("grpc")
            .header("content-type", "application/grpc")
            .does("request-headers", "reply 403 a-reply content-type=text/plain; return 1"),
        get("grpc upper")
            .header("content-type", "application/GRPC")
            .does("request-headers", "reply 403 a-reply content-type=text/plain; return 1"),
        get("grpc params")
            .header("content-type", "application/grpc;charset=utf-8")
            .does("request-headers", "reply 403 a-reply content-type=text/plain; return 1"),
        get("reply204").does("request-headers", "reply 204 a-reply content-type=text/plain; return 1"),
        get("reply429").does("request-headers", "reply 429 a-reply content-type=text/plain; return 1"),
        get("reply304").does("request-headers", "reply 304 a-reply content-type=text/plain; return 1"),
        get("reply205").does("request-headers", "reply 205 a-reply content-type=text/plain; return 1"),
        get("early data").header("early-data", "1").header("x-envoy-original-dst-host", "1.2.3.4:80"),
        get("proxy").header("proxy", "http://evil"),
        get("transfer encoding").header("transfer-encoding", "identity"),
        get("expect other").header("expect", "200-ok"),
        get("expect").header("expect", "100-continue"),
        get("te gzip").header("te", "gzip"),
        get("connection").header("connection", "keep-alive"),
        get("upper").header("X-UPPER", "1"),
        get("host").header("host", "other.example"),
        get("latin1").header("x-latin", b"caf\xe9"),
        get("underscore").header("x_u", "1"),
        get("spaces").header("x-spaces", " a "),
        get("reply403").does("request-headers", "reply 403 a-reply content-type=text/plain; return 1"),
        get("xff").header("x-forwarded-for", "1.1.1.1").header("x-forwarded-for", "2.2.2.2"),
        get("upgrade").header("upgrade", "websocket"),
        get("proxy connection").header("proxy-connection", "keep-alive"),
        get("keep alive").header("keep-alive", "5"),
        get("transfer encoding").header("transfer-encoding", "chunked").not_played(),
        get("te in upper case").header("te", "Trailers"),
        get("te with a weight").header("te", "trailers;q=0.5"),
        get("te empty").header("te", ""),
        get("te repeated").header("te", "trailers").header("te", "gzip"),
        get("connection nominates te").headers(&[("connection", "te"), ("te", "trailers")]),
        get("connection nominates host").headers(&[("connection", "host"), ("x-a", "1")]),
        get("connection nominates authorization").headers(&[("connection", "authorization"), ("authorization", "a")]),
        get("connection nominates content-length")
            .headers(&[("connection", "content-length"), ("content-length", "0")]),
        get("connection nominates cookie").headers(&[("connection", "Cookie"), ("cookie", "a")]),
        get("connection nominates x-forwarded-for")
            .headers(&[("connection", "x-forwarded-for"), ("x-forwarded-for", "1.1.1.1")]),
        get("connection nominates x-forwarded-proto")
            .headers(&[("connection", "x-forwarded-proto"), ("x-forwarded-proto", "https")]),
        get("connection nominates a pseudo-header").headers(&[("connection", ":path"), ("x-a", "1")]),
        get("connection nominates an absent field").header("connection", "x-absent"),
        get("connection twice").headers(&[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2")]),
        get("connection empty").header("connection", ""),
        get("connection of commas").header("connection", ",,"),
        get("connection in upper case").headers(&[("connection", "X-Hop, CLOSE"), ("x-hop", "1")]),
        get("connection keep-alive and close").header("connection", "keep-alive, close"),
        get("connection nominates many").header("connection", "a, b, c, d, e, f, g, h, i, j, k, l, m, n"),
        get("upgrade without connection").header("upgrade", "websocket"),
        get("upgrade to tls").headers(&[("connection", "Upgrade"), ("upgrade", "TLS/1.0")]),
        get("upgrade to h2c among others").headers(&[("connection", "Upgrade"), ("upgrade", "foo, h2c")]),
        get("upgrade in upper case").headers(&[("connection", "UPGRADE"), ("upgrade", "WebSocket")]),
        get("http2-settings").header("http2-settings", "AA"),
        get("forwarded proto in upper case").header("x-forwarded-proto", "HTTPS"),
        get("forwarded proto empty").header("x-forwarded-proto", ""),
        get("forwarded proto list").header("x-forwarded-proto", "https,http"),
        get("forwarded proto ws").header("x-forwarded-proto", "ws"),
        get("trusted address").header("x-forwarded-for", "127.0.0.1"),
        get("private address").header("x-forwarded-for", "10.0.0.1"),
        get("odd address").header("x-forwarded-for", "nonsense"),
        get("empty address").header("x-forwarded-for", ""),
        get("cookies of one field").header("cookie", "a=1; b=2"),
        get("cookie empty").headers(&[("cookie", ""), ("cookie", "a=1")]),
        get("cookie of spaces").headers(&[("cookie", " a=1 "), ("cookie", "b=2;")]),
        get("transfer-encoding chunked without a body").header("transfer-encoding", "chunked").only(Protocol::Http2),
        get("referer relative").header("referer", "/a?b=c"),
        get("referer absolute").header("referer", "https://a.example/b?c=d#e"),
        get("referer empty").header("referer", ""),
        get("referer with spaces").header("referer", "x; q=0.5"),
        get("referer quoted").header("referer", "\"quoted\""),
        get("referer with a colon").header("referer", "a:b/c"),
        get("referer with a colon after a slash").header("referer", "/a:b"),
        get("referer with a fragment").header("referer", "/a#b"),
        get("referer of an app").header("referer", "app://a.example"),
        get("referer absolute with a space").header("referer", "https://a.example/b c"),
        get("referer beyond ASCII").header("referer", "\u{e9}"),
        get("referer absolute beyond ASCII").header("referer", "https://a.example/\u{e9}"),
        get("proxy-connection").header("proxy-connection", "close"),
        get("trailer announced").header("trailer", "x-t"),
        get("content-length empty").header("content-length", ""),
        get("expect twice").headers(&[("expect", "100-continue"), ("expect", "100-continue")]),
        get("name empty").header("", "1"),
        get("name of a digit").header("1", "1"),
        get("name with a colon").header("a:b", "1"),
        get("name with bytes").header(b"a\xe9", "1"),
        get("name with a control byte").header(b"a\x01", "1"),
        get("name of symbols").header("!#$%&'*+-.^_`|~", "1"),
        get("value with a line feed").header("x-lf", "a\nb"),
        get("value with a carriage return").header("x-cr", "a\rb"),
        get("value folded with a tab").header("x-folded", "a\r\n\tb"),
        get("value folded to nothing").header("x-folded", "a\r\n "),
        get("value folded twice").header("x-folded", "a\r\n b\r\n  c"),
        get("value folded at its start").header("x-folded", "\r\n b"),
        get("value of a space at its end").header("x-spaces", "a \t"),
        get("value of a tab").header("x-tab", "\t"),
        get("value of spaces inside").header("x-spaces", "a   b"),
        get("x-envoy unknown").header("x-envoy-unknown", "1"),
        get("x-envoy hedge")
            .headers(&[("x-envoy-hedge-on-per-try-timeout", "true"), ("x-envoy-upstream-rq-per-try-timeout-ms", "3")]),
        get("x-envoy alt stat")
            .headers(&[("x-envoy-upstream-alt-stat-name", "a"), ("x-envoy-upstream-stream-duration-ms", "7")]),
        get("x-envoy retriable").headers(&[
            ("x-envoy-retriable-status-codes", "503"),
            ("x-envoy-retriable-header-names", "a"),
            ("x-envoy-retry-grpc-on", "cancelled"),
        ]),
        get("x-envoy original host").headers(&[
            ("x-envoy-original-host", "a"),
            ("x-envoy-original-method", "PUT"),
            ("x-envoy-original-url", "b"),
        ]),
        get("x-envoy overloaded").headers(&[
            ("x-envoy-overloaded", "1"),
            ("x-envoy-degraded", "1"),
            ("x-envoy-canary", "1"),
        ]),
        get("x-envoy is timeout retry").header("x-envoy-is-timeout-retry", "1"),
        get("x-envoy auth").headers(&[
            ("x-envoy-auth-headers-to-remove", "a"),
            ("x-envoy-auth-partial-body", "b"),
            ("x-envoy-auth-failure-mode-allowed", "c"),
        ]),
        get("x-envoy livelog").headers(&[
            ("x-envoy-livelog", "1"),
            ("x-envoy-fault-delay-request", "1"),
            ("x-envoy-nodeid", "1"),
        ]),
        get("x-envoy peer").headers(&[("x-envoy-peer-metadata", "a"), ("x-envoy-peer-metadata-id", "b")]),
        get("x-envoy upstream service time")
            .headers(&[("x-envoy-upstream-service-time", "1"), ("x-envoy-response-flags", "UF")]),
        get("x-envoy trusted client").headers(&[
            ("x-envoy-external-address", "1.1.1.1"),
            ("x-real-ip", "2.2.2.2"),
            ("true-client-ip", "3.3.3.3"),
        ]),
        get("request id is a uuid").header("x-request-id", "a5b2d3c4-0000-4000-8000-000000000000"),
        get("pseudo-header of nobody").header(":foo", "1"),
        get("pseudo-header twice").header(":path", "/other"),
        get("pseudo-header of a response").header(":status", "200"),
        get("protocol").header(":protocol", "websocket"),
        get("priority").headers(&[("priority", "u=1"), ("upgrade-insecure-requests", "1"), ("dnt", "1")]),
        get("origin twice").headers(&[("origin", "a"), ("origin", "b"), ("referer", "a"), ("referer", "b")]),
        get("content-type twice").headers(&[("content-type", "a"), ("content-type", "b")]),
        get("host of bytes").header("host", "").only(Protocol::Http2),
        get("date").headers(&[("date", "x"), ("server", "y"), ("age", "1")]),
    ]
}

/// Targets and authorities.
pub(crate) fn targets() -> Vec<Row> {
    let targets = [
        "/a?b=c&d=%20%2F",
        "/a#frag",
        "/a?x=1#frag",
        "/a/../b/./c",
        "//a///b",
        "/%61%2Fb%00%zz",
        "http://other.example/abs?x=1",
        "http://other.example",
        "https://other.example/abs",
        "/a b",
        "/caf\u{e9}",
        "/\"<>|{}",
        "*",
        "abc",
        "/?",
        "/a/../b",
        "/%2e%2e/a",
        "/a\\b",
        "http://other.com/abs?x=1",
        "/a?b?c",
        "/a;b=c",
        "/a%00b",
        "",
        "/a?x=1#",
        "#",
        "?a=b",
        "/a\tb",
        "/\u{1}",
        "/a\u{7f}",
        "http://",
        "http:///a",
        "http://other.example:8080/a",
        "http://user@other.example/a",
        "http://user:pass@other.example/a",
        "HTTP://OTHER.example/A",
        "ftp://other.example/a",
        "ws://other.example/a",
        "http://other.example?x=1",
        "http://other.example/a#f",
        "http://[::1]:80/a",
        "http://other.example:port/a",
        "http:/other.example/a",
        "//other.example/a",
        "/http://other.example/a",
        "https://other.example",
        "other.example:443",
        "other.example",
        "/a//b",
        "/.",
        "/a?",
        "/?#",
        "/\u{fffd}",
        "mailto:a@b",
        "http://other.example/a b",
        "http://other_example/a",
        "http://oth%41r.example/a",
        "**",
        "/*",
        "https://other.example:443/a",
    ];
    let authorities = [
        "example.com:8080",
        "EXAMPLE.com",
        "",
        "[::1]:80",
        "[::1]",
        "user@example.com",
        "exa mple.com",
        "example.com/x",
        "a_b.example",
        "*",
        "example.com.",
        "example.com:",
        "example.com:x",
        ":80",
        "example.com:99999",
        "1.2.3.4",
        "::1",
        "[::1",
        "a,b",
        "a;b",
        "a%41",
        "%",
        "a?b",
        "a#b",
        "b\u{e9}",
        "a\\b",
        "a\"b",
        "<a>",
        "a|b",
        "a^b",
        "a`b",
        "a{b}",
        "a!b$c&d'e(f)g*h+i=j~k",
        " a",
        "a ",
        "a\tb",
    ];
    let mut rows: Vec<Row> = targets.map(|target| get(format!("target {target:?}")).path(target)).into();
    rows.extend(authorities.map(|authority| get(format!("authority {authority:?}")).authority(authority)));
    rows.push(get("long target").path(format!("/{}", "x".repeat(9000))));
    rows.push(get("no authority").without_authority());
    rows.push(get("no authority, absolute target").without_authority().path("http://other.example/a"));
    rows.push(get("two hosts").header("host", "other.example"));
    rows.push(get("the same host twice").header("host", "example.com"));
    rows.push(get("host only").without_authority().header("host", "example.com"));
    rows.push(get("two hosts only").without_authority().headers(&[("host", "a"), ("host", "b")]));
    rows.push(
        get("absolute target and a forwarded scheme").path("http://a.example/").header("x-forwarded-proto", "https"),
    );
    rows.push(
        get("https target and a forwarded scheme").path("https://a.example/").header("x-forwarded-proto", "http"),
    );
    rows
}

/// Methods.
pub(crate) fn methods() -> Vec<Row> {
    let known = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "COPY",
        "LOCK",
        "MKCOL",
        "MOVE",
        "PROPFIND",
        "PROPPATCH",
        "SEARCH",
        "UNLOCK",
        "BIND",
        "REBIND",
        "UNBIND",
        "ACL",
        "REPORT",
        "MKACTIVITY",
        "CHECKOUT",
        "MERGE",
        "M-SEARCH",
        "NOTIFY",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PURGE",
        "MKCALENDAR",
        "LINK",
        "UNLINK",
        "SOURCE",
        "QUERY",
        "PRI",
        "DESCRIBE",
        "FLUSH",
        "VIEW",
    ];
    let odd = ["get", "Get", "FOOBAR", "A_B", "A!B", "A B", "", "GETX", "G", "HTTP/1.1", "A\tB", "A\u{e9}", "1"];
    let mut rows: Vec<Row> = known.map(|method| get(format!("method {method}")).method(method)).into();
    rows.extend(odd.map(|method| get(format!("method {method:?}")).method(method)));
    rows.extend(["OPTIONS", "GET", "HEAD"].map(|method| get(format!("{method} *")).method(method).path("*")));
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"] {
        rows.push(get(format!("{method} with a body")).method(method).body("data"));
        rows.push(get(format!("{method} with chunks")).method(method).chunks(&["data"]));
    }
    for target in ["example.com:443", "/", "example.com", "*", "http://example.com/"] {
        rows.push(get(format!("CONNECT {target}")).method("CONNECT").path(target));
    }
    rows.push(get("CONNECT with a body").method("CONNECT").body("x"));
    rows
}

/// Bodies, their lengths and their trailers.
pub(crate) fn bodies() -> Vec<Row> {
    let data = |name: &str| post(name).body("data");
    let mut rows = vec![
        data("expect").header("expect", "100-continue"),
        post("expect before chunks").header("expect", "100-continue").chunks(&["da", "ta"]),
        data("expect and a local reply")
            .header("expect", "100-continue")
            .does("request-headers", "reply 403 no ; return 1"),
        data("expect in upper case").header("expect", "100-Continue"),
        data("expect something else").header("expect", "200-ok"),
        data("expect answered early").header("expect", "100-continue").early_response().only(Protocol::Http1),
        post("te and length").header("content-length", "4").chunks(&["data"]).trailer("x-t", "1").only(Protocol::Http1),
        post("te gzip").header("transfer-encoding", "gzip").chunks(&["data"]),
        post("empty").body(""),
        post("no chunks").chunks(&[]),
        post("no body"),
        post("trailers only").trailer("x-t", "1"),
        post("forbidden trailers")
            .chunks(&["a"])
            .trailer("content-length", "9")
            .trailer("authorization", "x")
            .trailer("host", "evil"),
        post("odd trailers")
            .chunks(&["a"])
            .trailer("x_u", "1")
            .trailer("X-Upper", "2")
            .trailer("x-t", "3")
            .trailer("x-t", "4"),
        post("trailer of a pseudo-header").chunks(&["a"]).trailer(":path", "/x"),
        post("trailer of a bad name").chunks(&["a"]).trailer("a b", "1"),
        post("trailer of a control byte").chunks(&["a"]).trailer("x-t", "a\u{1}b"),
        post("trailer of the hop").chunks(&["a"]).trailer("connection", "close").trailer("te", "trailers"),
        post("chunk of 16 KiB").body(vec![b'x'; 16_384]),
        post("chunk of 16 KiB and 1").body(vec![b'x'; 16_385]),
        post("chunk of 40,000 bytes").body(vec![b'x'; 40_000]),
        post("two large chunks").body(Body::Chunked(vec![vec![b'x'; 20_000], vec![b'y'; 33_000]])),
        data("multipart").header("content-type", "multipart/form-data; boundary=x"),
    ];
    let lengths = [
        "2",
        "9",
        "0x4",
        "4, 4",
        "4,4",
        "+4",
        "-1",
        " 4",
        "04",
        "4.0",
        "",
        "abc",
        "18446744073709551616",
        "0",
        "4;",
        "4 4",
    ];
    rows.extend(lengths.map(|length| {
        let row = data(&format!("length {length:?}")).header("content-length", length);
        if ["2", "9", "0"].contains(&length) { row.not_played() } else { row }
    }));
    rows.push(data("length given").header("content-length", "4"));
    rows.push(data("lengths that agree").headers(&[("content-length", "4"), ("content-length", "4")]));
    rows.push(data("lengths that differ").headers(&[("content-length", "4"), ("content-length", "5")]));
    rows.push(post("length without a body").header("content-length", "4").not_played());
    rows.push(post("length 0 without a body").header("content-length", "0"));
    rows.push(data("codings twice").headers(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]));
    rows.push(data("coding and length").headers(&[("transfer-encoding", "chunked"), ("content-length", "4")]));
    for coding in ["identity", "gzip, chunked", "chunked, gzip", "Chunked", "chunked;a=b", "", "deflate"] {
        let row = post(format!("coding {coding:?}")).header("transfer-encoding", coding);
        rows.push(if coding == "Chunked" { row.not_played() } else { row });
    }
    rows
}

/// Counts and sizes.
pub(crate) fn limits() -> Vec<Row> {
    let many = |row: Row, count: usize| (0..count).fold(row, |row, index| row.header(format!("x-{index}"), "v"));
    let mut rows: Vec<Row> = [996, 997, 999, 1000].map(|count| many(get(format!("{count} fields")), count)).into();
    rows.extend(
        [65_000, 80_000, 97_000, 98_304, 128_000]
            .map(|size| get(format!("a value of {size} bytes")).header("x-a", "v".repeat(size))),
    );
    rows.push(get("two large values").header("x-a", "v".repeat(64_000)).header("x-b", "v".repeat(64_000)));
    rows.push(get("a name of 70,000 bytes").header("x".repeat(70_000), "v"));
    rows.push(get("a target of 90,000 bytes").path(format!("/{}", "x".repeat(90_000))));
    rows.push(get("a target of 100,000 bytes").path(format!("/{}", "x".repeat(100_000))));
    rows.push(
        (0..1100).fold(post("1,100 trailers").chunks(&["a"]), |row, index| row.trailer(&format!("x-{index}"), "v")),
    );
    rows.push(post("large trailers").chunks(&["a"]).trailer("x-a", &"v".repeat(100_000)));
    rows
}
