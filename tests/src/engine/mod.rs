//! What the embedded host needs of a wasm engine, and the choice of one.

pub(crate) mod abi;
mod check;
mod exhausted;
mod instance;
mod module;
mod remedy;
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

use std::sync::Arc;

pub(crate) use exhausted::explain;
pub use instance::Trap;
pub(crate) use instance::{Import, Instance, Limits, Memory, Reentrant, WireType};
pub(crate) use module::Module;

/// The wasm engine a module runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// `wasmi`, an interpreter: it builds in seconds and starts at once.
    ///
    /// It counts a function, a loop or a part of an `if` as a whole when it begins, also the
    /// instructions that a branch then skips: at least as many as are executed.
    #[default]
    Wasmi,
    /// `wasmtime`, a compiler: what it runs is as fast as in a proxy.
    #[cfg(feature = "wasmtime")]
    Wasmtime,
    /// `wasmtime`, counting instructions: its fuel, at its own prices.
    ///
    /// Each operator the module executes is 1, except those that compile to nothing (`nop`, `drop`,
    /// `block`, `loop`, `else`, `end`, `return`, `unreachable`); `memory.copy` and `memory.fill`
    /// are 1 more for each byte. What a host function does is not counted, what it makes the module
    /// do (allocate) is. The count depends on the module only, not on the machine.
    #[cfg(feature = "wasmtime")]
    Counting,
}

/// Why Envoy does not load a module, with the causes and what to do.
pub(crate) fn refusal(bytes: &[u8], offered: &[Import]) -> Option<String> {
    let invalid = || module::invalid(bytes).map(|error| format!("Failed to load Wasm bytecode: {error}"));
    let module = match Module::read(bytes) {
        Ok(module) => module,
        Err(unread) => return Some(unread),
    };
    invalid().or_else(|| check::module(&module, offered).err())
}

/// The imports that are not offered: of each its name, why a module has it, and what to do.
pub(crate) fn foreign(module: &Module, offered: &[Import]) -> Vec<[String; 3]> {
    check::missing(module, offered)
        .map(|import| {
            let (cause, remedy) = remedy::of(&[import], module.version).into_iter().next().unwrap_or_default();
            [import.to_string(), cause, remedy]
        })
        .collect()
}

/// Loads a module with the checks and the messages of Envoy, and links it. Nothing of it has run
/// yet, except a start section.
pub(crate) fn load(
    engine: Engine,
    bytes: &Arc<[u8]>,
    module: &Module,
    imports: Vec<Import>,
    limits: Limits,
) -> Result<Box<dyn Instance>, String> {
    // Envoy compiles the module first. That takes longest, so here it comes last, unless something
    // is wrong.
    if let Err(fault) = check::module(module, &imports) {
        let invalid = module::invalid(bytes).map(|error| format!("Failed to load Wasm bytecode: {error}"));
        return Err(invalid.unwrap_or(fault));
    }
    match engine {
        Engine::Wasmi => wasmi::load(bytes, module, imports, limits),
        #[cfg(feature = "wasmtime")]
        Engine::Wasmtime => wasmtime::load(bytes, module, imports, limits, false),
        #[cfg(feature = "wasmtime")]
        Engine::Counting => wasmtime::load(bytes, module, imports, limits, true),
    }
}
