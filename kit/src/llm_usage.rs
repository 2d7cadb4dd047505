//! Reads the tokens that a response of a language model has used, while the response passes.
//!
//! ```
//! use proxy_filter_kit::llm_usage::Reader;
//!
//! let mut reader = Reader::new(b"text/event-stream; charset=utf-8").unwrap();
//! reader.push(b"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,");
//! reader.push(b"\"output_tokens\":1}}}\n\ndata: {\"usage\":{\"output_tokens\":15}}\n\n");
//! let usage = reader.usage();
//! assert_eq!((usage.input, usage.output, usage.events), (25, 15, 2));
//! ```
//!
//! The counts are read in the shapes of several providers: `usage` with `prompt_tokens` or
//! `input_tokens`, also in `message` and `response`, and `usageMetadata`. Services report counts
//! only at the end of a stream, and some only on request: a stream that ends early has none.

use crate::event_stream::Decoder;
use crate::json::{Extractor, Value};
use crate::request::MediaType;

/// The members with counts: those of the input, then those of the output.
const PATHS: [&str; 10] = [
    "/usage/prompt_tokens",
    "/usage/input_tokens",
    "/message/usage/input_tokens",
    "/response/usage/input_tokens",
    "/usageMetadata/promptTokenCount",
    "/usage/completion_tokens",
    "/usage/output_tokens",
    "/message/usage/output_tokens",
    "/response/usage/output_tokens",
    "/usageMetadata/candidatesTokenCount",
];
/// The number of paths of the input.
const INPUT: usize = 5;

/// The maximum size of an event. A larger one is not read.
const MAX_EVENT: usize = 64 * 1024;

/// The tokens of a response, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The tokens of the prompt.
    pub input: u64,
    /// The tokens of the response. A later count of a response replaces an earlier one, because
    /// streams repeat the sum so far.
    pub output: u64,
    /// The number of events of a stream; 0 for a JSON response. Most events have one token, so this
    /// is an estimate for a stream without counts.
    pub events: u64,
}

/// Reads one response. Stores at most two events of 64 KiB, for any response.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    usage: Usage,
}

#[derive(Debug)]
enum Format {
    Events(Decoder),
    Json(Extractor),
}

impl Reader {
    /// Creates a reader for a response with this `content-type`. Returns `None` if it is neither an
    /// event stream nor JSON. A body with a content coding cannot be read: request `identity`.
    pub fn new(content_type: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type)?;
        let format = if media.is("text", "event-stream") {
            Format::Events(Decoder::new(MAX_EVENT))
        } else if media.is_json() {
            Format::Json(extractor()?)
        } else {
            return None;
        };
        Some(Self { format, usage: Usage::default() })
    }

    /// Reads a chunk. What is not an event or not JSON has no counts.
    pub fn push(&mut self, chunk: &[u8]) {
        let usage = &mut self.usage;
        match &mut self.format {
            Format::Events(events) => events.push(chunk, |event| {
                usage.events = usage.events.saturating_add(1);
                if let Some(mut json) = extractor() {
                    // `[DONE]` and other texts are not JSON.
                    let _ = json.push(&event.data, |path, value| usage.add(path, value));
                    let _ = json.finish(|path, value| usage.add(path, value));
                }
            }),
            // After a fault, the rest is not read.
            Format::Json(json) => drop(json.push(chunk, |path, value| usage.add(path, value))),
        }
    }

    /// Returns the tokens of what was read.
    pub const fn usage(&self) -> Usage {
        self.usage
    }
}

fn extractor() -> Option<Extractor> {
    Extractor::new(PATHS, 64).ok()
}

impl Usage {
    fn add(&mut self, path: usize, value: Value<'_>) {
        let Value::Number(number) = value else { return };
        let count = if path < INPUT { &mut self.input } else { &mut self.output };
        *count = number.parse().unwrap_or(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    fn usage(kind: &str, chunks: &[&[u8]]) -> Usage {
        let mut reader = Reader::new(kind.as_bytes()).unwrap();
        for chunk in chunks {
            reader.push(chunk);
        }
        reader.usage()
    }

    #[test]
    fn counts_are_read_in_the_shapes_of_providers_for_any_cut() {
        let events = "text/event-stream";
        for (kind, body, input, output) in [
            (
                events,
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\
                 \"completion_tokens\":8}}\n\ndata: [DONE]\n\n",
                3,
                8,
            ),
            (
                events,
                "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
                 event: message_delta\ndata: {\"usage\":{\"output_tokens\":8}}\n\n",
                3,
                8,
            ),
            (
                events,
                "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":8}}}\n\n",
                3,
                8,
            ),
            (
                events,
                "data: {\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n\
                 data: {\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":8}}\r\n\r\n",
                3,
                8,
            ),
            ("application/json", "{\"a\":[1],\"usage\":{\"input_tokens\":3,\"output_tokens\":8}}", 3, 8),
            ("application/json", "{\"usage\":{\"input_tokens\":\"3\",\"output_tokens\":1.5}}", 0, 0),
            ("application/json", "nonsense {\"usage\":{\"input_tokens\":3}}", 0, 0),
        ] {
            for cut in cuts(body.as_bytes()) {
                let usage = usage(kind, &cut);
                assert_eq!((usage.input, usage.output), (input, output), "{body}");
            }
        }
    }

    #[test]
    fn events_are_counted() {
        let stream = "data: a\n\ndata: b\n\n: comment\n\ndata: [DONE]\n\n";
        assert_eq!(usage("text/event-stream", &[stream.as_bytes()]).events, 3);
        assert_eq!(usage("application/json", &[b"{}"]).events, 0);
    }

    #[test]
    fn other_media_types_are_not_read() {
        for kind in ["", "text/plain", "application/octet-stream", "event-stream"] {
            assert!(Reader::new(kind.as_bytes()).is_none(), "{kind}");
        }
        assert!(Reader::new(b"Application/Problem+JSON").is_some());
    }

    #[test]
    fn random_bytes_do_not_trap() {
        let mut generator = Generator::new(4);
        for kind in ["text/event-stream", "application/json"] {
            let mut reader = Reader::new(kind.as_bytes()).unwrap();
            for _ in 0..300 {
                reader.push(&generator.bytes(40));
                reader.push(generator.pick(&["data: {\"usage\":", "{", "\n\n", "1e999", "\\u"]).as_bytes());
            }
            assert!(reader.usage().events <= 12_000);
        }
    }
}
