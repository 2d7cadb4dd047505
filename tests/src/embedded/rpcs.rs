//! The gRPC calls and streams that are in flight.

use super::fields::Map;
use super::happening::{Arrived, Happening};
use super::pending::PendingCall;
use crate::action::{GrpcAction, GrpcEvent};
use crate::cluster::Endpoint;
use crate::message::Received;
use std::collections::VecDeque;
use std::time::Duration;

/// All that is known about gRPC.
#[derive(Debug, Default)]
pub(crate) struct Rpcs {
    pub(super) calls: u32,
    pub(super) streams: u32,
    pub(super) open: Vec<Rpc>,
    /// What the running callback is about.
    pub(crate) initial: Option<Map>,
    pub(crate) trailing: Option<Map>,
    pub(crate) message: Option<Vec<u8>>,
    /// Callbacks that run inside of the host function that runs now.
    pub(super) inside: Vec<(u32, u32, Happening)>,
    /// Calls that failed at once: their callback comes after the running one.
    pub(super) failed: VecDeque<(u32, u32, Happening)>,
    /// What a server has to do for the calls of a live filter, with the context that made the call.
    pub(super) live: Vec<(u32, GrpcAction)>,
}

/// A call or a stream.
#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) root: u32,
    /// The context that made it.
    pub(super) context: u32,
    pub(super) token: u32,
    pub(super) cluster: String,
    pub(super) endpoint: Endpoint,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    /// What the server has received so far, or will.
    pub(super) request: Received,
    /// Messages without a response of the server so far.
    pub(super) unanswered: VecDeque<Vec<u8>>,
    /// How far the server is.
    pub(super) server: Progress,
    /// What has come of the response of a server that a live filter calls.
    pub(super) arrived: Arrived,
    /// The callbacks that the module will get, and their times.
    pub(super) outbox: VecDeque<(Duration, Happening)>,
    /// The module has closed its half with `proxy_grpc_close`.
    pub(super) closed: bool,
    /// The callback of the end has run.
    pub(super) told: bool,
}

/// How far the server of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Unasked,
    /// It has opened its half.
    Opened,
    /// It has said all it will.
    Done,
}

/// Which of the two bits of a token say what it is.
pub(super) const CALL: u32 = 1;
pub(super) const STREAM: u32 = 2;

pub(super) const fn kind(token: u32) -> u32 {
    token & 3
}

impl Rpc {
    pub(super) const fn is_stream(&self) -> bool {
        kind(self.token) == STREAM
    }

    pub(super) const fn token(&self) -> u32 {
        self.token
    }

    /// Schedules these callbacks of the module, in order, not before this time.
    pub(super) fn will_tell(&mut self, at: Duration, happenings: impl IntoIterator<Item = Happening>) {
        let at = self.outbox.back().map_or(at, |(last, _)| at.max(*last));
        self.outbox.extend(happenings.into_iter().map(|happening| (at, happening)));
    }
}

impl Rpcs {
    /// When the next callback is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.open.iter().filter_map(|rpc| rpc.outbox.front().map(|(at, _)| *at)).min()
    }

    /// The calls and streams that are in flight, in words.
    pub(super) fn pending_calls(&self) -> impl Iterator<Item = PendingCall> + '_ {
        self.open.iter().filter(|rpc| !rpc.told).map(|rpc| PendingCall {
            context: rpc.context,
            what: format!(
                "gRPC {} {} to `{}`, {}",
                if rpc.is_stream() { "stream" } else { "call" },
                rpc.token,
                rpc.cluster,
                rpc.request.header(":path").unwrap_or_default()
            ),
            made: rpc.made,
            timeout: rpc.timeout,
            due: rpc.outbox.front().map(|(at, _)| *at),
        })
    }

    pub(super) fn take_due(&mut self) -> Option<(u32, u32, Happening)> {
        let due = self.due()?;
        let rpc = self.open.iter_mut().find(|rpc| rpc.outbox.front().is_some_and(|(at, _)| *at == due))?;
        rpc.outbox.pop_front().map(|(_, happening)| (rpc.root, rpc.token, happening))
    }

    pub(super) fn find(&mut self, token: u32) -> Option<&mut Rpc> {
        self.open.iter_mut().find(|rpc| rpc.token == token)
    }

    pub(super) fn forget(&mut self, token: u32) {
        let Some(position) = self.open.iter().position(|rpc| rpc.token == token) else { return };
        let rpc = self.open.remove(position);
        if matches!(rpc.endpoint, Endpoint::Live) {
            self.live.push((rpc.context, GrpcAction::Cancel(token)));
        }
    }

    /// Takes what a server has to do.
    pub(super) fn take_live(&mut self) -> Vec<(u32, GrpcAction)> {
        std::mem::take(&mut self.live)
    }

    /// Part of a response that a live filter has called for has come.
    pub(super) fn arrive(&mut self, token: u32, now: Duration, event: GrpcEvent) {
        let Some(rpc) = self.find(token) else { return };
        let happenings = rpc.arrived.happenings(event);
        if rpc.is_stream() {
            rpc.will_tell(now, happenings);
        } else if let Some(end) = rpc.arrived.end_of_call(happenings) {
            rpc.will_tell(now, [end]);
        }
    }
}
