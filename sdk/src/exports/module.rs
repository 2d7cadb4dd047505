//! A module as a whole: its first call, and what its exports are natively.

/// `_initialize`: no host function but `proxy_log` may be called now.
pub fn initialize() {
    crate::sys::call_constructors();
    crate::log::install();
    #[cfg(feature = "panic-hook")]
    crate::log::panic_hook::install();
}

/// A module that runs natively: what its exports are on wasm.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Each export's name, and the function behind it.
    pub exports: &'static [(&'static str, Export)],
}

/// An export as native code. Arguments it does not have are ignored; without a result it returns 0.
#[cfg(not(target_family = "wasm"))]
pub type Export = fn([u32; 5]) -> u32;
