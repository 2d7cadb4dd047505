//! [`FilterError`]: a failure of the filter itself, and whether the test expects it. And what a
//! filter logs about other errors.

use crate::record::Event;
use proxy_filter::{Status, log::LogLevel};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A failure of the filter itself, which the client may not see: a negative assertion can hold
/// because the filter did not run to its end.
///
/// A test fails on each of them, unless [`Outcome::expect_error`](crate::Outcome::expect_error),
/// [`Connection::expect_error`](crate::Connection::expect_error) or
/// [`Host::expect_error`](crate::Host::expect_error) names it. Printing it shows what failed.
///
/// ```
/// use proxy_filter_host::{FilterErrorKind, Host};
/// # let module = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #     (func (export "proxy_abi_version_0_2_1"))
/// #     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
/// #     (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#).unwrap();
/// let mut host = Host::for_module(&module);
/// let exchange = host.get("/").send();
/// assert_eq!(exchange.errors()[0].kind(), FilterErrorKind::Trap);
/// exchange.expect_error("trapped in proxy_on_request_headers");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    kind: FilterErrorKind,
    message: String,
}

/// Which failure of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// The module trapped, and nothing runs in its VM any more: a panic, for example. A real Envoy
    /// does not report it.
    Trap,
    /// A callback, a completion or an async function returned an `Err`, for which the SDK applied
    /// the failure policy. An `Err` with a status below 500, such as 413 for a body that is too
    /// long, is a decision about the client and no failure.
    Error,
    /// The host refused a local reply.
    RefusedReply,
    /// The plugin did not start, and nothing was sent.
    RefusedPlugin,
}

impl FilterError {
    /// Returns which failure it is.
    #[must_use]
    pub const fn kind(&self) -> FilterErrorKind {
        self.kind
    }

    /// Returns what failed: for a trap with the last line that the filter logged before.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn refused(why: impl fmt::Display) -> Self {
        Self { kind: FilterErrorKind::RefusedPlugin, message: why.to_string() }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns the failures that events tell of.
pub(crate) fn of(events: &[Event]) -> Vec<FilterError> {
    let mut errors = Vec::new();
    // The callbacks that run, the innermost last, and the line that the last of them has logged.
    let mut running: Vec<&str> = Vec::new();
    let mut last_line = None;
    for event in events {
        let found = match event {
            Event::Callback { name, .. } => {
                running.push(name);
                last_line = None;
                None
            }
            Event::Returned { .. } => {
                running.pop();
                None
            }
            Event::Log(line) => {
                let is_error = line.level == LogLevel::Error && is_of_the_sdk(&line.message);
                last_line = Some(&line.message);
                is_error.then(|| (FilterErrorKind::Error, line.message.clone()))
            }
            Event::HostCall { name, status } if name == "proxy_send_local_response" && *status != 0 => {
                let status = Status::from_raw(*status).map(|status| format!(": {status}")).unwrap_or_default();
                Some((FilterErrorKind::RefusedReply, format!("the host refused a local reply ({name}){status}")))
            }
            Event::HostCall { .. } => None,
            Event::Trapped { why } => {
                let callback = running.last().copied().unwrap_or("its initialisation");
                let line = last_line.map(|line| format!("; it logged: {line}")).unwrap_or_default();
                Some((FilterErrorKind::Trap, format!("the VM trapped in {callback}: {why}{line}")))
            }
        };
        errors.extend(found.map(|(kind, message)| FilterError { kind, message }));
    }
    errors
}

/// Whether the SDK wrote this line about an `Err`: `on_log of context 2 failed: …`.
fn is_of_the_sdk(line: &str) -> bool {
    line.split_once(" of context ").is_some_and(|(_, rest)| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(" failed: ")
    })
}

/// The failures of one host, and which of them the test expects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    error: FilterError,
    expected: bool,
}

/// The failures of one exchange, or of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors {
    ledger: Ledger,
    range: Range<usize>,
    found: Vec<FilterError>,
    /// The host may not tell of all of them.
    partial: bool,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds failures. With `partial` the host may not tell of all of them.
    pub(crate) fn add(&self, found: Vec<FilterError>, partial: bool) -> Errors {
        let mut entries = self.entries();
        let first = entries.len();
        entries.extend(found.iter().map(|error| Entry { error: error.clone(), expected: false }));
        Errors { range: first..entries.len(), ledger: self.clone(), found, partial }
    }

    /// Returns the failures that neither an exchange nor one of these texts expects, and the texts
    /// that name none.
    pub(crate) fn settle<'a>(&self, texts: &'a [String]) -> (Vec<FilterError>, Vec<&'a String>) {
        let entries = self.entries();
        let names = |text: &String, entry: &Entry| entry.error.message.contains(text.as_str());
        let open = entries.iter().filter(|entry| !entry.expected && !texts.iter().any(|text| names(text, entry)));
        let unmet = texts.iter().filter(|text| !entries.iter().any(|entry| names(text, entry)));
        (open.map(|entry| entry.error.clone()).collect(), unmet.collect())
    }
}

impl Errors {
    pub(crate) fn found(&self) -> &[FilterError] {
        &self.found
    }

    /// Expects all of them.
    pub(crate) fn expect_all(&self) {
        for entry in self.ledger.entries().get_mut(self.range.clone()).into_iter().flatten() {
            entry.expected = true;
        }
    }

    /// Expects the failures that contain this text. Whether there is one, or the host may not tell.
    pub(crate) fn expect(&self, text: &str) -> bool {
        let mut entries = self.ledger.entries();
        let mut found = false;
        for entry in entries.get_mut(self.range.clone()).into_iter().flatten() {
            if entry.error.message.contains(text) {
                (entry.expected, found) = (true, true);
            }
        }
        found || self.partial
    }
}

/// Fails a test that expects a failure without naming it.
pub(crate) fn check(text: &str) {
    assert!(!text.is_empty(), "`expect_error` names a failure by a part of its message");
}

/// The lines of the level error or above that a filter logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logged {
    pub(crate) errors: usize,
    pub(crate) last: String,
}

impl Logged {
    /// Counts the lines among these events that tell of no failure of the filter: the test fails on
    /// those, or expects them.
    pub(crate) fn note(&mut self, events: &[Event], failures: &[FilterError]) {
        let lines = events.iter().filter_map(Event::log_line).filter(|line| line.level >= LogLevel::Error);
        for line in lines.filter(|line| failures.iter().all(|failure| failure.message() != line.message)) {
            self.errors += 1;
            self.last.clone_from(&line.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_sdk_about_an_error_are_recognized() {
        for line in
            ["on_log of context 2 failed: x", "the completion of a timer of context 12 failed: y; the stream is reset"]
        {
            assert!(is_of_the_sdk(line), "{line}");
        }
        for line in ["a call of context failed: x", "on_log of context 2 made a local reply", "it failed: x", ""] {
            assert!(!is_of_the_sdk(line), "{line}");
        }
    }
}
