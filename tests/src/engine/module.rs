//! What a module's file says before anything of it runs: its version of the ABI, its imports and
//! its exports.

use super::abi::{self, Version};
use std::fmt;
use wasmparser::{
    CompositeInnerType, Encoding, ExternalKind, FuncType, MemoryType, Parser, Payload, TypeRef, ValType, Validator,
    WasmFeatures,
};

/// The type of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) parameters: Vec<&'static str>,
    pub(super) results: Vec<&'static str>,
}

impl Signature {
    fn of(ty: &FuncType) -> Self {
        let names = |types: &[ValType]| types.iter().copied().map(name).collect();
        Self { parameters: names(ty.params()), results: names(ty.results()) }
    }
}

/// The name of a type, as Envoy writes it.
fn name(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::Ref(ty) if ty.is_func_ref() => "funcref",
        ValType::Ref(ty) if ty.is_extern_ref() => "externref",
        ValType::Ref(_) => "unknown",
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[&str]| if names.is_empty() { "void".to_owned() } else { names.join(" ") };
        write!(f, "{} -> {}", list(&self.parameters), list(&self.results))
    }
}

/// What a module imports or exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function(Signature),
    Memory { shared: bool },
    Table,
    Global,
    Tag,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(signature) => write!(f, "a function, {signature}"),
            Self::Memory { shared: true } => f.write_str("a shared memory"),
            Self::Memory { shared: false } => f.write_str("a memory"),
            Self::Table => f.write_str("a table"),
            Self::Global => f.write_str("a global"),
            Self::Tag => f.write_str("a tag of exceptions"),
        }
    }
}

/// An import: the name of the module it comes from, its own, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Imported {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// A module that was read and not checked.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The version of the ABI that the module speaks.
    pub(crate) version: Version,
    pub(super) imports: Vec<Imported>,
    /// In the order of the file.
    pub(super) exports: Vec<(String, Kind)>,
    /// The memories: of each the pages that it begins with, and the bytes of a page.
    memories: Vec<(u64, u64)>,
    /// Where in the file the flags of shared memories are that the module defines itself.
    #[cfg_attr(not(feature = "wasmtime"), allow(dead_code, reason = "the other engine has no shared memory"))]
    shared: Vec<usize>,
}

/// The flag of a memory that several threads may use.
#[cfg(feature = "wasmtime")]
const SHARED: u8 = 0x02;

impl Module {
    /// Reads the sections of a module that say what it is; the code is passed over.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (module, marker) = Self::read_any(bytes)?;
        if marker.is_some() { Ok(module) } else { Err(without_marker(&module.exports)) }
    }

    /// Reads a module that may have no marker, and returns the version of its marker. Without one,
    /// the module is taken for one of the latest version.
    pub(crate) fn read_any(bytes: &[u8]) -> Result<(Self, Option<Version>), String> {
        let mut reader = Reader::default();
        let parsed = reader.read(bytes);
        if reader.component {
            return Err(COMPONENT.into());
        }
        parsed.map_err(|error| format!("Failed to load Wasm bytecode: {error}"))?;
        let exports = reader.exports()?;
        // The first one counts, whatever follows. Only functions are looked at.
        let functions = || exports.iter().filter(|(_, kind)| matches!(kind, Kind::Function(_)));
        let marker = functions().find_map(|(name, _)| Version::of_marker(name));
        let version = marker.unwrap_or_default();
        let module =
            Self { version, imports: reader.imports, exports, memories: reader.memories, shared: reader.shared };
        Ok((module, marker))
    }

    /// The imported functions as `module.name`, and the names of the exported ones, in the order of
    /// the file.
    pub(crate) fn functions(&self) -> (Vec<String>, Vec<String>) {
        let is_function = |kind: &Kind| matches!(kind, Kind::Function(_));
        let imports = self.imports.iter().filter(|import| is_function(&import.kind)).map(ToString::to_string);
        let exports = self.exports.iter().filter(|(_, kind)| is_function(kind)).map(|(name, _)| name.clone());
        (imports.collect(), exports.collect())
    }

    /// The name of the memory that the host reads and writes, if the module exports one: the last,
    /// as in Envoy.
    pub(super) fn exported_memory(&self) -> Option<&str> {
        let mut memories = self.exports.iter().filter(|(_, kind)| matches!(kind, Kind::Memory { .. }));
        memories.next_back().map(|(name, _)| name.as_str())
    }

    /// The bytes of the largest memory at its beginning.
    pub(crate) fn initial_memory(&self) -> u64 {
        self.memories.iter().map(|(pages, size)| pages.saturating_mul(*size)).max().unwrap_or_default()
    }

    /// The module with its own shared memories declared as not shared. One thread runs the module,
    /// and an engine reads a memory safely only if no other thread can write it.
    #[cfg(feature = "wasmtime")]
    pub(super) fn without_shared_memory<'a>(&self, bytes: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
        if self.shared.is_empty() {
            return bytes.into();
        }
        let mut bytes = bytes.to_vec();
        for place in &self.shared {
            if let Some(flags) = bytes.get_mut(*place) {
                *flags &= !SHARED;
            }
        }
        bytes.into()
    }
}

/// Why Envoy does not take the module, if it is invalid or uses what V8 does not have.
pub(super) fn invalid(bytes: &[u8]) -> Option<String> {
    Validator::new_with_features(v8()).validate_all(bytes).err().map(|error| error.to_string())
}

/// Why an engine did not take a module: a fault of the module, or what the engine does not have.
/// `error` is what the engine said.
pub(super) fn refused(bytes: &[u8], engine: &str, lacks: &[(WasmFeatures, &str)], error: &str) -> String {
    if let Some(invalid) = invalid(bytes) {
        return format!("Failed to load Wasm bytecode: {invalid}");
    }
    let without = |feature| Validator::new_with_features(v8().difference(feature)).validate_all(bytes).is_err();
    let uses: Vec<_> = lacks.iter().filter(|(feature, _)| without(*feature)).map(|(_, name)| *name).collect();
    let uses = if uses.is_empty() { error.to_owned() } else { format!("it uses {}", uses.join(", ")) };
    format!(
        "the engine {engine} of the embedded host cannot play this module, which Envoy may accept: {uses}\n\
         what to do: run it in a real Envoy, on the engine wasmtime (feature `wasmtime`), or compile it without"
    )
}

/// What Envoy's V8 has.
fn v8() -> WasmFeatures {
    WasmFeatures::all()
        & !(WasmFeatures::CUSTOM_PAGE_SIZES
            | WasmFeatures::WIDE_ARITHMETIC
            | WasmFeatures::STACK_SWITCHING
            | WasmFeatures::SHARED_EVERYTHING_THREADS
            | WasmFeatures::MEMORY_CONTROL)
}

/// What is said of a component.
const COMPONENT: &str = "Failed to load Wasm bytecode: the file is a component\n\
     cause: it was built for WASI preview 2 or later; Envoy runs core modules\n\
     what to do: build for wasm32-unknown-unknown or wasm32-wasip1 (in Go: GOOS=wasip1), and do not make a component of the module";

/// What is said of a module without a marker.
fn without_marker(exports: &[(String, Kind)]) -> String {
    let like: Vec<_> = exports.iter().filter(|(name, _)| name.starts_with("proxy_abi_version_")).collect();
    let (cause, remedy) = match like.as_slice() {
        [] => (
            "the module exports no function `proxy_abi_version_0_2_1`".to_owned(),
            "Rust: is a root context registered with #[proxy_filter::root], and is crate-type `cdylib`? C and C++: give the function \
             the attribute export_name. Go: `//go:wasmexport proxy_abi_version_0_2_1`. AssemblyScript: export it from the entry file",
        ),
        [(name, kind), ..] if Version::of_marker(name).is_some() => {
            (format!("`{name}` is {kind}"), "export a function of this name")
        }
        [(name, _), ..] => (
            format!("`{name}` is of an ABI that Envoy does not have"),
            "export `proxy_abi_version_0_2_1`, `proxy_abi_version_0_2_0` or `proxy_abi_version_0_1_0`",
        ),
    };
    format!("Missing or unknown Proxy-Wasm ABI version\ncause: {cause}\nwhat to do: {remedy}")
}

/// What has been read of a file.
#[derive(Default)]
struct Reader {
    component: bool,
    /// Functions have a type, others have not.
    types: Vec<Option<Signature>>,
    imports: Vec<Imported>,
    /// The types of all functions, the imported ones first.
    functions: Vec<u32>,
    exported: Vec<(String, ExternalKind, u32)>,
    /// Whether each memory is shared, the imported ones first.
    shareds: Vec<bool>,
    memories: Vec<(u64, u64)>,
    shared: Vec<usize>,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        let mut parser = Parser::new(0);
        parser.set_features(WasmFeatures::all());
        for payload in parser.parse_all(bytes) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    self.component = true;
                    return Ok(());
                }
                Payload::TypeSection(types) => {
                    for group in types {
                        self.types.extend(group?.into_types().map(|ty| match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(Signature::of(ty)),
                            _ => None,
                        }));
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports {
                        let import = import?;
                        let kind = match import.ty {
                            TypeRef::Func(ty) => {
                                self.functions.push(ty);
                                Kind::Function(self.signature(ty))
                            }
                            TypeRef::Memory(ty) => self.memory(&ty),
                            TypeRef::Table(_) => Kind::Table,
                            TypeRef::Global(_) => Kind::Global,
                            TypeRef::Tag(_) => Kind::Tag,
                        };
                        self.imports.push(Imported { module: import.module.into(), name: import.name.into(), kind });
                    }
                }
                Payload::FunctionSection(functions) => {
                    for function in functions {
                        self.functions.push(function?);
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories.into_iter_with_offsets() {
                        let (place, memory) = memory?;
                        self.memory(&memory);
                        if memory.shared {
                            self.shared.push(place);
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        self.exported.push((export.name.into(), export.kind, export.index));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn signature(&self, ty: u32) -> Signature {
        self.types.get(ty as usize).cloned().flatten().unwrap_or_default()
    }

    fn memory(&mut self, ty: &MemoryType) -> Kind {
        self.shareds.push(ty.shared);
        self.memories.push((ty.initial, 1 << ty.page_size_log2.unwrap_or(16)));
        Kind::Memory { shared: ty.shared }
    }

    fn exports(&self) -> Result<Vec<(String, Kind)>, String> {
        let exports = self.exported.iter().map(|(name, kind, index)| {
            let kind = match kind {
                ExternalKind::Func => {
                    let ty = self.functions.get(*index as usize);
                    let ty = ty.ok_or_else(|| {
                        format!("Failed to load Wasm bytecode: the exported function `{name}` does not exist")
                    })?;
                    Kind::Function(self.signature(*ty))
                }
                ExternalKind::Memory => {
                    Kind::Memory { shared: self.shareds.get(*index as usize).copied().unwrap_or_default() }
                }
                ExternalKind::Table => Kind::Table,
                ExternalKind::Global => Kind::Global,
                ExternalKind::Tag => Kind::Tag,
            };
            Ok((name.clone(), kind))
        });
        exports.collect()
    }
}

impl Module {
    /// Whether the module exports an allocator.
    pub(super) fn allocates(&self) -> bool {
        self.exports
            .iter()
            .any(|(name, kind)| matches!(kind, Kind::Function(_)) && abi::ALLOCATORS.contains(&name.as_str()))
    }
}
