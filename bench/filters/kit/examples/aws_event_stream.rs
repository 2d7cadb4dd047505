//! `aws_event_stream` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::aws_event_stream;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    use aws_event_stream::{Decoder, Message, Value};
    let message =
        Message::new(black_box(b"payload".as_slice())).header(":event-type", Value::String("chunk".to_owned()));
    let mut bytes = 0;
    let encoded = message.encode().unwrap_or_default();
    let _ = Decoder::new(4096).push(&encoded, |message| bytes += message.payload.len());
    bytes
}
