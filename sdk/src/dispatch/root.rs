//! A root context, and what it is run with.

use crate::current::{self, Callback};
use crate::dispatch::failure;
use crate::dispatch::uses::Uses;
use crate::engine::shared::Shared;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::configuration::{Configuration, VmConfiguration};
use crate::plugin::registration::NewContext;
use crate::plugin::root_context::RootContext;
use std::cell::{Cell, OnceCell, RefCell};

/// A root context, or the reason why it does not exist yet.
pub(crate) struct Root<R: 'static> {
    /// 0, which no host gives to a root context, while the place is idle.
    pub(crate) id: Cell<u32>,
    context: RefCell<Option<R>>,
    /// The error because of which there is no context.
    refusal: Cell<Option<Error>>,
    /// The place made after this one.
    pub(crate) next: OnceCell<Shared<Root<R>>>,
}

impl<R: NewContext> Root<R> {
    pub(crate) const fn new(id: u32) -> Self {
        Self { id: Cell::new(id), context: RefCell::new(None), refusal: Cell::new(None), next: OnceCell::new() }
    }

    /// Creates the context of a new stream. Returns `None` while the root context is busy or
    /// refused.
    pub(crate) fn new_context(&self) -> Option<R::Context> {
        let root = self.context.try_borrow().ok()?;
        root.as_ref().map(RootContext::new_context)
    }

    /// Whether a callback of the context runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.context.try_borrow_mut().is_err()
    }

    /// Replaces the context. The old context is dropped last: its destructor may call the host.
    pub(crate) fn replace(&self, context: Option<R>) {
        let old = match self.context.try_borrow_mut() {
            Ok(mut place) => core::mem::replace(&mut *place, context),
            Err(_) => return current::ignore_event(),
        };
        drop(old);
    }

    /// Removes the context, and keeps why the plugin is refused.
    pub(crate) fn refuse(&self, refusal: Error) {
        self.refusal.set(Some(refusal));
        self.replace(None);
    }

    /// Runs a callback; `otherwise` is the result if the context is in a callback already.
    pub(crate) fn with_context<T>(
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
        if Uses::<R>::ROOTS {
            current::set_root_id(self.id.get());
        }
        body(root.as_mut())
    }

    /// Runs the callback for the configuration, which may create the context.
    #[inline]
    pub(crate) fn configure(&self, configuration: Configuration) -> u32 {
        let read = || self.with_context(Callback::CONFIGURE, None, |_| R::read_root(&configuration));
        if let Some(read) = R::IS_READ.then(read).flatten() {
            // If the new configuration cannot be read, the previous context stays.
            let result = read.map(|context| self.replace(Some(context)));
            return self.verdict(Callback::CONFIGURE, result);
        }
        self.run(Callback::CONFIGURE, |root| root.on_configure(configuration))
    }

    /// Runs the callback for the start, which precedes the configuration.
    #[inline]
    pub(crate) fn start(&self, configuration: VmConfiguration) -> u32 {
        if R::IS_READ && self.is_awaiting_configuration() {
            return 1;
        }
        self.run(Callback::START, |root| root.on_start(configuration))
    }

    /// Returns whether the context does not exist yet and the plugin is not refused.
    fn is_awaiting_configuration(&self) -> bool {
        let refusal = self.refusal.take();
        let is_refused = refusal.is_some();
        self.refusal.set(refusal);
        !is_refused && self.context.try_borrow().is_ok_and(|context| context.is_none())
    }

    /// Runs a callback whose failure refuses the plugin.
    pub(crate) fn run(&self, callback: Callback, body: impl FnOnce(&mut R) -> Result<()>) -> u32 {
        self.with_context(callback, 0, |root| {
            let result = match root {
                Some(root) => body(root),
                None => Err(self.refusal.take().unwrap_or_else(no_root)),
            };
            self.verdict(callback, result)
        })
    }

    /// Returns the result of a callback whose failure refuses the plugin, as the host expects it.
    fn verdict(&self, callback: Callback, result: Result<()>) -> u32 {
        match result {
            Ok(()) => 1,
            Err(error) => {
                failure::report(callback, self.id.get(), &error, "; the plugin is refused");
                0
            }
        }
    }
}

/// The error for a root context whose refusal was already reported.
#[cold]
fn no_root() -> Error {
    Error::refused(ErrorKind::Configuration, "the root context was refused")
}
