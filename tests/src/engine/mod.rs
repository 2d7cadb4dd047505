//! What the embedded host needs of a wasm engine, and the choice of one.

mod check;
mod exhausted;
mod module;
mod remedy;
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub(crate) use exhausted::explain;
pub(crate) use module::Module;
use std::fmt;

/// The wasm engine a module runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// `wasmi`, an interpreter: it builds in seconds and starts at once.
    #[default]
    Wasmi,
    /// `wasmtime`, a compiler: what it runs is as fast as in a proxy.
    #[cfg(feature = "wasmtime")]
    Wasmtime,
    /// `wasmtime`, counting instructions: its fuel, at its own prices.
    ///
    /// Each operator the module executes is 1, except those that compile to nothing (`nop`, `drop`, `block`, `loop`, `else`, `end`,
    /// `return`, `unreachable`); `memory.copy` and `memory.fill` are 1 more for each byte. What a host function does is not counted, what it
    /// makes the module do (allocate) is. The count depends on the module only, not on the machine.
    #[cfg(feature = "wasmtime")]
    Counting,
}

/// Loads a module with the checks and the messages of Envoy, and links it. Nothing of it has run yet, except a start section.
pub(crate) fn load(
    engine: Engine,
    bytes: &[u8],
    module: &Module,
    imports: Vec<Import>,
) -> Result<Box<dyn Instance>, String> {
    // Envoy compiles the module first. That takes longest, so here it comes last, unless something is wrong.
    if let Err(fault) = check::module(module, &imports) {
        let invalid = module::invalid(bytes).map(|error| format!("Failed to load Wasm bytecode: {error}"));
        return Err(invalid.unwrap_or(fault));
    }
    match engine {
        Engine::Wasmi => wasmi::load(bytes, module, imports),
        #[cfg(feature = "wasmtime")]
        Engine::Wasmtime => wasmtime::load(bytes, module, imports, false),
        #[cfg(feature = "wasmtime")]
        Engine::Counting => wasmtime::load(bytes, module, imports, true),
    }
}

/// The module trapped, or did something for which a host fails its VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap(pub(crate) String);

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trap {}

/// The type of a parameter on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    I32,
    I64,
}

impl WireType {
    const fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

/// A module that the host enters while one of its host functions runs.
pub(crate) trait Reentrant {
    /// Whether the module exports a function of this name.
    fn exports(&mut self, name: &str) -> bool;
    /// Calls an export that has no result.
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<(), Trap>;
}

/// The module's memory during a host function.
pub(crate) trait Memory: Reentrant {
    /// Whether there is one.
    fn exists(&self) -> bool;
    /// Copies bytes out; `None` if they are not in the memory.
    fn read(&self, pointer: u32, size: u32) -> Option<Vec<u8>>;
    /// Copies bytes in; `None` if there is no such place.
    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Option<()>;
    /// Asks the module for memory. The result is whatever its allocator says.
    fn allocate(&mut self, size: u32) -> Result<u32, Trap>;
}

/// The body of an imported function: the module's memory, the arguments, a result.
pub(crate) type Call = Box<dyn Fn(&mut dyn Memory, &[u64]) -> Result<u32, Trap> + Send + Sync>;

/// A function the host offers for import.
pub(crate) struct Import {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) parameters: Vec<WireType>,
    /// Whether the function returns its result, one `i32`.
    pub(crate) returns: bool,
    pub(crate) call: Call,
}

/// An instance of a module.
pub(crate) trait Instance {
    /// Whether the module exports a function of this name.
    fn exports(&self, name: &str) -> bool;
    /// Calls an export with `i32` arguments. `None` for an export without a result.
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap>;
    /// The instructions executed since the module was loaded; 0 where nobody counts.
    #[cfg(feature = "wasmtime")]
    fn instructions(&self) -> u64 {
        0
    }
    /// The pages of its memory, 64 KiB each; 0 where nobody counts.
    #[cfg(feature = "wasmtime")]
    fn pages(&self) -> u64 {
        0
    }
}
