//! What Envoy checks before it instantiates a module, in the same words: the ABI version, an allocator, and the types of the
//! exports it knows.

use super::Import;
use crate::embedded::abi;
use std::fmt;

/// The type of a function, whichever engine says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) parameters: Vec<String>,
    pub(super) results: Vec<String>,
}

impl Signature {
    fn of_i32(parameters: usize, result: bool) -> Self {
        let i32s = |count| vec!["i32".to_owned(); count];
        Self { parameters: i32s(parameters), results: i32s(usize::from(result)) }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) -> ({})", self.parameters.join(", "), self.results.join(", "))
    }
}

/// Checks the exported functions.
pub(super) fn exports<'a>(functions: impl Iterator<Item = (&'a str, Signature)>) -> Result<(), String> {
    let mut marker = false;
    let mut allocator = false;
    for (name, found) in functions {
        marker |= abi::VERSION_MARKERS.contains(&name);
        allocator |= abi::ALLOCATORS.contains(&name);
        let Some((parameters, result)) = abi::signature(name) else { continue };
        let wanted = Signature::of_i32(parameters, result);
        if found != wanted {
            return Err(format!("Bad function signature for: {name}, want: {wanted}, but the module exports: {found}"));
        }
    }
    if !marker {
        return Err(
            "Missing or unknown Proxy-Wasm ABI version: is a root context registered with #[proxy_filter::root]?"
                .into(),
        );
    }
    if !allocator {
        return Err("Wasm module is missing malloc function.".into());
    }
    Ok(())
}

/// Checks that the host has what the module imports: pairs of module and name.
pub(super) fn imports<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>, offered: &[Import]) -> Result<(), String> {
    for (module, name) in wanted {
        if !offered.iter().any(|import| (import.module, import.name) == (module, name)) {
            return Err(format!("missing import: {module}.{name}"));
        }
    }
    Ok(())
}
