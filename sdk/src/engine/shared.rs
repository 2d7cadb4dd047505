//! Places that live as long as the module and are used again.

/// A place that several owners may hold while none of them is borrowed.
///
/// Places are never given back to the allocator: on wasm the module ends with its memory, and natively a test leaves a few hundred
/// bytes for each VM it starts. In return a pointer costs nothing to copy, no count has to be kept, and a module that frees nothing else
/// has no code for it.
pub(crate) type Shared<T> = &'static T;

/// Makes a place.
pub(crate) fn share<T>(value: T) -> Shared<T> {
    Box::leak(Box::new(value))
}
