//! Bodies in all their forms.

use super::cards::{Cards, Step, redact};
use proxy_filter_host::{Host, Outcome, Reply};

const CARD: &str = "card 1234567890123456, thanks";
const REDACTED: &str = "card ************3456, thanks";
/// A body that ends with a number.
const LAST: &str = "1234567890123456";
const LAST_REDACTED: &str = "************3456";

fn text() -> Reply {
    Reply::new(200).header("content-type", "text/plain")
}

#[proxy_filter_host::test]
fn a_body_in_one_chunk_is_redacted(mut host: Host) {
    host.upstream(|_| text().body(CARD));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), REDACTED, "{exchange}");
    assert!(exchange.response().complete);
}

#[proxy_filter_host::test]
fn a_number_spread_over_many_chunks_is_redacted(mut host: Host) {
    host.upstream(|_| text().chunks(["card 12345", "678", "90123456", ", thanks"]));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), REDACTED, "{exchange}");
}

#[proxy_filter_host::test]
fn a_body_that_ends_with_trailers_is_redacted(mut host: Host) {
    for (chunks, expected) in
        [(["card 1234567", "890123456, thanks"], REDACTED), ([&LAST[..9], &LAST[9..]], LAST_REDACTED)]
    {
        host.upstream(move |_| text().chunks(chunks).trailer("x-checksum", "1"));
        for http2 in [false, true] {
            let request = host.get("/");
            let exchange = if http2 { request.http2() } else { request }.send();
            assert_eq!(exchange.response().text(), expected, "{exchange}");
            assert_eq!(exchange.response().trailer("x-checksum"), Some("1".into()));
            assert!(exchange.response().complete, "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn http2_bodies_are_redacted(mut host: Host) {
    host.upstream(|_| text().body(CARD));
    let exchange = host.get("/").http2().send();
    assert_eq!(exchange.response().text(), REDACTED, "{exchange}");
}

#[proxy_filter_host::test]
fn a_response_without_a_body_is_unchanged(mut host: Host) {
    host.upstream(|_| Reply::new(204));
    assert_eq!(host.get("/").send().status(), 204);
    host.upstream(|_| text());
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("content-length"), Some("0".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn a_response_to_head_keeps_its_content_length(mut host: Host) {
    host.upstream(|_| text().header("content-length", "29"));
    let exchange = host.request("HEAD", "/").send();
    assert_eq!(exchange.response().header("content-length"), Some("29".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn other_content_types_are_forwarded_unchanged(mut host: Host) {
    host.upstream(|_| Reply::new(200).header("content-type", "image/png").header("etag", "\"a\"").body(CARD));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), CARD, "{exchange}");
    assert_eq!(exchange.response().header("content-length"), Some("29".into()), "and keep their length");
    assert_eq!(exchange.response().header("etag"), Some("\"a\"".into()));
}

#[proxy_filter_host::test]
fn the_events_of_a_stream_are_not_delayed(mut host: Host) {
    // The stream never ends: what the client has of it came before the end.
    let events = ["data: 1234567890123456\n\n", "data: 2\n\n"];
    host.upstream(move |_| Reply::new(200).header("content-type", "text/event-stream").chunks(events).cut_off());
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "data: ************3456\n\ndata: 2\n\n", "{exchange}");
    assert!(!exchange.response().complete, "{exchange}");
}

#[proxy_filter_host::test]
fn a_body_beyond_the_hosts_buffer_limit_is_redacted(mut host: Host) {
    host.buffer_limit(1024);
    host.upstream(|_| text().chunks(["1234567890123456 ".repeat(40), "1234567890123456 ".repeat(40)]));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "************3456 ".repeat(80), "{exchange}");
    assert!(exchange.response().complete, "{exchange}");
}

#[proxy_filter_host::test]
fn a_body_with_a_byte_order_mark_is_redacted_or_cut_off(mut host: Host) {
    let utf16: fn(u16) -> [u8; 2] = u16::to_le_bytes;
    let wide = |bytes: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{CARD}").encode_utf16().flat_map(bytes).collect()
    };
    for body in
        [wide(utf16, "\u{feff}"), wide(utf16, ""), wide(u16::to_be_bytes, "\u{feff}"), wide(u16::to_be_bytes, "")]
    {
        for at in [0, 1, 3] {
            let chunks = [body[..at].to_vec(), body[at..].to_vec()];
            host.upstream(move |_| text().chunks(chunks.clone()));
            let exchange = host.get("/").send();
            assert_eq!(exchange.response().text(), "", "{exchange}");
            assert!(!exchange.response().complete, "{exchange}");
            exchange.expect_error("the body is in UTF-16 or UTF-32");
        }
    }
    host.upstream(|_| text().body(format!("\u{feff}{CARD}")));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), format!("\u{feff}{REDACTED}"), "{exchange}");
}

#[proxy_filter_host::test]
fn requests_are_forwarded_without_range_and_with_identity_coding(mut host: Host) {
    let request = host.get("/").header("accept-encoding", "gzip, br").header("range", "bytes=5-9");
    let exchange = request.header("if-range", "\"a\"").send();
    let asked = exchange.upstream().unwrap();
    assert_eq!(asked.header_values("accept-encoding"), ["identity"], "{exchange}");
    assert_eq!((asked.header("range"), asked.header("if-range")), (None, None), "{exchange}");
}

#[proxy_filter_host::test]
fn fields_that_describe_the_original_body_are_removed(mut host: Host) {
    for (etag, expected) in [("\"a\"", Some("W/\"a\"")), ("W/\"a\"", Some("W/\"a\"")), ("a", None)] {
        host.upstream(move |call| {
            let reply = match call.header("x-status") {
                Some(_) => Reply::new(304),
                None if call.header(":method").is_some_and(|method| method == "HEAD") => {
                    text().header("content-length", "29")
                }
                None => text().chunks([CARD]).trailer("digest", "x").trailer("x-kept", "x"),
            };
            let described = ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];
            let reply = described.into_iter().fold(reply, |reply, name| reply.header(name, "x"));
            reply.header("etag", etag)
        });
        for exchange in
            [host.get("/").send(), host.request("HEAD", "/").send(), host.get("/").header("x-status", "304").send()]
        {
            let response = exchange.response();
            let names: Vec<_> =
                response.headers.iter().chain(&response.trailers).map(|(name, _)| name.as_slice()).collect();
            assert_eq!(response.header("etag"), expected.map(Into::into), "{exchange}");
            assert!(!names.iter().any(|name| name.ends_with(b"digest") || name.ends_with(b"md5")), "{exchange}");
            assert_eq!(response.header("accept-ranges"), None, "{exchange}");
        }
    }
}

/// The result for a response with a body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Redacted,
    Untouched,
    Refused,
}

/// Types, and the result for their bodies if these can be read.
const TYPES: [(Option<&str>, Fate); 27] = [
    (None, Fate::Redacted),
    (Some("text/plain"), Fate::Redacted),
    (Some("Text/Plain"), Fate::Redacted),
    (Some("TEXT/HTML;Charset=\"UTF-8\""), Fate::Redacted),
    (Some("text/plain; charset=windows-1252"), Fate::Redacted),
    (Some("text/event-stream"), Fate::Redacted),
    (Some("application/json"), Fate::Redacted),
    (Some("application/JSON; charset=utf-8"), Fate::Redacted),
    (Some("application/problem+json"), Fate::Redacted),
    (Some("Application/Vnd.Api+JSON"), Fate::Redacted),
    (Some("application/x-ndjson"), Fate::Redacted),
    (Some("application/xml"), Fate::Redacted),
    (Some("image/svg+xml"), Fate::Redacted),
    (Some("multipart/mixed; boundary=x"), Fate::Redacted),
    (Some("x-unknown/x-unknown"), Fate::Redacted),
    (Some("nonsense"), Fate::Redacted),
    (Some("image/png, text/plain"), Fate::Redacted),
    (Some("image/PNG"), Fate::Untouched),
    (Some("Video/mp4"), Fate::Untouched),
    (Some("application/octet-stream"), Fate::Untouched),
    (Some("application/GRPC+proto"), Fate::Untouched),
    (Some("text/plain; charset=UTF-16"), Fate::Refused),
    (Some("text/plain;charset=\"utf-16le\""), Fate::Refused),
    (Some("text/plain; charset=utf-7"), Fate::Refused),
    (Some("text/plain; charset=ibm037"), Fate::Refused),
    (Some("multipart/byteranges; boundary=x"), Fate::Refused),
    (Some("Multipart/ByteRanges; boundary=x"), Fate::Refused),
];
/// Values of `content-encoding`, and whether the body can be read.
const CODINGS: [(&[&str], bool); 9] = [
    (&[], true),
    (&["identity"], true),
    (&["Identity", "identity"], true),
    (&["gzip"], false),
    (&["GZip"], false),
    (&["identity, br"], false),
    (&["deflate, gzip"], false),
    (&["identity", "zstd"], false),
    (&["nonsense"], false),
];
const STATUSES: [(u16, bool); 6] = [(200, true), (203, true), (206, false), (404, true), (416, true), (500, true)];
/// How the number comes, and how the body ends.
const ENDS: [(&[&str], bool); 6] = [
    (&[CARD], false),
    (&["card 12345", "678", "90123456, thanks"], false),
    (&["card 1", "234567890123456, thanks"], true),
    (&["card ", "1234567890123456, thanks", ""], true),
    (&[LAST], true),
    (&["123456789012", "3456"], false),
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
        if status == 206 || status == 416 {
            reply = reply.header("content-range", "bytes */29");
        }
        reply = match chunks {
            [whole] if !trailers => reply.body(*whole),
            chunks => reply.chunks(chunks),
        };
        if trailers { reply.trailer("x-checksum", "1") } else { reply }
    });
    host.get("/").send()
}

#[track_caller]
fn check(exchange: &Outcome, fate: Fate, status: u16, end: usize) {
    let original = ENDS[end].0.concat();
    let redacted = if original == LAST { LAST_REDACTED } else { REDACTED };
    let response = exchange.response();
    let expected = match fate {
        Fate::Redacted => (status, redacted, true),
        Fate::Untouched => (status, original.as_str(), true),
        Fate::Refused => (502, "the response cannot be inspected\n", true),
    };
    assert_eq!((response.status(), response.text().as_str(), response.complete), expected, "{exchange}");
    assert_eq!(exchange.messages(), [""; 0], "{exchange}");
}

#[proxy_filter_host::test(embedded)]
fn every_type_coding_status_and_end_is_redacted_untouched_or_refused(mut host: Host) {
    let mut ends = (0..ENDS.len()).cycle();
    for (media, fate) in TYPES {
        for (coding, readable) in CODINGS {
            for ((status, whole), end) in STATUSES.into_iter().zip(&mut ends) {
                let inspected = fate == Fate::Redacted && !(readable && whole);
                let fate = if inspected { Fate::Refused } else { fate };
                check(&play(&mut host, media, coding, status, end), fate, status, end);
            }
            // So that each end comes with each status.
            ends.next();
        }
    }
}

#[proxy_filter_host::test]
fn types_codings_and_statuses_are_the_same_in_envoy(mut host: Host) {
    for (media, fate) in TYPES {
        check(&play(&mut host, media, &[], 200, 0), fate, 200, 0);
    }
    for (coding, readable) in CODINGS {
        let fate = if readable { Fate::Redacted } else { Fate::Refused };
        check(&play(&mut host, Some("text/plain"), coding, 200, 0), fate, 200, 0);
    }
    for (status, whole) in STATUSES {
        let fate = if whole { Fate::Redacted } else { Fate::Refused };
        check(&play(&mut host, Some("text/plain"), &[], status, 0), fate, status, 0);
    }
    for end in 0..ENDS.len() {
        check(&play(&mut host, Some("text/plain"), &[], 200, end), Fate::Redacted, 200, end);
    }
}

#[test]
fn only_runs_of_13_to_19_digits_are_redacted() {
    for (body, expected) in [
        ("", ""),
        ("no digits", "no digits"),
        ("123456789012", "123456789012"),
        ("1234567890123", "*********0123"),
        ("card 1234567890123456.", "card ************3456."),
        ("1234567890123456789", "***************6789"),
        ("12345678901234567890", "12345678901234567890"),
        ("1234567890123,1234567890123", "*********0123,*********0123"),
    ] {
        assert_eq!(String::from_utf8(redact(body.as_bytes(), false)).unwrap(), expected);
    }
}

/// Plays chunks as a host does, and returns what it forwards and the most that it buffers.
fn forwarded(chunks: &[&[u8]], by_trailers: bool) -> (Vec<u8>, usize) {
    let (mut cards, mut buffer, mut forwarded, mut most) = (Cards::default(), Vec::new(), Vec::new(), 0);
    for (index, chunk) in chunks.iter().enumerate() {
        buffer.extend_from_slice(chunk);
        most = most.max(buffer.len());
        match cards.push(&buffer, !by_trailers && index + 1 == chunks.len()).unwrap() {
            Step::Buffer => {}
            Step::Forward(text) => {
                forwarded.extend(text);
                buffer.clear();
            }
        }
    }
    if by_trailers {
        match cards.push(&buffer, true).unwrap() {
            Step::Forward(text) => forwarded.extend(text),
            Step::Buffer => panic!("the end is never buffered"),
        }
    }
    (forwarded, most)
}

#[test]
fn chunk_boundaries_do_not_change_the_result() {
    let body = b"1234567890123 x 12345678901234567890 y 1234567890123456789,12345678901234567890123456";
    let expected = redact(body, false);
    for a in 0..=body.len() {
        for b in a..=body.len() {
            for by_trailers in [false, true] {
                let (found, _) = forwarded(&[&body[..a], &body[a..b], &body[b..]], by_trailers);
                assert_eq!(found, expected, "{a} {b}");
            }
        }
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(forwarded(&bytes, true).0, expected);
}

#[test]
fn a_body_whose_chunks_all_end_with_digits_is_buffered_up_to_a_limit() {
    let body = "1234567890123456 123".repeat(100_000);
    let chunks: Vec<&[u8]> = body.as_bytes().chunks(20).collect();
    let (found, most) = forwarded(&chunks, false);
    assert_eq!(found, redact(body.as_bytes(), false));
    assert!(most <= 64 * 1024 + 20, "{most}");
}
