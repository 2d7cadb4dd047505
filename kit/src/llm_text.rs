//! Edits the texts of language models in event streams, including matches that span events.
//!
//! ```
//! use proxy_filter_kit::edit::{Action, Literals};
//! use proxy_filter_kit::llm_text::StreamEditor;
//!
//! let mask = Action::Mask { with: b'*', keep_last: 0 };
//! let mut editor = StreamEditor::new(Literals::new(["falcon"]).unwrap(), mask);
//! let mut stream = editor.push(b"data: {\"delta\":{\"text\":\"a fal\"}}\n\n").unwrap();
//! stream.extend(editor.push(b"data: {\"delta\":{\"text\":\"con\"}}\n\n").unwrap());
//! stream.extend(editor.finish().unwrap());
//! let stream = String::from_utf8(stream).unwrap();
//! assert!(!stream.contains("fal") && stream.contains("***"));
//! ```
//!
//! The next part of a text is in the member of several kinds of services: `delta.content` of a
//! choice, `delta` or `delta.text`, and the `text` of a candidate's part. Every other string of an
//! event is edited as a whole.

use crate::edit::{Action, Editor, Pattern};
use crate::event_stream::{Decoder, Event};
use core::fmt;
use serde_json::Value;

/// The members with the next part of a text. `*` stands for all elements of an array.
const DELTAS: [&[&str]; 7] = [
    &["choices", "*", "delta", "content"],
    &["choices", "*", "delta", "reasoning_content"],
    &["choices", "*", "text"],
    &["delta"],
    &["delta", "text"],
    &["delta", "thinking"],
    &["candidates", "*", "content", "parts", "*", "text"],
];

/// The fault of a stream. End the response: the rest cannot be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// An event is larger than [`StreamEditor::MAX_EVENT`].
    LargeEvent,
    /// The stream has more than [`StreamEditor::MAX_TEXTS`] texts at the same time.
    ManyTexts,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LargeEvent => "an event of the stream is larger than 64 KiB",
            Self::ManyTexts => "the stream has more than 16 texts at the same time",
        })
    }
}

impl std::error::Error for StreamError {}

/// Edits one event stream, chunk by chunk.
///
/// The result has the same events, with comments removed. The last characters of a text wait for
/// the next part: fewer than the longest match has. They become an event of their own before an
/// event without a text, except `ping`, and at the end of the stream. Stores at most two events,
/// and one more for each text.
#[derive(Debug)]
pub struct StreamEditor<P> {
    pattern: P,
    action: Action,
    decoder: Decoder,
    texts: Vec<Text<P>>,
}

/// A text that spans events.
#[derive(Debug)]
struct Text<P> {
    path: String,
    editor: Editor<P>,
    /// The first bytes of a character whose others the editor has stored.
    partial: Vec<u8>,
    /// The last event with a part of the text.
    last: (Event, Value),
}

impl<P: Pattern> Text<P> {
    /// Returns what can be forwarded, in whole characters.
    fn push(&mut self, part: &[u8], is_end: bool) -> String {
        self.partial.extend(self.editor.push(part, is_end));
        let is_partial = |why: &core::str::Utf8Error| why.error_len().is_none();
        let end = core::str::from_utf8(&self.partial).err().filter(is_partial).map(|why| why.valid_up_to());
        let rest = self.partial.split_off(end.unwrap_or(self.partial.len()));
        String::from_utf8_lossy(&core::mem::replace(&mut self.partial, rest)).into_owned()
    }
}

impl<P: Pattern + Clone> StreamEditor<P> {
    /// The maximum size of an event in bytes.
    pub const MAX_EVENT: usize = 64 * 1024;
    /// The maximum number of texts, such as choices, that a stream has at the same time.
    pub const MAX_TEXTS: usize = 16;

    /// Creates an editor for one stream.
    pub fn new(pattern: P, action: Action) -> Self {
        Self { pattern, action, decoder: Decoder::new(Self::MAX_EVENT), texts: Vec::new() }
    }

    /// Returns the events that a chunk completes, edited.
    ///
    /// # Errors
    /// Fails if an event is too large, or the stream has too many texts.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<u8>, StreamError> {
        let mut events = Vec::new();
        self.decoder.push(chunk, |event| events.push(event));
        if self.decoder.skipped() > 0 {
            return Err(StreamError::LargeEvent);
        }
        let mut edited = Vec::new();
        for event in events {
            self.edit(&event, &mut edited)?;
        }
        Ok(edited)
    }

    /// Returns the rest at the end of the stream.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<Vec<u8>, StreamError> {
        let mut edited = Vec::new();
        let decoder = core::mem::replace(&mut self.decoder, Decoder::new(0));
        if let Some(event) = decoder.finish() {
            self.edit(&event, &mut edited)?;
        }
        self.flush(&mut edited);
        Ok(edited)
    }

    fn edit(&mut self, event: &Event, edited: &mut Vec<u8>) -> Result<(), StreamError> {
        let Ok(mut value) = serde_json::from_slice::<Value>(&event.data) else {
            // `[DONE]`, or another text that is not JSON.
            self.flush(edited);
            let data = Editor::new(self.pattern.clone(), self.action.clone()).push(&event.data, true);
            edited.extend(with_data(event, data).encode());
            return Ok(());
        };
        let mut paths = Vec::new();
        deltas(&mut value, &mut |path, text| {
            let known = self.texts.iter_mut().position(|known| known.path == path);
            let at = known.unwrap_or(self.texts.len());
            if known.is_none() && at < Self::MAX_TEXTS {
                let editor = Editor::new(self.pattern.clone(), self.action.clone());
                let last = <(Event, Value)>::default();
                self.texts.push(Text { path: path.to_owned(), editor, partial: Vec::new(), last });
            }
            if let Some(known) = self.texts.get_mut(at) {
                *text = known.push(text.as_bytes(), false);
            }
            paths.push((path.to_owned(), at));
        });
        if paths.iter().any(|(_, at)| *at >= Self::MAX_TEXTS) {
            return Err(StreamError::ManyTexts);
        }
        if paths.is_empty() && value.get("type").is_none_or(|kind| kind != "ping") {
            self.flush(edited);
        }
        edit_strings(&mut value, &self.pattern, &self.action);
        edited.extend(with_data(event, value.to_string()).encode());
        for (_, at) in paths {
            if let Some(text) = self.texts.get_mut(at) {
                text.last = (event.clone(), value.clone());
            }
        }
        Ok(())
    }

    /// Ends all texts: what the editors have stored becomes an event of its own.
    fn flush(&mut self, edited: &mut Vec<u8>) {
        for mut text in self.texts.drain(..) {
            let rest = text.push(b"", true);
            if !rest.is_empty() {
                let (event, mut value) = text.last;
                deltas(&mut value, &mut |path, part| {
                    *part = if path == text.path { rest.clone() } else { String::new() };
                });
                edited.extend(with_data(&event, value.to_string()).encode());
            }
        }
    }
}

fn with_data(event: &Event, data: impl Into<Vec<u8>>) -> Event {
    let mut event = event.clone();
    event.data = data.into();
    event
}

/// Edits all strings of a value, each as a whole. The names of members are not edited.
///
/// ```
/// use proxy_filter_kit::edit::{Action, Literals};
/// use proxy_filter_kit::llm_text::edit_strings;
///
/// let mut value = serde_json::json!({ "choices": [{ "text": "a falcon" }], "falcon": 7 });
/// edit_strings(&mut value, &Literals::new(["falcon"]).unwrap(), &Action::Remove);
/// assert_eq!(value.to_string(), r#"{"choices":[{"text":"a "}],"falcon":7}"#);
/// ```
pub fn edit_strings<P: Pattern + Clone>(value: &mut Value, pattern: &P, action: &Action) {
    for_each_string(value, &mut |text| {
        let edited = Editor::new(pattern.clone(), action.clone()).push(text.as_bytes(), true);
        *text = String::from_utf8_lossy(&edited).into_owned();
    });
}

/// Calls a closure with each string of a value, in the order of the value.
pub fn for_each_string(value: &mut Value, each: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_string(item, each)),
        Value::Object(members) => members.values_mut().for_each(|member| for_each_string(member, each)),
        _ => {}
    }
}

/// Calls a closure with the path and the text of each delta of an event.
fn deltas(value: &mut Value, each: &mut impl FnMut(&str, &mut String)) {
    for path in DELTAS {
        walk(value, path, "", each);
    }
}

fn walk(value: &mut Value, path: &[&str], before: &str, each: &mut impl FnMut(&str, &mut String)) {
    match (path.split_first(), value) {
        (None, Value::String(text)) => each(before, text),
        (Some((&"*", rest)), Value::Array(items)) => {
            for (position, item) in items.iter_mut().enumerate() {
                // Of several choices, an event may have only the second.
                let index = item.get("index").and_then(Value::as_u64).map_or(position.to_string(), |it| it.to_string());
                walk(item, rest, &format!("{before}/{index}"), each);
            }
        }
        (Some((name, rest)), Value::Object(members)) => {
            if let Some(member) = members.get_mut(*name) {
                walk(member, rest, &format!("{before}/{name}"), each);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Literals;
    use crate::tests::{Generator, cuts};
    use serde_json::json;

    const MASK: Action = Action::Mask { with: b'*', keep_last: 0 };

    /// An event in the shape of a service.
    type Shape = fn(&str) -> Value;

    const SHAPES: [Shape; 4] = [
        |text| json!({ "id": "falcon", "choices": [{ "index": 0, "delta": { "content": text } }] }),
        |text| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        |text| json!({ "type": "response.output_text.delta", "delta": text }),
        |text| json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] }),
    ];

    fn editor() -> StreamEditor<Literals> {
        StreamEditor::new(Literals::ignoring_case(["falcon", "4711"]).unwrap(), MASK)
    }

    /// Returns the edited stream.
    fn edited(chunks: &[&[u8]]) -> String {
        let mut editor = editor();
        let mut stream: Vec<u8> = chunks.iter().flat_map(|chunk| editor.push(chunk).unwrap()).collect();
        stream.extend(editor.finish().unwrap());
        String::from_utf8(stream).unwrap()
    }

    /// Returns the texts of a stream's events, joined.
    fn text(stream: &str) -> String {
        let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut joined = String::new();
        for mut value in data.filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
            deltas(&mut value, &mut |_, text| joined.push_str(text));
        }
        joined
    }

    #[test]
    fn matches_that_span_events_are_edited_for_any_cut() {
        for shape in SHAPES {
            let parts = ["The Fal", "con", "", " flies; \u{e9}", " fal", "se 47", "1", "1 fal"];
            let events: Vec<String> = parts.iter().map(|part| format!("event: e\ndata: {}\n\n", shape(part))).collect();
            let stream = events.concat();
            let stream =
                stream.replacen("\n\n", "\n\ndata: {\"type\":\"ping\"}\n\n", 1) + ": comment\ndata: [DONE]\n\n";
            for cut in cuts(stream.as_bytes()) {
                let edited = edited(&cut);
                assert_eq!(text(&edited), "The ****** flies; \u{e9} false **** fal", "{edited}");
                assert!(!edited.contains("falcon") && edited.ends_with("data: [DONE]\n\n"), "{edited}");
            }
        }
    }

    #[test]
    fn each_choice_is_a_text_of_its_own() {
        let event = |index: u64, text: &str| {
            format!("data: {}\n\n", json!({ "choices": [{ "index": index, "delta": { "content": text } }] }))
        };
        let stream = [event(0, "fal"), event(1, "fal"), event(0, "con"), event(1, "l")].concat();
        assert_eq!(text(&edited(&[stream.as_bytes()])), "******fall");
    }

    #[test]
    fn a_text_is_complete_before_an_event_without_one() {
        let stream = "data: {\"delta\":\"a fal\"}\n\ndata: {\"type\":\"done\",\"text\":\"a falcon\"}\n\n";
        let edited = edited(&[stream.as_bytes()]);
        let (before, after) = edited.split_once("data: {\"text\"").unwrap();
        assert_eq!((text(before).as_str(), after), ("a fal", ":\"a ******\",\"type\":\"done\"}\n\n"));
    }

    #[test]
    fn a_stream_without_the_last_empty_line_is_edited() {
        assert_eq!(text(&edited(&[b"data: {\"delta\":\"a falcon fal\"}"])), "a ****** fal");
        assert_eq!(edited(&[b"data: a falcon"]), "data: a ******\n\n");
    }

    #[test]
    fn streams_with_large_events_or_many_texts_fail() {
        let large = format!("data: {}", "x".repeat(StreamEditor::<Literals>::MAX_EVENT + 1));
        assert_eq!(editor().push(large.as_bytes()), Err(StreamError::LargeEvent));
        let choices = |count: u64| {
            let choices: Vec<_> = (0..count).map(|index| json!({ "index": index, "text": "falcon" })).collect();
            format!("data: {}\n\n", json!({ "choices": choices }))
        };
        assert!(editor().push(choices(16).as_bytes()).is_ok());
        assert_eq!(editor().push(choices(17).as_bytes()), Err(StreamError::ManyTexts));
    }

    #[test]
    fn random_bytes_do_not_trap() {
        let mut generator = Generator::new(5);
        let mut editor = editor();
        for _ in 0..2000 {
            let part =
                generator.pick(&["data: {\"delta\":\"", "fal", "con", "\\ud800", "\"}", "\n\n", "[", "\r", ": "]);
            let _ = editor.push(part.as_bytes());
            let _ = editor.push(&generator.bytes(3));
        }
        let _ = editor.finish();
    }
}
