//! Lines, however a body is cut into chunks.

use super::without;
use proxy_filter::Error;
use proxy_filter_host::{Host, Outcome, Reply};
use proxy_filter_kit::json_lines::{LineEditor, LineError};
use serde_json::json;

const LINES: &str = "{\"name\":\"alice\",\"email\":\"a@example\"}\n\n{\"id\":12345678901234567890123,\"email\":null}\n";
const EDITED: &str = "{\"name\":\"alice\"}\n\n{\"id\":12345678901234567890123}\n";

fn configure(host: &mut Host) {
    host.configure(json!({ "remove": ["email", "phone"], "longest_line": 100 })).unwrap();
}

fn ndjson() -> Reply {
    Reply::new(200).header("content-type", "application/x-ndjson")
}

#[proxy_filter_host::test]
fn a_body_in_one_chunk_is_edited(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().body(LINES));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    assert_eq!(exchange.response().header("content-length"), None, "{exchange}");
    assert!(exchange.response().complete);
}

#[proxy_filter_host::test]
fn a_line_in_several_chunks_is_edited(mut host: Host) {
    configure(&mut host);
    let (start, rest) = LINES.split_at(10);
    host.upstream(move |_| ndjson().chunks([start, &rest[..30], &rest[30..]]));
    for http2 in [false, true] {
        let request = host.get("/");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_last_line_without_an_end_is_edited(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().chunks([LINES, "{\"email\":", "1}"]));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), format!("{EDITED}{{}}"), "{exchange}");
    assert!(exchange.response().complete);
}

#[proxy_filter_host::test]
fn trailers_follow_the_lines(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().chunks([LINES]).trailer("x-count", "2"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    assert_eq!(exchange.response().trailer("x-count"), Some("2".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn responses_that_cannot_be_edited_do_not_reach_the_client(mut host: Host) {
    configure(&mut host);
    let long = format!("{{\"email\":\"a@example{}\"}}\n", "x".repeat(100));
    for (body, why) in [
        ("{\"email\":\"a@example\"", "EOF while parsing an object"),
        ("[\"a@example\"]\n", "invalid type: sequence"),
        (long.as_str(), "a line is longer than 100 bytes"),
    ] {
        let body = body.to_owned();
        host.upstream(move |_| ndjson().body(body.clone()));
        let exchange = host.get("/").send();
        assert!(!exchange.response().text().contains("a@example"), "{exchange}");
        assert!(!exchange.response().complete, "it is cut off: {exchange}");
        exchange.expect_error(why);
    }
}

#[proxy_filter_host::test]
fn other_responses_are_forwarded_unchanged(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(200).header("content-type", "text/plain").body(LINES));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), LINES, "{exchange}");
    assert!(exchange.response().header("content-length").is_some(), "{exchange}");
    host.upstream(|_| ndjson());
    assert_eq!(host.get("/").send().response().text(), "");
}

#[proxy_filter_host::test]
fn lines_are_forwarded_before_the_end_of_stream(mut host: Host) {
    configure(&mut host);
    // The stream never ends: what the client has of it came before the end.
    host.upstream(|_| ndjson().chunks(["{\"email\":1,\"id\":1}\n", "{\"id\":2}\n{\"em"]).cut_off());
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "{\"id\":1}\n{\"id\":2}\n", "{exchange}");
}

#[proxy_filter_host::test]
fn a_byte_order_mark_is_removed(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().chunks([&b"\xef\xbb"[..], b"\xbf{\"email\":1}\n", b"{\"id\":1}\n"]));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "{}\n{\"id\":1}\n", "{exchange}");
    // In UTF-16 no line is a JSON object.
    let wide: Vec<u8> = format!("\u{feff}{LINES}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    host.upstream(move |_| ndjson().body(wide.clone()));
    let exchange = host.get("/").send();
    assert_eq!((exchange.response().text().as_str(), exchange.response().complete), ("", false), "{exchange}");
    exchange.expect_error("expected value at line 1 column 1; the stream is reset");
}

#[proxy_filter_host::test]
fn a_last_line_without_an_end_before_trailers_is_cut_off(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().chunks([LINES, "{\"email\":1}"]).trailer("x-count", "3"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    assert!(!exchange.response().complete, "{exchange}");
    exchange.expect_error("the body was forwarded before its trailers arrived; the stream is reset");
}

#[proxy_filter_host::test]
fn requests_are_forwarded_without_range_and_with_identity_coding(mut host: Host) {
    configure(&mut host);
    let request = host.get("/").header("accept-encoding", "gzip, br").header("range", "bytes=5-9");
    let exchange = request.header("if-range", "\"a\"").send();
    let asked = exchange.upstream().unwrap();
    assert_eq!(asked.header_values("accept-encoding"), ["identity"], "{exchange}");
    assert_eq!((asked.header("range"), asked.header("if-range")), (None, None), "{exchange}");
}

#[proxy_filter_host::test]
fn fields_that_describe_the_original_body_are_removed(mut host: Host) {
    configure(&mut host);
    for (etag, expected) in [("\"a\"", Some("W/\"a\"")), ("W/\"a\"", Some("W/\"a\"")), ("a", None)] {
        host.upstream(move |call| {
            let reply = match call.header("x-status") {
                Some(_) => Reply::new(304),
                None if call.header(":method").is_some_and(|method| method == "HEAD") => {
                    ndjson().header("content-length", "29")
                }
                None => ndjson().chunks([LINES]).trailer("content-digest", "x").trailer("x-kept", "x"),
            };
            let described = ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];
            let reply = described.into_iter().fold(reply, |reply, name| reply.header(name, "x"));
            reply.header("etag", etag)
        });
        let head = host.request("HEAD", "/").send();
        for exchange in [host.get("/").send(), head, host.get("/").header("x-status", "304").send()] {
            let response = exchange.response();
            let fields = response.headers.iter().chain(&response.trailers);
            let names: Vec<_> = fields.map(|(name, _)| name.as_slice()).collect();
            assert_eq!(response.header("etag"), expected.map(Into::into), "{exchange}");
            assert!(!names.iter().any(|name| name.ends_with(b"digest") || name.ends_with(b"md5")), "{exchange}");
            assert_eq!(response.header("accept-ranges"), None, "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn a_malformed_content_type_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "remove": [], "content_type": "application/" })).unwrap_err();
    assert!(refused.to_string().contains("a media type"), "{refused}");
}

/// Types, and whether they are edited with the default, and with `application/json` as the
/// configured type.
const TYPES: [(Option<&str>, bool, bool); 17] = [
    (Some("application/x-ndjson"), true, false),
    (Some("Application/X-NDJSON"), true, false),
    (Some("APPLICATION/X-NDJSON ;Charset=\"UTF-8\""), true, false),
    (Some("application/jsonl; charset=utf-8"), true, false),
    (Some("application/ndjson"), true, false),
    (Some("text/plain, application/x-ndjson"), true, false),
    (Some("application/x-ndjson;a=b,text/plain"), true, false),
    (Some("application/json"), false, true),
    (Some("application/JSON; charset=utf-8"), false, true),
    (Some("application/problem+json"), false, true),
    (Some("Application/Vnd.Api+JSON"), false, true),
    (Some("application/x-ndjsonx"), false, false),
    (Some("application/jsonx"), false, false),
    (Some("text/event-stream"), false, false),
    (Some("multipart/byteranges; boundary=x"), false, false),
    (Some("nonsense"), false, false),
    (None, false, false),
];
/// Values of `content-encoding`, and whether the body can be read.
const CODINGS: [(&[&str], bool); 8] = [
    (&[], true),
    (&["identity"], true),
    (&["Identity", "identity"], true),
    (&["gzip"], false),
    (&["GZip"], false),
    (&["identity, br"], false),
    (&["identity", "zstd"], false),
    (&["nonsense"], false),
];
const STATUSES: [(u16, bool); 4] = [(200, true), (206, false), (404, true), (500, true)];
/// Chunks, and whether trailers follow.
const ENDS: [(&[&str], bool); 4] = [
    (&[LINES], false),
    (
        &["{\"name\":\"alice\",\"em", "ail\":\"a@example\"}\n\n", "{\"id\":12345678901234567890123,\"email\":null}\n"],
        false,
    ),
    (&["{\"name\":\"alice\",\"email\":\"a@example\"}\n\n{", "\"id\":12345678901234567890123,\"email\":null}\n"], true),
    (&[LINES, ""], true),
];

fn play(host: &mut Host, media: Option<&'static str>, coding: &'static [&str], status: u16, end: usize) -> Outcome {
    let (chunks, trailers) = ENDS[end];
    host.upstream(move |_| {
        let mut reply = Reply::new(status);
        if let Some(media) = media {
            reply = reply.header("content-type", media);
        }
        for value in coding {
            reply = reply.header("content-encoding", value);
        }
        if status == 206 {
            reply = reply.header("content-range", "bytes 0-99/1000");
        }
        reply = match chunks {
            [whole] => reply.body(*whole),
            chunks => reply.chunks(chunks),
        };
        if trailers { reply.trailer("x-count", "2") } else { reply }
    });
    host.get("/").send()
}

#[track_caller]
fn check(exchange: &Outcome, is_edited: bool, is_readable: bool, status: u16) {
    let response = exchange.response();
    let expected = match (is_edited, is_readable) {
        (true, true) => (status, EDITED),
        (true, false) => (502, "the response cannot be edited\n"),
        (false, _) => (status, LINES),
    };
    assert_eq!((response.status(), response.text().as_str()), expected, "{exchange}");
    assert!(response.complete, "{exchange}");
    assert_eq!(exchange.messages(), [""; 0], "{exchange}");
}

#[proxy_filter_host::test(embedded)]
fn every_type_coding_status_and_end_is_edited_untouched_or_refused(mut host: Host) {
    configure(&mut host);
    let mut ends = (0..ENDS.len()).cycle();
    for (media, is_edited, _) in TYPES {
        for (coding, is_readable) in CODINGS {
            for ((status, is_whole), end) in STATUSES.into_iter().zip(&mut ends) {
                let exchange = play(&mut host, media, coding, status, end);
                check(&exchange, is_edited, is_readable && is_whole, status);
            }
            // So that each end comes with each status.
            ends.next();
        }
    }
}

#[proxy_filter_host::test]
fn types_codings_and_statuses_are_the_same_in_envoy(mut host: Host) {
    configure(&mut host);
    for (media, is_edited, _) in TYPES {
        check(&play(&mut host, media, &[], 200, 0), is_edited, true, 200);
    }
    for (coding, is_readable) in CODINGS {
        check(&play(&mut host, Some("application/x-ndjson"), coding, 200, 0), true, is_readable, 200);
    }
    for (status, is_whole) in STATUSES {
        check(&play(&mut host, Some("application/x-ndjson"), &[], status, 0), true, is_whole, status);
    }
    for end in 0..ENDS.len() {
        check(&play(&mut host, Some("application/x-ndjson"), &[], 200, end), true, true, 200);
    }
}

#[proxy_filter_host::test]
fn json_of_every_type_is_edited_where_json_is_configured(mut host: Host) {
    host.configure(json!({ "remove": ["email"], "content_type": "Application/JSON" })).unwrap();
    for (media, _, is_edited) in TYPES {
        check(&play(&mut host, media, &[], 200, 0), is_edited, true, 200);
    }
}

#[test]
fn chunk_boundaries_do_not_change_the_result() {
    let edit = |line: &[u8]| without(line, &["email".to_owned()]);
    let edited = |pieces: &[&[u8]]| -> Result<Vec<u8>, LineError<Error>> {
        let mut lines = LineEditor::new(100);
        let mut edited = Vec::new();
        for piece in pieces {
            edited.extend(lines.push(piece, edit)?);
        }
        edited.extend(lines.finish(edit).map_err(LineError::Edit)?);
        Ok(edited)
    };
    for cut in 0..=LINES.len() {
        let (a, b) = LINES.as_bytes().split_at(cut);
        assert_eq!(edited(&[a, b]).unwrap(), EDITED.as_bytes(), "{cut}");
    }
    let bytes: Vec<&[u8]> = LINES.as_bytes().chunks(1).collect();
    assert_eq!(edited(&bytes).unwrap(), EDITED.as_bytes());
}

#[test]
fn at_most_one_line_is_stored() {
    let mut lines = LineEditor::new(8);
    let edit = |line: &[u8]| Ok::<_, Error>(line.to_vec());
    lines.push(b"12345678", edit).unwrap();
    assert_eq!(lines.push(b"9", edit).unwrap_err().to_string(), "a line is longer than 8 bytes");
}
