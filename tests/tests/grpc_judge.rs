//! A filter with callbacks pauses parts of a stream until the next message of a gRPC stream
//! arrives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{Event, GrpcStreamReply, Host, Reply};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn say(words: &[&str]) -> GrpcStreamReply {
    words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>().into()
}

fn serve(host: &mut Host) {
    host.grpc_stream_cluster("judge", |question| match question {
        b"/deny" => say(&["not you"]),
        b"/more" => say(&["more"]),
        b"/two" => say(&["wait", "pass"]),
        b"/end" => say(&[]).end(7, "no"),
        b"/over" => say(&[]).end(0, ""),
        b"/last" => say(&["pass"]).end(0, ""),
        b"/slow" | b"/slow/once" => say(&["pass"]).after(ms(800)),
        b"bad" => say(&["bad body"]),
        b"200" => say(&["fine"]),
        b"500" => say(&[]).end(13, "why"),
        _ => say(&["pass"]),
    });
    host.configure("").unwrap();
}

fn asked(exchange: &proxy_filter_host::Outcome) -> Vec<String> {
    let messages = exchange.calls("judge")[0].grpc_messages();
    messages.iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect()
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_request_is_paused_until_the_first_message_of_a_stream(mut host: Host) {
    serve(&mut host);
    let exchange = host.get("/once").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header("x-judged"), Some("yes".into()), "{exchange}");
    assert_eq!(asked(&exchange), ["/once"]);
    let exchange = host.get("/deny").send();
    assert_eq!((exchange.status(), exchange.response().text()), (403, "not you".into()), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_part_can_stay_paused_for_further_messages(mut host: Host) {
    serve(&mut host);
    for (path, questions) in [("/more", vec!["/more", "again", "200"]), ("/two", vec!["/two", "200"])] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.response().header("x-judged"), Some("fine".into()), "{exchange}");
        assert_eq!(asked(&exchange), questions);
    }
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn one_stream_judges_headers_body_and_response(mut host: Host) {
    serve(&mut host);
    let exchange = host.post("/").chunks(["go", "od"]).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().text(), "good");
    assert_eq!(asked(&exchange), ["/", "good", "200"]);
    let exchange = host.post("/").chunks(["ba", "d"]).send();
    assert_eq!((exchange.status(), exchange.response().text()), (403, "bad body".into()), "{exchange}");
    host.upstream(|_| Reply::new(500));
    let exchange = host.get("/").send();
    let judged = exchange.response().header("x-judged").unwrap_or_default().to_string();
    assert_eq!(exchange.status(), 500, "{exchange}");
    assert!(judged.contains("INTERNAL (13)"), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_pending_completion_gets_the_end_of_the_stream(mut host: Host) {
    serve(&mut host);
    let exchange = host.get("/end").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    assert!(exchange.response().text().contains("PERMISSION_DENIED (7)"), "{exchange}");
    let exchange = host.get("/over").send();
    assert_eq!((exchange.status(), exchange.response().text()), (403, "nothing".into()), "{exchange}");
    let exchange = host.get("/last").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(exchange.messages().contains(&"the service has ended the stream"), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_timer_resumes_the_request_and_the_late_message_is_dropped(mut host: Host) {
    serve(&mut host);
    for path in ["/slow", "/slow/once"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 504, "{exchange}");
        assert!(!exchange.messages().iter().any(|line| line.starts_with("the service says")), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_client_disconnect_cancels_the_grpc_stream(mut host: Host) {
    serve(&mut host);
    let exchange = host.get("/slow").disconnect_after(ms(150)).send();
    assert!(exchange.messages().is_empty(), "{exchange}");
    let cancels = |event: &&Event| matches!(event, Event::HostCall { name, .. } if name == "proxy_grpc_cancel");
    assert_eq!(exchange.record().events.iter().filter(cancels).count(), 1, "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc_judge")]
fn a_stream_that_cannot_be_opened_is_an_error_of_the_callback(mut host: Host) {
    host.cluster_without_hosts("judge");
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    exchange.expect_error("no such cluster, or no healthy upstream; the client gets a 503");
}
