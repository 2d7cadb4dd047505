//! Which callbacks the module of the running async function exports.

pub(crate) use crate::engine::point::{Points, not_exported};
use crate::error::Error;
use crate::error::kind::ErrorKind;
use std::cell::Cell;

thread_local! {
    /// What the module exports, as far as the future that runs is concerned.
    static DECLARED: Cell<Points> = const { Cell::new(Points::NONE) };
}

/// Records the callouts that the module of the running future exports. Returns the previous record.
#[inline]
pub(crate) fn declare(points: Points) -> Points {
    DECLARED.replace(points)
}

/// Returns whether the running future may use this callout.
#[inline]
pub(crate) fn is_declared(points: Points) -> bool {
    DECLARED.get().intersects(points)
}

/// What the module exports, as far as the future that runs is concerned.
#[inline]
pub(crate) fn points() -> Points {
    DECLARED.get()
}

/// Creates the error of a future that awaits what the module does not export: [`not_exported`].
#[cold]
pub(crate) fn undeclared(why: &'static str) -> Error {
    Error::refused(ErrorKind::WrongPhase, why)
}
