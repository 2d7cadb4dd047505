//! What Envoy checks of a module before it runs, in the same words; then all the rest that is
//! wrong, why, and what to do.

use super::Import;
use super::abi;
use super::exhausted;
use super::module::{Imported, Kind, Module, Signature};
use super::remedy;

/// Checks that the host has what the module imports, with the same types, and that the exports have
/// the types that the host calls.
pub(super) fn module(module: &Module, offered: &[Import]) -> Result<(), String> {
    imports(module, offered)?;
    if module.initial_memory() > exhausted::MEMORY as u64 {
        return Err(format!(
            "Failed to create new Wasm instance\ncause: the memory begins with {} MiB, and Envoy has 1024 MiB for a VM\n\
             what to do: link with a smaller initial memory (--initial-memory)",
            module.initial_memory() >> 20
        ));
    }
    exports(module)
}

/// The type of a function that the host offers.
fn signature_of(import: &Import) -> Signature {
    let parameters = import.parameters.iter().map(|parameter| parameter.name()).collect();
    Signature { parameters, results: if import.returns { vec!["i32"] } else { Vec::new() } }
}

/// What is wrong with an import.
enum Fault<'a> {
    Missing(&'a Imported),
    Mismatch(&'a Imported, Signature),
    /// The process of Envoy ends.
    Crash(&'a Imported),
    /// A memory or a table that Envoy does not make.
    Unmade(&'a str),
}

impl Fault<'_> {
    /// The line of Envoy.
    fn text(&self) -> String {
        match self {
            Self::Missing(import) => format!("Failed to load Wasm module due to a missing import: {import}"),
            Self::Mismatch(import, has) => {
                let Kind::Function(wants) = &import.kind else { return String::new() };
                format!(
                    "Failed to load Wasm module due to an import type mismatch: {import}, want: {wants}, but host exports: {has}"
                )
            }
            Self::Crash(import) => {
                format!("Envoy 1.40 crashes when it loads a module that imports {import}, {}", import.kind)
            }
            Self::Unmade(why) => format!("Failed to create new Wasm instance: {why}"),
        }
    }
}

fn imports(module: &Module, offered: &[Import]) -> Result<(), String> {
    let of_kind = |matches: fn(&Kind) -> bool| module.imports.iter().filter(|import| matches(&import.kind)).count();
    let mut faults: Vec<_> = module.imports.iter().filter_map(|import| fault(import, offered)).collect();
    if of_kind(|kind| matches!(kind, Kind::Memory { .. })) > 1 {
        faults.push(Fault::Unmade("Envoy has one memory to import"));
    }
    if of_kind(|kind| matches!(kind, Kind::Table)) > 1 {
        faults.push(Fault::Unmade("Envoy has one table to import"));
    }
    let Some(first) = faults.first() else { return Ok(()) };
    let mut report = first.text();
    let missing = faults.iter().filter_map(|fault| match fault {
        Fault::Missing(import) => Some(*import),
        _ => None,
    });
    let rest = faults.iter().skip(1).map(|fault| match fault {
        Fault::Missing(import) => format!("\nmissing as well: {import}, {}", import.kind),
        other => format!("\nand: {}", other.text()),
    });
    report.extend(rest);
    for (cause, remedy) in remedy::of(&missing.collect::<Vec<_>>(), module.version) {
        report.extend(["\ncause: ", &cause, "\nwhat to do: ", &remedy]);
    }
    Err(report)
}

/// The imports that the host does not offer.
pub(super) fn missing<'a>(module: &'a Module, offered: &'a [Import]) -> impl Iterator<Item = &'a Imported> {
    module.imports.iter().filter(|import| matches!(fault(import, offered), Some(Fault::Missing(_))))
}

fn fault<'a>(import: &'a Imported, offered: &[Import]) -> Option<Fault<'a>> {
    match &import.kind {
        Kind::Function(wants) => {
            let found = offered.iter().find(|offer| (offer.module, offer.name) == (&*import.module, &*import.name));
            let Some(found) = found else { return Some(Fault::Missing(import)) };
            let has = signature_of(found);
            (has != *wants).then_some(Fault::Mismatch(import, has))
        }
        Kind::Memory { shared: true } => Some(Fault::Unmade("Envoy has no shared memory to import")),
        Kind::Memory { shared: false } | Kind::Table => None,
        Kind::Global => Some(Fault::Missing(import)),
        Kind::Tag => Some(Fault::Crash(import)),
    }
}

fn exports(module: &Module) -> Result<(), String> {
    let has = |name: &str| module.exports.iter().any(|(export, _)| export == name);
    let mut faults: Vec<_> = module
        .exports
        .iter()
        .filter_map(|(name, kind)| {
            let Kind::Function(found) = kind else { return None };
            // What the host does not call is not looked at.
            let called = match name.as_str() {
                "_start" => !has("_initialize"),
                "main" | "__main_void" => has("_initialize"),
                "proxy_on_memory_allocate" => !has("malloc"),
                _ => true,
            };
            let (parameters, result) = abi::signature(name, module.version).filter(|_| called)?;
            let wanted = Signature { parameters: vec!["i32"; parameters], results: vec!["i32"; usize::from(result)] };
            (*found != wanted)
                .then(|| format!("Bad function signature for: {name}, want: {wanted}, but the module exports: {found}"))
        })
        .collect();
    if faults.iter().any(|fault| fault.contains("_headers")) {
        faults.push(format!(
            "cause: the module says that it speaks ABI {}, and headers callbacks of ABI 0.1.0 have two parameters, later ones three\n\
             what to do: export the marker of the ABI that the callbacks are written for; the first marker of the file counts",
            module.version
        ));
    }
    if !module.allocates() {
        faults.push(
            "Wasm module is missing malloc function.\ncause: the host has no place in the module's memory for what it hands over\n\
             what to do: export `malloc` or `proxy_on_memory_allocate`, which gets a size and returns a pointer"
                .into(),
        );
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}
