//! What `wasm-opt` of Binaryen makes of a module, where it is installed.

use super::Failure;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// The features of WebAssembly that rustc uses for `wasm32-unknown-unknown`.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The size of the module after `wasm-opt -O`; `None` if there is no `wasm-opt`.
pub(super) fn size(module: &Path) -> Result<Option<u64>, Failure> {
    let optimised = module.with_extension("opt");
    let result = Command::new("wasm-opt").arg("-O").args(FEATURES).arg(module).arg("-o").arg(&optimised).output();
    match result {
        Ok(output) if output.status.success() => {
            let size = std::fs::metadata(&optimised)?.len();
            std::fs::remove_file(&optimised)?;
            Ok(Some(size))
        }
        Ok(output) => Err(Failure::new(format!(
            "wasm-opt -O {} failed:\n{}",
            module.display(),
            String::from_utf8_lossy(&output.stderr)
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
