//! The callbacks that carry a message: headers, body and trailers of both sides.

use crate::abi::stream_type::StreamType;
use crate::current::Callback;
use crate::dispatch::failure::{CONTINUE, STOP};
use crate::dispatch::uses::has;
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::message_state::{Facts, MessageState};
use crate::error::denial::Raw;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_map::ContentLength;
use crate::http::body::{Edits, RequestBody, ResponseBody};
use crate::http::context::Context;
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::sys;

/// What a state of a stream is made of: the callbacks and handles of requests, and those of
/// responses.
pub(crate) trait Message {
    /// The callbacks' names, for messages about them.
    const CALLBACKS: [Callback; 3];
    const HEADERS: CallbackSet;
    const BODY: CallbackSet;
    const TRAILERS: CallbackSet;
    const STREAM: StreamType;

    /// Runs the headers callback; what it did to `content-length` besides.
    fn headers<C: Context>(context: &mut C, end_of_stream: bool) -> (Result<FilterHeadersStatus>, ContentLength);
    /// Runs the body callback with this many bytes. Also returns the number of bytes afterwards.
    fn body<C: Context>(
        context: &mut C,
        length: usize,
        edits: Edits,
        end_of_stream: bool,
    ) -> (Result<FilterDataStatus>, usize);
    fn trailers<C: Context>(context: &mut C) -> Result<FilterTrailersStatus>;
}

macro_rules! message {
    ($(#[$doc:meta])* $name:ident: $stream:expr, $callbacks:expr, $sets:expr, $headers:ident.$on_headers:ident, $body:ident.$on_body:ident,
        $trailers:ident.$on_trailers:ident) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Message for $name {
            const CALLBACKS: [Callback; 3] = $callbacks;
            const HEADERS: CallbackSet = $sets.0;
            const BODY: CallbackSet = $sets.1;
            const TRAILERS: CallbackSet = $sets.2;
            const STREAM: StreamType = $stream;

            #[inline]
            fn headers<C: Context>(context: &mut C, end_of_stream: bool) -> (Result<FilterHeadersStatus>, ContentLength) {
                let mut headers = $headers::new(ContentLength::Kept);
                let status = context.$on_headers(&mut headers, end_of_stream);
                (status, headers.content_length())
            }

            #[inline]
            fn body<C: Context>(
                context: &mut C,
                length: usize,
                edits: Edits,
                end_of_stream: bool,
            ) -> (Result<FilterDataStatus>, usize) {
                let mut body = $body::new(length, edits);
                let status = context.$on_body(&mut body, end_of_stream);
                (status, body.len())
            }

            #[inline]
            fn trailers<C: Context>(context: &mut C) -> Result<FilterTrailersStatus> {
                context.$on_trailers(&mut $trailers::new(ContentLength::Kept))
            }
        }
    };
}

message! {
    /// Requests.
    Request: StreamType::HTTP_REQUEST, [Callback::REQUEST_HEADERS, Callback::REQUEST_BODY, Callback::REQUEST_TRAILERS],
    (CallbackSet::ON_REQUEST_HEADERS, CallbackSet::ON_REQUEST_BODY, CallbackSet::ON_REQUEST_TRAILERS),
    RequestHeaders.on_request_headers, RequestBody.on_request_body, RequestTrailers.on_request_trailers
}

message! {
    /// Responses.
    Response: StreamType::HTTP_RESPONSE, [Callback::RESPONSE_HEADERS, Callback::RESPONSE_BODY, Callback::RESPONSE_TRAILERS],
    (CallbackSet::ON_RESPONSE_HEADERS, CallbackSet::ON_RESPONSE_BODY, CallbackSet::ON_RESPONSE_TRAILERS),
    ResponseHeaders.on_response_headers, ResponseBody.on_response_body, ResponseTrailers.on_response_trailers
}

/// Runs the headers callback, and the end of the body if the message has no body.
#[inline]
pub(crate) fn headers<M: Message, C: Context + Callbacks>(
    context: &mut C,
    state: &MessageState,
    end_of_stream: bool,
) -> Result<Raw> {
    let keeps_state = has::<C>(M::BODY.union(CallbackSet::COMPLETIONS));
    if keeps_state {
        state.begin(end_of_stream);
    }
    let mut length = Facts::NONE;
    let mut status = FilterHeadersStatus::Continue;
    if has::<C>(M::HEADERS) {
        let (result, content_length) = M::headers(context, end_of_stream);
        if keeps_state {
            length = Facts::of_length(content_length);
        }
        // Only a body callback needs it after a failure.
        status = if has::<C>(M::BODY) { result.inspect_err(|_| state.note(length))? } else { result? };
    }
    let mut paused = Facts::HEADERS.given(!status.lets_go());
    // A filter without a body callback may be in a module with others that have one.
    if has::<C>(M::BODY) && end_of_stream && context.set().intersects(M::BODY) {
        let over = matches!(status, FilterHeadersStatus::LocalReply(_) | FilterHeadersStatus::CloseStream);
        if !over {
            let end = M::body(context, 0, Edits::Impossible, true).0.inspect_err(|_| state.note(length))?;
            paused = Facts::HEADERS.given(status.holds_all()).with(Facts::BODY.given(!end.lets_go()));
            status = end_with_headers(status, end);
        }
    }
    if keeps_state {
        let paused = if has::<C>(CallbackSet::COMPLETIONS) { paused } else { Facts::NONE };
        state.note(length.with(paused).with(Facts::NOT_FORWARDED.given(!status.lets_go())));
    }
    Ok(status.into_raw())
}

/// The body callback.
#[inline]
pub(crate) fn body<M: Message, C: Context + Callbacks>(
    context: &mut C,
    state: &MessageState,
    length: usize,
    end_of_stream: bool,
) -> Result<Raw> {
    if state.has(Facts::ENDED) {
        return Ok(Ok(CONTINUE));
    }
    state.note(Facts::ENDED.given(end_of_stream));
    if has::<C>(CallbackSet::TASKS) {
        state.size.set(length);
    }
    let (status, length) = M::body(context, length, state.content_length().into(), end_of_stream);
    let status = status.inspect_err(|error| failed::<C>(state, error))?;
    if status.lets_go() {
        if has::<C>(CallbackSet::TASKS) {
            state.forward_bytes();
        }
        state.forward();
        return Ok(Ok(CONTINUE));
    }
    state.size.set(if matches!(status, FilterDataStatus::StopIterationAndBuffer) { length } else { 0 });
    if has::<C>(CallbackSet::COMPLETIONS) {
        state.note(Facts::BODY);
    }
    Ok(status.into_raw())
}

/// The end of the body if it has not ended, and the trailers callback.
#[inline]
pub(crate) fn trailers<M: Message, C: Context + Callbacks>(context: &mut C, state: &MessageState) -> Result<Raw> {
    if has::<C>(CallbackSet::COMPLETIONS) && state.has(Facts::FORWARDED_BY_TRAILERS) {
        return Ok(Ok(CONTINUE));
    }
    let mut end = FilterDataStatus::Continue;
    let has_ended = state.has(Facts::ENDED);
    let is_body_paused = state.has(Facts::BODY);
    if has::<C>(M::BODY.union(CallbackSet::TASKS)) {
        state.note(Facts::ENDED.with(Facts::TRAILS));
    }
    if has::<C>(M::BODY) && !has_ended {
        let buffered = state.size.get();
        // Only what the filter made the host buffer is still in its reach.
        let edits = if buffered == 0 { Edits::Impossible } else { state.content_length().into() };
        end = M::body(context, buffered, edits, true).0.inspect_err(|error| failed::<C>(state, error))?;
    }
    let goes_on = end.lets_go();
    if has::<C>(CallbackSet::TASKS) {
        if goes_on {
            state.forward_bytes();
        }
        state.note(Facts::TRAILERS_HERE.with(Facts::BODY.given(!goes_on)));
    }
    if let Err(denial) = end.into_raw() {
        return Ok(Err(denial));
    }
    let status = if has::<C>(M::TRAILERS) {
        M::trailers(context).inspect_err(|error| failed::<C>(state, error))?
    } else {
        FilterTrailersStatus::Continue
    };
    if has::<C>(CallbackSet::COMPLETIONS) {
        if goes_on && status.lets_go() {
            state.forward();
        } else {
            state.pause(Facts::BODY.given(!goes_on).with(Facts::TRAILERS.given(!status.lets_go())));
        }
    }
    let status = status.into_raw();
    if has::<C>(CallbackSet::COMPLETIONS) && goes_on && is_body_paused && matches!(status, Ok(CONTINUE)) {
        return Ok(Ok(forward_paused_body::<M>(state)));
    }
    Ok(if goes_on { status } else { status.map(|_| STOP) })
}

/// Forwards a paused body and its trailers.
///
/// If a completion resumes headers after the whole message has arrived, Envoy 1.40 runs the other
/// callbacks at once. It then drops a body that one of them pauses, unless the message is resumed
/// before the trailers callback returns. Envoy calls the filter again for the body and the
/// trailers.
#[inline]
fn forward_paused_body<M: Message>(state: &MessageState) -> u32 {
    if !state.has(Facts::RESUMED) {
        return CONTINUE;
    }
    state.note(Facts::FORWARDED_BY_TRAILERS.with(Facts::ENDED));
    // A host that refuses it forwards the body without it.
    if sys::proxy_continue_stream(M::STREAM.raw()).is_ok() { STOP } else { CONTINUE }
}

/// A callback has failed. The stream is denied, or the policy forwards everything that is paused
/// and buffered of the message.
#[inline]
fn failed<C: Callbacks>(state: &MessageState, error: &Error) {
    state.forward();
    if has::<C>(CallbackSet::COMPLETIONS) && error.kind() == ErrorKind::EarlyResponse && !error.is_denial() {
        // The rest of the request is dropped too, even if the host reports its end several times.
        state.clear(Facts::ENDED);
    }
}

/// Combines the results of a headers callback and of the end of the body: what stops the headers
/// for another reason than the body still stops them.
fn end_with_headers(headers: FilterHeadersStatus, body: FilterDataStatus) -> FilterHeadersStatus {
    match (headers, body) {
        (_, FilterDataStatus::LocalReply(reply)) => FilterHeadersStatus::LocalReply(reply),
        (_, FilterDataStatus::CloseStream) => FilterHeadersStatus::CloseStream,
        (headers, _) if headers.holds_all() => headers,
        (_, FilterDataStatus::Continue) => FilterHeadersStatus::Continue,
        _ => FilterHeadersStatus::Pause,
    }
}
