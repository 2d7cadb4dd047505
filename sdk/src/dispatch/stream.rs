//! The context of a stream, and what the SDK remembers of the stream.

use crate::engine::message_state::Messages;
use crate::error::Error;
use std::cell::{Cell, RefCell};

/// A place in the table of streams. Places are used again.
pub(crate) struct Stream<C: 'static> {
    /// `None` while the slot is idle, and for a stream whose context could not be created.
    pub(crate) context: RefCell<Option<C>>,
    /// The host deleted the stream during one of its callbacks.
    pub(crate) deleted: Cell<bool>,
    /// Why `on_create` failed: the stream's first callback that can do something denies, or applies
    /// the failure policy.
    pub(crate) failed: Cell<Option<Error>>,
    /// The root context. Set only in modules that need it.
    pub(crate) root: Cell<u32>,
    pub(crate) messages: Messages,
}

impl<C> Stream<C> {
    pub(crate) const fn new() -> Self {
        Self {
            context: RefCell::new(None),
            deleted: Cell::new(false),
            failed: Cell::new(None),
            root: Cell::new(0),
            messages: Messages::new(),
        }
    }

    /// Whether a callback of the context runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.context.try_borrow_mut().is_err()
    }
}
