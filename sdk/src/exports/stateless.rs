//! Filters without state: the host need not announce their streams.

use crate::current::{self, Callback};
use crate::dispatch::failure::{self, CONTINUE, Refusal};
use crate::dispatch::message::{self, Message, Request, Response};
use crate::dispatch::uses::{USING_MESSAGE_STATE, has};
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::message_state::MessageState;
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

/// A root context that has no part in making stream contexts, which are all the same. The registration implements it.
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

/// What stands for the contexts of a filter without state. [`Contexts`](crate::dispatch::contexts::Contexts) keeps a context for each stream and needs to be
/// told when the stream begins and ends, which are two of three callbacks of a filter that edits a header. A context that has no
/// size, is made without its root context, and has no destructor need not be kept: each callback makes it.
///
/// So there is no root context, and no borrow that a host could meet when it enters the module again. Callbacks for streams that are
/// over find a context, too; the host answers their calls with a status. Only if the filter looks at bodies is something kept of a
/// stream, from its first callback to `proxy_on_delete`, which is exported then. (A callback after that would leave a few bytes
/// behind. Envoy has one in one case: after a reply and a reset in the same callback, which no filter can order here.)
pub struct Stateless<R: StatelessRoot> {
    streams: Table<Messages>,
    root: PhantomData<fn() -> R>,
}

/// What is remembered of a stream.
struct Messages {
    request: MessageState,
    response: MessageState,
    /// How many of the stream's callbacks run now: a host may enter one inside of another.
    running: Cell<u32>,
    /// The host deleted the stream during one of its callbacks.
    deleted: Cell<bool>,
}

impl Messages {
    const fn new() -> Self {
        Self {
            request: MessageState::new(),
            response: MessageState::new(),
            running: Cell::new(0),
            deleted: Cell::new(false),
        }
    }
}

/// Whether nobody can tell how many values of a type there are. The registration asserts it of the context of a filter that looks
/// stateless: `new_context` may return a constant that has its type's name, or the type have a destructor.
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
            message::headers::<Request, _>(context, &stream.request, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_headers`.
    pub fn on_response_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        self.run(Response::CALLBACKS[0], context_id, at_once, |context, stream| {
            // As in `on_response_headers`: a local reply may follow an upstream's response.
            stream.response.reset();
            message::headers::<Response, _>(context, &stream.response, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_body`.
    pub fn on_request_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        self.run(Request::CALLBACKS[1], context_id, at_once, |context, stream| {
            message::body::<Request, _>(context, &stream.request, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_response_body`.
    pub fn on_response_body(&self, context_id: u32, body_size: u32, end_of_stream: u32) -> u32 {
        self.run(Response::CALLBACKS[1], context_id, as_the_response, |context, stream| {
            message::body::<Response, _>(context, &stream.response, body_size as usize, end_of_stream != 0)
        })
    }

    /// `proxy_on_request_trailers`.
    pub fn on_request_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Request::CALLBACKS[2], context_id, at_once, |context, stream| {
            message::trailers::<Request, _>(context, &stream.request)
        })
    }

    /// `proxy_on_response_trailers`.
    pub fn on_response_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Response::CALLBACKS[2], context_id, as_the_response, |context, stream| {
            message::trailers::<Response, _>(context, &stream.response)
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

    /// `proxy_on_log`. Where Envoy uses the module as an access logger, the id is a root context's; what can be read is the stream's, and
    /// so it is a stream's end as any other.
    pub fn on_log(&self, context_id: u32) {
        observe::<R>(Callback::LOG, context_id, |context| context.on_log(&LogContext::new()));
    }

    /// `proxy_on_delete`, also of root contexts and of streams that had no other callback: nothing is kept of those.
    pub fn on_delete(&self, context_id: u32) {
        match self.streams.remove(context_id) {
            // In use: the callback that runs gives it back when it is over.
            Some(stream) if stream.running.get() > 0 => stream.deleted.set(true),
            Some(stream) => self.streams.recycle(stream),
            None => {}
        }
    }

    /// Runs a callback, then sends its reply or applies the failure policy. Returns the callback's result.
    #[inline]
    fn run(
        &self,
        callback: Callback,
        id: u32,
        refusal: fn(&Messages) -> Refusal,
        body: impl FnOnce(&mut R::Context, &Messages) -> Result<Raw>,
    ) -> u32 {
        let run = |stream: &Messages| {
            current::enter(callback, id);
            let mut context = R::only_context();
            let refusal = refusal(stream);
            let outcome = body(&mut context, stream);
            failure::settle(callback, id, &context, || callback.is_of_response(), refusal, outcome)
        };
        if !has::<R::Context>(USING_MESSAGE_STATE) {
            return run(&Messages::new());
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

    /// What is remembered of a stream; nothing yet, if this is its first callback.
    fn stream(&self, id: u32) -> Shared<Entry<Messages>> {
        self.streams.get(id).unwrap_or_else(|| {
            let (stream, _) = self.streams.insert(id, Messages::new);
            stream.request.reset();
            stream.response.reset();
            stream
        })
    }
}

/// Runs a callback whose failure is only logged.
#[inline]
fn observe<R: StatelessRoot>(callback: Callback, id: u32, body: impl FnOnce(&mut R::Context) -> Result<()>) {
    current::enter(callback, id);
    if let Err(error) = body(&mut R::only_context()) {
        failure::report(callback, id, &error, "");
    }
}

fn at_once(_: &Messages) -> Refusal {
    Refusal::Reply
}

fn as_the_response(stream: &Messages) -> Refusal {
    Refusal::of_response(&stream.response)
}

/// The callbacks that are about the life of a context, and what a context that lives can wait for.
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
