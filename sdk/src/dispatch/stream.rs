//! Stream contexts.

use super::failure::{self, CONTINUE, Refusal};
use super::{CallbackSet, Callbacks, NewContext, Runtime};
use crate::body::{Edits, RequestBody, ResponseBody};
use crate::context::{Context, LogContext};
use crate::error::{Error, Result};
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::headers::{ContentLength, RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::runtime::{Callback, current};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A stream's context and what the SDK keeps about the stream.
pub(super) struct Stream<C> {
    context: RefCell<Option<C>>,
    request: Side,
    response: Side,
    /// `on_create` failed: the policy applies at the first callback that can do something.
    failed: Cell<bool>,
}

/// One message of a stream.
struct Side {
    content_length: Cell<ContentLength>,
    /// The headers callback stopped the message: nothing of it has gone on.
    headers_held: Cell<bool>,
    /// The context was told that the body is complete.
    ended: Cell<bool>,
    /// The bytes the host has buffered for this filter.
    buffered: Cell<usize>,
}

impl Side {
    const fn new() -> Self {
        Self {
            content_length: Cell::new(ContentLength::Kept),
            headers_held: Cell::new(false),
            ended: Cell::new(false),
            buffered: Cell::new(0),
        }
    }

    fn reset(&self) {
        self.content_length.set(ContentLength::Kept);
        self.headers_held.set(false);
        self.ended.set(false);
        self.buffered.set(0);
    }
}

impl<R: NewContext> Runtime<R> {
    pub(super) fn create_stream(&self, id: u32, root: u32) {
        let _current = current::enter(Callback::ContextCreate, id);
        let Some(mut context) = self.root(root).and_then(|root| root.new_context()) else {
            return current::ignore_event();
        };
        let failed = has::<R::Context>(CallbackSet::ON_CREATE) && {
            let result = context.on_create();
            if let Err(error) = &result {
                failure::report(Callback::ContextCreate, id, error, "");
            }
            result.is_err()
        };
        let idle = self.idle.try_borrow_mut().ok().and_then(|mut idle| idle.pop());
        let stream = idle.unwrap_or_else(|| {
            Rc::new(Stream {
                context: RefCell::new(None),
                request: Side::new(),
                response: Side::new(),
                failed: Cell::new(false),
            })
        });
        stream.request.reset();
        stream.response.reset();
        stream.failed.set(failed);
        if let Ok(mut place) = stream.context.try_borrow_mut() {
            *place = Some(context);
        }
        if let Some(forgotten) = self.streams.insert(id, stream) {
            // A host that uses an id again without deleting it: the old context is dropped as if it had.
            self.delete_stream(forgotten, id);
        }
    }

    pub(super) fn delete_stream(&self, stream: Rc<Stream<R::Context>>, id: u32) {
        let _current = current::enter(Callback::Delete, id);
        let context = stream.context.try_borrow_mut().ok().and_then(|mut context| context.take());
        if let Some(mut context) = context {
            if has::<R::Context>(CallbackSet::ON_DELETE) {
                report(Callback::Delete, id, &context.on_delete());
            }
            // The context is dropped here, outside of every borrow: its destructor may call the host.
        }
        // A place somebody still uses (the host deletes a stream during one of its callbacks) is not used again.
        if Rc::strong_count(&stream) == 1 {
            if let Ok(mut idle) = self.idle.try_borrow_mut() {
                idle.push(stream);
            }
        }
    }

    fn stream(&self, id: u32) -> Option<Rc<Stream<R::Context>>> {
        let stream = self.streams.get(id);
        if stream.is_none() {
            current::ignore_event();
        }
        stream
    }

    /// `proxy_on_request_headers`.
    pub fn on_request_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let end = end_of_stream != 0;
        stream.headers(Callback::RequestHeaders, context_id, &stream.request, |context| {
            let mut headers = RequestHeaders::new();
            let status = if has::<R::Context>(CallbackSet::ON_REQUEST_HEADERS) {
                context.on_request_headers(&mut headers, end)?
            } else {
                FilterHeadersStatus::Continue
            };
            stream.request.content_length.set(headers.content_length());
            if !end || !has::<R::Context>(CallbackSet::ON_REQUEST_BODY) || stream.request.ended.replace(true) {
                return Ok(status);
            }
            end_with_headers(
                status,
                |body| context.on_request_body(body, true),
                &mut RequestBody::new(0, Edits::Impossible),
            )
        })
    }

    /// `proxy_on_response_headers`.
    pub fn on_response_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let end = end_of_stream != 0;
        // A local reply may follow an upstream's response: what was known about that one is void.
        stream.response.reset();
        stream.headers(Callback::ResponseHeaders, context_id, &stream.response, |context| {
            let mut headers = ResponseHeaders::new();
            let status = if has::<R::Context>(CallbackSet::ON_RESPONSE_HEADERS) {
                context.on_response_headers(&mut headers, end)?
            } else {
                FilterHeadersStatus::Continue
            };
            stream.response.content_length.set(headers.content_length());
            if !end || !has::<R::Context>(CallbackSet::ON_RESPONSE_BODY) || stream.response.ended.replace(true) {
                return Ok(status);
            }
            end_with_headers(
                status,
                |body| context.on_response_body(body, true),
                &mut ResponseBody::new(0, Edits::Impossible),
            )
        })
    }

    /// `proxy_on_request_body`.
    pub fn on_request_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let end = end_of_stream != 0;
        let side = &stream.request;
        stream.run(Callback::RequestBody, context_id, Refusal::Reply, |context| {
            if side.ended.replace(end) {
                return Ok(FilterDataStatus::Continue.into_raw());
            }
            let mut body = RequestBody::new(body_size as usize, side.content_length.get().into());
            let status = context.on_request_body(&mut body, end)?;
            side.keep(&status, body.len());
            Ok(status.into_raw())
        })
    }

    /// `proxy_on_response_body`.
    pub fn on_response_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let end = end_of_stream != 0;
        let side = &stream.response;
        stream.run(Callback::ResponseBody, context_id, side.refusal(), |context| {
            if side.ended.replace(end) {
                return Ok(FilterDataStatus::Continue.into_raw());
            }
            let mut body = ResponseBody::new(body_size as usize, side.content_length.get().into());
            let status = context.on_response_body(&mut body, end)?;
            side.keep(&status, body.len());
            Ok(status.into_raw())
        })
    }

    /// `proxy_on_request_trailers`.
    pub fn on_request_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let side = &stream.request;
        stream.run(Callback::RequestTrailers, context_id, Refusal::Reply, |context| {
            let end = if has::<R::Context>(CallbackSet::ON_REQUEST_BODY) && !side.ended.replace(true) {
                context.on_request_body(&mut RequestBody::new(side.buffered.get(), side.buffered_edits()), true)?
            } else {
                FilterDataStatus::Continue
            };
            end_with_trailers(end, || {
                if has::<R::Context>(CallbackSet::ON_REQUEST_TRAILERS) {
                    context.on_request_trailers(&mut RequestTrailers::new())
                } else {
                    Ok(FilterTrailersStatus::Continue)
                }
            })
        })
    }

    /// `proxy_on_response_trailers`.
    pub fn on_response_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        let side = &stream.response;
        stream.run(Callback::ResponseTrailers, context_id, side.refusal(), |context| {
            let end = if has::<R::Context>(CallbackSet::ON_RESPONSE_BODY) && !side.ended.replace(true) {
                context.on_response_body(&mut ResponseBody::new(side.buffered.get(), side.buffered_edits()), true)?
            } else {
                FilterDataStatus::Continue
            };
            end_with_trailers(end, || {
                if has::<R::Context>(CallbackSet::ON_RESPONSE_TRAILERS) {
                    context.on_response_trailers(&mut ResponseTrailers::new())
                } else {
                    Ok(FilterTrailersStatus::Continue)
                }
            })
        })
    }

    /// `proxy_on_log`.
    pub fn on_log(&self, context_id: u32) {
        let Some(stream) = self.stream(context_id) else { return };
        stream.observe(Callback::Log, context_id, |context| context.on_log(&LogContext::new()));
    }
}

/// What a callback's result is to the host: a number, or a reply to send first.
type Raw = core::result::Result<u32, Box<crate::local_reply::LocalReply>>;

impl<C: Context + Callbacks> Stream<C> {
    pub(super) fn done(&self, id: u32) {
        if has::<C>(CallbackSet::ON_DONE) {
            self.observe(Callback::Done, id, Context::on_done);
        }
    }

    /// Runs a callback whose failure is only logged.
    fn observe(&self, callback: Callback, id: u32, body: impl FnOnce(&mut C) -> Result<()>) {
        let Ok(mut context) = self.context.try_borrow_mut() else { return current::ignore_event() };
        let Some(context) = context.as_mut() else { return };
        let _current = current::enter(callback, id);
        report(callback, id, &body(context));
    }

    /// Runs a headers callback.
    fn headers(
        &self,
        callback: Callback,
        id: u32,
        side: &Side,
        body: impl FnOnce(&mut C) -> Result<FilterHeadersStatus>,
    ) -> u32 {
        self.run(callback, id, Refusal::Reply, |context| {
            let status = body(context)?;
            side.headers_held
                .set(!matches!(status, FilterHeadersStatus::Continue | FilterHeadersStatus::ContinueAndEndStream));
            Ok(status.into_raw())
        })
    }

    /// Runs a callback, then sends its reply or applies the failure policy.
    fn run(&self, callback: Callback, id: u32, refusal: Refusal, body: impl FnOnce(&mut C) -> Result<Raw>) -> u32 {
        let Ok(mut context) = self.context.try_borrow_mut() else {
            // The host calls this stream's context while it is in a callback already. There is no later time to do it.
            current::ignore_event();
            return CONTINUE;
        };
        let Some(context) = context.as_mut() else { return CONTINUE };
        let _current = current::enter(callback, id);
        let result = if has::<C>(CallbackSet::ON_CREATE) && self.failed.replace(false) {
            Err(Error::from("on_create failed"))
        } else {
            body(context)
        };
        match result {
            Ok(Ok(status)) => status,
            Ok(Err(reply)) => failure::reply(callback, id, &reply, context.failure_policy()),
            Err(error) => failure::fail(callback, id, &error, context.failure_policy(), refusal),
        }
    }
}

impl Side {
    /// Notes what the host keeps after a body callback.
    fn keep(&self, status: &FilterDataStatus, length: usize) {
        self.buffered.set(if matches!(status, FilterDataStatus::StopIterationAndBuffer) { length } else { 0 });
    }

    /// Which edits of the buffered body the trailers callback can still make.
    fn buffered_edits(&self) -> Edits {
        match self.buffered.get() {
            0 => Edits::Impossible,
            _ => self.content_length.get().into(),
        }
    }

    /// How a response whose headers callback is over can be refused.
    fn refusal(&self) -> Refusal {
        if self.headers_held.get() { Refusal::Reply } else { Refusal::Reset }
    }
}

const fn has<C: Callbacks>(callback: CallbackSet) -> bool {
    C::SET.contains(callback)
}

fn report(callback: Callback, id: u32, result: &Result<()>) {
    if let Err(error) = result {
        failure::report(callback, id, error, "");
    }
}

/// Tells the context that a message without a body is complete, and combines both results: what stops the headers for another
/// reason than the body still stops them.
fn end_with_headers<B>(
    headers: FilterHeadersStatus,
    on_body: impl FnOnce(&mut B) -> Result<FilterDataStatus>,
    body: &mut B,
) -> Result<FilterHeadersStatus> {
    if let FilterHeadersStatus::LocalReply(_) = headers {
        return Ok(headers);
    }
    Ok(match (headers, on_body(body)?) {
        (_, FilterDataStatus::LocalReply(reply)) => FilterHeadersStatus::LocalReply(reply),
        (
            headers @ (FilterHeadersStatus::StopAllIterationAndBuffer
            | FilterHeadersStatus::StopAllIterationAndWatermark),
            _,
        ) => headers,
        (_, FilterDataStatus::Continue) => FilterHeadersStatus::Continue,
        _ => FilterHeadersStatus::PAUSE,
    })
}

/// Runs the trailers callback after the end of the body, and combines both results: what stops one stops both.
fn end_with_trailers(
    body: FilterDataStatus,
    on_trailers: impl FnOnce() -> Result<FilterTrailersStatus>,
) -> Result<Raw> {
    if let FilterDataStatus::LocalReply(reply) = body {
        return Ok(Err(reply));
    }
    Ok(match (body, on_trailers()?) {
        (_, trailers @ FilterTrailersStatus::LocalReply(_)) | (FilterDataStatus::Continue, trailers) => {
            trailers.into_raw()
        }
        _ => FilterTrailersStatus::StopIteration.into_raw(),
    })
}
