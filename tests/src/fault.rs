//! [`Fault`]: an exchange in which one host call failed.

use crate::outcome::Outcome;
use proxy_filter::Status;
use std::fmt;

/// An exchange in which one host call failed: see
/// [`Host::sweep_faults`](crate::Host::sweep_faults). Printing it shows which, and the trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fault {
    /// The host function.
    pub function: &'static str,
    /// Which of the host calls of the exchange it was, counted from 0. Log lines, and calls that
    /// no host refuses (`proxy_set_effective_context`, `proxy_continue_stream`), are not counted.
    pub call: usize,
    /// The status with which it failed.
    pub status: Status,
    /// What became of the exchange.
    pub outcome: Outcome,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, call, status, outcome } = self;
        write!(f, "host call {call}, {function}, failed with {status}:\n{outcome}")
    }
}
