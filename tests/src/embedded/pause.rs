//! The time between the callbacks of a stream: what happens while a message is on its way, or held by the filter.

use super::clock::PAUSE;
use super::exchange::{Ended, Exchange};
use super::flags::DOWNSTREAM_CONNECTION_TERMINATION;
use super::{event, waiting};
use crate::message::{Answered, Body, Request};
use std::time::Duration;

/// How long a client waits unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(5);

/// When the client leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Duration,
    /// The test says when. Otherwise each part of the response starts the wait again.
    fixed: bool,
}

impl Patience {
    /// The patience of a client that begins to send now.
    pub(super) fn of(request: &Request, now: Duration) -> Self {
        let parts = match &request.body {
            _ if request.answered != Answered::Complete => request.answered.chunks().unwrap_or_default(),
            Body::Absent => 0,
            Body::Sized(_) => 1,
            Body::Chunked(chunks) => chunks.len() + 1,
        };
        let parts = u32::try_from(parts + usize::from(!request.trailers.is_empty())).unwrap_or(u32::MAX);
        let sent = now + PAUSE * parts;
        Self { until: sent + request.disconnect_after.unwrap_or(LIMIT), fixed: request.disconnect_after.is_some() }
    }

    /// When the client leaves if nothing more comes.
    pub(super) const fn until(&self) -> Duration {
        self.until
    }
}

impl Exchange<'_> {
    pub(super) fn now(&self) -> Duration {
        self.functions.state().clock.now()
    }

    /// Queued items are told when Envoy has worked off what it has read: the head, a piece of the body, or the end and what follows it.
    pub(super) fn tell(&mut self) {
        event::tell(self.vm, self.functions);
    }

    /// The client has received a part of the response, and waits for the next one.
    pub(super) fn encourage(&mut self) {
        if !self.patience.fixed {
            self.patience.until = self.now() + LIMIT;
        }
    }

    /// Lets so much time pass: what is due comes meanwhile, and the module may answer or close the stream then.
    pub(super) fn let_pass(&mut self, time: Duration) -> Result<(), Ended> {
        self.let_pass_until(self.now() + time)
    }

    /// Lets time pass until then. A time that is past is now.
    pub(super) fn let_pass_until(&mut self, time: Duration) -> Result<(), Ended> {
        self.tell();
        self.asked()?;
        let leaves = self.patience.until < time;
        let end = time.min(self.patience.until);
        while event::next(self.vm, self.functions, end.max(self.now())) {
            self.asked()?;
        }
        self.functions.state().clock.go_on_to(end);
        if leaves { Err(self.left()) } else { Ok(()) }
    }

    /// Nothing more comes that the client could wait for.
    pub(super) fn gave_up(&self) -> Ended {
        if self.patience.fixed {
            self.functions.state().clock.go_on_to(self.patience.until);
        }
        self.left()
    }

    /// The client leaves.
    pub(super) fn left(&self) -> Ended {
        {
            let mut state = self.functions.state();
            let now = self.patience.until.max(state.clock.now());
            let waits = state.stream.as_ref().map(|stream| waiting::waits(&state, stream, now));
            state.left.extend(waits);
        }
        self.with_info(|info| {
            info.flags |= DOWNSTREAM_CONNECTION_TERMINATION;
            let code = info.code.as_ref().map_or(0, |(code, _)| *code);
            info.code = Some((code, b"downstream_remote_disconnect".to_vec()));
        });
        Ended::Left
    }
}
