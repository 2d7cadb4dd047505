//! The access log that Envoy writes on its standard output.

use super::bootstrap::{AFTER_ADDRESS, END_OF_LINE};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long Envoy may take to write the line of a stream that has ended. A connection that Envoy
/// closes without a stream has no line.
const LIMIT: Duration = Duration::from_secs(1);

/// The lines that were written and not taken.
#[derive(Default)]
pub(super) struct AccessLog {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

impl AccessLog {
    /// Reads the log to its end on a thread of its own.
    pub(super) fn read(log: impl Read + Send + 'static) -> Arc<Self> {
        let access_log = Arc::new(Self::default());
        let writer = Arc::clone(&access_log);
        std::thread::spawn(move || {
            let mut log = BufReader::new(log);
            let mut line = Vec::new();
            while log.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                // A value may contain a line feed.
                if line.ends_with(END_OF_LINE.as_bytes()) {
                    let text = String::from_utf8_lossy(&line).trim_end_matches(END_OF_LINE).to_owned();
                    writer.lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    writer.changed.notify_all();
                    line.clear();
                }
            }
        });
        access_log
    }

    /// Takes the line of a client, or the next line, without its address, when it comes.
    pub(super) fn take(&self, client: Option<SocketAddr>) -> Option<String> {
        let prefix = client.map(|client| format!("{client}{AFTER_ADDRESS}")).unwrap_or_default();
        let is_own = |line: &String| line.starts_with(&prefix);
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.changed.wait_timeout_while(lines, LIMIT, |lines| !lines.iter().any(is_own));
        let (mut lines, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        let index = lines.iter().position(is_own)?;
        lines.remove(index).split_once(AFTER_ADDRESS).map(|(_, line)| line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_client_with_its_address() {
        let log = "127.0.0.1:2\tsecond\nline\u{1e}\n127.0.0.1:1\tfirst\u{1e}\n[::1]:3\t\u{1e}\n";
        let log = AccessLog::read(log.as_bytes());
        for (client, line) in [("127.0.0.1:1", "first"), ("127.0.0.1:2", "second\nline"), ("[::1]:3", "")] {
            assert_eq!(log.take(Some(client.parse().unwrap())).as_deref(), Some(line));
        }
    }
}
