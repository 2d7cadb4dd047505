//! [`Host`]: what a test talks to.

mod connect;
mod in_flight;
mod request;
mod setup;
mod soak;
mod sweep;

pub use connect::ConnectionBuilder;
pub use in_flight::InFlight;
pub use request::RequestBuilder;

use crate::backend::{Answer, Backend, ConfigureError, Settings};
use crate::connection::Connection;
use crate::engine::Engine;
use crate::filter_error::{self, Errors, FilterError, FilterErrorKind, Ledger, Logged};
use crate::form::Staged;
use crate::message::{Answered, Protocol, Received, Reply, Request};
use crate::not_played::NotPlayed;
use crate::outcome::Outcome;
use crate::record::{Event, LogLine, Record, VmRole};
use crate::tcp::{ConnectionRecord, Step};
use crate::trace::{self, Colour};
use crate::usage::Usage;
use crate::violation::Violation;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

/// What a test does while an exchange is in flight.
pub(crate) type BeforeResponse<'a> = Box<dyn FnOnce(&mut Host) + 'a>;

/// All that happened in one life of a plugin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) start: Vec<Event>,
    pub(crate) refused: Option<Vec<Event>>,
    pub(crate) exchanges: Vec<Record>,
    pub(crate) connections: Vec<ConnectionRecord>,
    /// There are several VMs, and what each does at which time is not certain in a real Envoy.
    pub(crate) several_vms: bool,
    /// The names of values that must differ between hosts.
    pub(crate) ignored: Vec<String>,
}

/// A host with one plugin, ready for a test.
///
/// Settings are made first; [`configure`](Self::configure) starts the plugin, or the first exchange
/// does with an empty configuration.
pub struct Host {
    backend: Box<dyn Backend>,
    settings: Settings,
    answer: Answer,
    started: bool,
    transcript: Transcript,
    /// Receives the transcript when the host is dropped.
    observer: Option<Box<dyn FnOnce(Transcript) + Send>>,
    started_elsewhere: Vec<(VmRole, Vec<Event>)>,
    expected_violations: Vec<String>,
    /// Exchanges that were started and have no outcome.
    in_flight: Vec<u64>,
    /// Outcomes of started exchanges that ended with their plugin.
    ended: Vec<(u64, Result<Outcome, NotPlayed>)>,
    errors: Ledger,
    expected_errors: Vec<String>,
    /// Why the plugin did not start.
    refused: Option<ConfigureError>,
    /// What a failing test prints.
    recent: VecDeque<Recent>,
    /// [`finish`](Self::finish) has returned what a drop would fail on.
    finished: bool,
    /// A drop fails on nothing.
    unchecked: bool,
    /// The form in which exchanges are played, while forms are swept.
    staged: Option<Staged>,
    /// What the filter has logged since a soak began.
    logged: Logged,
}

/// The number of an exchange: in all hosts of the process, no other has it.
fn next_exchange() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How many exchanges and connections a failing test prints.
const RECENT: usize = 3;

/// One of the last things that a host played.
enum Recent {
    Exchange(Box<Record>),
    Connection(ConnectionRecord),
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Exchange(record) => trace::render(record, Colour::Never),
            Self::Connection(record) => trace::render_connection(record, Colour::Never),
        })
    }
}

impl Host {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        let hello =
            |_: &Received| Reply::new(200).header("content-type", "text/plain").body("hello from the upstream\n");
        Self {
            backend,
            settings: Settings::default(),
            answer: Arc::new(hello),
            started: false,
            transcript: Transcript::default(),
            observer: None,
            started_elsewhere: Vec::new(),
            expected_violations: Vec::new(),
            in_flight: Vec::new(),
            ended: Vec::new(),
            errors: Ledger::default(),
            expected_errors: Vec::new(),
            refused: None,
            recent: VecDeque::new(),
            finished: false,
            unchecked: false,
            staged: None,
            logged: Logged::default(),
        }
    }

    /// A host that runs a module: the bytes of a `.wasm` file.
    ///
    /// Tests get theirs from [`test`](macro@crate::test); this is for tools.
    #[must_use]
    pub fn for_module(module: &[u8]) -> Self {
        Self::for_module_on(Engine::default(), module)
    }

    /// A host that runs a module on a chosen engine.
    #[must_use]
    pub fn for_module_on(engine: Engine, module: &[u8]) -> Self {
        Self::new(Box::new(crate::embedded::Embedded::new(crate::embedded::Guest::Wasm(module.into(), engine))))
    }

    /// A host that runs a module and counts where it executes instructions, and the counts.
    ///
    /// The engine is the default one. [`Spent::instructions`](crate::Spent) is the profiler's
    /// count. A deep recursion overflows the stack earlier than without the profiler.
    ///
    /// # Errors
    /// The module cannot be read.
    #[cfg(feature = "profile")]
    pub fn profiled(module: &[u8]) -> Result<(Self, crate::Profiler), String> {
        let profiler = crate::Profiler::new(module)?;
        let guest = crate::embedded::Guest::Profiled(profiler.clone());
        Ok((Self::new(Box::new(crate::embedded::Embedded::new(guest))), profiler))
    }

    /// A host that is a real Envoy, the one the environment variable `ENVOY` names, with the module
    /// in this file: for what the embedded host does not have. Tests that run in both hosts get
    /// theirs from [`test`](macro@crate::test).
    ///
    /// # Errors
    /// There is no Envoy.
    #[cfg(feature = "envoy")]
    pub fn in_envoy(module: &std::path::Path) -> std::io::Result<Self> {
        let envoy = crate::envoy::Envoy::new(module)?;
        let profile = envoy.profile();
        let mut host = Self::new(Box::new(envoy));
        host.settings.profile = profile;
        Ok(host)
    }

    /// A host without a filter: what it does to messages is the host's own doing.
    #[must_use]
    pub fn without_module() -> Self {
        let nothing = proxy_filter::__private::Module { exports: &[] };
        Self::new(Box::new(crate::embedded::Embedded::new(crate::embedded::Guest::Native(nothing))))
    }

    /// Makes the host one for a tool: dropping it ends the plugin, and neither fails nor prints
    /// anything. [`Outcome::errors`] and [`finish`](Self::finish) return what a test would fail on.
    ///
    /// ```
    /// use proxy_filter_host::Host;
    /// # let module = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #     (func (export "proxy_abi_version_0_2_1"))
    /// #     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    /// #     (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#).unwrap();
    /// let mut host = Host::for_module(&module).without_checks();
    /// let exchange = host.get("/").send();
    /// assert_eq!((exchange.status(), exchange.errors().len()), (503, 1));
    /// ```
    #[must_use]
    pub fn without_checks(mut self) -> Self {
        self.unchecked = true;
        self
    }

    pub(crate) fn observe(&mut self, observer: impl FnOnce(Transcript) + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Starts the plugin with a configuration: JSON or any text. A plugin that runs already is
    /// ended first.
    ///
    /// # Errors
    /// The plugin refused it, or the module cannot be loaded. The error shows what the plugin
    /// logged.
    pub fn configure(&mut self, configuration: impl fmt::Display) -> Result<(), ConfigureError> {
        self.stop();
        self.settings.configuration = configuration.to_string().into_bytes();
        self.start()
    }

    /// Gives the plugin a new configuration while it runs, as an update of the listener does. With
    /// several [plugins](Self::plugin) it is the first one's.
    ///
    /// A new root context is created, started and configured in each VM. New streams go to it;
    /// those that are in flight ([`before_response`](RequestBuilder::before_response)) stay with
    /// the old one. The old one is done when its last stream has ended.
    ///
    /// # Errors
    /// The plugin refused it. The old configuration stays.
    pub fn reconfigure(&mut self, configuration: impl fmt::Display) -> Result<Outcome, ConfigureError> {
        if !self.started {
            self.start()?;
        }
        let settings = Settings { configuration: configuration.to_string().into_bytes(), ..self.settings.clone() };
        match self.backend.reconfigure(&settings) {
            Ok(record) => {
                self.settings = settings;
                Ok(self.note(record))
            }
            Err(refused) => {
                self.transcript.refused.get_or_insert_default().extend(refused.events.iter().cloned());
                Err(refused)
            }
        }
    }

    /// Ends the plugin, if it runs.
    fn stop(&mut self) {
        if self.started {
            // The clients of exchanges in flight get what they wait for.
            while let (false, Some(id)) = (thread::panicking(), self.in_flight.first().copied()) {
                let outcome = self.finish_exchange(id);
                self.ended.push((id, outcome));
            }
            self.in_flight.clear();
            let events = self.backend.stop();
            self.register(&events);
        }
    }

    /// Notes the failures of the filter that events tell of.
    fn register(&self, events: &[Event]) -> Errors {
        self.errors.add(filter_error::of(events), !self.backend.tells_all_errors())
    }

    /// Starts the plugin unless it runs. Why it does not, with the failure that this is.
    fn ensure_started(&mut self) -> Option<(ConfigureError, Errors)> {
        if !self.started {
            // Kept below.
            let _ = self.start();
        }
        let refused = self.refused.clone()?;
        let errors = self.errors.add(vec![FilterError::refused(&refused)], false);
        Some((refused, errors))
    }

    fn start(&mut self) -> Result<(), ConfigureError> {
        self.started = true;
        self.transcript.several_vms = self.settings.workers > 0;
        let settings = &self.settings;
        assert!(!settings.tcp || !settings.access_logger, "a plugin that filters connections is no access logger");
        assert!(!settings.tcp || settings.tls.is_none(), "connections that a plugin filters have no TLS");
        let is_called = |name: &&str| settings.clusters.iter().any(|cluster| cluster.name == **name);
        let both = settings.routes.clusters().into_iter().find(is_called);
        assert!(both.is_none(), "routes and callouts of a test need clusters of their own: both name {both:?}");
        match self.backend.start(&self.settings) {
            Ok(events) => {
                self.refused = None;
                self.register(&events);
                self.transcript.start = events;
                self.started_elsewhere = self.backend.started_elsewhere();
                Ok(())
            }
            Err(refused) => {
                self.transcript.refused = Some(refused.events.clone());
                self.refused = Some(refused.clone());
                Err(refused)
            }
        }
    }

    /// Sets how the upstream responds from now on. It receives the request that the host forwards.
    pub fn upstream(&mut self, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.answer = Arc::new(answer);
    }

    pub(crate) fn play(&mut self, script: &[Step], worker: Option<usize>) -> Connection {
        if !self.started {
            self.settings.tcp = true;
        }
        if let Some((refused, errors)) = self.ensure_started() {
            return Connection::refused(refused, errors);
        }
        assert!(
            self.settings.tcp,
            "the plugin was configured for requests: call `host.tcp()` before `host.configure(…)`"
        );
        if let Some(worker) = worker {
            self.backend.choose_worker(worker);
        }
        let record = self.backend.connection(script);
        assert!(
            record.failure.is_none(),
            "the connection could not be played: {}",
            record.failure.as_deref().unwrap_or_default()
        );
        if self.observer.is_some() {
            self.transcript.connections.push(record.clone());
        }
        self.remember(Recent::Connection(record.clone()));
        let elsewhere = record.elsewhere.iter().flat_map(|(_, events)| events);
        let errors = self.register(&record.events.iter().chain(elsewhere).cloned().collect::<Vec<_>>());
        Connection::new(record, errors)
    }

    pub(crate) fn try_send(
        &mut self,
        request: &Request,
        worker: Option<usize>,
        before_response: Option<BeforeResponse<'_>>,
    ) -> Result<Outcome, NotPlayed> {
        if let Some(outcome) = self.prepare(request, worker) {
            return Ok(outcome);
        }
        let overlaps = !self.in_flight.is_empty();
        let mut request = self.over_tls(request);
        let mut answer = Arc::clone(&self.answer);
        let mut beside = false;
        if let Some(staged) = &self.staged {
            beside = staged.stage(&mut request, &mut answer) && before_response.is_none();
        }
        let exchange = next_exchange();
        let record = match before_response {
            None if !beside => self.backend.exchange(&request, &answer),
            before_response => {
                if self.backend.begin(exchange, &request, &answer) {
                    match before_response {
                        Some(before_response) => before_response(self),
                        None => self.play_beside(),
                    }
                }
                self.backend.finish(exchange)
            }
        };
        self.conclude(Record { overlaps, ..record })
    }

    /// A request on a connection as the test sets it.
    fn over_tls(&self, request: &Request) -> Request {
        Request { tls: self.settings.tls.is_some(), ..request.clone() }
    }

    /// Prepares for an exchange. Returns its outcome if the plugin does not start.
    fn prepare(&mut self, request: &Request, worker: Option<usize>) -> Option<Outcome> {
        if let Some((refused, errors)) = self.ensure_started() {
            return Some(Outcome::refused(refused, errors));
        }
        assert!(!self.settings.tcp, "the plugin was configured for connections (`host.tcp()`): use `host.connect()`");
        assert!(
            request.answered == Answered::Complete || request.protocol == Protocol::Http1 || request.is_connect(),
            "a response before the end of the request is played with HTTP/1.1 only"
        );
        if let Some(worker) = worker {
            self.backend.choose_worker(worker);
        }
        None
    }

    /// Starts an exchange. Returns its number.
    fn start_exchange(&mut self, request: &Request, worker: Option<usize>) -> u64 {
        let exchange = next_exchange();
        if let Some(refused) = self.prepare(request, worker) {
            self.ended.push((exchange, Ok(refused)));
        } else {
            self.backend.start_exchange(exchange, &self.over_tls(request), &self.answer);
            self.in_flight.push(exchange);
        }
        exchange
    }

    fn has_ended(&mut self, exchange: u64) -> bool {
        self.ended.iter().any(|(id, _)| *id == exchange) || self.backend.has_ended(exchange)
    }

    fn finish_exchange(&mut self, exchange: u64) -> Result<Outcome, NotPlayed> {
        if let Some(index) = self.ended.iter().position(|(id, _)| *id == exchange) {
            return self.ended.remove(index).1;
        }
        let index = self.in_flight.iter().position(|id| *id == exchange);
        assert!(index.is_some(), "the exchange was started on another host");
        self.in_flight.retain(|id| *id != exchange);
        let record = self.backend.finish(exchange);
        self.conclude(Record { overlaps: true, ..record })
    }

    /// The outcome of an exchange that has ended.
    fn conclude(&mut self, record: Record) -> Result<Outcome, NotPlayed> {
        match record.not_played {
            Some(why) => Err(why),
            None => Ok(self.note(record)),
        }
    }

    /// Plays another request while one waits for the upstream.
    fn play_beside(&mut self) {
        let staged = self.staged.take();
        let request = Request::new("GET", "/another-request", "example.com").header("x-form", "other");
        let Ok(other) = self.try_send(&request, None, None) else { return };
        other.expect_all_errors();
        let trap = other.errors().iter().find(|error| error.kind() == FilterErrorKind::Trap);
        let fault = trap.map(|trap| format!("the filter fails with the other one: {trap}"));
        self.check("with another request at the same time", fault, &other, usize::MAX);
        self.staged = staged;
    }

    /// Fails the test on what is wrong with an exchange.
    pub(super) fn check(&self, form: &str, fault: Option<String>, outcome: &Outcome, violations: usize) {
        let broken =
            self.backend.violations().into_iter().skip(violations).map(|violation| violation.to_string()).next();
        let fault = fault.or(broken).map(|fault| format!("the exchange {form}: {fault}"));
        let is_expected = |fault: &String| self.expected_violations.iter().any(|text| fault.contains(text.as_str()));
        let fault = fault.filter(|fault| !is_expected(fault)).unwrap_or_default();
        assert!(fault.is_empty(), "{fault}\n{outcome}");
    }

    fn remember(&mut self, recent: Recent) {
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(recent);
    }

    fn note(&mut self, record: Record) -> Outcome {
        assert!(
            record.failure.is_none(),
            "the exchange could not be played: {}",
            record.failure.as_deref().unwrap_or_default()
        );
        // A tool does not read them, and may send many.
        if self.observer.is_some() {
            self.transcript.exchanges.push(record.clone());
        }
        self.remember(Recent::Exchange(Box::new(record.clone())));
        let mut errors = filter_error::of(&record.events);
        errors.extend(record.elsewhere.iter().flat_map(|(_, events)| filter_error::of(events)));
        self.logged.note(&record.events, &errors);
        if self.transcript.refused.is_some() {
            // The test got this as an error. In Envoy, its line can be seen with the next exchange.
            errors.retain(|error| !error.message().starts_with("on_configure of context "));
        }
        Outcome::new(record, self.errors.add(errors, !self.backend.tells_all_errors()))
    }

    /// Advances the time while no request is in flight. Returns the events of the plugin in that
    /// time: its ticks, and the callbacks for items of queues.
    ///
    /// The embedded host's clock stands still otherwise, so that a test knows what time it is. This
    /// method moves it on, and takes no time. In an exchange the clock moves on by 50 ms before
    /// each part of a message but the first, and while a filter, the client or the upstream waits.
    ///
    /// In a real Envoy this method waits for that time. There the next period of a tick begins when
    /// the callback has returned. If a test must be equal in both hosts, its filter stops its
    /// ticks, or the last tick is a good part of a period before the end.
    ///
    /// In Envoy every VM of the plugin ticks; what the one on the worker thread does is what is
    /// returned. With [`workers`](Self::workers), each VM's part is what [`Outcome::messages_of`]
    /// returns.
    pub fn advance(&mut self, by: Duration) -> Outcome {
        if let Some((refused, errors)) = self.ensure_started() {
            return Outcome::refused(refused, errors);
        }
        let record = self.backend.advance(by);
        self.note(record)
    }

    /// Sets the wall clock of the embedded host, back or ahead, as an operator or NTP may do at any
    /// time. It is the time that [`clock::now`](proxy_filter::clock::now) returns, and that of
    /// later requests. Pending calls, ticks and timeouts use another clock, as they do in Envoy.
    /// From there the clock advances as described at [`advance`](Self::advance).
    ///
    /// Until it is set, the clock begins at the same time in each run: 2025-06-15 15:06:40 UTC.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # use std::time::{Duration, SystemTime};
    /// # fn body(mut host: Host) {
    /// let leap_day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_164_800);
    /// host.clock(leap_day);
    /// assert_eq!(host.now(), leap_day);
    /// # }
    /// ```
    ///
    /// # Panics
    /// The host is a real Envoy, which has the machine's clock, or the time is before 1970.
    #[allow(clippy::expect_used, reason = "this is how a test with a mistake fails")]
    pub fn clock(&mut self, time: SystemTime) {
        self.backend.clock(time.duration_since(SystemTime::UNIX_EPOCH).expect("a host's clock begins in 1970"));
    }

    /// What the wall clock of the host says: the one of the embedded host, which a test
    /// [sets](Self::clock) and [advances](Self::advance), or the machine's in a real Envoy.
    ///
    /// What a test makes for the filter's clock, such as the expiry of a token, it makes from this
    /// time, so that it holds in all hosts.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # use std::time::{Duration, SystemTime};
    /// # fn body(mut host: Host) {
    /// let expiry = host.now() + Duration::from_secs(60);
    /// let seconds = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    /// let exchange = host.get("/").header("x-valid-until", seconds.to_string()).send();
    /// assert_eq!(exchange.status(), 200, "{exchange}");
    /// # }
    /// ```
    #[must_use]
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.backend.now()
    }

    /// Leaves a value out of the comparison of two hosts: what a filter makes of the time or of
    /// random bytes must differ between the embedded host and a real Envoy.
    ///
    /// The value is found by its name, in any case, where `:` or `=` follows it: a header or
    /// trailer of any message, a member of a JSON body, a parameter of a query, a part of a log
    /// line. That it is there, and all around it, is compared.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.ignore_value_of("x-amz-date");
    /// host.ignore_value_of("authorization");
    /// let exchange = host.get("/").send();
    /// assert!(exchange.upstream().unwrap().header("x-amz-date").is_some(), "{exchange}");
    /// # }
    /// ```
    pub fn ignore_value_of(&mut self, name: &str) {
        self.transcript.ignored.push(name.to_owned());
    }

    /// The value of a counter or gauge, by the name the filter gives it; `None` if there is none. A
    /// histogram has no single value.
    ///
    /// With labels, the name is as in `responses.method.GET.status.200`. In Envoy it is the sum
    /// over all VMs of the plugin: increments in `on_start` and `on_configure` are counted several
    /// times.
    #[must_use]
    pub fn metric(&mut self, name: &str) -> Option<u64> {
        self.backend.metric(name)
    }

    /// What the plugin keeps now: the memory of its VMs, and what the host keeps for them. `None`
    /// in a real Envoy, which does not report it.
    ///
    /// A test that sends many different values can assert that the memory for them has a limit.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// let before = host.usage().unwrap();
    /// for number in 0..1_000 {
    ///     assert_eq!(host.get("/").header("x-key", number.to_string()).send().status(), 200);
    /// }
    /// let after = host.usage().unwrap();
    /// assert!(after.memory - before.memory < 64 * 1024, "{after:?}");
    /// assert!(after.shared_data < 4_096, "{after:?}");
    /// # }
    /// ```
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.backend.usage()
    }

    /// The value of a key of shared data; `None` if no filter has set it.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// assert_eq!(host.get("/").send().status(), 200);
    /// assert_eq!(host.shared_data("requests"), Some(b"1".to_vec()));
    /// # }
    /// ```
    ///
    /// Envoy has no interface that shows shared data. There a small module in the same `vm_id`
    /// reads it, on a listener that the first call adds. Its callbacks are in no record.
    #[must_use]
    pub fn shared_data(&mut self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.backend.shared_data(key.as_ref())
    }

    /// The items of a shared queue that no filter has taken, the oldest first; `None` if no filter
    /// has registered the queue.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// assert_eq!(host.get("/").send().status(), 200);
    /// assert_eq!(host.queue("events"), Some(vec![b"GET /".to_vec()]));
    /// # }
    /// ```
    ///
    /// In Envoy, items can only be read by taking them. The module that reads them (see
    /// [`shared_data`](Self::shared_data)) puts them back in their order. A filter that leaves
    /// items in the queue, and has
    /// [`on_queue_ready`](proxy_filter::RootContext::on_queue_ready), is notified of each of these
    /// again.
    #[must_use]
    pub fn queue(&mut self, name: impl AsRef<[u8]>) -> Option<Vec<Vec<u8>>> {
        self.backend.queue(name.as_ref())
    }

    /// The address on which a real Envoy listens, for a test with its own clients, for example many
    /// at the same time. `None` in the embedded host, and before the plugin has started. The
    /// upstream responds to these clients as in the last [exchange](Self::request).
    #[must_use]
    pub fn listener(&self) -> Option<SocketAddr> {
        self.backend.listener()
    }

    /// What the plugin logged while it started, or was refused.
    #[must_use]
    pub fn start_logs(&self) -> Vec<LogLine> {
        let events = self.transcript.refused.as_ref().unwrap_or(&self.transcript.start);
        events.iter().filter_map(Event::log_line).cloned().collect()
    }

    /// What the plugin logged in one of its VMs while it started, if there are
    /// [several](Self::workers).
    #[must_use]
    pub fn start_logs_of(&self, of: VmRole) -> Vec<LogLine> {
        if of == VmRole::Worker(0) {
            return self.start_logs();
        }
        let events = self.started_elsewhere.iter().filter(|(found, _)| *found == of).flat_map(|(_, events)| events);
        events.filter_map(Event::log_line).cloned().collect()
    }

    /// Describes each stream that has not ended: those in flight during
    /// [`before_response`](RequestBuilder::before_response). The text has several lines for each
    /// stream: the callback that paused a part of it, and the pending calls and ticks of the
    /// plugin. A real Envoy does not report them.
    ///
    /// Of a stream whose client disconnected, the [trace](Outcome::trace) says it.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.backend.waiting()
    }

    /// Expects the filter to break a rule of the host: violations that contain this text do not
    /// fail the test. [`violations`](Self::violations) has them nevertheless.
    pub fn expect_violation(&mut self, text: impl Into<String>) {
        self.expected_violations.push(text.into());
    }

    /// Expects the filter to fail once or several times in the life of this host: each
    /// [`FilterError`] whose message contains this text does not fail the test. If there is none
    /// until the host is dropped, the test fails.
    ///
    /// For what belongs to no exchange, such as the end of the plugin, and for many exchanges that
    /// fail alike. [`Outcome::expect_error`] expects the failure of one exchange.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.expect_error("on_delete of context 1 failed: the file is gone");
    /// # }
    /// ```
    ///
    /// # Panics
    /// The text is empty.
    pub fn expect_error(&mut self, text: impl Into<String>) {
        let text = text.into();
        filter_error::check(&text);
        self.expected_errors.push(text);
    }

    /// Rules of the host that the module has broken so far, although the host did not say so.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.backend.violations()
    }
}

impl Host {
    /// Ends the plugin and returns the rules of the host that it broke. For tools: a drop fails on
    /// such rules, as a test should.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// let mut host = Host::without_module();
    /// assert_eq!(host.get("/").send().status(), 200);
    /// assert_eq!(host.finish(), []);
    /// ```
    #[must_use]
    pub fn finish(mut self) -> Vec<Violation> {
        self.end();
        self.backend.violations()
    }

    /// What fails the test now that it is over.
    fn faults(&self) -> Vec<String> {
        let mut violations = self.backend.violations();
        for expected in &self.expected_violations {
            violations.retain(|violation| !violation.message().contains(expected.as_str()));
        }
        let (errors, unmet) = self.errors.settle(&self.expected_errors);
        let mut faults = Vec::new();
        if !violations.is_empty() {
            let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
            faults.push(format!("the filter broke rules of the host:\n  {}", violations.join("\n  ")));
        }
        if !errors.is_empty() {
            let errors: Vec<_> = errors.iter().map(FilterError::message).collect();
            faults.push(format!(
                "the filter failed:\n  {}\nA test that provokes this says so: `exchange.expect_error(\"a part of the \
                 message\")`, or `host.expect_error(…)` for what belongs to no exchange.",
                errors.join("\n  ")
            ));
        }
        if self.backend.tells_all_errors() {
            faults.extend(unmet.iter().map(|text| format!("no error of the filter contained {text:?}")));
        }
        faults
    }

    /// Prints what a failing test played last.
    fn print_recent(&self) {
        for recent in self.recent.iter().rev() {
            eprintln!("--- played before the test failed:\n{recent}");
        }
        for stream in self.backend.waiting() {
            eprintln!("{stream}");
        }
    }

    /// Ends the plugin, and hands the transcript over.
    fn end(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.stop();
        if let Some(observer) = self.observer.take() {
            observer(std::mem::take(&mut self.transcript));
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Host {
    /// # Panics
    /// The filter broke a rule of the host or failed, and the test neither expects it nor has
    /// failed already.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if self.unchecked {
            self.end();
            return;
        }
        if thread::panicking() {
            self.print_recent();
            self.end();
            return;
        }
        self.end();
        let faults = self.faults();
        if !faults.is_empty() {
            self.print_recent();
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
