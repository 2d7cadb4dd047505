//! Running completions, for the context that started the callout.

use crate::abi::stream_type::StreamType;
use crate::callout::completion::{Callout, Completion};
use crate::callout::ready;
use crate::current::{self, Callback};
use crate::dispatch::contexts::{Contexts, Found};
use crate::dispatch::failure::{self, CONTINUE, Close, Refusal};
use crate::dispatch::uses::{Uses, has};
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::effective;
use crate::engine::message_state::{Facts, MessageState, Messages, Part};
use crate::error::close::close;
use crate::error::policy::FailurePolicy;
use crate::plugin::registration::NewContext;
use crate::sys;

/// Notes that a callback of a root context begins, in modules where others may follow in it.
#[inline]
pub(crate) fn enter_root<R: NewContext>(root: u32) {
    if Uses::<R>::TIMERS || Uses::<R>::TASKS || R::AWAITS.intersects(CallbackSet::COMPLETIONS) {
        current::set_effective(root);
    }
}

/// Runs a completion for its context.
#[inline]
pub(crate) fn complete<R: NewContext, A: Callout>(
    contexts: &Contexts<R>,
    callback: Callback,
    owner: u32,
    completion: Completion<A>,
    response: A::Response<'_>,
) {
    match (contexts.find_stream(owner), completion) {
        (Some(stream), completion) => {
            // Hosts deliver responses on the root context. If the host does not know the stream,
            // the stream has ended.
            if effective::choose(owner) {
                complete_stream(contexts, callback, owner, stream, completion, response);
            }
        }
        (None, Completion::Context(then)) if R::AWAITS.intersects(CallbackSet::COMPLETIONS) => {
            let Some(root) = contexts.root(owner) else { return };
            effective::back_to(owner);
            root.with_context(callback, (), |root| {
                let Some(root) = root else { return };
                if let Err(error) = ready::completion(|| then(root.as_any(), response)) {
                    failure::report(callback, owner, &error, "");
                }
            });
        }
        // A root context pauses no part of a stream.
        (None, _) => {}
    }
}

fn complete_stream<R: NewContext, A: Callout>(
    contexts: &Contexts<R>,
    callback: Callback,
    id: u32,
    stream: Found<R>,
    completion: Completion<A>,
    response: A::Response<'_>,
) {
    contexts.with_stream(callback, id, stream, |context| {
        let Some(context) = context else { return };
        let (part, then) = match completion {
            Completion::Message(..) if Uses::<R>::ONLY_FUTURES => return,
            Completion::Message(part, then) => (part, then),
            Completion::Context(then) => {
                let Err(error) = ready::completion(|| then(context.as_any(), response)) else { return };
                if !error.is_denial() {
                    return failure::report(callback, id, &error, "");
                }
                if has::<R::Context>(CONNECTION) {
                    // Has no effect on a request, as a local reply has no effect on a connection.
                    close(StreamType::DOWNSTREAM);
                }
                failure::fail(callback, id, error, FailurePolicy::Closed, Refusal::Reply);
                return end(&stream.messages);
            }
        };
        let state = if part.is_request() { &stream.messages.request } else { &stream.messages.response };
        if !state.has(part.paused()) {
            // Something else has resumed the part already.
            return;
        }
        let outcome = ready::completion(|| then(context.as_any(), state, response));
        let is_over = !matches!(outcome, Ok(Ok(_)));
        // The first condition is known at compile time.
        let status = if has::<R::Context>(CallbackSet::ON_DOWNSTREAM_DATA) && part == Part::DownstreamData {
            failure::settle(callback, id, context, || false, Close, outcome)
        } else {
            failure::settle(callback, id, context, || !part.is_request(), refusal(part, state), outcome)
        };
        if status == CONTINUE {
            release(part, state);
        } else if is_over {
            end(&stream.messages);
        }
    });
}

/// The stream got a local reply or was denied. No further part is forwarded, and completions that
/// pause a part of it do not run.
#[inline]
pub(crate) fn end(messages: &Messages) {
    messages.request.forward();
    messages.response.forward();
}

/// The callbacks of connections.
const CONNECTION: CallbackSet = CallbackSet::ON_NEW_CONNECTION
    .union(CallbackSet::ON_DOWNSTREAM_DATA)
    .union(CallbackSet::ON_UPSTREAM_DATA)
    .union(CallbackSet::ON_DOWNSTREAM_CLOSE)
    .union(CallbackSet::ON_UPSTREAM_CLOSE);

/// How a stream of which this part is paused can be refused.
#[inline]
fn refusal(part: Part, state: &MessageState) -> Refusal {
    match part {
        Part::ResponseBody | Part::ResponseTrailers => Refusal::of_response(state),
        _ => Refusal::Reply,
    }
}

/// Resumes a part, and with it the message unless another part is paused.
#[inline]
fn release(part: Part, state: &MessageState) {
    state.clear(part.paused());
    if state.has(Facts::PAUSED) {
        return;
    }
    if ready::is_let_go_by_callback() {
        state.forward();
    } else {
        let stream = match part {
            Part::DownstreamData => StreamType::DOWNSTREAM,
            _ if part.is_request() => StreamType::HTTP_REQUEST,
            _ => StreamType::HTTP_RESPONSE,
        };
        resume_stream(state, stream);
    }
}

/// Resumes the message of an async function if any part of it is paused.
#[inline]
pub(crate) fn resume(state: &MessageState, stream: StreamType) {
    if state.has(Facts::PAUSED) {
        state.forward_bytes();
        resume_stream(state, stream);
    }
}

#[inline]
fn resume_stream(state: &MessageState, stream: StreamType) {
    state.forward();
    state.note(Facts::RESUMED);
    // If the host refuses, the stream stays paused until the host ends it.
    let _ = sys::proxy_continue_stream(stream.raw());
}
