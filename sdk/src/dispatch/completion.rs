//! Completions: the answers to what contexts wait for.

use super::callout::{Callout, Waiting};
use super::connection::Close;
use super::failure::{self, CONTINUE, Refusal};
use super::held::{Held, Part};
use super::ready::{self, ReadyList};
use super::stream::{Side, Stream, has};
use super::{CallbackSet, Callbacks, NewContext, Runtime, awaited, effective, timers};
#[cfg(feature = "grpc")]
use super::{grpc_calls, grpc_streams};
use crate::abi::StreamType;
use crate::callout_error::CalloutError;
use crate::denial::close;
use crate::filter_status::FailurePolicy;
use crate::http_call::{HttpAnswer, HttpCall, HttpCallResponse};
use crate::runtime::{Callback, Entry, NOBODY, Pendings, Shared, current};
use crate::sys;

thread_local! {
    static HTTP_CALLS: Pendings<Waiting<HttpCall>> = const { Pendings::new() };
    static READY: ReadyList<HttpCall> = const { ReadyList::new() };
}

impl Callout for HttpCall {
    type Answer<'a> = Result<&'a HttpCallResponse, CalloutError>;
    type Started = u32;

    #[inline]
    fn start(self) -> Result<u32, Self::Answer<'static>> {
        Self::start(self).map_err(Err)
    }

    #[inline]
    fn wait(number: u32, context_id: u32, waiting: Waiting<Self>) {
        HTTP_CALLS.with(|calls| calls.insert(number, context_id, waiting));
    }

    #[inline]
    fn is_ready(waiting: Waiting<Self>, answer: Self::Answer<'static>) {
        READY.with(|ready| ready.add(waiting, answer));
    }
}

/// Drops what a context that is gone waits for; `awaits` says what it can be.
#[inline]
pub(super) fn forget(awaits: CallbackSet, owner: u32) {
    if awaits.intersects(CallbackSet::HTTP_CALLS) && !awaits.are_only_futures() {
        HTTP_CALLS.with(|calls| calls.forget(owner));
    }
    if awaits.intersects(CallbackSet::TIMERS) {
        timers::forget(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_CALLS) {
        grpc_calls::forget(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_STREAMS) {
        grpc_streams::forget(owner);
    }
}

impl<R: NewContext> Runtime<R> {
    /// `proxy_on_http_call_response`.
    pub fn on_http_call_response(
        &self,
        root: u32,
        token: u32,
        _number_of_headers: u32,
        body_size: u32,
        number_of_trailers: u32,
    ) {
        Self::enter_root(root);
        if Self::TASKS {
            if let Some(place) = awaited::who_waits_for(token) {
                if let Some(task) = place.tell((body_size, number_of_trailers), HttpAnswer::fetch) {
                    self.run_task(task);
                    place.keep(token, |here| {
                        // Back from the stream that has run.
                        effective::back_to(root);
                        HttpAnswer::fetch(here)
                    });
                }
                return self.after_root_callback(root);
            }
        }
        if Self::ONLY_FUTURES {
            return;
        }
        // The call of a stream that is over is not known any more.
        let Some((owner, waiting)) = HTTP_CALLS.with(|calls| calls.take(token)) else { return };
        let response = HttpCallResponse::new(body_size, number_of_trailers);
        self.complete(Callback::HTTP_CALL_RESPONSE, owner, waiting, response.check());
        self.after_root_callback(root);
    }

    /// Notes that a callback of a root context begins, in modules where others may follow in it.
    #[inline]
    pub(super) fn enter_root(root: u32) {
        if Self::TIMERS || Self::TASKS || R::AWAITS.intersects(CallbackSet::COMPLETIONS) {
            current::set_effective(root);
        }
    }

    /// Runs the completions of calls that were refused while another completion ran.
    pub(super) fn run_ready_calls(&self) {
        while let Some(ready) = READY.with(ReadyList::take) {
            self.complete(Callback::HTTP_CALL_RESPONSE, ready.owner, ready.waiting, ready.answer);
        }
    }

    /// Runs a completion for the context that waits.
    #[inline]
    pub(super) fn complete<A: Callout>(
        &self,
        callback: Callback,
        owner: u32,
        waiting: Waiting<A>,
        answer: A::Answer<'_>,
    ) {
        match (self.streams.get(owner), waiting) {
            // A future: it needs no context, and what it wakes runs later.
            (_, Waiting::Context(then)) if Self::TASKS && owner == NOBODY => {
                let _ = then(&mut (), answer);
            }
            (Some(stream), waiting) => {
                // Hosts tell answers on the root context. One that does not know the stream any more has ended it.
                if effective::choose(owner) {
                    self.complete_stream(callback, owner, stream, waiting, answer);
                }
            }
            (None, Waiting::Context(then)) if R::AWAITS.intersects(CallbackSet::COMPLETIONS) => {
                let Some(root) = self.root(owner) else { return };
                effective::back_to(owner);
                root.with_context(callback, (), |root| {
                    let Some(root) = root else { return };
                    if let Err(error) = ready::completion(|| then(root.as_any(), answer)) {
                        failure::report(callback, owner, &error, "");
                    }
                });
            }
            // A root context holds no part of a stream.
            (None, _) => {}
        }
    }

    fn complete_stream<A: Callout>(
        &self,
        callback: Callback,
        id: u32,
        stream: Shared<Entry<Stream<R::Context>>>,
        waiting: Waiting<A>,
        answer: A::Answer<'_>,
    ) {
        self.with_context(callback, id, stream, |context| {
            let Some(context) = context else { return };
            let (part, then) = match waiting {
                // No context holds a part itself. Known at compile time.
                Waiting::Message(..) if Self::ONLY_FUTURES => return,
                Waiting::Message(part, then) => (part, then),
                Waiting::Context(then) => {
                    let Err(error) = ready::completion(|| then(context.as_any(), answer)) else { return };
                    if !error.is_denial() {
                        return failure::report(callback, id, &error, "");
                    }
                    if has::<R::Context>(CONNECTION) {
                        // Does nothing to a request, as a local reply does nothing to a connection.
                        close(StreamType::DOWNSTREAM);
                    }
                    failure::fail(callback, id, error, FailurePolicy::Closed, Refusal::Reply);
                    return end(&stream.request, &stream.response);
                }
            };
            let side = if part.is_request() { &stream.request } else { &stream.response };
            if !side.held().has(part.held()) {
                // Something else has let go already.
                return;
            }
            let outcome = ready::completion(|| then(context.as_any(), side, answer));
            let is_over = !matches!(outcome, Ok(Ok(_)));
            // The first condition is known at compile time.
            let status = if has::<R::Context>(CallbackSet::ON_DOWNSTREAM_DATA) && part == Part::DownstreamData {
                failure::settle(callback, id, context, || false, Close, outcome)
            } else {
                failure::settle(callback, id, context, || !part.is_request(), refusal(part, side), outcome)
            };
            if status == CONTINUE {
                release(part, side);
            } else if is_over {
                end(&stream.request, &stream.response);
            }
        });
    }
}

/// The stream has been answered or refused: nothing of it goes on, and what waits for a part of it is not run any more.
#[inline]
pub(super) fn end(request: &Side, response: &Side) {
    request.let_go();
    response.let_go();
}

/// The callbacks of connections.
const CONNECTION: CallbackSet = CallbackSet::ON_NEW_CONNECTION
    .union(CallbackSet::ON_DOWNSTREAM_DATA)
    .union(CallbackSet::ON_UPSTREAM_DATA)
    .union(CallbackSet::ON_DOWNSTREAM_CLOSE)
    .union(CallbackSet::ON_UPSTREAM_CLOSE);

/// How a stream of which this part is held can be refused.
#[inline]
fn refusal(part: Part, side: &Side) -> Refusal {
    match part {
        Part::ResponseBody | Part::ResponseTrailers => side.refusal(),
        _ => Refusal::Reply,
    }
}

/// Lets a part go, and the message with it unless another part is held.
#[inline]
fn release(part: Part, side: &Side) {
    let held = side.held().without(part.held());
    side.hold(held);
    if held == Held::NOTHING && ready::is_let_go_by_callback() {
        forward(side);
    } else if held == Held::NOTHING {
        let stream = match part {
            Part::DownstreamData => StreamType::DOWNSTREAM,
            _ if part.is_request() => StreamType::HTTP_REQUEST,
            _ => StreamType::HTTP_RESPONSE,
        };
        go_on(side, stream);
    }
}

/// Lets a message go, if anything of it is held.
#[inline]
pub(super) fn let_go(side: &Side, stream: StreamType) {
    if side.held() != Held::NOTHING {
        go_on(side, stream);
    }
}

#[inline]
fn go_on(side: &Side, stream: StreamType) {
    forward(side);
    // A host that refuses leaves the stream held, and ends it in its own time.
    let _ = sys::proxy_continue_stream(stream.raw());
}

/// Nothing is held of a message any more.
#[inline]
fn forward(side: &Side) {
    side.let_go();
    side.buffered.set(0);
}
