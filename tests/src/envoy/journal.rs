//! The content of Envoy's log so far. The thread that reads the log fills it.

use super::line::{Line, Names, News};
use crate::record::{Event, VmRole};
use proxy_filter::log::LogLevel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionread;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many of the last lines an error message shows.
const TAIL: usize = 25;

/// The log of one Envoy.
pub(super) struct Journal {
    state: Mutex<State>,
    changed: Condvar,
    pipe: Option<Arc<Pipe>>,
}

/// The end of the pipe that the thread reads, and the number of bytes that it has read.
struct Pipe {
    end: OwnedFd,
    taken: Mutex<u64>,
}

impl Pipe {
    /// Whether nothing is in the pipe, and this number of bytes was read.
    fn is_empty_after(&self, processed: u64) -> io::Result<bool> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(*taken == processed && ioctl_fionread(&self.end)? == 0)
    }
}

/// Reads a pipe. Bytes that have left it are counted before it is empty for others.
struct Reader(Arc<Pipe>);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Pipe { end, taken } = &*self.0;
        poll(&mut [PollFd::new(end, PollFlags::IN)], None)?;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let length = rustix::io::read(end, buffer)?;
        *taken += length as u64;
        Ok(length)
    }
}

#[derive(Default)]
struct State {
    /// The main thread, which writes the first line. It has VMs too: one to load the module, one to
    /// try the configuration.
    main: Option<u64>,
    /// Events of the VMs that the main thread created, the last at the end: the configuration's
    /// trial, then its own while Envoy starts.
    mains: Vec<Vec<Event>>,
    /// Events of the worker threads' VMs, with their threads, which are not yet taken.
    events: Vec<(u64, Event)>,
    /// The worker threads in the order of their first lines.
    workers: Vec<u64>,
    /// Stream contexts of the workers' VMs that were created and not deleted.
    streams: BTreeSet<(u64, u64)>,
    /// Root contexts of the workers' VMs that were created and have not come to their end.
    roots: BTreeSet<(u64, u64)>,
    /// The context whose callback runs on a thread.
    running: BTreeMap<u64, u64>,
    /// The only callback of a module that is not the test's, while it runs: it and new VMs are no
    /// events.
    ignored: Option<&'static str>,
    /// The threads on which that callback runs.
    ignoring: BTreeSet<u64>,
    /// Envoy's own complaints: about the module, and others.
    complaints: (Vec<String>, Vec<String>),
    /// The last lines, without the long backtrace that may follow.
    tail: VecDeque<String>,
    /// Envoy has ended with a signal.
    crashed: bool,
    /// Envoy has closed its log.
    ended: bool,
    /// The number of bytes of the lines so far.
    processed: u64,
}

impl Journal {
    /// Reads a pipe to its end on a thread of its own.
    pub(super) fn of(pipe: impl AsFd, names: Names) -> io::Result<Arc<Self>> {
        let pipe = Arc::new(Pipe { end: pipe.as_fd().try_clone_to_owned()?, taken: Mutex::default() });
        Ok(Self::start(Reader(Arc::clone(&pipe)), Some(pipe), names))
    }

    fn start(log: impl Read + Send + 'static, pipe: Option<Arc<Pipe>>, names: Names) -> Arc<Self> {
        let journal = Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), pipe });
        let writer = Arc::clone(&journal);
        std::thread::spawn(move || {
            let mut log = BufReader::new(log);
            let mut raw = Vec::new();
            while log.read_until(b'\n', &mut raw).is_ok_and(|length| length > 0) {
                writer.add(&raw, &names);
                raw.clear();
            }
            writer.lock().ended = true;
            writer.changed.notify_all();
        });
        journal
    }

    /// The events of the workers' VMs since the last call.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events).into_iter().map(|(_, event)| event).collect()
    }

    /// The events of the main thread's VM since the last call.
    pub(super) fn take_main(&self) -> Vec<Event> {
        self.lock().mains.last_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The events since the last call, by VM: those of the worker that served a stream first.
    pub(super) fn take_by_vm(&self) -> (Vec<Event>, Vec<(VmRole, Vec<Event>)>) {
        let mut state = self.lock();
        let events = std::mem::take(&mut state.events);
        let main = state.mains.last_mut().map(std::mem::take).unwrap_or_default();
        // A module without a callback for the beginning of a stream has callbacks for its messages.
        let serves = |event: &Event| match event {
            Event::Callback { name, arguments } if name == "proxy_on_context_create" => arguments.last() != Some(&0),
            Event::Callback { name, .. } => {
                let begins = |prefix: &&str| name.starts_with(*prefix);
                ["proxy_on_request_", "proxy_on_response_", "proxy_on_new_connection", "proxy_on_downstream_"]
                    .iter()
                    .any(begins)
            }
            _ => false,
        };
        let serving = events.iter().find(|(_, event)| serves(event)).map(|(thread, _)| *thread);
        let mut elsewhere = BTreeMap::from([(VmRole::Main, main)]);
        let mut own = Vec::new();
        for (thread, event) in events {
            if Some(thread) == serving {
                own.push(event);
            } else {
                let worker = state.workers.iter().position(|found| *found == thread).unwrap_or_default();
                elsewhere.entry(VmRole::Worker(worker)).or_default().push(event);
            }
        }
        (own, elsewhere.into_iter().filter(|(_, events)| !events.is_empty()).collect())
    }

    /// How many events of the workers' VMs have come since they were taken.
    pub(super) fn count(&self) -> usize {
        self.lock().events.len()
    }

    /// The events of the VM that the main thread created last: the one that tried a configuration,
    /// if it was refused.
    pub(super) fn trial(&self) -> Vec<Event> {
        self.lock().mains.last().cloned().unwrap_or_default()
    }

    /// The events of the VM that tried the configuration, after a start.
    pub(super) fn canary(&self) -> Vec<Event> {
        self.lock().mains.iter().rev().nth(1).cloned().unwrap_or_default()
    }

    /// The stream contexts that there are, each with its thread.
    pub(super) fn streams(&self) -> BTreeSet<(u64, u64)> {
        self.lock().streams.clone()
    }

    /// Waits until there are no more root contexts than so many that have not come to their end.
    pub(super) fn wait_for_roots(&self, number: usize, limit: Duration) {
        self.wait(limit, |state| state.roots.len() <= number || state.ended);
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

    /// Waits until each stream context that was created is deleted, or its VM has failed, but those
    /// of others.
    pub(super) fn wait_for_deletes(&self, others: impl Fn((u64, u64)) -> bool, limit: Duration) {
        self.wait(limit, |state| state.ended || state.streams.iter().all(|stream| others(*stream)));
    }

    /// Waits until something has happened since the events were taken.
    pub(super) fn wait_for_events(&self, limit: Duration) {
        self.wait(limit, |state| !state.events.is_empty());
    }

    /// Whether every line that Envoy has written so far is processed.
    pub(super) fn is_read(&self) -> bool {
        let processed = self.lock().processed;
        self.pipe.as_ref().is_some_and(|pipe| pipe.is_empty_after(processed).unwrap_or_default())
    }

    /// Leaves out new VMs and this callback, which are those of another module.
    pub(super) fn ignore(&self, callback: Option<&'static str>) {
        let mut state = self.lock();
        state.ignored = callback;
        state.ignoring.clear();
    }

    /// Waits until no line has arrived for this time, and at most twenty times as long.
    pub(super) fn settle(&self, pause: Duration) {
        for _ in 0..20 {
            let before = self.lock().count();
            std::thread::sleep(pause);
            if self.lock().count() == before {
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

    fn add(&self, raw: &[u8], names: &Names) {
        let text = String::from_utf8_lossy(raw);
        let text = text.trim_end_matches('\n');
        let mut state = self.lock();
        state.processed += raw.len() as u64;
        state.remember(text);
        if let Some(line) = Line::parse(text) {
            state.add(line, names);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many events there are.
    fn count(&self) -> usize {
        self.events.len() + self.mains.iter().map(Vec::len).sum::<usize>()
    }

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
        let thread = line.thread;
        let on_main = *self.main.get_or_insert(line.thread) == line.thread;
        let own = matches!(line.level, LogLevel::Error | LogLevel::Critical).then(|| line.message.clone());
        let is_about_the_module = line.logger == "wasm";
        let news = line.news(names);
        if news.as_ref().is_some_and(|news| self.is_ignored(thread, news)) {
            return;
        }
        let complaints = if is_about_the_module { &mut self.complaints.0 } else { &mut self.complaints.1 };
        match news {
            Some(News::Event(event)) if on_main => push_last(&mut self.mains, event),
            Some(News::Trap(event)) if on_main => {
                push_last(&mut self.mains, event);
                complaints.extend(own);
            }
            Some(News::NewVm) if on_main => self.mains.push(Vec::new()),
            Some(News::Event(event)) => {
                self.know(thread);
                self.follow(thread, &event);
                self.events.push((thread, event));
            }
            Some(News::Trap(event)) => {
                self.forget(thread);
                self.events.push((thread, event));
            }
            Some(News::NewVm) => {
                self.know(thread);
                self.forget(thread);
            }
            None => complaints.extend(own.filter(|text| !complaints.contains(text))),
        }
    }

    /// Whether a line is of the module that is ignored.
    fn is_ignored(&mut self, thread: u64, news: &News) -> bool {
        let Some(callback) = self.ignored else { return false };
        match news {
            News::NewVm => true,
            News::Event(Event::Callback { name, .. }) if name == callback => {
                self.ignoring.insert(thread);
                true
            }
            News::Event(Event::Returned { name, .. }) | News::Trap(Event::Returned { name, .. })
                if name == callback =>
            {
                self.ignoring.remove(&thread)
            }
            News::Event(_) | News::Trap(_) => self.ignoring.contains(&thread),
        }
    }

    /// Counts a worker thread.
    fn know(&mut self, thread: u64) {
        if !self.workers.contains(&thread) {
            self.workers.push(thread);
        }
    }

    /// The contexts of a thread's VM are dropped with it.
    fn forget(&mut self, thread: u64) {
        self.streams.retain(|(found, _)| *found != thread);
        self.roots.retain(|(found, _)| *found != thread);
    }

    fn follow(&mut self, thread: u64, event: &Event) {
        match event {
            Event::Callback { name, arguments } => {
                let [context, rest @ ..] = arguments.as_slice() else { return };
                self.running.insert(thread, *context);
                if name == "proxy_on_context_create" {
                    let contexts = if rest == [0] { &mut self.roots } else { &mut self.streams };
                    contexts.insert((thread, *context));
                }
            }
            Event::Returned { name, .. } => {
                let Some(context) = self.running.remove(&thread) else { return };
                if name == "proxy_on_delete" {
                    self.streams.remove(&(thread, context));
                }
                // One that is not done yet has nothing to do but to wait.
                if name == "proxy_on_delete" || name == "proxy_on_done" {
                    self.roots.remove(&(thread, context));
                }
            }
            _ => {}
        }
    }
}

fn push_last(vms: &mut Vec<Vec<Event>>, event: Event) {
    match vms.last_mut() {
        Some(vm) => vm.push(event),
        None => vms.push(vec![event]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(log: &'static str) -> Arc<Journal> {
        let journal = Journal::start(log.as_bytes(), None, Names::new("p", "", "vm"));
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
    fn callbacks_and_vms_of_another_module_are_ignored() {
        let mut state = State { ignored: Some("proxy_on_request_headers"), ..State::default() };
        let log = "1 info main x\n1 debug wasm Thread-Local Wasm created 2 now active\n\
             2 debug wasm Thread-Local Wasm created 3 now active\n2 trace wasm [host->vm] proxy_on_request_headers(2, 1, 1)\n\
             2 trace wasm [vm<-host] env.proxy_get_shared_data return: 0\n3 trace wasm [host->vm] proxy_on_tick(1)\n\
             2 trace wasm [host<-vm] proxy_on_request_headers return: 1\n2 trace wasm [host->vm] proxy_on_log(2)\n";
        for line in log.lines() {
            state.add(Line::parse(line).unwrap(), &Names::new("p", "", "vm"));
        }
        let names: Vec<_> = state.events.iter().filter_map(|(_, event)| event.callback()).collect();
        assert_eq!((names, state.mains.len()), (vec!["proxy_on_tick", "proxy_on_log"], 0));
    }

    #[test]
    fn the_tail_ends_before_a_backtrace() {
        let journal =
            journal("1 info main x\n2 critical backtrace Caught Segmentation fault\n2 critical backtrace #0\n junk\n");
        assert_eq!(journal.tail(), "1 info main x\n2 critical backtrace Caught Segmentation fault");
    }

    #[test]
    fn a_stream_is_pending_until_its_delete_returns_or_its_vm_fails() {
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
