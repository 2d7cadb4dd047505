//! What a module's file says about it.

use std::fmt;
use wasmi::{Engine, ExternType, Module};

/// The imports and exports of a module, and its size.
///
/// ```
/// # fn f(bytes: &[u8]) -> Result<(), String> {
/// let report = proxy_filter_host::ModuleReport::read(bytes)?;
/// println!("{} bytes, imports {:?}", report.size, report.imports);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleReport {
    /// The bytes of the file.
    pub size: usize,
    /// The imported functions as `module.name`, sorted.
    pub imports: Vec<String>,
    /// The exported functions, sorted.
    pub exports: Vec<String>,
}

impl ModuleReport {
    /// Reads a module.
    ///
    /// # Errors
    /// The bytes are not a valid module.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let module = Module::new(&Engine::default(), bytes).map_err(|error| error.to_string())?;
        let mut imports: Vec<_> =
            module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect();
        let mut exports: Vec<_> = module
            .exports()
            .filter(|export| matches!(export.ty(), ExternType::Func(_)))
            .map(|export| export.name().to_owned())
            .collect();
        imports.sort_unstable();
        exports.sort_unstable();
        Ok(Self { size: bytes.len(), imports, exports })
    }
}

impl fmt::Display for ModuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} bytes", self.size)?;
        writeln!(f, "imports: {}", self.imports.join(", "))?;
        writeln!(f, "exports: {}", self.exports.join(", "))
    }
}
