//! Ways around the firewall, each of which it sees.

use super::scan::{Rules, Scanner, resolved};
use proxy_filter_host::{Host, Outcome, Reply, RequestBuilder};
use serde_json::json;
use std::collections::BTreeMap;

const ATTACK: &str = "id=1 union select password";
const LARGEST: usize = 50_000;
const PATTERN: &[u8] = b"union select";
const SECRET: &str = "-----BEGIN PRIVATE KEY-----\nMIIE";

fn configure(host: &mut Host) {
    let request = json!({
        "admin": "/admin/secret",
        "sql": "UNION  SELECT",
        "traversal": "../",
        "xss": "<script",
    });
    let response = json!({ "key": "-----BEGIN PRIVATE KEY" });
    host.configure(json!({ "request": request, "response": response, "largest_request_body": LARGEST })).unwrap();
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The attack after so many other bytes, in chunks as HTTP/2 has them.
fn frames(before: usize) -> Vec<Vec<u8>> {
    let body = ["a".repeat(before).as_str(), ATTACK].concat();
    body.as_bytes().chunks(16384).map(<[u8]>::to_vec).collect()
}

/// A request that is sent, and the status with which it is refused.
type Way = (&'static str, u16, for<'a> fn(&'a mut Host) -> RequestBuilder<'a>);

const TARGETS: [Way; 23] = [
    ("plain", 403, |host| host.get("/?q=union+select")),
    ("upper case", 403, |host| host.get("/?q=UnIoN+SeLeCt")),
    ("percent-encoded", 403, |host| host.get("/?q=%75nion%20select")),
    ("all percent-encoded", 403, |host| host.get("/?q=%55%4e%49%4f%4e%20%73%65%6c%65%63%74")),
    ("percent-encoded twice", 403, |host| host.get("/?q=%2575nion%2520select")),
    ("percent-encoded three times", 403, |host| host.get("/?q=%252575nion%252520select")),
    ("an escape in an escape", 403, |host| host.get("/?q=%%37%35nion+select")),
    ("the old form of Unicode", 403, |host| host.get("/?q=%u0075nion%u0020select")),
    ("fullwidth letters", 403, |host| host.get("/?q=%ef%bd%95nion+select")),
    ("letters without a width", 403, |host| host.get("/?q=un%e2%80%8bion+select")),
    ("null bytes", 403, |host| host.get("/?q=uni%00on+sel%00ect")),
    ("white space", 403, |host| host.get("/?q=union%09%0a%0b+++select")),
    ("a comment", 403, |host| host.get("/?q=union/**/select")),
    ("a comment with text", 403, |host| host.get("/?q=union/*+a+*/+select")),
    ("a comment that is executed", 403, |host| host.get("/?q=/*!50000union*/+select")),
    ("JSON in the query", 403, |host| host.get("/?q=%7B%22a%22:%22%5Cu0075nion+select")),
    ("an overlong dot", 403, |host| host.get("/a/%c0%ae%c0%ae/b")),
    ("an overlong slash", 403, |host| host.get("/a/..%e0%80%afb")),
    ("path parameters", 403, |host| host.get("/admin;a=b/secret;c")),
    ("empty segments", 403, |host| host.get("//admin///secret")),
    ("dot segments", 403, |host| host.get("/admin/./x/%2E%2e/secret")),
    ("a backslash", 403, |host| host.get("/admin%5csecret")),
    ("an encoded slash", 403, |host| host.get("/admin%2fsecret")),
];

const FIELDS: [Way; 8] = [
    ("a header", 403, |host| host.get("/").header("x-q", ATTACK)),
    ("a percent-encoded header", 403, |host| host.get("/").header("referer", "/?q=union%20select")),
    ("the second value of a header", 403, |host| host.get("/").header("x-q", "a").header("x-q", ATTACK)),
    ("a cookie", 403, |host| host.get("/").header("cookie", "a=b").header("cookie", "c=%3Cscript%3E")),
    ("a header over HTTP/2", 403, |host| host.get("/").header("x-q", ATTACK).http2()),
    ("white space in a header", 403, |host| host.get("/").header("x-q", "union \t select")),
    ("trailers only", 403, |host| host.post("/").chunks(["a"]).trailer("x-q", ATTACK)),
    ("trailers over HTTP/2", 403, |host| host.post("/").chunks(["a"]).trailer("x-q", ATTACK).http2()),
];

const BODIES: [Way; 30] = [
    ("plain", 403, |host| host.post("/").body(ATTACK)),
    ("in a GET", 403, |host| host.get("/").body(ATTACK)),
    ("in a DELETE", 403, |host| host.request("DELETE", "/").body(ATTACK)),
    ("another content type", 403, |host| host.post("/").header("content-type", "image/png").body(ATTACK)),
    ("in two chunks", 403, |host| host.post("/").chunks(["id=1 uni", "on select password"])),
    ("with empty chunks", 403, |host| host.post("/").chunks(["id=1 uni", "", "on ", "", "select"])),
    ("byte by byte", 403, |host| host.post("/").chunks(ATTACK.as_bytes().chunks(1))),
    ("in the last bytes", 403, |host| host.post("/").chunks(["a", "union se", "lect"])),
    ("before trailers", 403, |host| host.post("/").chunks(["a", "union se", "lect"]).trailer("x-a", "b")),
    ("over HTTP/2", 403, |host| host.post("/").body(ATTACK).http2()),
    ("across frames of HTTP/2", 403, |host| host.post("/").chunks(frames(16384 - 5)).http2()),
    ("in the third frame of HTTP/2", 403, |host| host.post("/").chunks(frames(3 * 16384 - 10)).http2()),
    ("after what looks like an end", 403, |host| host.post("/").body(["0\r\n\r\n", ATTACK].concat())),
    ("a form", 403, |host| host.post("/").body("a=b&q=%75nion+%53elect")),
    ("a form, cut in an escape", 403, |host| host.post("/").chunks(["q=%7", "5nion%", "20select"])),
    ("JSON escapes", 403, |host| host.post("/").body(r#"{"q": "\u0075nion\tselect"}"#)),
    ("JSON escapes, cut", 403, |host| host.post("/").chunks([r#"{"q": "\u00"#, r#"75nion select"}"#])),
    ("JSON escapes of slashes", 403, |host| host.post("/").body(r#"{"q": "..\/..\/etc"}"#)),
    ("a comment, cut", 403, |host| host.post("/").chunks(["union/", "* a *", "/select"])),
    ("null bytes", 403, |host| host.post("/").body("uni\0on\0 select")),
    ("UTF-16", 403, |host| host.post("/").body(utf16(ATTACK))),
    ("gzip", 415, |host| host.post("/").header("content-encoding", "gzip").body("\u{1f}")),
    ("gzip in another case", 415, |host| host.post("/").header("content-encoding", "GZip").body("x")),
    ("two codings", 415, |host| host.post("/").header("content-encoding", "gzip, gzip").body("x")),
    ("a second field of codings", 415, |host| {
        host.post("/").header("content-encoding", "identity").header("content-encoding", "br").body("x")
    }),
    ("no coding that is known", 415, |host| host.post("/").header("content-encoding", "rot13").body("x")),
    ("identity", 403, |host| host.post("/").header("content-encoding", "Identity").body(ATTACK)),
    ("UTF-7", 415, |host| host.post("/").header("content-type", "text/plain; Charset=\"UTF-7\"").body("x")),
    ("too large", 413, |host| host.post("/").body("a".repeat(LARGEST + 1))),
    ("too large, in chunks", 413, |host| host.post("/").chunks(vec!["a".repeat(LARGEST / 2); 3])),
];

#[track_caller]
fn assert_refused(exchange: &Outcome, way: &str, status: u16) {
    assert_eq!(exchange.status(), status, "{way}: {exchange}");
    assert_eq!(exchange.response().text(), "refused\n", "{way}: {exchange}");
    if let Some(upstream) = exchange.upstream() {
        assert!(!upstream.complete, "{way}: {exchange}");
        let body = upstream.body.to_ascii_lowercase();
        assert!(!body.windows(PATTERN.len()).any(|part| part == PATTERN), "{way}: {exchange}");
    }
    assert_eq!(exchange.messages(), [""; 0], "{way}: {exchange}");
}

#[proxy_filter_host::test]
fn every_way_to_write_a_target_is_refused(mut host: Host) {
    configure(&mut host);
    for (way, status, request) in TARGETS {
        let exchange = request(&mut host).send();
        assert_refused(&exchange, way, status);
        assert!(exchange.upstream().is_none(), "{way}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn every_field_is_scanned(mut host: Host) {
    configure(&mut host);
    for (way, status, request) in FIELDS {
        assert_refused(&request(&mut host).send(), way, status);
    }
}

#[proxy_filter_host::test]
fn every_way_to_send_a_body_is_refused(mut host: Host) {
    configure(&mut host);
    for (way, status, request) in BODIES {
        assert_refused(&request(&mut host).send(), way, status);
    }
}

#[proxy_filter_host::test(embedded)]
fn a_pattern_is_found_at_every_chunk_boundary_of_a_body(mut host: Host) {
    configure(&mut host);
    for at in 0..=ATTACK.len() {
        for http2 in [false, true] {
            let request = host.post("/").chunks([&ATTACK[..at], &ATTACK[at..]]);
            let exchange = if http2 { request.http2() } else { request }.send();
            assert_refused(&exchange, &at.to_string(), 403);
        }
    }
}

#[proxy_filter_host::test]
fn requests_that_only_resemble_an_attack_are_forwarded(mut host: Host) {
    configure(&mut host);
    let path = "/admin/x/secret?q=union+of+selects%20;..%20/";
    let body = r#"{"q": "union/select, <scr ipt> 100%, C:\\dir"}"#;
    for http2 in [false, true] {
        let request = host.post(path).header("x-a", "select union").chunks([&body[..9], &body[9..]]);
        let request = request.trailer("x-checksum", "1");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        let upstream = exchange.upstream().unwrap();
        assert_eq!((upstream.text().as_str(), upstream.complete), (body, true), "{exchange}");
        assert_eq!(upstream.header(":path").unwrap(), path, "{exchange}");
        assert_eq!(upstream.trailer("x-checksum").unwrap(), "1", "{exchange}");
    }
    let exchange = host.post("/").body("a".repeat(LARGEST)).send();
    assert_eq!(exchange.upstream().unwrap().body.len(), LARGEST, "{exchange}");
}

#[proxy_filter_host::test]
fn an_early_response_forwards_nothing_of_the_request(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(401).body("who are you?\n"));
    let exchange = host.post("/").body(ATTACK).early_response().send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (401, "who are you?\n"), "{exchange}");
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.complete), ("", false), "{exchange}");
    // And that response is scanned.
    host.upstream(|_| Reply::new(200).chunks([SECRET]));
    let exchange = host.post("/").body(ATTACK).early_response().send();
    assert!(!exchange.response().text().contains("BEGIN PRIVATE"), "{exchange}");
    assert!(!exchange.response().complete, "{exchange}");
}

#[proxy_filter_host::test]
fn the_rest_of_a_request_after_an_early_response_is_dropped(mut host: Host) {
    configure(&mut host);
    for (chunks, seen) in [(["id=1 uni", "on select", " password"], 1), (["clean ", "union", " select"], 2)] {
        host.upstream(|_| Reply::new(401).chunks(["not ", "you"]));
        let exchange = host.post("/").chunks(chunks).response_after_chunks(seen).send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (401, "not you"), "{exchange}");
        let upstream = exchange.upstream().unwrap();
        assert_eq!((upstream.text(), upstream.complete), (chunks[..seen].concat(), false), "{exchange}");
        // And that response is scanned.
        host.upstream(|_| Reply::new(200).chunks([&SECRET[..9], &SECRET[9..]]));
        let exchange = host.post("/").chunks(chunks).response_after_chunks(seen).send();
        assert!(!exchange.response().text().contains("BEGIN PRIVATE"), "{exchange}");
        assert!(!exchange.response().complete, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn an_upgrade_is_refused(mut host: Host) {
    host.upgrades(&["websocket"]);
    configure(&mut host);
    host.upstream(|_| Reply::new(101).header("connection", "Upgrade").header("upgrade", "websocket"));
    let exchange = host.get("/chat").upgrade("websocket").chunks([ATTACK]).send();
    assert_refused(&exchange, "an upgrade", 403);
    assert!(exchange.upstream().is_none(), "{exchange}");
}

/// A response that is refused.
type Refusal = (&'static str, fn() -> Reply);

/// Responses that are refused before anything of them was sent.
const REFUSED: [Refusal; 9] = [
    ("a header", || Reply::new(200).header("x-key", "-----begin%20private%20key")),
    ("a second value", || Reply::new(200).header("x-key", "a").header("x-key", "-----begin private key")),
    ("gzip", || Reply::new(200).header("content-encoding", "gzip").body("x")),
    ("another case", || Reply::new(200).header("content-encoding", "GZIP").body("x")),
    ("two codings", || Reply::new(404).header("content-encoding", "identity, br").body("x")),
    ("a part", || Reply::new(206).header("content-range", "bytes 0-0/9").body("x")),
    ("parts", || Reply::new(200).header("content-type", "Multipart/ByteRanges; boundary=x").body("x")),
    ("a delta", || Reply::new(226).body("x")),
    ("UTF-7", || Reply::new(200).header("content-type", "text/plain; charset=utf-7").body("x")),
];

#[proxy_filter_host::test]
fn responses_that_cannot_be_scanned_are_refused(mut host: Host) {
    configure(&mut host);
    for (way, reply) in REFUSED {
        host.upstream(move |_| reply());
        let exchange = host.get("/").send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (502, "refused\n"), "{way}: {exchange}");
    }
}

/// Responses that are cut off before the pattern is complete.
const CUT_OFF: [Refusal; 10] = [
    ("a body", || Reply::new(200).body(SECRET)),
    ("another status", || Reply::new(500).body(SECRET)),
    ("an image", || Reply::new(200).header("content-type", "image/png").body(SECRET)),
    ("an event", || Reply::new(200).header("content-type", "text/event-stream").chunks(["data: 1\n\n", SECRET])),
    ("two chunks", || Reply::new(200).chunks([&SECRET[..9], &SECRET[9..]])),
    ("empty chunks", || Reply::new(200).chunks([&SECRET[..9], "", &SECRET[9..]])),
    ("byte by byte", || Reply::new(200).chunks(SECRET.as_bytes().chunks(1))),
    ("before trailers", || Reply::new(200).chunks([SECRET]).trailer("x-a", "b")),
    ("trailers", || Reply::new(200).chunks(["a"]).trailer("x-key", SECRET.lines().next().unwrap())),
    ("UTF-16", || Reply::new(200).body(utf16(SECRET))),
];

#[proxy_filter_host::test]
fn responses_with_a_pattern_are_cut_off(mut host: Host) {
    configure(&mut host);
    for (way, reply) in CUT_OFF {
        host.upstream(move |_| reply());
        let exchange = host.get("/").send();
        let response = exchange.response();
        assert!(!response.complete, "{way}: {exchange}");
        assert!(!response.text().replace('\0', "").contains("BEGIN PRIVATE KEY"), "{way}: {exchange}");
        assert!(response.trailers.is_empty(), "{way}: {exchange}");
        assert_eq!(exchange.messages(), [""; 0], "{way}: {exchange}");
    }
}

#[proxy_filter_host::test(embedded)]
fn a_pattern_is_found_at_every_chunk_boundary_of_a_response(mut host: Host) {
    configure(&mut host);
    for at in 0..=SECRET.len() {
        host.upstream(move |_| Reply::new(200).chunks([&SECRET[..at], &SECRET[at..]]));
        for http2 in [false, true] {
            let request = host.get("/");
            let exchange = if http2 { request.http2() } else { request }.send();
            assert!(!exchange.response().complete, "{at}: {exchange}");
            assert!(!exchange.response().text().contains("BEGIN PRIVATE KEY"), "{at}: {exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn responses_without_a_pattern_are_forwarded_as_they_are(mut host: Host) {
    configure(&mut host);
    host.upstream(|call| match call.header("x-status").map(|status| status.to_string()).as_deref() {
        Some("204") => Reply::new(204),
        Some("304") => Reply::new(304).header("content-encoding", "gzip").header("etag", "\"a\""),
        Some("events") => {
            Reply::new(200).header("content-type", "text/event-stream").chunks(["data: 1\n\n", "data: 2\n\n"]).cut_off()
        }
        _ => Reply::new(200).header("content-encoding", "identity").header("content-length", "5").body("hello"),
    });
    let exchange = host.get("/").send();
    assert_eq!((exchange.response().text().as_str(), exchange.response().complete), ("hello", true), "{exchange}");
    for status in [204, 304] {
        let exchange = host.get("/").header("x-status", status.to_string()).send();
        assert_eq!(exchange.status(), status, "{exchange}");
    }
    let exchange = host.get("/").header("x-status", "events").send();
    assert_eq!(exchange.response().text(), "data: 1\n\ndata: 2\n\n", "before the end: {exchange}");
}

#[proxy_filter_host::test]
fn the_response_to_head_is_not_refused_for_a_body_that_it_lacks(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(200).header("content-encoding", "gzip").header("content-length", "5"));
    let exchange = host.request("HEAD", "/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[proxy_filter_host::test]
fn requests_are_forwarded_without_range_and_with_identity_coding(mut host: Host) {
    configure(&mut host);
    let request = host.get("/").header("accept-encoding", "gzip, br").header("range", "bytes=0-9");
    let exchange = request.header("if-range", "\"a\"").send();
    let asked = exchange.upstream().unwrap();
    assert_eq!(asked.header_values("accept-encoding"), ["identity"], "{exchange}");
    assert_eq!((asked.header("range"), asked.header("if-range")), (None, None), "{exchange}");
}

#[proxy_filter_host::test]
fn a_rule_without_a_pattern_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "request": { "empty": " \u{200b}" } })).unwrap_err();
    assert!(refused.to_string().contains("the pattern of the rule `empty` is empty"), "{refused}");
}

fn rules(pattern: &str) -> Rules {
    Rules::new(BTreeMap::from([("rule".to_owned(), pattern.to_owned())])).unwrap()
}

#[test]
fn a_pattern_is_found_in_every_encoding_at_every_chunk_boundary() {
    let rules = rules("union select");
    for text in [
        "union select",
        "uniON+SELECT",
        "%75nion%20select",
        "%2575nion%2520select",
        "%%37%35nion+select",
        "%u0075nion%u0020select",
        "%25u0075nion select",
        "\\u0075nion\\nselect",
        "\\x75nion select",
        "%5cu0075nion+select",
        "\\u0075nion/**/select",
        "\u{ff55}nion\u{3000}select",
        "uni\u{200b}on select",
        "union/**/select",
        "union/* / ** union */select",
        "/*!12345union*/select",
        "union%2f**%2fselect",
        "u\0n\0i\0o\0n\0 \0s\0e\0l\0e\0c\0t\0",
        "100% %zz %u12 \\u12 union select",
        "\u{c3}\u{e3}union select",
    ] {
        for at in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            let mut scanner = Scanner::new(&rules);
            let found = [a, b, b"\n"].into_iter().find_map(|part| scanner.push(part)).or_else(|| scanner.finish());
            assert_eq!(found, Some("rule"), "{text} at {at}");
        }
    }
}

#[test]
fn patterns_with_characters_that_escape_are_found_as_they_are() {
    for pattern in ["c++", "100%", "%00", "a\\b", "/*", "*/", "\\u0041"] {
        assert_eq!(rules(pattern).find(format!("x{pattern}").as_bytes()), Some("rule"), "{pattern}");
    }
}

#[test]
fn paths_are_resolved_as_a_server_may_do_it() {
    for (target, path) in [
        ("/", ""),
        ("/a/b", "/a/b"),
        ("/A/./b/../C?x=/../y", "/a/c"),
        ("//a;x=y//b;z", "/a/b"),
        ("/../..//a", "/a"),
        ("/a%2f%2e%2e%5cb", "/b"),
        ("/%252e%252e/a", "/a"),
        ("*", "/*"),
    ] {
        assert_eq!(String::from_utf8(resolved(target.as_bytes())).unwrap(), path, "{target}");
    }
}
