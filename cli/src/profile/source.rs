//! The functions and source lines of a module: from its debug information (DWARF), its names or its
//! exports.

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use rustc_demangle::demangle;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use wasmparser::{ExternalKind, KnownCustom, Name, NameSectionReader, Parser, Payload};

/// A place in the source: a function, which may be inlined, and its line if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) function: String,
    pub(super) line: Option<(String, u32)>,
}

/// The places that were looked up, by function and address.
type Known = HashMap<(u32, u64), Rc<[Place]>>;
type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// What a module says about its source.
pub(super) struct Source<'a> {
    names: HashMap<u32, String>,
    lines: Option<Context<Bytes<'a>>>,
    known: RefCell<Known>,
}

impl<'a> Source<'a> {
    /// Reads a module. What cannot be read is absent.
    pub(super) fn read(module: &'a [u8]) -> Self {
        let mut sections = HashMap::new();
        let (mut names, mut exports) = (HashMap::new(), HashMap::new());
        for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
            match payload {
                Payload::ExportSection(section) => {
                    let functions = section.into_iter().flatten().filter(|export| export.kind == ExternalKind::Func);
                    exports.extend(functions.map(|export| (export.index, export.name.to_owned())));
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(subsections) = section.as_known() {
                        names.extend(function_names(subsections));
                    }
                    sections.insert(section.name(), section.data());
                }
                _ => {}
            }
        }
        for (index, name) in exports {
            names.entry(index).or_insert(name);
        }
        let has_lines = sections.contains_key(".debug_line");
        let section = |name: &str| sections.get(name).copied().unwrap_or_default();
        let loaded =
            Dwarf::load(|id| Ok::<_, std::convert::Infallible>(EndianSlice::new(section(id.name()), LittleEndian)));
        let lines = loaded.ok().filter(|_| has_lines).and_then(|dwarf| Context::from_dwarf(dwarf).ok());
        Self { names, lines, known: RefCell::default() }
    }

    /// Whether the module has source lines.
    pub(super) const fn has_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// The name of a function of the module.
    pub(super) fn name(&self, function: u32) -> String {
        self.names.get(&function).cloned().unwrap_or_else(|| format!("function {function}"))
    }

    /// Returns the places of an instruction: the function of the module, and the functions that are
    /// inlined there, the innermost last.
    pub(super) fn places(&self, function: u32, address: u64) -> Rc<[Place]> {
        let key = (function, address);
        if let Some(places) = self.known.borrow().get(&key) {
            return Rc::clone(places);
        }
        let mut places = self.lines.as_ref().map(|lines| inlined(lines, address)).unwrap_or_default();
        places.reverse();
        match places.first_mut() {
            Some(outermost) => outermost.function = self.name(function),
            None => places.push(Place { function: self.name(function), line: None }),
        }
        let places: Rc<[Place]> = places.into();
        self.known.borrow_mut().insert(key, Rc::clone(&places));
        places
    }
}

/// The names of functions, by their index.
fn function_names(subsections: NameSectionReader<'_>) -> HashMap<u32, String> {
    let functions = subsections.into_iter().flatten().filter_map(|name| match name {
        Name::Function(functions) => Some(functions),
        _ => None,
    });
    let functions = functions.flatten().flatten();
    functions.map(|function| (function.index, format!("{:#}", demangle(function.name)))).collect()
}

/// The places of an address, the innermost first.
fn inlined(lines: &Context<Bytes<'_>>, address: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let Ok(mut frames) = lines.find_frames(address).skip_all_loads() else { return places };
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        let function = name.map_or_else(|| "(unknown)".to_owned(), |name| format!("{:#}", demangle(&name)));
        let line = frame.location.and_then(|location| Some((shortened(location.file?), location.line?)));
        places.push(Place { function, line });
    }
    places
}

/// A path without the directories that differ between machines.
fn shortened(path: &str) -> String {
    let path = path.replace('\\', "/");
    if let Some((_, inside)) = path.split_once("/registry/src/") {
        return inside.split_once('/').map_or(inside, |(_, file)| file).to_owned();
    }
    if let Some((before, inside)) = path.split_once("/library/")
        && (before.contains("/rustc/") || before.contains("rustlib"))
    {
        return inside.to_owned();
    }
    // The packages that the standard library contains.
    if let Some(inside) = path.strip_prefix("/rust/deps/") {
        return inside.to_owned();
    }
    let here = std::env::current_dir().ok().and_then(|here| Some(here.to_str()?.replace('\\', "/")));
    let inside = here.as_deref().and_then(|here| path.strip_prefix(here)?.strip_prefix('/'));
    inside.map_or_else(|| path.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn paths_of_dependencies_begin_with_their_package() {
        for (path, short) in [
            (
                "/home/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/hashbrown-0.16.1/src/map.rs",
                "hashbrown-0.16.1/src/map.rs",
            ),
            ("/rustc/59807616e1fa/library/core/src/fmt/mod.rs", "core/src/fmt/mod.rs"),
            ("/rust/deps/dlmalloc-0.2.11/src/dlmalloc.rs", "dlmalloc-0.2.11/src/dlmalloc.rs"),
            ("src/lib.rs", "src/lib.rs"),
            ("/library/src/lib.rs", "/library/src/lib.rs"),
        ] {
            assert_eq!(shortened(path), short);
        }
    }
}
