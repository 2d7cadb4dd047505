//! [`Connection`]: one TCP connection through the host, as a test scripts it, and what became of it.

use crate::backend::ConfigureError;
use crate::host::Host;
use crate::record::{Event, LogLine};
use crate::trace::{self, Colour};
use std::fmt;
use std::sync::Arc;

/// What an upstream sends when it has received these bytes so far.
pub(crate) type Echo = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// One thing that a client or an upstream does.
#[derive(Clone)]
pub(crate) enum Step {
    ClientSends(Vec<u8>),
    ClientFinishes,
    ClientResets,
    UpstreamSends(Vec<u8>),
    UpstreamAnswers(Echo),
    UpstreamFinishes,
    UpstreamResets,
}

impl Step {
    /// What happens, in words.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::ClientSends(bytes) => format!("the client sends {} bytes", bytes.len()),
            Self::ClientFinishes => "the client finishes".to_owned(),
            Self::ClientResets => "the client resets".to_owned(),
            Self::UpstreamSends(bytes) => format!("the upstream sends {} bytes", bytes.len()),
            Self::UpstreamAnswers(_) => "the upstream answers".to_owned(),
            Self::UpstreamFinishes => "the upstream finishes".to_owned(),
            Self::UpstreamResets => "the upstream resets".to_owned(),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())
    }
}

/// The title of the first moment.
pub(crate) const CONNECTS: &str = "the client connects";

/// A connection that is being scripted; made by [`Host::connect`].
///
/// Steps happen one after the other: each begins when all that the one before has led to is over.
#[derive(Debug)]
#[must_use = "the client connects when `play` is called"]
pub struct ConnectionBuilder<'a> {
    host: &'a mut Host,
    script: Vec<Step>,
}

impl<'a> ConnectionBuilder<'a> {
    pub(crate) fn new(host: &'a mut Host) -> Self {
        Self { host, script: Vec::new() }
    }

    fn then(mut self, step: Step) -> Self {
        self.script.push(step);
        self
    }

    /// The client sends bytes.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::ClientSends(bytes.as_ref().to_vec()))
    }

    /// The client will send nothing more (it closes its direction), and goes on reading.
    pub fn finish(self) -> Self {
        self.then(Step::ClientFinishes)
    }

    /// The client resets the connection.
    pub fn reset(self) -> Self {
        self.then(Step::ClientResets)
    }

    /// The upstream sends bytes.
    pub fn upstream_sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::UpstreamSends(bytes.as_ref().to_vec()))
    }

    /// The upstream sends what this makes of all that it has received so far.
    pub fn upstream_answers(self, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.then(Step::UpstreamAnswers(Arc::new(answer)))
    }

    /// The upstream will send nothing more, and goes on reading.
    pub fn upstream_finishes(self) -> Self {
        self.then(Step::UpstreamFinishes)
    }

    /// The upstream resets the connection.
    pub fn upstream_resets(self) -> Self {
        self.then(Step::UpstreamResets)
    }

    /// Connects, plays the steps, and then lets both sides finish that have not: first the client.
    ///
    /// # Panics
    /// The host was started without [`Host::tcp`].
    #[must_use]
    pub fn play(mut self) -> Connection {
        let ended = |script: &[Step], ends: fn(&Step) -> bool| script.iter().any(ends);
        if !ended(&self.script, |step| matches!(step, Step::ClientFinishes | Step::ClientResets)) {
            self.script.push(Step::ClientFinishes);
        }
        if !ended(&self.script, |step| matches!(step, Step::UpstreamFinishes | Step::UpstreamResets)) {
            self.script.push(Step::UpstreamFinishes);
        }
        self.host.play(&self.script)
    }
}

/// Whether and how the other side ended a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectionState {
    /// It did not.
    #[default]
    Open,
    /// In order, after all it had to send.
    Closed,
    /// With a reset.
    Reset,
}

/// What one side of a connection has received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How they ended.
    pub end: DirectionState,
}

impl ReceivedBytes {
    /// The bytes as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// What comes is added; an end is final.
    pub(crate) fn add(&mut self, later: &Self) {
        self.bytes.extend_from_slice(&later.bytes);
        self.close(later.end);
    }

    /// Notes an end, unless there was one.
    pub(crate) fn close(&mut self, end: DirectionState) {
        if self.end == DirectionState::Open {
            self.end = end;
        }
    }
}

/// One step of a connection, and what both sides received because of it. `end` is what is so afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// What happened, in words.
    pub title: String,
    /// What the client received.
    pub client: ReceivedBytes,
    /// What the upstream received; `None` while the host has not connected to it.
    pub upstream: Option<ReceivedBytes>,
}

/// All that a client, an upstream and a log reader can see of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// The steps.
    pub steps: Vec<StepOutcome>,
    /// Callbacks, host calls and log lines, in order.
    pub events: Vec<Event>,
    /// Why the connection could not be played, for example because Envoy crashed.
    pub failure: Option<String>,
}

/// One connection and what became of it. Printing it shows the trace of callbacks, host calls and log lines.
#[derive(Clone, Debug)]
pub struct Connection {
    record: ConnectionRecord,
    client: ReceivedBytes,
    upstream: Option<ReceivedBytes>,
    refused: Option<ConfigureError>,
}

impl Connection {
    pub(crate) fn new(record: ConnectionRecord) -> Self {
        let mut client = ReceivedBytes::default();
        let mut upstream: Option<ReceivedBytes> = None;
        for moment in &record.steps {
            client.add(&moment.client);
            if let Some(heard) = &moment.upstream {
                upstream.get_or_insert_default().add(heard);
            }
        }
        Self { record, client, upstream, refused: None }
    }

    /// The plugin did not start: nobody connected.
    pub(crate) fn refused(refused: ConfigureError) -> Self {
        Self { refused: Some(refused), ..Self::new(ConnectionRecord::default()) }
    }

    /// What the client received in all.
    #[must_use]
    pub const fn client(&self) -> &ReceivedBytes {
        &self.client
    }

    /// What the upstream received in all; `None` if the host never connected to it.
    #[must_use]
    pub const fn upstream(&self) -> Option<&ReceivedBytes> {
        self.upstream.as_ref()
    }

    /// The steps one by one: the first is that the client connects.
    #[must_use]
    pub fn steps(&self) -> &[StepOutcome] {
        &self.record.steps
    }

    /// The texts of the lines the module logged meanwhile.
    #[must_use]
    pub fn messages(&self) -> Vec<&str> {
        self.logs().into_iter().map(|line| line.message.as_str()).collect()
    }

    /// The lines the module logged meanwhile.
    #[must_use]
    pub fn logs(&self) -> Vec<&LogLine> {
        self.record.events.iter().filter_map(Event::log_line).collect()
    }

    /// The callbacks the host entered, by export name. In a real Envoy only while the log level is trace.
    #[must_use]
    pub fn callbacks(&self) -> Vec<&str> {
        self.record.events.iter().filter_map(Event::callback).collect()
    }

    /// Everything that happened, for tools.
    #[must_use]
    pub const fn record(&self) -> &ConnectionRecord {
        &self.record
    }

    /// The trace of callbacks, host calls and log lines, and what both sides received.
    #[must_use]
    pub fn trace(&self, colour: Colour) -> String {
        match &self.refused {
            Some(refused) => refused.to_string(),
            None => trace::render_connection(&self.record, colour),
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace(Colour::Never))
    }
}
