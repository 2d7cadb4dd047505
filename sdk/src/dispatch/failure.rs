//! What happens when a callback denies or fails.

use crate::abi::stream_type::StreamType;
use crate::current::Callback;
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::life::Life;
use crate::engine::message_state::{Facts, MessageState};
use crate::error::close::close;
use crate::error::denial::{Denial, Raw};
use crate::error::kind::ErrorKind;
use crate::error::policy::FailurePolicy;
use crate::error::{Denied, Error, Result};
use crate::sys;

/// How a stream is refused.
pub(crate) trait Refuse: Copy {
    /// The log text if the failure policy forwards the stream.
    const CONTINUES: &'static str;
    /// The log text if the stream is closed.
    const CLOSED: &'static str;
    /// The stream type to close.
    const STREAM: StreamType;

    /// Returns whether a failure now causes a local reply.
    fn replies(self) -> bool;
    /// Does to the stream what a callback has decided.
    fn deny(callback: Callback, context_id: u32, denial: Denial);
    /// Denies the stream with the reply of an error.
    fn deny_with(callback: Callback, context_id: u32, denied: &mut dyn Denied);
}

/// How an HTTP stream can be refused in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client has received no response headers. It gets a local reply.
    Reply,
    /// They have: the stream is reset.
    Reset,
}

impl Refusal {
    /// Returns how to deny a response after its headers callback has returned.
    pub(crate) fn of_response(state: &MessageState) -> Self {
        if state.has(Facts::NOT_FORWARDED) { Self::Reply } else { Self::Reset }
    }
}

/// The result of a callback that pauses the message. Every host accepts it in every phase.
pub(crate) const STOP: u32 = 1;
/// What a callback returns to the host so that a part of a request is never forwarded, while the
/// response is: body bytes are dropped, trailers are paused.
pub(crate) const DROP: u32 = 3;
/// The result of a callback that forwards the message.
pub(crate) const CONTINUE: u32 = 0;

/// What the host gets for the outcome of a callback, after its denial was carried out or the
/// failure policy applied.
#[inline]
pub(crate) fn settle<C: Callbacks, F: Refuse>(
    callback: Callback,
    context_id: u32,
    context: &C,
    of_response: impl FnOnce() -> bool,
    refusal: F,
    outcome: Result<Raw>,
) -> u32 {
    match outcome {
        Ok(Ok(status)) => status,
        Ok(Err(denial)) => {
            F::deny(callback, context_id, denial);
            STOP
        }
        Err(error) if C::SET.intersects(CallbackSet::TASKS) => {
            fail_function(callback, context_id, error, C::Kind::failure_policy(context, of_response()), refusal)
        }
        Err(error) => fail(callback, context_id, error, C::Kind::failure_policy(context, of_response()), refusal),
    }
}

/// Logs the failure of a callback. An early response is not a failure.
#[cold]
pub(crate) fn report(callback: Callback, context_id: u32, error: &Error, consequence: &str) {
    error.report(error.level(), callback, context_id, consequence, 0);
}

/// Denies the stream if the error carries a reply. Otherwise logs the failure and applies the
/// failure policy. Returns the callback's result.
#[cold]
#[inline(never)]
pub(crate) fn fail<F: Refuse>(
    callback: Callback,
    context_id: u32,
    mut error: Error,
    policy: FailurePolicy,
    refusal: F,
) -> u32 {
    if let Some(denied) = error.denial() {
        F::deny_with(callback, context_id, denied);
        return STOP;
    }
    let replies = policy == FailurePolicy::Closed && refusal.replies();
    let status = if replies { u32::from(error.status()) } else { 0 };
    let consequence = match policy {
        FailurePolicy::Open => F::CONTINUES,
        FailurePolicy::Closed if replies => "; the client gets a ",
        FailurePolicy::Closed => F::CLOSED,
    };
    error.report(error.level(), callback, context_id, consequence, status);
    if policy == FailurePolicy::Open {
        return CONTINUE;
    }
    let is_sent = replies && sys::proxy_send_local_response(status, b"proxy_filter_error", b"", b"", -1).is_ok();
    if !is_sent {
        close(F::STREAM);
    }
    STOP
}

/// Like [`fail`], for an async function, which may fail because the response began early.
#[cold]
#[inline(never)]
pub(crate) fn fail_function<F: Refuse>(
    callback: Callback,
    context_id: u32,
    error: Error,
    policy: FailurePolicy,
    refusal: F,
) -> u32 {
    if error.kind() == ErrorKind::EarlyResponse && !error.is_denial() {
        pass_response(callback, context_id, &error, policy)
    } else {
        fail(callback, context_id, error, policy, refusal)
    }
}

/// The response began before the request ended. The response is forwarded. Under the closed policy,
/// the rest of the request is not forwarded.
#[inline]
fn pass_response(callback: Callback, context_id: u32, error: &Error, policy: FailurePolicy) -> u32 {
    let of_request = callback.continues_request();
    if of_request && policy == FailurePolicy::Closed {
        return DROP;
    }
    if !of_request {
        report(callback, context_id, error, "; the response is forwarded");
    }
    CONTINUE
}

impl Refuse for Refusal {
    const CONTINUES: &'static str = "; the stream continues";
    const CLOSED: &'static str = "; the stream is reset";
    const STREAM: StreamType = StreamType::HTTP_RESPONSE;

    #[inline]
    fn replies(self) -> bool {
        self == Self::Reply
    }

    #[inline]
    fn deny(callback: Callback, context_id: u32, denial: Denial) {
        denial.carry_out(callback, context_id);
    }

    #[inline]
    fn deny_with(callback: Callback, context_id: u32, denied: &mut dyn Denied) {
        denied.carry_out(callback, context_id);
    }
}

/// A connection is refused by closing it.
#[derive(Clone, Copy)]
pub(crate) struct Close;

impl Refuse for Close {
    const CONTINUES: &'static str = "; the connection continues";
    const CLOSED: &'static str = "; the connection is closed";
    const STREAM: StreamType = StreamType::DOWNSTREAM;

    #[inline]
    fn replies(self) -> bool {
        false
    }

    #[inline]
    fn deny(_: Callback, _: u32, _: Denial) {
        close(Self::STREAM);
    }

    #[inline]
    fn deny_with(_: Callback, _: u32, _: &mut dyn Denied) {
        close(Self::STREAM);
    }
}
