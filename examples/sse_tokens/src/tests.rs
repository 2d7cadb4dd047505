//! Responses in the shapes of several providers, cut anywhere.

use proxy_filter_host::{Body, Host, Reply};

/// Streams, made up in the shapes of three providers, and their tokens of input and output.
const STREAMS: [(&str, u64, u64); 3] = [
    (
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":7,\"total_tokens\":19}}\n\n\
         data: [DONE]\n\n",
        12,
        7,
    ),
    (
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n\
         event: content_block_delta\ndata: {\"delta\":{\"text\":\"a \\\"quoted\\\" text\"}}\n\n\
         event: message_delta\ndata: {\"usage\":{\"output_tokens\":5}}\n\n\
         event: message_delta\ndata: {\"usage\":{\"output_tokens\":15}}\n\n",
        25,
        15,
    ),
    (
        "data: {\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":2}}\r\n\r\n\
         data: {\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":9}}\r\n\r\n",
        4,
        9,
    ),
];

fn metric(host: &mut Host, client: &str, direction: &str) -> Option<u64> {
    host.metric(&format!("sse_tokens.client.{client}.direction.{direction}"))
}

#[proxy_filter_host::test]
fn the_tokens_of_streams_are_counted_in_chunks_of_any_size(mut host: Host) {
    host.configure("").unwrap();
    for (number, (stream, input, output)) in STREAMS.into_iter().enumerate() {
        for size in [31_usize, 70, 10_000] {
            let chunks: Vec<Vec<u8>> = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            host.upstream(move |_| {
                Reply::new(200).header("content-type", "text/event-stream").body(Body::Chunked(chunks.clone()))
            });
            let client = format!("c{number}x{size}");
            let exchange = host.post("/v1/messages").header("x-client", &client).body("{}").send();
            assert_eq!(exchange.response().text(), stream, "{exchange}");
            assert_eq!(metric(&mut host, &client, "input"), Some(input), "{exchange}");
            assert_eq!(metric(&mut host, &client, "output"), Some(output), "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn the_tokens_of_a_json_response_are_counted(mut host: Host) {
    host.configure("").unwrap();
    let body =
        r#"{"content":[{"text":"\"usage\":{\"output_tokens\":99}"}],"usage":{"input_tokens":3,"output_tokens":8}}"#;
    host.upstream(move |_| Reply::new(200).header("content-type", "application/json; charset=utf-8").body(body));
    for _ in 0..2 {
        let exchange = host.post("/v1/messages").header("x-client", "a").send();
        assert_eq!(exchange.response().text(), body);
        assert_eq!(exchange.upstream().unwrap().header("accept-encoding").unwrap(), "identity");
    }
    assert_eq!((metric(&mut host, "a", "input"), metric(&mut host, "a", "output")), (Some(6), Some(16)));
}

#[proxy_filter_host::test]
fn responses_that_cannot_be_read_are_forwarded(mut host: Host) {
    host.configure("").unwrap();
    for (kind, coding, body) in [
        ("application/json", "identity", "{\"usage\":"),
        ("application/json", "gzip", "{\"usage\":{\"input_tokens\":1}}"),
        ("text/plain", "identity", "{\"usage\":{\"input_tokens\":1}}"),
        ("text/event-stream", "identity", "data: nonsense\n\ndata: {\"usage\":{\"input_tokens\":\"x\"}}\n\n"),
    ] {
        host.upstream(move |_| {
            Reply::new(200).header("content-type", kind).header("content-encoding", coding).body(body)
        });
        let exchange = host.get("/").header("x-client", "b").send();
        assert_eq!((exchange.status(), exchange.response().text()), (200, body.into()), "{exchange}");
    }
    assert_eq!(metric(&mut host, "b", "input").unwrap_or(0), 0);
}
