//! What happens when a callback returns an `Err`.

use crate::abi::{LogLevel, StreamType};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::filter_status::FailurePolicy;
use crate::local_reply::LocalReply;
use crate::log;
use crate::runtime::Callback;
use crate::runtime::line::Line;
use crate::sys;

/// How a stream can be refused in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No response headers have gone to the client: it gets a local reply.
    Reply,
    /// They have: the stream is reset.
    Reset,
}

/// What a callback returns to the host to keep the message; every host knows it in every phase.
pub(super) const STOP: u32 = 1;
/// What a callback returns to the host to let the message go on.
pub(super) const CONTINUE: u32 = 0;

/// What a callback's result is to the host: a number, or a reply to send first.
pub(super) type Raw = core::result::Result<u32, LocalReply>;

/// What the host gets for the outcome of a callback, after its reply was sent or the failure policy applied.
#[inline]
pub(super) fn settle<C: Context>(
    callback: Callback,
    context_id: u32,
    context: &C,
    refusal: Refusal,
    outcome: Result<Raw>,
) -> u32 {
    match outcome {
        Ok(Ok(status)) => status,
        Ok(Err(answer)) => reply(callback, context_id, answer, context.failure_policy()),
        Err(error) => fail(callback, context_id, &error, context.failure_policy(), refusal),
    }
}

/// Logs the failure of a callback.
#[cold]
pub(super) fn report(callback: Callback, context_id: u32, error: &Error, consequence: &str) {
    let mut line = Line::new();
    line.push(callback.name());
    line.push(" of context ");
    line.push_number(context_id);
    line.push(" failed: ");
    error.write_to(&mut line);
    line.push(consequence);
    log::write(LogLevel::Error, line.as_bytes());
}

/// Logs the failure of a stream's callback and does to the stream what the policy says. Returns the callback's result.
#[cold]
pub(super) fn fail(callback: Callback, context_id: u32, error: &Error, policy: FailurePolicy, refusal: Refusal) -> u32 {
    match (policy, refusal) {
        (FailurePolicy::Open, _) => {
            report(callback, context_id, error, "; the stream goes on");
            CONTINUE
        }
        (FailurePolicy::Closed, Refusal::Reply) => {
            report(callback, context_id, error, "; the client gets a 500");
            if sys::proxy_send_local_response(500, b"proxy_filter_error", b"", b"", -1).is_err() {
                reset();
            }
            STOP
        }
        (FailurePolicy::Closed, Refusal::Reset) => {
            report(callback, context_id, error, "; the stream is reset");
            reset();
            STOP
        }
    }
}

fn reset() {
    // A host that refuses this as well leaves the stream paused, which is still closed.
    let _ = sys::proxy_close_stream(StreamType::HTTP_RESPONSE.raw());
}

/// Sends the reply a callback returned. Returns the callback's result.
#[cold]
pub(super) fn reply(callback: Callback, context_id: u32, reply: LocalReply, policy: FailurePolicy) -> u32 {
    match reply.send() {
        Ok(()) => STOP,
        // Sending another reply would fail as well.
        Err(error) => fail(callback, context_id, &error, policy, Refusal::Reset),
    }
}
