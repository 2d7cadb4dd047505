//! Lines, however a body is cut into pieces.

use super::lines::Lines;
use super::without;
use proxy_filter::Result;
use proxy_filter_host::{Host, Reply};
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
fn a_body_in_one_piece_is_edited(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().body(LINES));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    assert_eq!(exchange.response().header("content-length"), None, "{exchange}");
    assert!(exchange.response().complete);
}

#[proxy_filter_host::test]
fn a_line_in_several_pieces_is_edited(mut host: Host) {
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
fn trailers_come_after_the_lines(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| ndjson().chunks([LINES]).trailer("x-count", "2"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), EDITED, "{exchange}");
    assert_eq!(exchange.response().trailer("x-count"), Some("2".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn what_cannot_be_edited_does_not_reach_the_client(mut host: Host) {
    configure(&mut host);
    for body in
        ["{\"email\":\"a@example\"", "[\"a@example\"]\n", &format!("{{\"email\":\"a@example{}\"}}\n", "x".repeat(100))]
    {
        let body = body.to_owned();
        host.upstream(move |_| ndjson().body(body.clone()));
        let exchange = host.get("/").send();
        assert!(!exchange.response().text().contains("a@example"), "{exchange}");
        assert!(!exchange.response().complete, "it is cut off: {exchange}");
    }
}

#[proxy_filter_host::test]
fn other_responses_pass_untouched(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(200).header("content-type", "text/plain").body(LINES));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), LINES, "{exchange}");
    assert!(exchange.response().header("content-length").is_some(), "{exchange}");
    host.upstream(|_| ndjson());
    assert_eq!(host.get("/").send().response().text(), "");
}

#[test]
fn it_does_not_matter_where_a_body_is_cut() {
    let edit = |line: &[u8]| without(line, &["email".to_owned()]);
    let edited = |pieces: &[&[u8]]| -> Result<Vec<u8>> {
        let mut lines = Lines::new(100);
        let mut edited = Vec::new();
        for piece in pieces {
            edited.extend(lines.push(piece, edit)?);
        }
        edited.extend(lines.finish(edit)?);
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
fn no_more_than_a_line_is_kept() {
    let mut lines = Lines::new(8);
    lines.push(b"12345678", |line| Ok(line.to_vec())).unwrap();
    lines.push(b"9", |line| Ok(line.to_vec())).unwrap_err();
}
