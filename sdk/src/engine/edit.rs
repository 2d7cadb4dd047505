//! Changing what a cell holds.

use std::cell::Cell;

/// Takes a value out of its cell, lets `body` use it, and puts it back. Nothing of the author's
/// runs meanwhile: it would find an empty cell.
#[inline]
pub(crate) fn edit<T: Default, R>(cell: &Cell<T>, body: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.take();
    let result = body(&mut value);
    cell.set(value);
    result
}
