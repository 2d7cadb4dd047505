//! `edit` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::edit;
use std::hint::black_box;

std::thread_local! {
    static WORDS: Option<edit::Literals> = edit::Literals::new(["secret", "token"]).ok();
}

/// What the filter does for each request.
fn run() -> usize {
    WORDS.with(|words| {
        let Some(words) = words.clone() else { return 0 };
        let mut editor = edit::Editor::new(words, edit::Action::Mask { with: b'*', keep_last: 2 });
        editor.push(black_box(&[b'a'; 512]), false).len() + editor.push(black_box(b"a secret and a token"), true).len()
    })
}
