//! The trace of an exchange as text.

use crate::fixture;
use crate::message::{Fields, Received};
use crate::record::{Event, Record};
use crate::tcp::{ConnectionRecord, DirectionState, ReceivedBytes};
use proxy_filter::{
    Status,
    log::{LogLevel, escaped},
};
use std::fmt::Write as _;

/// Whether text for people is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape sequences.
    Always,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Colour {
    /// A heading.
    #[must_use]
    pub fn title(self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    /// Wraps text in an ANSI style.
    fn paint(self, style: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
        }
    }
}

/// The whole exchange, with what the module did between what came and what went.
pub(crate) fn render(record: &Record, colour: Colour) -> String {
    let mut text = String::new();
    for event in &record.events {
        text.push_str(&event_line(event, colour));
    }
    for stream in &record.waiting {
        let (first, rest) = stream.split_once('\n').unwrap_or((stream, ""));
        let _ = writeln!(text, "{}", colour.paint(BOLD, first));
        let _ = rest.lines().try_for_each(|line| writeln!(text, "{}", colour.paint(YELLOW, line)));
    }
    for (cluster, calls) in &record.calls {
        for call in calls {
            text.push_str(&message(&format!("cluster {cluster} received"), Some(call), colour));
        }
    }
    let cluster = record.upstream.as_ref().map_or(fixture::CLUSTER, |request| &request.cluster);
    let upstream = match cluster {
        fixture::CLUSTER => "upstream received".to_owned(),
        other => format!("upstream {other} received"),
    };
    text.push_str(&message(&upstream, record.upstream.as_ref(), colour));
    text.push_str(&message("client received", record.response.as_ref(), colour));
    if let Some(line) = &record.access_log {
        let _ = writeln!(text, "{} {}", colour.paint(BOLD, "access log:"), escaped(line.as_bytes()));
    }
    text
}

/// The whole connection: what the module did, then what each step led to.
pub(crate) fn render_connection(record: &ConnectionRecord, colour: Colour) -> String {
    let mut text: String = record.events.iter().map(|event| event_line(event, colour)).collect();
    let mut before = (DirectionState::Open, DirectionState::Open);
    for moment in &record.steps {
        let _ = writeln!(text, "{}", colour.paint(BOLD, &moment.title));
        before.0 = heard(&mut text, "client", &moment.client, before.0);
        if let Some(upstream) = &moment.upstream {
            before.1 = heard(&mut text, "upstream", upstream, before.1);
        }
    }
    text
}

/// What one side received in a step. Its end is written once: what it was before is passed on.
fn heard(text: &mut String, who: &str, heard: &ReceivedBytes, before: DirectionState) -> DirectionState {
    if !heard.bytes.is_empty() {
        let shown = heard.bytes.get(..heard.bytes.len().min(200)).unwrap_or_default();
        let _ = writeln!(text, "  {who} received {} bytes: {}", heard.bytes.len(), escaped(shown));
    }
    let end = match heard.end {
        DirectionState::Closed if before == DirectionState::Open => "the end",
        DirectionState::Reset if before == DirectionState::Open => "a reset",
        _ => return heard.end,
    };
    let _ = writeln!(text, "  {who} received {end}");
    heard.end
}

/// Formats an event as a line of its own, as traces show it.
pub fn event_line(event: &Event, colour: Colour) -> String {
    match event {
        Event::Callback { name, arguments } => {
            let arguments: Vec<String> = arguments.iter().map(u64::to_string).collect();
            format!("{} {}({})\n", colour.paint(CYAN, "->"), colour.paint(BOLD, name), arguments.join(", "))
        }
        Event::Returned { name, result } => {
            let result = result.map_or_else(String::new, |result| format!(" = {}", meaning(name, result)));
            format!("{} {name}{result}\n", colour.paint(CYAN, "<-"))
        }
        Event::HostCall { name, status: 0 } => format!("     {}\n", colour.paint(DIM, name)),
        Event::HostCall { name, status } => {
            let status = Status::from_raw(*status).map(|status| status.to_string()).unwrap_or_default();
            format!("     {} {}\n", colour.paint(DIM, name), colour.paint(RED, &format!("= {status}")))
        }
        Event::Log(line) => {
            let style = match line.level {
                LogLevel::Error | LogLevel::Critical => RED,
                LogLevel::Warn => YELLOW,
                _ => GREEN,
            };
            format!("     {} {}\n", colour.paint(style, line.level.name()), escaped(line.message.as_bytes()))
        }
        Event::Trapped { why } => format!("     {}\n", colour.paint(RED, &format!("the VM failed: {why}"))),
    }
}

/// A callback's result in words.
fn meaning(name: &str, result: u64) -> String {
    let words: &[&str] = if name.ends_with("_headers") {
        &[
            "Continue",
            "StopIteration",
            "ContinueAndEndStream",
            "StopAllIterationAndBuffer",
            "StopAllIterationAndWatermark",
        ]
    } else if name.ends_with("_body") {
        &["Continue", "StopIterationAndBuffer", "StopIterationAndWatermark", "StopIterationNoBuffer"]
    } else if name.ends_with("_trailers") || name.ends_with("_data") || name.ends_with("_new_connection") {
        &["Continue", "StopIteration"]
    } else {
        &["false", "true"]
    };
    let word = usize::try_from(result).ok().and_then(|index| words.get(index));
    word.map_or_else(|| result.to_string(), |word| format!("{word} ({result})"))
}

fn message(title: &str, message: Option<&Received>, colour: Colour) -> String {
    let Some(message) = message else { return format!("{}\n", colour.paint(BOLD, &format!("{title}: nothing"))) };
    let mut text = colour.paint(BOLD, title);
    text.push_str(if message.complete { ":\n" } else { ", cut off:\n" });
    fields(&mut text, &message.headers);
    if !message.body.is_empty() {
        let shown = message.body.get(..message.body.len().min(2000)).unwrap_or_default();
        for line in String::from_utf8_lossy(shown).lines() {
            let _ = writeln!(text, "  | {}", escaped(line.as_bytes()));
        }
        let _ = writeln!(text, "  {} bytes", message.body.len());
    }
    if !message.trailers.is_empty() {
        text.push_str("  trailers:\n");
        fields(&mut text, &message.trailers);
    }
    text
}

fn fields(text: &mut String, fields: &Fields) {
    for (name, value) in fields {
        let _ = writeln!(text, "  {}: {}", escaped(name), escaped(value));
    }
}

/// How one message differs from another: lines with `-` for what only the first has, and `+` for
/// what only the second has.
///
/// ```
/// use proxy_filter_host::{Colour, Received, changes};
/// let before = Received { headers: vec![(b"a".to_vec(), b"1".to_vec())], ..Received::default() };
/// assert_eq!(changes(&before, &Received::default(), Colour::Never), "  - a: 1\n");
/// ```
#[must_use]
pub fn changes(before: &Received, after: &Received, colour: Colour) -> String {
    let lines = |message: &Received| {
        let fields = |fields: &Fields| {
            fields.iter().map(|(name, value)| format!("{}: {}", escaped(name), escaped(value))).collect()
        };
        let mut lines: Vec<String> = fields(&message.headers);
        lines.extend(String::from_utf8_lossy(&message.body).lines().map(|line| format!("| {}", escaped(line))));
        lines.extend::<Vec<String>>(fields(&message.trailers));
        lines
    };
    let (before, after) = (lines(before), lines(after));
    let mut text = String::new();
    for (sign, style, side, other) in [("-", RED, &before, &after), ("+", GREEN, &after, &before)] {
        for line in side.iter().filter(|line| !other.contains(line)) {
            let _ = writeln!(text, "{}", colour.paint(style, &format!("  {sign} {line}")));
        }
    }
    if text.is_empty() {
        text.push_str("  nothing\n");
    }
    text
}
