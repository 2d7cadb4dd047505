//! `llm_usage` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::llm_usage;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let Some(mut reader) = llm_usage::Reader::new(b"application/json") else { return 0 };
    reader.push(black_box(b"{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}"));
    size_of_val(&black_box(reader.usage()))
}
