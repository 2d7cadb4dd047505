//! Bodies in all the ways they come.

use super::redact;
use proxy_filter_host::{Host, Reply};

const CARD: &str = "card 1234567890123456, thanks";
const REDACTED: &str = "card ************3456, thanks";

fn text() -> Reply {
    Reply::new(200).header("content-type", "text/plain")
}

#[proxy_filter_host::test]
fn a_body_in_one_piece_is_redacted(mut host: Host) {
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
    host.upstream(|_| text().chunks(["card 1234567", "890123456, thanks"]).trailer("x-checksum", "1"));
    for http2 in [false, true] {
        let request = host.get("/");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.response().text(), REDACTED, "{exchange}");
        assert_eq!(exchange.response().trailer("x-checksum"), Some("1".into()));
    }
}

#[proxy_filter_host::test]
fn http2_bodies_are_redacted(mut host: Host) {
    host.upstream(|_| text().body(CARD));
    let exchange = host.get("/").http2().send();
    assert_eq!(exchange.response().text(), REDACTED, "{exchange}");
}

#[proxy_filter_host::test]
fn a_response_without_a_body_is_left_alone(mut host: Host) {
    host.upstream(|_| Reply::new(204));
    assert_eq!(host.get("/").send().status(), 204);
    host.upstream(|_| text());
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("content-length"), Some("0".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn the_answer_to_head_keeps_its_content_length(mut host: Host) {
    host.upstream(|_| text().header("content-length", "29"));
    let exchange = host.request("HEAD", "/").send();
    assert_eq!(exchange.response().header("content-length"), Some("29".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn other_content_types_pass_untouched(mut host: Host) {
    host.upstream(|_| Reply::new(200).header("content-type", "image/png").body(CARD));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), CARD, "{exchange}");
    assert_eq!(exchange.response().header("content-length"), Some("29".into()), "and keep their length");
}

#[proxy_filter_host::test]
fn a_body_beyond_the_hosts_limit_is_cut_off_and_not_leaked(mut host: Host) {
    host.buffer_limit(1024);
    host.upstream(|_| text().chunks(["1234567890123456".repeat(40), "1234567890123456".repeat(40)]));
    let exchange = host.get("/").send();
    assert!(!exchange.response().text().contains("1234567890123456"), "{exchange}");
    assert!(!exchange.response().complete, "{exchange}");
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
        assert_eq!(String::from_utf8(redact(body.as_bytes())).unwrap(), expected);
    }
}
