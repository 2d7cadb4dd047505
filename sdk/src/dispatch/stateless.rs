//! Filters without state: the host need not announce when their streams begin and end.

use super::failure::{self, Raw, Refusal};
use super::message::{self, Message, Request, Response};
use super::stream::{self, Side};
use super::{CallbackSet, Callbacks};
use crate::context::{Context, LogContext, RootContext};
use crate::error::Result;
use crate::runtime::{Callback, current};
use core::marker::PhantomData;

/// A root context that has no part in making stream contexts, which are all the same. The registration implements it.
pub trait StatelessRoot: RootContext {
    /// What `new_context` returns for every stream.
    fn only_context() -> Self::Context;
}

/// What stands for the contexts of a filter without state. [`Runtime`](super::Runtime) keeps a context for each stream and needs to be
/// told when the stream begins and ends, which are two of three callbacks of a filter that edits a header. A context that has no
/// size, is made without its root context, and has no destructor need not be kept: each callback makes it.
///
/// So there is no root context, no table, and no borrow that a host could meet when it enters the module again. Callbacks for streams
/// that are over find a context, too; the host answers their calls with a status.
pub struct Stateless<R: StatelessRoot>(PhantomData<fn() -> R>);

/// Whether nobody can tell how many values of a type there are. The registration asserts it of the context of a filter that looks
/// stateless: `new_context` may return a constant that has its type's name, or the type have a destructor.
pub const fn is_stateless<C>() -> bool {
    size_of::<C>() == 0 && !core::mem::needs_drop::<C>()
}

impl<R: StatelessRoot> Stateless<R>
where
    R::Context: Callbacks,
{
    /// A module without contexts.
    pub const fn new() -> Self {
        const { assert!(!R::Context::SET.intersects(KEPT), "a callback of this filter needs contexts that are kept") }
        Self(PhantomData)
    }

    /// `proxy_on_request_headers`.
    pub fn on_request_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        self.run(Request::CALLBACKS[0], context_id, Refusal::Reply, |context| {
            message::headers::<Request, _>(context, &Side::new(), end_of_stream != 0)
        })
    }

    /// `proxy_on_response_headers`.
    pub fn on_response_headers(&self, context_id: u32, _number_of_headers: u32, end_of_stream: u32) -> u32 {
        self.run(Response::CALLBACKS[0], context_id, Refusal::Reply, |context| {
            message::headers::<Response, _>(context, &Side::new(), end_of_stream != 0)
        })
    }

    /// `proxy_on_request_trailers`.
    pub fn on_request_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Request::CALLBACKS[2], context_id, Refusal::Reply, |context| {
            message::trailers::<Request, _>(context, &Side::new())
        })
    }

    /// `proxy_on_response_trailers`.
    pub fn on_response_trailers(&self, context_id: u32, _number_of_trailers: u32) -> u32 {
        self.run(Response::CALLBACKS[2], context_id, Side::new().refusal(), |context| {
            message::trailers::<Response, _>(context, &Side::new())
        })
    }

    /// `proxy_on_log`.
    pub fn on_log(&self, context_id: u32) {
        current::enter(Callback::Log, context_id);
        stream::report(Callback::Log, context_id, &R::only_context().on_log(&LogContext::new()));
    }

    /// Runs a callback, then sends its reply or applies the failure policy. Returns the callback's result.
    #[inline]
    #[allow(clippy::unused_self, reason = "the exports call it as they call a runtime that has contexts")]
    fn run(
        &self,
        callback: Callback,
        id: u32,
        refusal: Refusal,
        body: impl FnOnce(&mut R::Context) -> Result<Raw>,
    ) -> u32 {
        current::enter(callback, id);
        let mut context = R::only_context();
        let outcome = body(&mut context);
        failure::settle(callback, id, &context, refusal, outcome)
    }
}

/// The callbacks that are about the life of a context, or for which a [`Side`] remembers something.
const KEPT: CallbackSet = CallbackSet::ON_CREATE
    .union(CallbackSet::ON_REQUEST_BODY)
    .union(CallbackSet::ON_RESPONSE_BODY)
    .union(CallbackSet::ON_DONE)
    .union(CallbackSet::ON_DELETE);

impl<R: StatelessRoot> core::fmt::Debug for Stateless<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stateless").finish_non_exhaustive()
    }
}
