//! Stream contexts: creation, deletion, and the callbacks that only observe.

use super::failure::{self, Raw, Refuse};
use super::held::Held;
use super::{CallbackSet, Callbacks, Life, NewContext, Runtime};
use super::{completion, ready};
use crate::error::{Error, ErrorKind, Result};
use crate::filter_status::FilterDataStatus;
use crate::headers::ContentLength;
use crate::runtime::{Callback, Entry, Shared, current};
use std::cell::{Cell, RefCell};

/// A stream's context and what the SDK keeps about the stream.
pub(super) struct Stream<C: 'static> {
    /// `None` while the place is idle, and for a stream whose context could not be made.
    context: RefCell<Option<C>>,
    flags: Cell<u32>,
    /// Why `on_create` failed: the stream's first callback that can do something denies, or applies the failure policy.
    failed: Cell<Option<Error>>,
    /// The root context, in modules where it matters.
    root: Cell<u32>,
    pub(super) request: Side,
    pub(super) response: Side,
}

/// What is remembered of a stream, as bits: one store makes a place new.
mod flag {
    /// The host deleted the stream during one of its callbacks.
    pub(super) const DELETED: u32 = 1;
}

/// What is remembered of one message of a stream.
#[derive(Debug)]
pub struct Side {
    /// `content-length` was removed from the headers.
    length_removed: Cell<bool>,
    /// The headers callback stopped the message: nothing of it has gone on.
    pub(super) headers_held: Cell<bool>,
    /// What callbacks and completions hold now.
    held: Cell<Held>,
    /// The context was told that the body is complete.
    pub(super) ended: Cell<bool>,
    /// The bytes the host has buffered for this filter.
    pub(super) buffered: Cell<usize>,
}

impl Side {
    pub(super) const fn new() -> Self {
        Self {
            length_removed: Cell::new(false),
            headers_held: Cell::new(false),
            held: Cell::new(Held::NOTHING),
            ended: Cell::new(false),
            buffered: Cell::new(0),
        }
    }

    pub(super) fn reset(&self) {
        self.length_removed.set(false);
        self.headers_held.set(false);
        self.held.set(Held::NOTHING);
        self.ended.set(false);
        self.buffered.set(0);
    }

    pub(super) fn set_content_length(&self, content_length: ContentLength) {
        self.length_removed.set(matches!(content_length, ContentLength::Removed));
    }

    pub(super) fn content_length(&self) -> ContentLength {
        if self.length_removed.get() { ContentLength::Removed } else { ContentLength::Kept }
    }

    /// Notes what the host keeps after a body callback.
    pub(super) fn keep(&self, status: &FilterDataStatus, length: usize) {
        self.buffered.set(if matches!(status, FilterDataStatus::StopIterationAndBuffer) { length } else { 0 });
    }

    #[inline]
    pub(super) fn held(&self) -> Held {
        self.held.get()
    }

    #[inline]
    pub(super) fn hold(&self, held: Held) {
        self.held.set(held);
    }

    /// The message goes on, with everything that was held and buffered of it.
    #[inline]
    pub(super) fn let_go(&self) {
        self.headers_held.set(false);
        self.held.set(Held::NOTHING);
        self.buffered.set(0);
    }

    /// How a response whose headers callback is over can be refused.
    pub(super) fn refusal(&self) -> failure::Refusal {
        if self.headers_held.get() { failure::Refusal::Reply } else { failure::Refusal::Reset }
    }
}

/// The callbacks that read or write what a [`Side`] remembers.
pub(super) const USING_SIDES: CallbackSet =
    CallbackSet::ON_REQUEST_BODY.union(CallbackSet::ON_RESPONSE_BODY).union(CallbackSet::COMPLETIONS);

/// The life of the contexts of a root.
pub(super) type LifeOf<R> = <<R as crate::context::RootContext>::Context as Callbacks>::Kind;

/// Whether a context has one of these callbacks.
pub(super) const fn has<C: Callbacks>(callbacks: CallbackSet) -> bool {
    C::SET.intersects(callbacks)
}

impl<R: NewContext> Runtime<R> {
    /// What any context of the module waits for.
    pub(super) const AWAITED: CallbackSet = R::AWAITS.union(<R::Context as Callbacks>::SET);

    /// Whether it matters which root context a callback belongs to: the module has timers, futures that may find each other, or gRPC.
    pub(super) const ROOTS: bool = Self::TIMERS || Self::WAKES || Self::AWAITED.intersects(CallbackSet::GRPC);

    pub(super) fn create_stream(&self, id: u32, root: u32) {
        current::enter(Callback::CONTEXT_CREATE, id);
        if Self::ROOTS {
            current::set_root_id(root);
        }
        let mut context = self.root(root).and_then(super::root::Root::new_context);
        let mut failed = None;
        match &mut context {
            // The stream exists for the host: its callbacks refuse it rather than let it pass.
            None => current::ignore_event(),
            Some(context) if has::<R::Context>(CallbackSet::ON_CREATE) => {
                failed = LifeOf::<R>::create(context).err().map(|error| {
                    if error.is_denial() {
                        return error;
                    }
                    failure::report(Callback::CONTEXT_CREATE, id, &error, "");
                    Error::refused(ErrorKind::Other, "on_create failed")
                });
            }
            Some(_) => {}
        }
        let (stream, forgotten) = self.streams.insert(id, Stream::new);
        if failed.is_some() {
            stream.failed.set(failed);
        }
        if Self::ROOTS {
            stream.root.set(root);
        }
        if has::<R::Context>(USING_SIDES) {
            stream.request.reset();
            stream.response.reset();
        }
        if let Ok(mut place) = stream.context.try_borrow_mut() {
            *place = context;
        }
        if let Some(forgotten) = forgotten {
            // A host that uses an id again without deleting it: the old context is dropped as if it had.
            self.delete_stream(forgotten, id);
        }
    }

    pub(super) fn delete_stream(&self, stream: Shared<Entry<Stream<R::Context>>>, id: u32) {
        if core::mem::needs_drop::<R::Context>() || has::<R::Context>(CallbackSet::ON_DELETE) {
            current::enter(Callback::DELETE, id);
        }
        let context = match stream.context.try_borrow_mut() {
            Ok(mut context) => context.take(),
            // In use: the callback that runs deletes it when it is over.
            Err(_) => return stream.flags.set(stream.flags.get() | flag::DELETED),
        };
        if has::<R::Context>(CallbackSet::ON_CREATE) {
            // An `on_create` that failed may have had no callback after it.
            stream.failed.set(None);
        }
        if Self::ROOTS {
            current::set_root_id(stream.root.get());
        }
        self.streams.recycle(stream);
        if has::<R::Context>(CallbackSet::COMPLETIONS) {
            completion::forget(<R::Context as Callbacks>::SET, id);
        }
        // The context is dropped here, outside of every borrow: its destructor may call the host, and the host this module.
        if let Some(mut context) = context {
            if has::<R::Context>(CallbackSet::ON_DELETE) {
                report(Callback::DELETE, id, &LifeOf::<R>::delete(&mut context));
            }
        }
        if Self::TASKS {
            // The future that was dropped may have woken others: those that wait for what it held.
            Self::run_later();
        }
    }

    /// The stream with this id; a callback for a stream that does not exist is counted.
    pub(super) fn stream(&self, id: u32) -> Option<Shared<Entry<Stream<R::Context>>>> {
        let stream = self.streams.get(id);
        if stream.is_none() {
            current::ignore_event();
        }
        stream
    }

    /// Runs a callback on a stream's context, then deletes the stream if the host asked for it meanwhile.
    pub(super) fn with_context<T>(
        &self,
        callback: Callback,
        id: u32,
        stream: Shared<Entry<Stream<R::Context>>>,
        body: impl FnOnce(Option<&mut R::Context>) -> T,
    ) -> Option<T> {
        let result = {
            let Ok(mut context) = stream.context.try_borrow_mut() else {
                // The host calls this stream's context while it is in a callback already. There is no later time to do it.
                current::ignore_event();
                return None;
            };
            current::enter(callback, id);
            if Self::ROOTS {
                current::set_root_id(stream.root.get());
            }
            body(context.as_mut())
        };
        if stream.flags.get() & flag::DELETED != 0 {
            stream.flags.set(0);
            self.delete_stream(stream, id);
        }
        self.make_up();
        Some(result)
    }

    /// Runs a callback, then sends its reply or applies the failure policy. Returns the callback's result.
    #[inline]
    pub(super) fn run<F: Refuse>(
        &self,
        callback: Callback,
        id: u32,
        stream: Shared<Entry<Stream<R::Context>>>,
        refusal: F,
        body: impl FnOnce(&mut R::Context) -> Result<Raw>,
    ) -> u32 {
        let run = |context: Option<&mut R::Context>| {
            let Some(context) = context else {
                if id == 0 {
                    current::ignore_event();
                    return failure::CONTINUE;
                }
                // Without a context there is no policy to ask for. Stopping refuses the stream, too.
                failure::report(callback, id, &no_context(), "; the stream is stopped");
                return failure::STOP;
            };
            let failed = if has::<R::Context>(CallbackSet::ON_CREATE) { stream.failed.take() } else { None };
            let result = match failed {
                Some(error) => Err(error),
                None => body(context),
            };
            let answered = !matches!(result, Ok(Ok(_)));
            let status = failure::settle(callback, id, context, || callback.is_of_response(), refusal, result);
            if has::<R::Context>(CallbackSet::COMPLETIONS) && answered && status == failure::STOP {
                completion::end(&stream.request, &stream.response);
            }
            status
        };
        let mut result = self.with_context(callback, id, stream, run).unwrap_or(failure::CONTINUE);
        if Self::COMPLETIONS && ready::is_any() && self.run_ready_before_return() {
            result = failure::CONTINUE;
        }
        if Self::TASKS {
            Self::run_later();
        }
        result
    }

    /// Runs a callback whose failure is only logged.
    pub(super) fn observe(&self, callback: Callback, id: u32, body: impl FnOnce(&mut R::Context) -> Result<()>) {
        if let Some(stream) = self.stream(id) {
            self.with_context(callback, id, stream, |context| {
                context.map(|context| report(callback, id, &body(context)))
            });
            if Self::COMPLETIONS && ready::is_any() {
                self.run_ready();
            }
        }
    }

    /// `proxy_on_log`.
    pub fn on_log(&self, context_id: u32) {
        if R::LOGS && self.streams.get(context_id).is_none() {
            return self.root_log(context_id);
        }
        self.observe(Callback::LOG, context_id, LifeOf::<R>::log);
    }

    /// `proxy_on_done` of a stream.
    pub(super) fn stream_done(&self, context_id: u32) {
        if has::<R::Context>(CallbackSet::ON_DONE) {
            self.observe(Callback::DONE, context_id, LifeOf::<R>::done);
        }
    }
}

/// Why a stream whose root context could not make a context for it is refused.
#[cold]
fn no_context() -> Error {
    Error::refused(ErrorKind::Other, "no context: the root context is missing, refused or busy")
}

impl<C> Stream<C> {
    /// Whether a callback of the context runs.
    pub(super) fn is_busy(&self) -> bool {
        self.context.try_borrow_mut().is_err()
    }

    const fn new() -> Self {
        Self {
            context: RefCell::new(None),
            flags: Cell::new(0),
            failed: Cell::new(None),
            root: Cell::new(0),
            request: Side::new(),
            response: Side::new(),
        }
    }
}

/// Logs the failure of a callback that only observes.
pub(super) fn report(callback: Callback, id: u32, result: &Result<()>) {
    if let Err(error) = result {
        failure::report(callback, id, error, "");
    }
}
