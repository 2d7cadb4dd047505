//! Places that live as long as the module and are used again.

/// A slot that several owners may reference while it is not borrowed.
///
/// Slots are never freed. On wasm, the memory ends with the module. Natively, a test leaks a few
/// hundred bytes for each VM. In return, copying a pointer costs nothing and no reference count is
/// needed. A module that frees no other memory contains no code for it.
pub(crate) type Shared<T> = &'static T;

/// Makes a place.
pub(crate) fn share<T>(value: T) -> Shared<T> {
    Box::leak(Box::new(value))
}
