//! A TCP connection as data: what both sides do, and what they receive.

use crate::record::{Event, VmRole};
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
            Self::UpstreamAnswers(_) => "the upstream responds".to_owned(),
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

/// One step of a connection, and what both sides received because of it. `end` is what is so
/// afterwards.
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
    /// The events of the plugin's other VMs during the connection, if the test has
    /// [several](crate::Host::workers). In a real Envoy their time is not certain.
    pub elsewhere: Vec<(VmRole, Vec<Event>)>,
    /// The reason why the connection could not be played, for example because the process of Envoy
    /// ended.
    pub failure: Option<String>,
}
