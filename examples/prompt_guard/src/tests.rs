//! Prompts, and responses cut anywhere.

use proxy_filter_host::{Host, Received, Reply};
use serde_json::{Value, json};

fn configure(host: &mut Host) {
    host.configure(json!({ "deny": ["project falcon"], "mask": ["falcon", "4711"], "max_body": 4096 })).unwrap();
}

/// An event in the shape of a provider.
type Shape = fn(&str) -> Value;

const SHAPES: [Shape; 4] = [
    |text| json!({ "id": "falcon", "choices": [{ "index": 0, "delta": { "content": text } }] }),
    |text| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
    |text| json!({ "type": "response.output_text.delta", "delta": text }),
    |text| json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] }),
];

/// Returns the texts of a stream's events, joined.
fn text(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let paths = ["/choices/0/delta/content", "/delta/text", "/delta", "/candidates/0/content/parts/0/text"];
    let find = |value: &Value| {
        paths.iter().find_map(|path| value.pointer(path)?.as_str().map(str::to_owned)).unwrap_or_default()
    };
    values.map(|value| find(&value)).collect()
}

#[proxy_filter_host::test]
fn texts_that_span_events_are_masked_in_the_shape_of_each_provider(mut host: Host) {
    configure(&mut host);
    for shape in SHAPES {
        let parts = ["The Fal", "con", " flies; é", " fal", "se 47", "1", "1 fal"];
        let events: Vec<String> = parts.iter().map(|part| format!("event: e\ndata: {}\n\n", shape(part))).collect();
        let stream = events.concat();
        let stream = stream.replacen("\n\n", "\n\ndata: {\"type\": \"ping\"}\n\n", 1) + "data: [DONE]\n\n";
        for size in [64, 4096] {
            let chunks: Vec<Vec<u8>> = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            host.upstream(move |_| {
                Reply::new(200).header("content-type", "text/event-stream; charset=utf-8").chunks(&chunks)
            });
            let exchange = host.post("/").body("{}").send();
            let received = exchange.response().text();
            assert_eq!(text(&received), "The ****** flies; é false **** fal", "{exchange}");
            assert!(!received.contains("falcon") && received.ends_with("data: [DONE]\n\n"), "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn each_choice_is_a_text_of_its_own(mut host: Host) {
    configure(&mut host);
    let event = |index: u64, text: &str| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": index, "delta": { "content": text } }] }))
    };
    let stream = [event(0, "fal"), event(1, "fal"), event(0, "con"), event(1, "l")].concat();
    host.upstream(move |_| Reply::new(200).header("content-type", "text/event-stream").body(stream.clone()));
    let exchange = host.post("/").body("{}").send();
    assert_eq!(text(&exchange.response().text()), "******fall", "{exchange}");
}

#[proxy_filter_host::test]
fn other_responses_are_masked_too(mut host: Host) {
    configure(&mut host);
    for (kind, body, status, expected) in [
        ("application/json", "{\"a\":[\"the F\\u0061lcon\",7]}", 200, "{\"a\":[\"the ******\",7]}"),
        ("application/json", "{\"falcon", 502, "the response is malformed\n"),
        ("text/plain", "a falcon 4711", 200, "a ****** ****"),
        ("", "a falcon fal", 200, "a ****** fal"),
        ("application/json", "", 200, ""),
    ] {
        host.upstream(move |_| Reply::new(200).header("content-type", kind).chunks([body]));
        let exchange = host.post("/").body("{}").send();
        if status == 200 {
            assert_eq!((exchange.status(), exchange.response().text()), (200, expected.to_owned()), "{exchange}");
        } else {
            // The headers may have been sent.
            assert!(!exchange.response().text().contains("falcon"), "{exchange}");
        }
    }
    host.upstream(|_| Reply::new(200).header("content-encoding", "gzip").body("falcon"));
    let exchange = host.post("/").body("{}").send();
    assert_eq!((exchange.status(), exchange.response().text()), (502, "the response cannot be read\n".to_owned()));
}

#[proxy_filter_host::test]
fn prompts_with_denied_texts_do_not_reach_the_upstream_whole(mut host: Host) {
    configure(&mut host);
    for (body, expected) in [
        ("{\"messages\":[{\"content\":\"about Project Falcon\"}]}", 403),
        ("{\"messages\":[{\"content\":\"about project f\\u0061lcon\"}]}", 403),
        ("project falcon", 403),
        ("{\"messages\":[{\"content\":\"about projects\"}]}", 200),
    ] {
        let (start, end) = body.split_at(body.len() / 2);
        let exchange = host.post("/").chunks([start, end]).send();
        assert_eq!(exchange.status(), expected, "{body}: {exchange}");
        let received = exchange.upstream().map(Received::text).unwrap_or_default();
        assert_eq!(received == body, expected == 200, "{body}: {exchange}");
    }
    let exchange = host.post("/").header("content-encoding", "gzip").body("x").send();
    assert_eq!((exchange.status(), exchange.upstream()), (415, None), "{exchange}");
    let refused = host.configure(json!({ "deny": [""], "mask": ["a"] })).unwrap_err();
    assert!(refused.to_string().contains("deny: "), "{refused}");
}
