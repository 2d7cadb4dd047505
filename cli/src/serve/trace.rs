//! What the command prints while it serves: one line for each stream, and what the filters log.

use super::fields;
use super::hub::Hub;
use crate::output::{BAD, GOOD, NAME, WARN, paint};
use proxy_filter_host::{Colour, Event, Fields, Part, event_line};
use serde_json::json;
use std::cell::RefCell;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// How much is printed, and where exchanges are recorded.
pub(super) struct Trace {
    /// Callbacks and host calls too.
    pub(super) everything: bool,
    pub(super) json: bool,
    /// The exchanges of the page, if there is one.
    pub(super) hub: Option<Arc<Hub>>,
    pub(super) output: Output,
}

/// Lines that are printed together: under load, a write for each line would take a tenth of the
/// time. Dropping it prints what is left.
#[derive(Default)]
pub(super) struct Output {
    lines: RefCell<Vec<u8>>,
    has_more: Notify,
}

impl Output {
    fn line(&self, line: impl Display) {
        let _ = writeln!(self.lines.borrow_mut(), "{line}");
        self.has_more.notify_one();
    }

    fn flush(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        let _ = anstream::stdout().lock().write_all(&lines);
    }

    /// Prints lines as soon as nothing else is ready to run.
    pub(super) async fn run(&self) {
        loop {
            self.has_more.notified().await;
            tokio::task::yield_now().await;
            self.flush();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What the line of a stream says.
pub(super) struct Line {
    method: String,
    path: String,
    started: Instant,
    status: Option<String>,
    bytes: usize,
    was_reset: bool,
}

impl Line {
    pub(super) fn new(headers: &Fields) -> Self {
        let text = |name| fields::get(headers, name).unwrap_or_default().to_owned();
        let (method, path) = (text(":method"), text(":path"));
        Self { method, path, started: Instant::now(), status: None, bytes: 0, was_reset: false }
    }

    /// Notes a part of the response.
    pub(super) fn note(&mut self, part: &Part) {
        match part {
            Part::Headers(headers, _) => self.status = fields::get(headers, ":status").map(str::to_owned),
            Part::Data(bytes, _) => self.bytes += bytes.len(),
            Part::Reset => self.was_reset = true,
            Part::Trailers(_) => {}
        }
    }
}

impl Trace {
    /// Prints the line of a stream that is over.
    pub(super) fn ended(&self, line: &Line) {
        let milliseconds = line.started.elapsed().as_secs_f64() * 1000.0;
        if self.json {
            return self.output.line(json!({
                "method": line.method, "path": line.path, "status": line.status, "bytes": line.bytes,
                "reset": line.was_reset, "milliseconds": milliseconds,
            }));
        }
        let status = line.status.as_deref().unwrap_or("no response");
        let style = match status.as_bytes().first() {
            Some(b'1' | b'2' | b'3') => GOOD,
            Some(b'4') => WARN,
            _ => BAD,
        };
        let reset = if line.was_reset { ", reset" } else { "" };
        self.output.line(format_args!(
            "{} {} {} {} bytes{reset}, {milliseconds:.1} ms",
            paint(NAME, &line.method),
            line.path,
            paint(style, status),
            line.bytes
        ));
    }

    /// Prints what a module has done.
    pub(super) fn events(&self, id: Option<u64>, events: &[(Instant, Event)]) {
        for (_, event) in events {
            let wanted = self.everything || matches!(event, Event::Log(_) | Event::Trapped { .. });
            if !wanted {
                continue;
            }
            if self.json {
                if let Event::Log(line) = event {
                    self.output.line(json!({ "stream": id, "level": line.level.name(), "log": line.message }));
                }
                continue;
            }
            let stream = id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            self.output.line(format_args!("{stream:>5} {}", event_line(event, Colour::Always).trim_end_matches('\n')));
        }
    }
}
