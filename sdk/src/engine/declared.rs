//! Which callbacks the module of the running async function exports.

use crate::engine::point::Point;
pub(crate) use crate::engine::point::{Points, not_exported};
use crate::error::Error;
use crate::error::kind::ErrorKind;
use std::cell::Cell;

thread_local! {
    /// What the module exports, as far as the future that runs is concerned.
    static DECLARED: Cell<Points> = const { Cell::new(Points::NONE) };
    /// Why a future that runs independently of its stream cannot use the exchange. Only a module
    /// that spawns futures writes it, so that others do not contain the check.
    static DETACHED: Cell<Option<&'static str>> = const { Cell::new(None) };
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

/// Returns what a future may use that runs independently of its stream: callouts, but no parts of
/// messages.
pub(crate) fn detach(why: &'static str) -> Points {
    DETACHED.set(Some(why));
    points().without_stream()
}

/// Returns an error if the running future is independent of its stream.
#[inline]
pub(crate) fn detached() -> Option<Error> {
    let why = DETACHED.get()?;
    (!DECLARED.get().has(Point::RequestHeaders.bit())).then(|| Error::refused(ErrorKind::WrongPhase, why))
}

/// Creates the error of a future that awaits what the module does not export: [`not_exported`].
#[cold]
pub(crate) fn undeclared(why: &'static str) -> Error {
    Error::refused(ErrorKind::WrongPhase, why)
}
