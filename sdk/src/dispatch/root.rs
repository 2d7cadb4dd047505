//! Root contexts.

use super::{CallbackSet, NewContext, Runtime, awaited, completion, effective, timers};
use crate::config::{Configuration, VmConfiguration};
use crate::context::RootContext;
use crate::dispatch::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Callback, Shared, current, share};
use std::cell::{Cell, OnceCell, RefCell};

/// A root context, or why there is none yet.
pub(super) struct Root<R: 'static> {
    /// 0, which no host gives to a root context, while the place is idle.
    id: Cell<u32>,
    context: RefCell<Option<R>>,
    /// Why there is no context.
    refusal: Cell<Option<Error>>,
    /// The place made after this one.
    next: OnceCell<Shared<Root<R>>>,
}

impl<R: NewContext> Root<R> {
    /// Makes the context of a new stream; none while the root context is busy or refused.
    pub(super) fn new_context(&self) -> Option<R::Context> {
        let root = self.context.try_borrow().ok()?;
        root.as_ref().map(RootContext::new_context)
    }

    /// Whether a callback of the context runs.
    pub(super) fn is_busy(&self) -> bool {
        self.context.try_borrow_mut().is_err()
    }

    /// Puts another context, or none, into the place. The old one is dropped last: its destructor may call the host.
    fn replace(&self, context: Option<Result<R>>) {
        let context = match context {
            Some(Ok(context)) => Some(context),
            Some(Err(refusal)) => {
                self.refusal.set(Some(refusal));
                None
            }
            None => None,
        };
        let old = match self.context.try_borrow_mut() {
            Ok(mut place) => core::mem::replace(&mut *place, context),
            Err(_) => return current::ignore_event(),
        };
        drop(old);
    }

    /// Runs a callback; `otherwise` is the result if the context is in a callback already.
    pub(super) fn with_context<T>(
        &self,
        callback: Callback,
        otherwise: T,
        body: impl FnOnce(Option<&mut R>) -> T,
    ) -> T {
        let Ok(mut root) = self.context.try_borrow_mut() else {
            current::ignore_event();
            return otherwise;
        };
        current::enter(callback, self.id.get());
        if Runtime::<R>::ROOTS {
            current::set_root_id(self.id.get());
        }
        body(root.as_mut())
    }

    /// Runs a callback whose failure refuses the plugin.
    fn run(&self, callback: Callback, body: impl FnOnce(&mut R) -> Result<()>) -> u32 {
        self.with_context(callback, 0, |root| {
            let result = match root {
                Some(root) => body(root),
                None => Err(self.refusal.take().unwrap_or_else(no_root)),
            };
            match result {
                Ok(()) => 1,
                Err(error) => {
                    failure::report(callback, self.id.get(), &error, "; the plugin is refused");
                    0
                }
            }
        })
    }
}

/// Why nothing can be done with a place whose refusal was reported already.
#[cold]
fn no_root() -> Error {
    Error::refused(ErrorKind::Configuration, "the root context was refused")
}

impl<R: NewContext> Runtime<R> {
    #[inline]
    pub(super) fn root(&self, id: u32) -> Option<Shared<Root<R>>> {
        let mut place = self.roots.get().copied();
        while let Some(root) = place {
            if root.id.get() == id {
                break;
            }
            place = root.next.get().copied();
        }
        place
    }

    #[cold]
    pub(super) fn create_root(&self, id: u32) {
        current::enter(Callback::CONTEXT_CREATE, id);
        if Self::TIMERS {
            crate::timer::share_tick(timers::set_period);
        }
        let context = R::new_root();
        // A host that uses an id again without deleting it means the new one.
        if let Some(place) = self.root(id).or_else(|| self.root(0)) {
            place.id.set(id);
            return place.replace(Some(context));
        }
        let mut last = &self.roots;
        while let Some(root) = last.get() {
            last = &root.next;
        }
        let place = share(Root {
            id: Cell::new(id),
            context: RefCell::new(None),
            refusal: Cell::new(None),
            next: OnceCell::new(),
        });
        place.replace(Some(context));
        // The end of the list is not set yet: nothing but this adds to it.
        let _ = last.set(place);
    }

    /// `proxy_on_vm_start`.
    pub fn on_vm_start(&self, context_id: u32, configuration_size: u32) -> u32 {
        current::advance_epoch();
        Self::enter_root(context_id);
        match self.root(context_id) {
            Some(root) => {
                let result = root.run(Callback::START, |root| root.on_start(VmConfiguration::new(configuration_size)));
                self.after_root_callback(context_id);
                result
            }
            None => 0,
        }
    }

    /// `proxy_on_configure`.
    pub fn on_configure(&self, context_id: u32, configuration_size: u32) -> u32 {
        current::advance_epoch();
        Self::enter_root(context_id);
        match self.root(context_id) {
            Some(root) => {
                let result =
                    root.run(Callback::CONFIGURE, |root| root.on_configure(Configuration::new(configuration_size)));
                self.after_root_callback(context_id);
                result
            }
            None => 0,
        }
    }

    /// `proxy_on_done` for an id that is not a stream's.
    pub(super) fn root_done(&self, context_id: u32) -> u32 {
        let Some(root) = self.root(context_id) else {
            current::ignore_event();
            return 1;
        };
        Self::enter_root(context_id);
        let result = root.with_context(Callback::DONE, 1, |root| root.map_or(1, |root| u32::from(root.on_done())));
        self.after_root_callback(context_id);
        result
    }

    /// `proxy_on_delete` for an id that is not a stream's.
    #[cold]
    pub(super) fn delete_root(&self, context_id: u32) {
        let Some(root) = self.root(context_id) else { return current::ignore_event() };
        current::enter(Callback::DELETE, context_id);
        root.id.set(0);
        if R::AWAITS.intersects(CallbackSet::COMPLETIONS) {
            completion::forget(R::AWAITS, context_id);
        }
        root.replace(None);
        if Self::ROOTS {
            self.inherit(context_id);
        }
    }

    /// What futures of other root contexts have under way for one that is gone goes on with those, or is over.
    #[cold]
    fn inherit(&self, gone: u32) {
        let heir = self.any_root();
        Self::enter_root(gone);
        if let Some(heir) = heir {
            current::set_root_id(heir);
        }
        if Self::TIMERS {
            timers::forget_root(gone, heir);
        }
        if Self::TASKS {
            awaited::abandon(gone);
        }
        #[cfg(feature = "grpc")]
        self.abandon_grpc(gone);
        if let (true, Some(heir)) = (Self::TASKS, heir) {
            effective::back_to(heir);
            Self::run_later();
        }
    }

    /// A root context that is alive.
    fn any_root(&self) -> Option<u32> {
        let mut place = self.roots.get().copied();
        while let Some(root) = place {
            if root.id.get() != 0 {
                return Some(root.id.get());
            }
            place = root.next.get().copied();
        }
        None
    }
}
