//! What happens when a callback returns an `Err`.

use super::{Callbacks, Life};
use crate::abi::{LogLevel, StreamType};
use crate::error::{Error, ErrorKind, Result};
use crate::filter_status::FailurePolicy;
use crate::local_reply::LocalReply;
use crate::log;
use crate::runtime::Callback;
use crate::runtime::line::Line;
use crate::sys;

/// How a stream is refused.
pub(super) trait Refuse: Copy {
    /// What a callback may return to answer instead of a status.
    type Reply;
    /// What is logged when the failure policy lets the stream go on.
    const GOES_ON: &'static str;

    /// What is logged when it does not.
    fn consequence(self) -> &'static str;
    /// Refuses the stream.
    fn refuse(self);
    /// Answers. Returns the callback's result.
    fn reply(callback: Callback, context_id: u32, reply: Self::Reply, policy: FailurePolicy) -> u32;
}

/// How an HTTP stream can be refused in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No response headers have gone to the client: it gets a local reply.
    Reply,
    /// They have: the stream is reset.
    Reset,
}

/// What a callback returns to the host to keep the message; every host knows it in every phase.
pub(super) const STOP: u32 = 1;
/// What a callback returns to the host so that a part of a request is never forwarded, while the
/// response is: body bytes are dropped, trailers are paused.
pub(super) const DROP: u32 = 3;
/// What a callback returns to the host to let the message go on.
pub(super) const CONTINUE: u32 = 0;

/// What a callback's result is to the host: a number, or a reply to send first.
pub(super) type Raw<Reply = LocalReply> = core::result::Result<u32, Reply>;

/// What the host gets for the outcome of a callback, after its reply was sent or the failure policy applied.
#[inline]
pub(super) fn settle<C: Callbacks, F: Refuse>(
    callback: Callback,
    context_id: u32,
    context: &C,
    refusal: F,
    outcome: Result<Raw<F::Reply>>,
) -> u32 {
    match outcome {
        Ok(Ok(status)) => status,
        Ok(Err(reply)) => F::reply(callback, context_id, reply, C::Kind::failure_policy(context)),
        Err(error) => fail(callback, context_id, &error, C::Kind::failure_policy(context), refusal),
    }
}

/// Logs the failure of a callback. A response that began early is none.
#[cold]
pub(super) fn report(callback: Callback, context_id: u32, error: &Error, consequence: &str) {
    let level = if error.kind() == ErrorKind::EarlyResponse { LogLevel::Debug } else { LogLevel::Error };
    let mut line = Line::new();
    line.push(callback.name());
    line.push(" of context ");
    line.push_number(context_id);
    line.push(" failed: ");
    error.write_to(&mut line);
    line.push(consequence);
    log::write(level, line.as_bytes());
}

/// Logs the failure of a stream's callback and does to the stream what the policy says. Returns the callback's result.
#[cold]
#[inline(never)]
pub(super) fn fail<F: Refuse>(
    callback: Callback,
    context_id: u32,
    error: &Error,
    policy: FailurePolicy,
    refusal: F,
) -> u32 {
    if error.kind() == ErrorKind::EarlyResponse {
        return pass_response(callback, context_id, error, policy);
    }
    match policy {
        FailurePolicy::Open => {
            report(callback, context_id, error, F::GOES_ON);
            CONTINUE
        }
        FailurePolicy::Closed => {
            report(callback, context_id, error, refusal.consequence());
            refusal.refuse();
            STOP
        }
    }
}

/// The response has begun before the request had ended: it is forwarded, and under the closed
/// policy nothing more of the request.
#[cold]
#[inline(never)]
fn pass_response(callback: Callback, context_id: u32, error: &Error, policy: FailurePolicy) -> u32 {
    let of_request = [Callback::REQUEST_BODY, Callback::REQUEST_TRAILERS].contains(&callback);
    if of_request && policy == FailurePolicy::Closed {
        return DROP;
    }
    if !of_request {
        report(callback, context_id, error, "; the response is forwarded");
    }
    CONTINUE
}

impl Refuse for Refusal {
    type Reply = LocalReply;
    const GOES_ON: &'static str = "; the stream goes on";

    #[inline]
    fn consequence(self) -> &'static str {
        match self {
            Self::Reply => "; the client gets a 500",
            Self::Reset => "; the stream is reset",
        }
    }

    #[inline]
    fn refuse(self) {
        let replied =
            self == Self::Reply && sys::proxy_send_local_response(500, b"proxy_filter_error", b"", b"", -1).is_ok();
        if !replied {
            // A host that refuses this as well leaves the stream paused, which is still closed.
            let _ = sys::proxy_close_stream(StreamType::HTTP_RESPONSE.raw());
        }
    }

    #[cold]
    #[inline(never)]
    fn reply(callback: Callback, context_id: u32, reply: LocalReply, policy: FailurePolicy) -> u32 {
        match reply.send() {
            Ok(()) => STOP,
            // Sending another reply would fail as well.
            Err(error) => fail(callback, context_id, &error, policy, Self::Reset),
        }
    }
}
