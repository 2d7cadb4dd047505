//! What the bytes of a module are: sections, functions by crate, stack and memory.

use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{
    ConstExpr, DataKind, KnownCustom, Name, Operator, Parser, Payload, ProducersSectionReader, TypeRef, ValType,
};

/// The bytes of a page of memory.
pub(crate) const PAGE: u64 = 64 * 1024;

/// What was read of a module's file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anatomy {
    /// The languages and tools that the module names, for example `rustc 1.95.0`.
    pub(crate) made_by: Vec<String>,
    /// The bytes of each kind of section, the largest first.
    pub(crate) sections: Vec<(&'static str, u64)>,
    /// The bytes of functions by crate or package, the largest first. Empty without names.
    pub(crate) crates: Vec<(String, u64)>,
    /// The crates whose functions call an imported function, by `module.name`.
    pub(crate) callers: BTreeMap<String, BTreeSet<String>>,
    /// The memory that a VM begins with, in pages.
    pub(crate) pages: u64,
    /// The most pages that the module lets its memory have.
    pub(crate) most_pages: Option<u64>,
    /// The stack of a module whose linker puts the stack first in memory.
    pub(crate) stack: Option<u64>,
    /// Where the data ends in memory.
    data_end: u64,
    stack_pointer: Option<u64>,
    is_go: bool,
    function_names: BTreeMap<u32, String>,
    imported: Vec<String>,
    bodies: Vec<Body>,
}

/// A function of the module: its bytes, and the imports that it calls.
#[derive(Clone, Debug)]
struct Body {
    bytes: u64,
    calls: BTreeSet<u32>,
}

impl Anatomy {
    /// Reads a module.
    ///
    /// # Errors
    /// The bytes are not a module.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut anatomy = Self::default();
        anatomy.walk(bytes).map_err(|error| error.to_string())?;
        anatomy.is_go = anatomy.made_by.iter().any(|tool| tool.starts_with("Go "));
        anatomy.weigh();
        anatomy.stack = anatomy.find_stack();
        Ok(anatomy)
    }

    /// Whether the module has the names of its functions.
    pub(crate) fn has_names(&self) -> bool {
        !self.function_names.is_empty()
    }

    /// The pages of memory that a stack of another size would need.
    pub(crate) fn pages_with_stack(&self, stack: u64) -> Option<u64> {
        let data = self.data_end.saturating_sub(self.stack?);
        Some((stack + data).div_ceil(PAGE).max(1))
    }

    /// The bytes in sections of this kind.
    pub(crate) fn section(&self, kind: &str) -> u64 {
        self.sections.iter().find(|(name, _)| *name == kind).map_or(0, |(_, bytes)| *bytes)
    }

    fn walk(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        let mut sections = BTreeMap::<&'static str, u64>::new();
        let mut counted = 0;
        let mut count = |kind: &'static str, range: std::ops::Range<usize>| {
            let size = (range.end - range.start) as u64;
            *sections.entry(kind).or_default() += size;
            counted += size;
        };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    count("imports and exports", imports.range());
                    for import in imports {
                        let import = import?;
                        match import.ty {
                            TypeRef::Func(_) => self.imported.push(format!("{}.{}", import.module, import.name)),
                            TypeRef::Memory(memory) => (self.pages, self.most_pages) = (memory.initial, memory.maximum),
                            _ => {}
                        }
                    }
                }
                Payload::ExportSection(exports) => count("imports and exports", exports.range()),
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        let memory = memory?;
                        (self.pages, self.most_pages) = (memory.initial, memory.maximum);
                    }
                }
                Payload::GlobalSection(globals) => {
                    // The linker defines `__stack_pointer` before any other global.
                    if let Some(global) = globals.into_iter().next().transpose()?
                        && global.ty.mutable
                        && global.ty.content_type == ValType::I32
                    {
                        self.stack_pointer = constant(&global.init_expr);
                    }
                }
                Payload::CodeSectionStart { range, .. } => count("code", range),
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    let mut calls = BTreeSet::new();
                    for operator in body.get_operators_reader()? {
                        match operator {
                            Ok(Operator::Call { function_index } | Operator::ReturnCall { function_index }) => {
                                calls.insert(function_index);
                            }
                            Ok(_) => {}
                            // An instruction that this parser does not know.
                            Err(_) => break,
                        }
                    }
                    calls.retain(|index| (*index as usize) < self.imported.len());
                    self.bodies.push(Body { bytes: (range.end - range.start) as u64, calls });
                }
                Payload::DataSection(data) => {
                    count("data", data.range());
                    for segment in data {
                        let segment = segment?;
                        if let DataKind::Active { offset_expr, .. } = segment.kind
                            && let Some(start) = constant(&offset_expr)
                        {
                            self.data_end = self.data_end.max(start + segment.data.len() as u64);
                        }
                    }
                }
                Payload::CustomSection(custom) => {
                    let kind = match custom.name() {
                        "name" => "names",
                        name if name.starts_with(".debug") => "debug information",
                        _ => "other custom sections",
                    };
                    count(kind, custom.range());
                    match custom.as_known() {
                        KnownCustom::Name(names) => self.names(names)?,
                        KnownCustom::Producers(producers) => self.producers(producers)?,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let total = bytes.len() as u64;
        *sections.entry("types, tables and headers").or_default() += total.saturating_sub(counted);
        self.sections = by_size(sections);
        Ok(())
    }

    fn names(&mut self, names: wasmparser::NameSectionReader<'_>) -> wasmparser::Result<()> {
        for name in names {
            if let Name::Function(functions) = name? {
                for naming in functions {
                    let naming = naming?;
                    self.function_names.insert(naming.index, naming.name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn producers(&mut self, producers: ProducersSectionReader<'_>) -> wasmparser::Result<()> {
        for field in producers {
            let field = field?;
            for value in field.values {
                let value = value?;
                let text = format!("{} {}", value.name, value.version);
                if field.name != "language" || value.name != "Rust" {
                    self.made_by.push(text.trim().to_owned());
                }
            }
        }
        Ok(())
    }

    /// Adds up functions by crate.
    fn weigh(&mut self) {
        if !self.has_names() {
            return;
        }
        let mut crates = BTreeMap::<String, u64>::new();
        for (position, body) in self.bodies.iter().enumerate() {
            let index = u32::try_from(self.imported.len() + position).unwrap_or(u32::MAX);
            let owner = self.function_names.get(&index).map_or_else(|| "(unnamed)".into(), |name| owner(name));
            *crates.entry(owner.clone()).or_default() += body.bytes;
            for call in &body.calls {
                if let Some(import) = self.imported.get(*call as usize) {
                    self.callers.entry(import.clone()).or_default().insert(owner.clone());
                }
            }
        }
        self.crates = by_size(crates);
    }

    /// The stack is first in memory, and the data follows it; or it follows the data. Go has its
    /// stacks on the heap.
    fn find_stack(&self) -> Option<u64> {
        let pointer = self.stack_pointer.filter(|_| !self.is_go)?;
        (pointer > 0 && pointer <= self.pages * PAGE && (self.data_end == 0 || pointer <= self.data_end))
            .then_some(pointer)
    }
}

fn by_size<K>(sizes: BTreeMap<K, u64>) -> Vec<(K, u64)> {
    let mut sorted: Vec<_> = sizes.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    sorted.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    sorted
}

/// The value of an expression that is one constant.
fn constant(expression: &ConstExpr<'_>) -> Option<u64> {
    match expression.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// The crate or package that a function belongs to.
fn owner(symbol: &str) -> String {
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        let name = format!("{name:#}");
        // `<T as Trait>::method` belongs to the crate of `T`, unless `T` is a primitive or a
        // parameter; then to that of the trait.
        let mut candidates = vec![name.as_str()];
        if let Some((_, after)) = name.strip_prefix('<').and_then(|name| name.split_once(" as ")) {
            candidates.push(after);
        }
        return candidates.into_iter().find_map(root_of).unwrap_or_else(|| "(other)".into());
    }
    // Names that Rust does not mangle: Go writes `net/http.(*Client).Do`, and C has one name space.
    if let Some(package) = go_package(symbol) {
        return package;
    }
    if symbol.starts_with("proxy_") {
        return "(exported callbacks)".into();
    }
    "(other)".into()
}

/// The package of a Go symbol: the path up to the first dot after the last slash.
fn go_package(symbol: &str) -> Option<String> {
    let start = symbol.rfind('/').map_or(0, |slash| slash + 1);
    let dot = symbol.get(start..)?.find('.')?;
    symbol.get(..start + dot).filter(|package| !package.is_empty()).map(str::to_owned)
}

/// The first name of a path, without what stands before it.
fn root_of(path: &str) -> Option<String> {
    let path = path.trim_start_matches(|character: char| !character.is_alphabetic() && character != '_');
    let path = ["mut ", "dyn ", "const "].iter().find_map(|word| path.strip_prefix(word)).unwrap_or(path);
    let (root, rest) = path.split_once("::")?;
    let is_name = root.chars().all(|character| character.is_alphanumeric() || character == '_');
    (is_name && !rest.is_empty()).then(|| root.to_owned())
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn functions_belong_to_crates_and_packages() {
        for (symbol, crate_name) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core"),
            ("_RNvCs1234_7mycrate3foo", "mycrate"),
            (
                "_ZN63_$LT$serde_json..error..Error$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
                "serde_json",
            ),
            ("_ZN44_$LT$$RF$T$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE", "core"),
            ("net/http.(*Client).Do", "net/http"),
            ("runtime.gcStart", "runtime"),
            ("github.com/me/filter.onRequest", "github.com/me/filter"),
            ("proxy_on_log", "(exported callbacks)"),
            ("dlmalloc", "(other)"),
        ] {
            assert_eq!(owner(symbol), crate_name, "{symbol}");
        }
    }
}
