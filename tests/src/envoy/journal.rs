//! What Envoy's log has told so far, filled by the thread that reads it.

use super::line::{Line, Names, News};
use crate::record::Event;
use proxy_filter::LogLevel;
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many of the last lines an error message shows.
const TAIL: usize = 25;

/// The log of one Envoy.
pub(super) struct Journal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The main thread, which writes the first line. It has VMs too: one to load the module, one to try the configuration.
    main: Option<u64>,
    /// Events of the VM that the main thread created last: the configuration's trial while Envoy starts.
    trial: Vec<Event>,
    /// Events of the worker thread's VM, which are not yet taken.
    events: Vec<Event>,
    /// Stream contexts of the worker's VM that were created and not deleted.
    streams: BTreeSet<u64>,
    /// The context whose `proxy_on_delete` runs.
    deleting: Option<u64>,
    /// Envoy's own complaints: about the module, and others.
    complaints: (Vec<String>, Vec<String>),
    /// The last lines, without the long report that follows a crash.
    tail: VecDeque<String>,
    /// Envoy has crashed.
    crashed: bool,
    /// Envoy has closed its log.
    ended: bool,
}

impl Journal {
    /// Reads `log` to its end on a thread of its own.
    pub(super) fn read(log: impl Read + Send + 'static, names: Names) -> Arc<Self> {
        let journal = Arc::new(Self { state: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&journal);
        std::thread::spawn(move || {
            let mut log = BufReader::new(log);
            let mut raw = Vec::new();
            while log.read_until(b'\n', &mut raw).is_ok_and(|length| length > 0) {
                writer.add(String::from_utf8_lossy(&raw).trim_end_matches('\n'), &names);
                raw.clear();
            }
            writer.lock().ended = true;
            writer.changed.notify_all();
        });
        journal
    }

    /// The events of the worker's VM since the last call.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// How many events of the worker's VM have come since they were taken.
    pub(super) fn count(&self) -> usize {
        self.lock().events.len()
    }

    /// The events of the VM that tried the configuration.
    pub(super) fn trial(&self) -> Vec<Event> {
        self.lock().trial.clone()
    }

    /// Envoy's own error messages, each once: those about the module, or if there are none, all.
    pub(super) fn complaints(&self) -> Vec<String> {
        let (about_the_module, others) = self.lock().complaints.clone();
        if about_the_module.is_empty() { others } else { about_the_module }
    }

    /// The last lines of the log as they were.
    pub(super) fn tail(&self) -> String {
        self.lock().tail.make_contiguous().join("\n")
    }

    /// Waits until each stream context that was created is deleted, or its VM has failed.
    pub(super) fn wait_for_deletes(&self, limit: Duration) {
        self.wait(limit, |state| state.streams.is_empty() || state.ended);
    }

    /// Waits until something has happened since the events were taken.
    pub(super) fn wait_for_events(&self, limit: Duration) {
        self.wait(limit, |state| !state.events.is_empty());
    }

    /// Waits until no line has come for so long; at most twenty times as long.
    pub(super) fn settle(&self, pause: Duration) {
        for _ in 0..20 {
            let before = self.lock().events.len();
            std::thread::sleep(pause);
            if self.lock().events.len() == before {
                return;
            }
        }
    }

    /// Waits until Envoy has closed its log, which it does by ending.
    pub(super) fn wait_for_end(&self, limit: Duration) {
        self.wait(limit, |state| state.ended);
    }

    fn wait(&self, limit: Duration, enough: impl Fn(&State) -> bool) {
        let waiting = self.changed.wait_timeout_while(self.lock(), limit, |state| !enough(state));
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    fn add(&self, raw: &str, names: &Names) {
        let mut state = self.lock();
        state.remember(raw);
        if let Some(line) = Line::parse(raw) {
            state.add(line, names);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, raw: &str) {
        if !self.crashed {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(raw.to_owned());
        }
    }

    fn add(&mut self, line: Line, names: &Names) {
        // The first line of this logger names the signal.
        self.crashed |= line.logger == "backtrace";
        let on_main = *self.main.get_or_insert(line.thread) == line.thread;
        let own = matches!(line.level, LogLevel::Error | LogLevel::Critical).then(|| line.message.clone());
        let complaints = if line.logger == "wasm" { &mut self.complaints.0 } else { &mut self.complaints.1 };
        match line.news(names) {
            Some(News::Event(event)) if on_main => self.trial.push(event),
            Some(News::Trap(event)) if on_main => {
                self.trial.push(event);
                complaints.extend(own);
            }
            Some(News::NewVm) if on_main => self.trial.clear(),
            Some(News::Event(event)) => {
                self.follow(&event);
                self.events.push(event);
            }
            Some(News::Trap(event)) => {
                self.streams.clear();
                self.events.push(event);
            }
            Some(News::NewVm) => self.streams.clear(),
            None => complaints.extend(own.filter(|text| !complaints.contains(text))),
        }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::Callback { name, arguments } if name == "proxy_on_context_create" => {
                if let [stream, parent] = arguments.as_slice()
                    && *parent != 0
                {
                    self.streams.insert(*stream);
                }
            }
            Event::Callback { name, arguments } if name == "proxy_on_delete" => {
                self.deleting = arguments.first().copied();
            }
            Event::Returned { name, .. } if name == "proxy_on_delete" => {
                if let Some(stream) = self.deleting.take() {
                    self.streams.remove(&stream);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(log: &'static str) -> Arc<Journal> {
        let journal = Journal::read(log.as_bytes(), Names::new("p", "", "vm"));
        journal.wait_for_end(Duration::from_secs(5));
        journal
    }

    #[test]
    fn only_the_worker_thread_counts_while_envoy_serves() {
        let journal = journal(
            "1 info main initializing epoch 0\n1 trace wasm [host->vm] proxy_on_tick(1)\n2 trace wasm [host->vm] proxy_on_log(2)\n",
        );
        let name = |event: &Event| matches!(event, Event::Callback { name, .. } if name == "proxy_on_log");
        assert!(matches!(journal.take().as_slice(), [event] if name(event)));
        assert_eq!(journal.take(), []);
    }

    #[test]
    fn a_refusal_has_the_lines_of_the_vm_that_tried_the_configuration() {
        let journal = journal(
            "1 info main x\n1 info wasm wasm log: loading\n1 debug wasm Thread-Local Wasm created 2 now active\n\
             1 error wasm wasm log vm: bad\n1 error wasm Wasm VM failed\n1 critical main error initializing config\n",
        );
        assert!(matches!(journal.trial().as_slice(), [Event::Log(line)] if line.message == "bad"));
        assert_eq!(journal.complaints(), ["Wasm VM failed"]);
    }

    #[test]
    fn the_tail_ends_where_a_crash_report_begins() {
        let journal =
            journal("1 info main x\n2 critical backtrace Caught Segmentation fault\n2 critical backtrace #0\n junk\n");
        assert_eq!(journal.tail(), "1 info main x\n2 critical backtrace Caught Segmentation fault");
    }

    #[test]
    fn a_stream_is_waited_for_until_its_delete_returns_or_its_vm_fails() {
        let open = "1 info main x\n2 trace wasm [host->vm] proxy_on_context_create(2, 1)\n";
        assert_eq!(journal(open).lock().streams.len(), 1);
        let trapped: &str = "1 info main x\n2 trace wasm [host->vm] proxy_on_context_create(2, 1)\n\
             2 error wasm Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable\n";
        assert!(journal(trapped).lock().streams.is_empty());
        let deleted = "1 info main x\n2 trace wasm [host->vm] proxy_on_context_create(2, 1)\n\
             2 trace wasm [host->vm] proxy_on_delete(2)\n2 trace wasm [host<-vm] proxy_on_delete return: void\n";
        assert!(journal(deleted).lock().streams.is_empty());
    }
}
