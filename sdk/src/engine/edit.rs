//! Changing the value of a cell.

use std::cell::Cell;

/// Takes a value out of its cell, passes it to `body`, and puts it back. `body` must not run code
/// of the filter author, which would find an empty cell.
#[inline]
pub(crate) fn edit<T: Default, R>(cell: &Cell<T>, body: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.take();
    let result = body(&mut value);
    cell.set(value);
    result
}
