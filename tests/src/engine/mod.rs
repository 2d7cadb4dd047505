//! What the embedded host needs of a wasm engine.

mod wasmi;

pub(crate) use self::wasmi::load;

use std::fmt;

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

/// The module's memory during a host function.
pub(crate) trait Memory {
    /// Copies bytes out; `None` if they are not in the memory.
    fn read(&self, pointer: u32, size: u32) -> Option<Vec<u8>>;
    /// Copies bytes in; `None` if there is no such place.
    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Option<()>;
    /// Asks the module for memory. The result is whatever its allocator says.
    fn allocate(&mut self, size: u32) -> Result<u32, Trap>;
}

/// The body of an imported function: the module's memory, the arguments, a status.
pub(crate) type Call = Box<dyn Fn(&mut dyn Memory, &[u64]) -> Result<u32, Trap> + Send + Sync>;

/// A function the host offers for import from module `env`. It returns one `i32`.
pub(crate) struct Import {
    pub(crate) name: &'static str,
    pub(crate) parameters: Vec<WireType>,
    pub(crate) call: Call,
}

/// An instance of a module.
pub(crate) trait Instance {
    /// Whether the module exports a function of this name.
    fn exports(&self, name: &str) -> bool;
    /// Calls an export with `i32` arguments. `None` for an export without a result.
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap>;
}
