//! Places that live as long as the module and are used again.

use crate::sys;

/// A pointer to a place that several owners may hold: nothing is borrowed or counted while the place is in use.
///
/// On wasm a place is never given back to the allocator, because the module ends with its memory: the pointer is a plain
/// reference. Natively a module ends with its thread, and the places go with the last pointer.
#[cfg(target_family = "wasm")]
pub(crate) type Shared<T> = &'static T;
/// A pointer to a place that several owners may hold.
#[cfg(not(target_family = "wasm"))]
pub(crate) type Shared<T> = std::rc::Rc<T>;

/// Makes a place. Without memory the module ends: going on without the context of a stream would let it pass unseen.
#[cfg(target_family = "wasm")]
pub(crate) fn share<T>(value: T) -> Shared<T> {
    let mut place = vec_of(1);
    place.push(value);
    match place.leak() {
        [value] => value,
        _ => sys::out_of_memory(),
    }
}

/// Makes a place.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn share<T>(value: T) -> Shared<T> {
    std::rc::Rc::new(value)
}

/// A vector with room for `length` items, or the end of the module. Unlike `Vec::with_capacity` this needs no panic, which would bring
/// its machinery into a module that has no other.
pub(crate) fn vec_of<T>(length: usize) -> Vec<T> {
    let mut vec = Vec::new();
    match vec.try_reserve_exact(length) {
        Ok(()) => vec,
        Err(_) => sys::out_of_memory(),
    }
}
