//! Event streams (server-sent events): decodes and encodes them chunk by chunk.
//!
//! ```
//! use proxy_filter_kit::event_stream::{Decoder, Event};
//!
//! let mut decoder = Decoder::new(64 * 1024);
//! let mut texts = Vec::new();
//! for chunk in [&b"data: {\"text\":"[..], b"\"Hel\"}\n\ndata: [DO", b"NE]\n\n"] {
//!     decoder.push(chunk, |event| texts.push(event.data));
//! }
//! assert_eq!(texts, [&b"{\"text\":\"Hel\"}"[..], b"[DONE]"]);
//! assert_eq!(Event::data("a\nb").encode(), b"data: a\ndata: b\n\n");
//! ```
//!
//! Source: HTML standard, section 9.2, "Server-sent events".

use core::time::Duration;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The field `event`; empty if missing, which means `message`.
    pub name: Vec<u8>,
    /// The lines of `data`, joined with line feeds.
    pub data: Vec<u8>,
    /// The field `id` of this event, or the last one before it.
    pub id: Vec<u8>,
    /// The field `retry`, if this event has one.
    pub retry: Option<Duration>,
}

impl Event {
    /// Creates an event that has only data.
    pub fn data(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Sets the name of the event.
    #[must_use]
    pub fn named(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.name = name.into();
        self
    }

    /// Encodes the event for the wire. Line breaks in the data make several lines. A name or id
    /// with a line break is left out, because it would begin another field, and so is an id with
    /// NUL, which readers ignore. A carriage return in the data becomes a line feed.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.data.len().saturating_add(16));
        let has_end = |value: &[u8]| value.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        for (field, value) in [(&b"event: "[..], &self.name), (b"id: ", &self.id)] {
            let is_ignored = field == b"id: " && value.contains(&0);
            if !value.is_empty() && !has_end(value) && !is_ignored {
                text.extend_from_slice(&[field, value, b"\n"].concat());
            }
        }
        if let Some(retry) = self.retry {
            text.extend_from_slice(format!("retry: {}\n", retry.as_millis()).as_bytes());
        }
        let mut rest = Some(&self.data[..]);
        while let Some(data) = rest {
            let end = data.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (line, after) = data.split_at_checked(end.unwrap_or(data.len())).unwrap_or((data, &[]));
            text.extend_from_slice(&[b"data: ", line, b"\n"].concat());
            rest = end.map(|_| after.strip_prefix(b"\r\n").or_else(|| after.get(1..)).unwrap_or_default());
        }
        text.push(b'\n');
        text
    }
}

/// Decodes events from chunks of any size. An event is reported in the chunk that completes it.
///
/// Stores at most twice `max_event` bytes, for any stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_event: usize,
    /// The current line, so far.
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    is_first_line: bool,
    /// The last byte was a carriage return. A line feed after it does not end another line.
    after_return: bool,
    /// The rest of an event that is too large. The value is whether its current line is empty so
    /// far.
    skipping: Option<bool>,
    skipped: u64,
}

impl Decoder {
    /// Creates a decoder for events of at most `max_event` bytes in all their fields. Larger events
    /// are skipped.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            is_first_line: true,
            after_return: false,
            skipping: None,
            skipped: 0,
        }
    }

    /// Decodes a chunk, and calls the closure for each event that it completes.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Event)) {
        let mut rest = chunk;
        while let Some(first) = rest.first() {
            if self.after_return && *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
            }
            self.after_return = false;
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (text, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            self.append(text);
            rest = after;
            if let Some((end, after)) = after.split_first() {
                self.after_return = *end == b'\r';
                self.end_line(&mut each);
                rest = after;
            }
        }
    }

    /// Returns an event that the stream ended before its empty line. Browsers ignore such an event,
    /// but some services end their last event so.
    pub fn finish(mut self) -> Option<Event> {
        let mut last = None;
        if !self.line.is_empty() {
            self.end_line(&mut |event| last = Some(event));
        }
        self.end_line(&mut |event| last = Some(event));
        last
    }

    /// Returns the number of events that exceeded the limit.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn append(&mut self, text: &[u8]) {
        if let Some(is_empty) = &mut self.skipping {
            *is_empty &= text.is_empty();
            return;
        }
        let event = self.event.data.len().saturating_add(self.event.name.len());
        if event.saturating_add(self.line.len()).saturating_add(text.len()) > self.max_event {
            self.skipping = Some(false);
            self.skipped = self.skipped.saturating_add(1);
            self.reset();
            return;
        }
        self.line.extend_from_slice(text);
    }

    fn reset(&mut self) {
        self.line = Vec::new();
        self.has_data = false;
        // The last id is kept.
        self.event = Event { id: core::mem::take(&mut self.event.id), ..Event::default() };
    }

    fn end_line(&mut self, each: &mut impl FnMut(Event)) {
        if let Some(is_empty) = self.skipping {
            self.skipping = (!is_empty).then_some(true);
            return;
        }
        let mut line = core::mem::take(&mut self.line);
        if core::mem::take(&mut self.is_first_line) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            if self.has_data {
                self.event.data.pop(); // the line feed after the last line
                each(self.event.clone());
            }
            self.reset();
        } else {
            self.field(&line);
        }
        // The memory of the line is reused.
        line.clear();
        self.line = line;
    }

    fn field(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.event.name = value.to_vec(),
            b"data" => {
                self.has_data = true;
                self.event.data.extend_from_slice(value);
                self.event.data.push(b'\n');
            }
            b"id" if !value.contains(&0) => self.event.id = value.to_vec(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = core::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.event.retry = digits.map(Duration::from_millis);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    /// Events as `name|data|id`.
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = Decoder::new(1000);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |event| {
                let text = [&event.name[..], b"|", &event.data, b"|", &event.id].concat();
                events.push(String::from_utf8(text).unwrap());
            });
        }
        events
    }

    /// Streams, and their events. The first four are from the HTML standard, section 9.2.6.
    const STREAMS: [(&str, &[&str]); 16] = [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", &["|YHOO\n+2\n10|"]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &["|first event|1", "|second event|", "| third event|"],
        ),
        ("data\n\ndata\ndata\n\ndata:", &["||", "|\n|"]),
        ("data:test\n\ndata: test\n\n", &["|test|", "|test|"]),
        (
            "event: add\ndata: 73857293\n\nevent: remove\rdata: 2153\r\revent: x\r\n\r\n",
            &["add|73857293|", "remove|2153|"],
        ),
        ("\u{feff}data: a\r\n\r\ndata: b\r\r\ndata: c\n\r", &["|a|", "|b|", "|c|"]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        ("data: a\n\n\n\n\n\r\r\n\ndata: b\n\n", &["|a|", "|b|"]),
        ("id: 7\n\ndata: a\n\nid: 8\0\ndata: b\n\n", &["|a|7", "|b|7"]),
        ("Data: a\n\n data: b\n\ndata : c\n\nfoo: d\n\n", &[]),
        ("event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", &["b|1|", "|2|"]),
        ("data: a:b: c\n\n:data: d\n\n", &["|a:b: c|"]),
        ("data: unfinished\n", &[]),
        // Invented streams in the formats of four services of language models.
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hé\"}}]}\n\ndata: [DONE]\n\n",
            &["|{\"choices\":[{\"delta\":{\"content\":\"Hé\"}}]}|", "|[DONE]|"],
        ),
        (
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: ping\n\nevent: message_stop\ndata: {}\n\n",
            &["message_start|{\"type\":\"message_start\"}|", "message_stop|{}|"],
        ),
        (
            "data: {\"candidates\":[]}\r\n\r\ndata:{\"usage\":{\r\ndata:\"total\":3}}\r\n\r\n",
            &["|{\"candidates\":[]}|", "|{\"usage\":{\n\"total\":3}}|"],
        ),
    ];

    #[test]
    fn streams_are_read_as_the_html_standard_says_at_every_chunk_boundary() {
        for (stream, expected) in STREAMS {
            for cut in cuts(stream.as_bytes()) {
                assert_eq!(read(cut.iter().copied()), expected, "{stream:?} {cut:?}");
            }
        }
    }

    #[test]
    fn an_event_is_reported_in_the_chunk_that_ends_it() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!("data: a{end}{end}");
            let mut decoder = Decoder::new(100);
            let mut ended_at = None;
            for (at, byte) in stream.bytes().enumerate() {
                decoder.push(&[byte], |_| ended_at = Some(at));
            }
            // After a carriage return, the line feed of the same line break may be missing.
            let expected = stream.len() - end.len();
            assert_eq!(ended_at, Some(expected), "{end:?}");
        }
    }

    #[test]
    fn an_event_that_is_too_large_is_skipped_alone_and_memory_is_bounded() {
        let large = ["data: ", &"x".repeat(3000)].concat();
        let lines = "data: 1234567\n".repeat(400);
        for large in
            [large.as_str(), lines.trim_end(), &format!("{}\ndata: y", "event: x".repeat(300)), &":".repeat(2000)]
        {
            for end in ["\n\n", "\r\r", "\r\n\r\n"] {
                let stream = format!("id: 5\ndata: a\n\n{large}{end}data: b\n\n");
                for size in [1, 2, 7, 100_000] {
                    let mut decoder = Decoder::new(1000);
                    let mut events = Vec::new();
                    for chunk in stream.as_bytes().chunks(size) {
                        decoder.push(chunk, |event| events.push(event));
                        let kept =
                            decoder.line.capacity() + decoder.event.data.capacity() + decoder.event.name.capacity();
                        assert!(kept <= 4000, "{kept}");
                    }
                    assert_eq!(
                        events.iter().map(|event| &event.data[..]).collect::<Vec<_>>(),
                        [b"a", b"b"],
                        "{size} {end:?}"
                    );
                    assert_eq!((decoder.skipped(), &events[1].id[..]), (1, &b"5"[..]));
                }
            }
        }
    }

    #[test]
    fn the_last_event_may_lack_its_empty_line() {
        for (stream, expected) in
            [("data: a", Some("a")), ("data: a\n", Some("a")), ("data: a\n\n", None), ("", None), (": a", None)]
        {
            let mut decoder = Decoder::new(100);
            decoder.push(stream.as_bytes(), |_| {});
            assert_eq!(decoder.finish().map(|event| event.data), expected.map(Vec::from), "{stream:?}");
        }
    }

    #[test]
    fn written_events_are_read_back() {
        let mut generator = Generator::new(9);
        for _ in 0..500 {
            let mut bytes = |count| -> Vec<u8> {
                let count = generator.below(count);
                generator.bytes(count).iter().map(|byte| *generator.pick(&[byte, &b'\n', &b' ', &b':'])).collect()
            };
            let mut event =
                Event { data: bytes(60), name: bytes(9), id: bytes(9), retry: Some(Duration::from_millis(5)) };
            let mut found = Vec::new();
            Decoder::new(10_000).push(&event.encode(), |event| found.push(event));
            event.data.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
            for field in [&mut event.name, &mut event.id] {
                if field.iter().any(|byte| b"\r\n\0".contains(byte)) {
                    field.clear();
                }
            }
            let crlf = found[0].data.len() < event.data.len();
            assert!(crlf || found == [event.clone()], "{event:?} {found:?}");
            assert_eq!(found.len(), 1);
        }
    }
}
