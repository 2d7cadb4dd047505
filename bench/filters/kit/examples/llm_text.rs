//! `llm_text` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::{edit, llm_text};
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let action = edit::Action::Mask { with: b'*', keep_last: 0 };
    let mut editor = llm_text::StreamEditor::new(edit::CardNumbers, action);
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    editor.push(black_box(event)).map_or(0, |edited| edited.len())
}
