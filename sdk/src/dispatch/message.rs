//! The callbacks that carry a message: headers, body and trailers of both sides.

use super::failure::{CONTINUE, Raw, Refusal, STOP};
use super::held::Held;
use super::stream::{Side, has};
use super::{CallbackSet, Callbacks, NewContext, Runtime};
use crate::body::{Edits, RequestBody, ResponseBody};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::headers::{ContentLength, RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::runtime::Callback;

/// What a side of a stream is made of: the callbacks and handles of requests, and those of responses.
pub(super) trait Message {
    /// The callbacks' names, for messages about them.
    const CALLBACKS: [Callback; 3];
    const HEADERS: CallbackSet;
    const BODY: CallbackSet;
    const TRAILERS: CallbackSet;

    /// Runs the headers callback; what it did to `content-length` besides.
    fn headers<C: Context>(context: &mut C, end_of_stream: bool) -> (Result<FilterHeadersStatus>, ContentLength);
    /// Runs the body callback on so many bytes; how many there are afterwards besides.
    fn body<C: Context>(
        context: &mut C,
        length: usize,
        edits: Edits,
        end_of_stream: bool,
    ) -> (Result<FilterDataStatus>, usize);
    fn trailers<C: Context>(context: &mut C) -> Result<FilterTrailersStatus>;
}

macro_rules! message {
    ($(#[$doc:meta])* $name:ident: $callbacks:expr, $sets:expr, $headers:ident.$on_headers:ident, $body:ident.$on_body:ident,
        $trailers:ident.$on_trailers:ident) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Message for $name {
            const CALLBACKS: [Callback; 3] = $callbacks;
            const HEADERS: CallbackSet = $sets.0;
            const BODY: CallbackSet = $sets.1;
            const TRAILERS: CallbackSet = $sets.2;

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
    Request: [Callback::REQUEST_HEADERS, Callback::REQUEST_BODY, Callback::REQUEST_TRAILERS],
    (CallbackSet::ON_REQUEST_HEADERS, CallbackSet::ON_REQUEST_BODY, CallbackSet::ON_REQUEST_TRAILERS),
    RequestHeaders.on_request_headers, RequestBody.on_request_body, RequestTrailers.on_request_trailers
}

message! {
    /// Responses.
    Response: [Callback::RESPONSE_HEADERS, Callback::RESPONSE_BODY, Callback::RESPONSE_TRAILERS],
    (CallbackSet::ON_RESPONSE_HEADERS, CallbackSet::ON_RESPONSE_BODY, CallbackSet::ON_RESPONSE_TRAILERS),
    ResponseHeaders.on_response_headers, ResponseBody.on_response_body, ResponseTrailers.on_response_trailers
}

impl<R: NewContext> Runtime<R>
where
    R::Context: Context,
{
    /// `proxy_on_request_headers`.
    pub fn on_request_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Request::CALLBACKS[0], context_id, stream, Refusal::Reply, |context| {
            headers::<Request, _>(context, &stream.request, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_headers`.
    pub fn on_response_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Response::CALLBACKS[0], context_id, stream, Refusal::Reply, |context| {
            if has::<R::Context>(Response::BODY.union(CallbackSet::COMPLETIONS)) {
                // A local reply may follow an upstream's response: what was known about that one is void.
                stream.response.reset();
            }
            headers::<Response, _>(context, &stream.response, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_body`.
    pub fn on_request_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Request::CALLBACKS[1], context_id, stream, Refusal::Reply, |context| {
            body::<Request, _>(context, &stream.request, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_body`.
    pub fn on_response_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Response::CALLBACKS[1], context_id, stream, stream.response.refusal(), |context| {
            body::<Response, _>(context, &stream.response, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_trailers`.
    pub fn on_request_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Request::CALLBACKS[2], context_id, stream, Refusal::Reply, |context| {
            trailers::<Request, _>(context, &stream.request)
        })
    }

    /// `proxy_on_response_trailers`.
    pub fn on_response_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Response::CALLBACKS[2], context_id, stream, stream.response.refusal(), |context| {
            trailers::<Response, _>(context, &stream.response)
        })
    }

    /// `proxy_on_request_metadata`. Hosts ignore the result.
    pub fn on_request_metadata(&self, context_id: u32, entries: u32) -> u32 {
        self.observe(Callback::REQUEST_METADATA, context_id, |context| context.on_request_metadata(entries));
        CONTINUE
    }

    /// `proxy_on_response_metadata`. Hosts ignore the result.
    pub fn on_response_metadata(&self, context_id: u32, entries: u32) -> u32 {
        self.observe(Callback::RESPONSE_METADATA, context_id, |context| context.on_response_metadata(entries));
        CONTINUE
    }
}

/// The headers callback, and the end of the body if there is none.
#[inline]
pub(super) fn headers<M: Message, C: Context + Callbacks>(
    context: &mut C,
    side: &Side,
    end_of_stream: bool,
) -> Result<Raw> {
    let mut status = FilterHeadersStatus::Continue;
    if has::<C>(M::HEADERS) {
        let (result, content_length) = M::headers(context, end_of_stream);
        if has::<C>(M::BODY.union(CallbackSet::COMPLETIONS)) {
            side.set_content_length(content_length);
        }
        status = result?;
    }
    let mut held = if status.lets_go() { Held::NOTHING } else { Held::HEADERS };
    if has::<C>(M::BODY) {
        let over = matches!(status, FilterHeadersStatus::LocalReply(_) | FilterHeadersStatus::CloseStream);
        if end_of_stream && !over && !side.ended.replace(true) {
            let end = M::body(context, 0, Edits::Impossible, true).0?;
            held = if status.holds_all() { Held::HEADERS } else { Held::NOTHING };
            if !end.lets_go() {
                held = held.with(Held::BODY);
            }
            status = end_with_headers(status, end);
        }
        side.headers_held.set(!status.lets_go());
    }
    if has::<C>(CallbackSet::COMPLETIONS) {
        side.headers_held.set(!status.lets_go());
        side.hold(held);
    }
    Ok(status.into_raw())
}

/// The body callback.
#[inline]
pub(super) fn body<M: Message, C: Context + Callbacks>(
    context: &mut C,
    side: &Side,
    length: usize,
    end_of_stream: bool,
) -> Result<Raw> {
    if side.ended.replace(end_of_stream) {
        return Ok(Ok(CONTINUE));
    }
    let (status, length) = M::body(context, length, side.content_length().into(), end_of_stream);
    let status = status.inspect_err(|error| failed::<C>(side, error))?;
    side.keep(&status, length);
    if status.lets_go() {
        side.let_go();
    } else if has::<C>(CallbackSet::COMPLETIONS) {
        side.hold(side.held().with(Held::BODY));
    }
    Ok(status.into_raw())
}

/// The end of the body if it has not ended, and the trailers callback.
#[inline]
pub(super) fn trailers<M: Message, C: Context + Callbacks>(context: &mut C, side: &Side) -> Result<Raw> {
    let mut end = FilterDataStatus::Continue;
    if has::<C>(M::BODY) && !side.ended.replace(true) {
        let buffered = side.buffered.get();
        // Only what the filter made the host buffer is still in its reach.
        let edits = if buffered == 0 { Edits::Impossible } else { side.content_length().into() };
        end = M::body(context, buffered, edits, true).0.inspect_err(|error| failed::<C>(side, error))?;
    }
    let goes_on = end.lets_go();
    if let Err(denial) = end.into_raw() {
        return Ok(Err(denial));
    }
    let status = if has::<C>(M::TRAILERS) {
        M::trailers(context).inspect_err(|error| failed::<C>(side, error))?
    } else {
        FilterTrailersStatus::Continue
    };
    if has::<C>(CallbackSet::COMPLETIONS) {
        let body = if goes_on { Held::NOTHING } else { Held::BODY };
        let trailers = if status.lets_go() { Held::NOTHING } else { Held::TRAILERS };
        side.hold(body.with(trailers));
    }
    let status = status.into_raw();
    Ok(if goes_on { status } else { status.map(|_| STOP) })
}

/// A callback has failed: the stream is refused, or the policy lets go all that was held and buffered of the message.
#[inline]
fn failed<C: Callbacks>(side: &Side, error: &Error) {
    side.let_go();
    if has::<C>(CallbackSet::COMPLETIONS) && error.kind() == ErrorKind::EarlyResponse && !error.is_denial() {
        // Whatever else comes of the request is dropped as well, however often a host sends its end.
        side.ended.set(false);
    }
}

/// Combines the results of a headers callback and of the end of the body: what stops the headers for another reason than the body
/// still stops them.
fn end_with_headers(headers: FilterHeadersStatus, body: FilterDataStatus) -> FilterHeadersStatus {
    match (headers, body) {
        (_, FilterDataStatus::LocalReply(reply)) => FilterHeadersStatus::LocalReply(reply),
        (_, FilterDataStatus::CloseStream) => FilterHeadersStatus::CloseStream,
        (headers, _) if headers.holds_all() => headers,
        (_, FilterDataStatus::Continue) => FilterHeadersStatus::Continue,
        _ => FilterHeadersStatus::PAUSE,
    }
}
