//! Filters without state: the host need not announce their streams.

use crate::current::{self, Callback};
use crate::dispatch::failure::{self, CONTINUE, Refusal};
use crate::dispatch::message::{self, Message, Request, Response};
use crate::dispatch::uses::{USING_MESSAGE_STATE, has};
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::message_state::Messages;
use crate::engine::shared::Shared;
use crate::error::Result;
use crate::error::denial::Raw;
use crate::http::context::Context;
use crate::http::log_context::LogContext;
use crate::plugin::one_type::{Unconfigured, UnconfiguredRoot};
use crate::plugin::root_context::RootContext;
use crate::sys::table::{Entry, Table};
use core::marker::PhantomData;
use std::cell::Cell;

/// A root context that does not take part in creating stream contexts, which are all equal. The
/// registration implements it.
pub trait StatelessRoot: RootContext {
    /// What `new_context` returns for every stream.
    fn only_context() -> Self::Context;
}

impl<C: Unconfigured> StatelessRoot for UnconfiguredRoot<C> {
    #[inline]
    fn only_context() -> C {
        C::new_context()
    }
}

/// Replaces the contexts of a filter without state.
/// [`Contexts`](crate::dispatch::contexts::Contexts) stores a context for each stream, and needs
/// the callbacks for the beginning and end of the stream. For a filter that edits a header, these
/// are two of three callbacks. A context that has no size, is created without its root context and
/// has no destructor need not be stored: each callback creates it.
///
/// There is therefore no root context, and no borrow that a reentrant call could meet. Callbacks
/// for ended streams find a context too, and the host returns a status for their calls. State of a
/// stream exists only if the filter reads bodies, from its first callback to `proxy_on_delete`,
/// which the module then exports. (A callback after `proxy_on_delete` would leak a few bytes. Envoy
/// makes one only after a local reply and a reset in the same callback, which no filter can request
/// here.)
pub struct Stateless<R: StatelessRoot> {
    streams: Table<Stream>,
    root: PhantomData<fn() -> R>,
}

/// The state of a stream.
struct Stream {
    messages: Messages,
    /// How many of the stream's callbacks run now: a host may enter one inside of another.
    running: Cell<u32>,
    /// The host deleted the stream during one of its callbacks.
    deleted: Cell<bool>,
}

impl Stream {
    const fn new() -> Self {
        Self { messages: Messages::new(), running: Cell::new(0), deleted: Cell::new(false) }
    }
}

/// Returns whether values of a type are indistinguishable. The registration asserts it for the
/// context of a filter that looks stateless: `new_context` may return a constant with the name of
/// its type, or the type may have a destructor.
pub const fn is_stateless<C>() -> bool {
    size_of::<C>() == 0 && !core::mem::needs_drop::<C>()
}

impl<R: StatelessRoot> Stateless<R>
where
    R::Context: Context + Callbacks,
{
    /// A module without contexts.
    pub const fn new() -> Self {
        const { assert!(!has::<R::Context>(LIFE), "a callback of this filter needs contexts that are kept") }
        Self { streams: Table::new(), root: PhantomData }
    }

    /// `proxy_on_request_headers`.
    pub fn on_request_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        self.run(Request::CALLBACKS[0], context_id, at_once, |context, stream| {
            message::headers::<Request, _>(context, &stream.messages.request, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_headers`.
    pub fn on_response_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        self.run(Response::CALLBACKS[0], context_id, at_once, |context, stream| {
            message::headers::<Response, _>(context, &stream.messages.response, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_body`.
    pub fn on_request_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        self.run(Request::CALLBACKS[1], context_id, at_once, |context, stream| {
            message::body::<Request, _>(context, &stream.messages.request, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_body`.
    pub fn on_response_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        self.run(Response::CALLBACKS[1], context_id, as_the_response, |context, stream| {
            message::body::<Response, _>(context, &stream.messages.response, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_trailers`.
    pub fn on_request_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Request::CALLBACKS[2], context_id, at_once, |context, stream| {
            message::trailers::<Request, _>(context, &stream.messages.request)
        })
    }

    /// `proxy_on_response_trailers`.
    pub fn on_response_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Response::CALLBACKS[2], context_id, as_the_response, |context, stream| {
            message::trailers::<Response, _>(context, &stream.messages.response)
        })
    }

    /// `proxy_on_request_metadata`. Hosts ignore the result.
    pub fn on_request_metadata(&self, context_id: u32, entries: u32) -> u32 {
        observe::<R>(Callback::REQUEST_METADATA, context_id, |context| context.on_request_metadata(entries));
        CONTINUE
    }

    /// `proxy_on_response_metadata`. Hosts ignore the result.
    pub fn on_response_metadata(&self, context_id: u32, entries: u32) -> u32 {
        observe::<R>(Callback::RESPONSE_METADATA, context_id, |context| context.on_response_metadata(entries));
        CONTINUE
    }

    /// `proxy_on_log`. If Envoy uses the module as an access logger, the id is that of a root
    /// context. The readable data is that of the stream, so it is handled like the end of any
    /// stream.
    pub fn on_log(&self, context_id: u32) {
        observe::<R>(Callback::LOG, context_id, |context| context.on_log(&LogContext::new()));
    }

    /// `proxy_on_delete`. Also called for root contexts and for streams without other callbacks,
    /// which have no state.
    pub fn on_delete(&self, context_id: u32) {
        match self.streams.remove(context_id) {
            // The state is in use. The running callback releases it on return.
            Some(stream) if stream.running.get() > 0 => stream.deleted.set(true),
            Some(stream) => self.streams.recycle(stream),
            None => {}
        }
    }

    /// Runs a callback. Then sends its local reply or applies the failure policy. Returns the
    /// callback's result.
    #[inline]
    fn run(
        &self,
        callback: Callback,
        id: u32,
        refusal: fn(&Stream) -> Refusal,
        body: impl FnOnce(&mut R::Context, &Stream) -> Result<Raw>,
    ) -> u32 {
        let run = |stream: &Stream| {
            current::enter(callback, id);
            let mut context = R::only_context();
            let refusal = refusal(stream);
            let outcome = body(&mut context, stream);
            failure::settle(callback, id, &context, || callback.is_of_response(), refusal, outcome)
        };
        if !has::<R::Context>(USING_MESSAGE_STATE) {
            return run(&Stream::new());
        }
        let stream = self.stream(id);
        stream.running.set(stream.running.get() + 1);
        let result = run(stream);
        stream.running.set(stream.running.get() - 1);
        if stream.deleted.get() && stream.running.get() == 0 {
            stream.deleted.set(false);
            self.streams.recycle(stream);
        }
        result
    }

    /// Returns the state of a stream, which is empty in its first callback.
    fn stream(&self, id: u32) -> Shared<Entry<Stream>> {
        self.streams.get(id).unwrap_or_else(|| {
            let (stream, _) = self.streams.insert(id, Stream::new);
            stream.messages.reset();
            stream
        })
    }
}

/// Runs a callback, and only logs a failure.
#[inline]
fn observe<R: StatelessRoot>(callback: Callback, id: u32, body: impl FnOnce(&mut R::Context) -> Result<()>) {
    current::enter(callback, id);
    if let Err(error) = body(&mut R::only_context()) {
        failure::report(callback, id, &error, "");
    }
}

fn at_once(_: &Stream) -> Refusal {
    Refusal::Reply
}

fn as_the_response(stream: &Stream) -> Refusal {
    Refusal::of_response(&stream.messages.response)
}

/// The callbacks for the lifetime of a context, and the callouts that need one.
const LIFE: CallbackSet =
    CallbackSet::ON_CREATE.union(CallbackSet::ON_DONE).union(CallbackSet::ON_DELETE).union(CallbackSet::COMPLETIONS);

impl<R: StatelessRoot> Default for Stateless<R>
where
    R::Context: Context + Callbacks,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<R: StatelessRoot> core::fmt::Debug for Stateless<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stateless").finish_non_exhaustive()
    }
}
