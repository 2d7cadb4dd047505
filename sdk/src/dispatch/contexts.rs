//! The contexts of a module: found by id, created, deleted, and run.

use crate::callout::cancel;
use crate::current::{self, Callback};
use crate::dispatch::root::Root;
use crate::dispatch::stream::Stream;
use crate::dispatch::uses::{LifeOf, USING_MESSAGE_STATE, Uses, has};
use crate::dispatch::{failure, wake};
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::effective;
use crate::engine::life::Life;
use crate::engine::message_state::Messages;
use crate::engine::shared::{Shared, share};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::plugin::registration::NewContext;
use crate::sys::table::{Entry, Table};
use std::cell::OnceCell;

/// A stream in the table.
pub(crate) type Found<R> = Shared<Entry<Stream<<R as crate::plugin::root_context::RootContext>::Context>>>;

/// The contexts of a module. One for a module on wasm; natively one for each thread that runs it.
pub struct Contexts<R: NewContext> {
    /// The first of the slots for root contexts. The list is short, and slots are reused.
    roots: OnceCell<Shared<Root<R>>>,
    streams: Table<Stream<R::Context>>,
}

impl<R: NewContext> Contexts<R> {
    /// A module without contexts.
    pub const fn new() -> Self {
        Self { roots: OnceCell::new(), streams: Table::new() }
    }

    /// The root context with this id.
    #[inline]
    pub(crate) fn root(&self, id: u32) -> Option<Shared<Root<R>>> {
        let mut place = self.roots.get().copied();
        while let Some(root) = place {
            if root.id.get() == id {
                break;
            }
            place = root.next.get().copied();
        }
        place
    }

    /// Returns the id of any root context that is not deleted.
    pub(crate) fn any_root(&self) -> Option<u32> {
        let mut place = self.roots.get().copied();
        while let Some(root) = place {
            if root.id.get() != 0 {
                return Some(root.id.get());
            }
            place = root.next.get().copied();
        }
        None
    }

    /// Returns the place of a new root context. If a host uses an id again without deleting the
    /// context, it is the same place.
    #[cold]
    pub(crate) fn add_root(&self, id: u32) -> Shared<Root<R>> {
        if let Some(place) = self.root(id).or_else(|| self.root(0)) {
            place.id.set(id);
            return place;
        }
        let mut last = &self.roots;
        while let Some(root) = last.get() {
            last = &root.next;
        }
        let place = share(Root::new(id));
        // The end of the list is not set yet, because only this function adds to it.
        let _ = last.set(place);
        place
    }

    /// Runs a callback of a root context, and logs a failure. A root context that was refused has
    /// no callbacks.
    pub(crate) fn notify_root(&self, callback: Callback, id: u32, body: impl FnOnce(&mut R) -> Result<()>) {
        let Some(root) = self.root(id) else { return current::ignore_event() };
        if Uses::<R>::TIMERS {
            effective::back_to(id);
        }
        root.with_context(callback, (), |root| {
            let Some(root) = root else { return };
            if let Err(error) = body(root) {
                failure::report(callback, id, &error, "");
            }
        });
    }

    /// The stream with this id, if it exists.
    #[inline]
    pub(crate) fn find_stream(&self, id: u32) -> Option<Found<R>> {
        self.streams.get(id)
    }

    /// The stream with this id; a callback for a stream that does not exist is counted.
    pub(crate) fn stream(&self, id: u32) -> Option<Found<R>> {
        let stream = self.streams.get(id);
        if stream.is_none() {
            current::ignore_event();
        }
        stream
    }

    /// Whether a callback of this context runs.
    pub(crate) fn is_busy(&self, id: u32) -> bool {
        match self.streams.get(id) {
            Some(stream) => stream.is_busy(),
            None => self.root(id).is_some_and(Root::is_busy),
        }
    }

    pub(crate) fn create_stream(&self, id: u32, root: u32) {
        current::enter(Callback::CONTEXT_CREATE, id);
        if Uses::<R>::ROOTS {
            current::set_root_id(root);
        }
        let (stream, forgotten) = self.streams.insert(id, Stream::new);
        if has::<R::Context>(USING_MESSAGE_STATE) {
            stream.messages.reset();
        }
        let new_context = || self.root(root).and_then(Root::new_context);
        let mut context =
            if Uses::<R>::TASKS { Messages::create(&stream.messages, new_context) } else { new_context() };
        let mut failed = None;
        match &mut context {
            // The host still has the stream. Its callbacks refuse the stream, so that it is not
            // forwarded without the filter.
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
        if failed.is_some() {
            stream.failed.set(failed);
        }
        if Uses::<R>::ROOTS {
            stream.root.set(root);
        }
        if let Ok(mut place) = stream.context.try_borrow_mut() {
            *place = context;
        }
        if let Some(forgotten) = forgotten {
            // The host reuses an id without deleting it first. The old context is deleted as if the
            // host had done so.
            self.delete_stream(forgotten, id);
        }
    }

    /// Removes a stream from the table. [`delete_stream`](Self::delete_stream) then drops its
    /// context.
    #[inline]
    pub(crate) fn remove_stream(&self, id: u32) -> Option<Found<R>> {
        self.streams.remove(id)
    }

    pub(crate) fn delete_stream(&self, stream: Found<R>, id: u32) {
        if core::mem::needs_drop::<R::Context>() || has::<R::Context>(CallbackSet::ON_DELETE) {
            current::enter(Callback::DELETE, id);
        }
        let context = match stream.context.try_borrow_mut() {
            Ok(mut context) => context.take(),
            // The context is in use. The running callback deletes it on return.
            Err(_) => return stream.deleted.set(true),
        };
        if has::<R::Context>(CallbackSet::ON_CREATE) {
            // An `on_create` that failed may have had no callback after it.
            stream.failed.set(None);
        }
        if Uses::<R>::ROOTS {
            current::set_root_id(stream.root.get());
        }
        self.streams.recycle(stream);
        if has::<R::Context>(CallbackSet::COMPLETIONS) {
            cancel::callouts_of(<R::Context as Callbacks>::SET, id);
        }
        // Drops the context outside every borrow: its destructor may call the host, which may make
        // reentrant calls.
        if let Some(mut context) = context {
            if has::<R::Context>(CallbackSet::ON_DELETE) {
                if let Err(error) = LifeOf::<R>::delete(&mut context) {
                    failure::report(Callback::DELETE, id, &error, "");
                }
            }
        }
        if Uses::<R>::TASKS {
            // Dropping the future may have woken other futures, which wait for something that it
            // owned.
            wake::run_later::<R>();
        }
    }

    /// Runs a callback on a stream's context. Deletes the stream afterwards if the host requested
    /// it during the callback.
    pub(crate) fn with_stream<T>(
        &self,
        callback: Callback,
        id: u32,
        stream: Found<R>,
        body: impl FnOnce(Option<&mut R::Context>) -> T,
    ) -> Option<T> {
        let result = {
            let Ok(mut context) = stream.context.try_borrow_mut() else {
                // This is a reentrant call for a context whose callback is running. The event
                // cannot be delivered later.
                current::ignore_event();
                return None;
            };
            current::enter(callback, id);
            if Uses::<R>::ROOTS {
                current::set_root_id(stream.root.get());
            }
            body(context.as_mut())
        };
        if stream.deleted.take() {
            self.delete_stream(stream, id);
        }
        Some(result)
    }

    /// Runs a callback of a stream, and only logs a failure.
    pub(crate) fn notify_stream(
        &self,
        callback: Callback,
        id: u32,
        stream: Found<R>,
        body: impl FnOnce(&mut R::Context) -> Result<()>,
    ) {
        self.with_stream(callback, id, stream, |context| {
            if let Some(Err(error)) = context.map(body) {
                failure::report(callback, id, &error, "");
            }
        });
    }
}

impl<R: NewContext> Default for Contexts<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: NewContext> core::fmt::Debug for Contexts<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}
