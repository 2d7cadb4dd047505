//! What the embedded host needs of a wasm engine: an instance of a module, and its memory.

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

/// What a host allows a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The host that has the limit of the memory, in words.
    pub(crate) host: &'static str,
    /// The most memory of a VM, in bytes.
    pub(crate) memory: usize,
    /// The most instructions of a callback of a stream.
    pub(crate) instructions: Option<u64>,
}

impl Limits {
    /// The most instructions of an export.
    pub(super) fn instructions_of(self, export: &str) -> Option<u64> {
        let is_of_stream = |export: &str| {
            export.starts_with("proxy_on_request_")
                || export.starts_with("proxy_on_response_")
                || matches!(export, "proxy_on_log" | "proxy_on_done" | "proxy_on_delete")
        };
        self.instructions.filter(|_| is_of_stream(export))
    }

    /// The trap of a callback that executed more instructions than allowed.
    pub(super) fn exceeded(self, export: &str, most: u64) -> Trap {
        let host = self.host;
        Trap(format!("{export} takes longer than {host} allows: more than {most} instructions, about 1 ms"))
    }
}

/// The type of a parameter on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    I32,
    I64,
}

impl WireType {
    pub(super) const fn name(self) -> &'static str {
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

impl Import {
    /// Whether this is its name: `module.name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        name.split_once('.') == Some((self.module, self.name))
    }
}

/// An instance of a module.
pub(crate) trait Instance {
    /// Whether the module exports a function of this name.
    fn exports(&self, name: &str) -> bool;
    /// Calls an export with `i32` arguments. `None` for an export without a result.
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap>;
    /// The instructions executed since the module was loaded; 0 if they are not counted.
    fn instructions(&self) -> u64 {
        0
    }
    /// The pages of its memory, 64 KiB each; 0 if they are not counted.
    fn pages(&self) -> u64 {
        0
    }
}
