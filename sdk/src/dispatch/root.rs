//! Root contexts.

use super::{NewContext, Runtime};
use crate::config::{Configuration, VmConfiguration};
use crate::context::RootContext;
use crate::dispatch::failure;
use crate::error::{Error, Result};
use crate::runtime::{Callback, current};
use std::cell::RefCell;
use std::rc::Rc;

/// A root context, or why there is none.
pub(super) struct Root<R> {
    id: u32,
    context: RefCell<Result<R>>,
}

impl<R: NewContext> Root<R> {
    /// Makes the context of a new stream; none while the root context is busy or refused.
    pub(super) fn new_context(&self) -> Option<R::Context> {
        let root = self.context.try_borrow().ok()?;
        root.as_ref().ok().map(RootContext::new_context)
    }

    /// Runs a callback whose failure refuses the plugin.
    fn run(&self, callback: Callback, body: impl FnOnce(&mut R) -> Result<()>) -> u32 {
        let Ok(mut root) = self.context.try_borrow_mut() else {
            current::ignore_event();
            return 0;
        };
        let _current = current::enter(callback, self.id);
        let result = match &mut *root {
            Ok(root) => body(root),
            Err(refusal) => Err(core::mem::replace(refusal, Error::from("the root context was refused"))),
        };
        match result {
            Ok(()) => 1,
            Err(error) => {
                failure::report(callback, self.id, &error, "; the plugin is refused");
                0
            }
        }
    }
}

impl<R: NewContext> Runtime<R> {
    pub(super) fn root(&self, id: u32) -> Option<Rc<Root<R>>> {
        let roots = self.roots.try_borrow().ok()?;
        roots.iter().find(|root| root.id == id).map(Rc::clone)
    }

    #[cold]
    pub(super) fn create_root(&self, id: u32) {
        let context = {
            let _current = current::enter(Callback::ContextCreate, id);
            R::new_root()
        };
        if let Ok(mut roots) = self.roots.try_borrow_mut() {
            roots.retain(|root| root.id != id);
            roots.push(Rc::new(Root { id, context: RefCell::new(context) }));
        }
    }

    /// `proxy_on_vm_start`.
    pub fn on_vm_start(&self, context_id: u32, configuration_size: u32) -> u32 {
        current::advance_epoch();
        match self.root(context_id) {
            Some(root) => root.run(Callback::Start, |root| root.on_start(VmConfiguration::new(configuration_size))),
            None => 0,
        }
    }

    /// `proxy_on_configure`.
    pub fn on_configure(&self, context_id: u32, configuration_size: u32) -> u32 {
        current::advance_epoch();
        match self.root(context_id) {
            Some(root) => {
                root.run(Callback::Configure, |root| root.on_configure(Configuration::new(configuration_size)))
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
        let Ok(mut context) = root.context.try_borrow_mut() else {
            current::ignore_event();
            return 1;
        };
        let _current = current::enter(Callback::Done, context_id);
        match &mut *context {
            Ok(context) => u32::from(context.on_done()),
            Err(_) => 1,
        }
    }

    /// `proxy_on_delete` for an id that is not a stream's.
    #[cold]
    pub(super) fn delete_root(&self, context_id: u32) {
        let removed = self.roots.try_borrow_mut().ok().and_then(|mut roots| {
            let index = roots.iter().position(|root| root.id == context_id)?;
            Some(roots.swap_remove(index))
        });
        // Dropped only now: a destructor may call the host, and the host this module.
        let _current = current::enter(Callback::Delete, context_id);
        match removed {
            Some(root) => drop(root),
            None => current::ignore_event(),
        }
    }
}
