//! What happened in one exchange, in a form that can be compared between hosts.

use crate::message::Received;
use crate::not_played::NotPlayed;
use crate::spent::Spent;
use proxy_filter::log::LogLevel;
use std::collections::BTreeMap;

/// One thing that happened between the host and the module, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host entered an export, for example `proxy_on_request_headers` with `(2, 5, 1)`.
    Callback {
        /// The name of the export.
        name: String,
        /// Its arguments.
        arguments: Vec<u64>,
    },
    /// The export returned, with its result if it has one.
    Returned {
        /// The name of the export.
        name: String,
        /// What it returned; `None` for an export without a result, or when it trapped.
        result: Option<u64>,
    },
    /// The module called a host function, which returned a status.
    HostCall {
        /// The name of the host function, for example `proxy_get_header_map_pairs`.
        name: String,
        /// The status it returned.
        status: u32,
    },
    /// The module wrote a line to the host's log (this also is a host call, but is not listed as
    /// one).
    Log(LogLine),
    /// The module trapped, and its VM runs no more callbacks. Only the embedded host reports this
    /// event; Envoy writes its own log line.
    Trapped {
        /// The trap, and what it means: a stack overflow, for example.
        why: String,
    },
}

/// Which of the VMs of a plugin: see [`Host::workers`](crate::Host::workers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmRole {
    /// The trial of a configuration: the plugin is started in it, and the VM thrown away without a
    /// word.
    Canary,
    /// The main thread: the plugin ticks there, and serves no request.
    Main,
    /// A worker thread, counted from 0. In a real Envoy they are counted in the order in which the
    /// plugin started on them.
    Worker(usize),
}

/// A line in the host's log, written by the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The level.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// All that a client, an upstream and a log reader can see of one exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What the client received; `None` when the connection ended without a response.
    pub response: Option<Received>,
    /// What the upstream received; `None` when nothing reached it.
    pub upstream: Option<Received>,
    /// What the clusters that the plugin calls received, in order, by the name of the cluster. One
    /// that received nothing is not listed.
    pub calls: BTreeMap<String, Vec<Received>>,
    /// The line of the access log, if the test [sets its format](crate::Host::access_log).
    pub access_log: Option<String>,
    /// Callbacks, host calls and log lines, in order.
    pub events: Vec<Event>,
    /// The events of the plugin's other VMs during the exchange, if the test has
    /// [several](crate::Host::workers). In a real Envoy their time is not certain.
    pub elsewhere: Vec<(VmRole, Vec<Event>)>,
    /// The pending callouts and pauses of streams that had not ended: of this stream, at the
    /// disconnect of its client; of others that are in flight during
    /// [`before_response`](crate::RequestBuilder::before_response), at the end of this exchange.
    /// Only the embedded host reports them.
    pub waiting: Vec<String>,
    /// Other exchanges were in flight at the same time.
    pub overlaps: bool,
    /// The costs of the exchange. Only the embedded host reports them.
    pub spent: Spent,
    /// The reason why the exchange could not be played, for example because the process of Envoy
    /// ended. `None` in every exchange that was played, with any result for the client.
    pub failure: Option<String>,
    /// Why the embedded host did not play the exchange.
    pub not_played: Option<NotPlayed>,
}

impl Event {
    /// The log line, if it is one.
    #[must_use]
    pub const fn log_line(&self) -> Option<&LogLine> {
        match self {
            Self::Log(line) => Some(line),
            _ => None,
        }
    }

    /// The name of the callback, if it is one.
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        match self {
            Self::Callback { name, .. } => Some(name),
            _ => None,
        }
    }
}
