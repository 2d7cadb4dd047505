//! The imports between the files of a crate.
//!
//! # Definition of an import
//! - A path in code, in a private `use` or in a macro's arguments: an import of the file that
//!   defines the item. Re-exports (`pub use`) are followed, through `mod.rs` and `lib.rs` as well.
//! - A macro of the crate: an import of the file that defines it.
//! - An inherent `impl Type` outside of the type's own file imports the type's file. It is also an
//!   import in the other direction, unless it is in the folder of the type's module and the type's
//!   file calls none of its methods. So one object in two files is a circle.
//!
//! `mod child;`, a `pub use` and the name of a module are not imports. Unit tests are ignored.

#![allow(clippy::indexing_slicing, clippy::single_match_else, reason = "a test reads sources: its indices are its own")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, UseTree, Visibility};

/// The files of a source folder and their imports, by names relative to the folder.
#[derive(Debug, Default)]
pub(crate) struct SourceGraph {
    pub(crate) imports: BTreeMap<String, BTreeSet<String>>,
}

/// The figures of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) files: usize,
    /// Groups of files that import each other, directly or through others.
    pub(crate) circles: usize,
    pub(crate) files_in_circles: usize,
    /// The imports that close a circle in a walk along the imports.
    pub(crate) upward_imports: usize,
    /// The number of files in the largest folder.
    pub(crate) largest_folder: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, circles, files_in_circles, upward_imports, largest_folder } = self;
        write!(
            f,
            "{files} files, {circles} circles with {files_in_circles} files, {upward_imports} upward imports, \
             {largest_folder} files in the largest folder"
        )
    }
}

/// A name of a module.
enum Name {
    Item(String),
    Import(Vec<String>),
}

struct Module {
    /// The name of its file.
    file: String,
    parent: Option<usize>,
    /// Modules are separate from functions, which may have the same name.
    modules: BTreeMap<String, usize>,
    names: BTreeMap<String, Name>,
    globs: Vec<Vec<String>>,
    /// The paths in it.
    paths: BTreeSet<Vec<String>>,
    /// The methods that are called in it.
    calls: BTreeSet<String>,
    /// Inherent implementations: the type's path, and the names of the methods.
    implementations: Vec<(Vec<String>, Vec<String>)>,
}

/// One crate: a library or a binary.
struct Crate {
    modules: Vec<Module>,
    macros: BTreeMap<String, String>,
    folder: PathBuf,
}

impl SourceGraph {
    /// Reads the crates whose roots are `lib.rs` and `main.rs` in this folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut graph = Self::default();
        for root in ["lib.rs", "main.rs"] {
            if folder.join(root).exists() {
                let mut read = Crate { modules: Vec::new(), macros: BTreeMap::new(), folder: folder.into() };
                read.file(&folder.join(root), folder, None);
                read.add_to(&mut graph);
            }
        }
        assert!(!graph.imports.is_empty(), "{}: no crate", folder.display());
        graph
    }

    /// Groups of files in which each file imports, directly or through others, all others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        circles(&self.imports)
    }

    /// The same for folders and the files beside them.
    pub(crate) fn circles_of_folders(&self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        let folders: BTreeSet<&str> = self.imports.keys().map(|file| folder_of(file)).collect();
        for folder in folders {
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let node = |file: &str| {
                let rest = file.strip_prefix(&prefix)?;
                Some(format!("{prefix}{}", rest.split('/').next().unwrap_or(rest)))
            };
            let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (file, targets) in &self.imports {
                let Some(from) = node(file) else { continue };
                let to = targets.iter().filter_map(|target| node(target)).filter(|to| *to != from);
                imports.entry(from.clone()).or_default().extend(to);
            }
            all.extend(circles(&imports));
        }
        all.sort();
        all.dedup();
        all
    }

    /// Returns the imports between these files or folders, one in each line.
    pub(crate) fn imports_within(&self, circle: &[String]) -> String {
        let node = |file: &str| {
            circle
                .iter()
                .find(|node| file == *node || file.strip_prefix(*node).is_some_and(|rest| rest.starts_with('/')))
        };
        let mut text = String::new();
        for (file, targets) in &self.imports {
            let Some(from) = node(file) else { continue };
            for target in targets.iter().filter(|target| node(target).is_some_and(|to| to != from)) {
                let _ = writeln!(text, "  {file} -> {target}");
            }
        }
        text
    }

    pub(crate) fn figures(&self) -> Figures {
        let circles = self.circles();
        let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
        for file in self.imports.keys() {
            *folders.entry(folder_of(file)).or_default() += 1;
        }
        Figures {
            files: self.imports.len(),
            circles: circles.len(),
            files_in_circles: circles.iter().map(Vec::len).sum(),
            upward_imports: back_edges(&self.imports),
            largest_folder: folders.values().copied().max().unwrap_or_default(),
        }
    }

    /// Returns the imports between the folders and files directly in the folder, as a picture for
    /// Markdown.
    pub(crate) fn mermaid(&self) -> String {
        let node = |file: &str| top_of(file).to_owned();
        let mut edges = BTreeSet::new();
        for (file, targets) in &self.imports {
            edges.extend(targets.iter().map(|target| (node(file), node(target))).filter(|(from, to)| from != to));
        }
        let mut text = String::from("graph TD\n");
        for (from, to) in edges {
            let _ = writeln!(text, "    {from} --> {to}");
        }
        text
    }

    /// The imports that do not point down these layers, and the files that are in none of them.
    pub(crate) fn upward(&self, layers: &[&str]) -> Vec<String> {
        let layer = |file: &str| layers.iter().position(|layer| *layer == top_of(file));
        let mut found = Vec::new();
        for (file, targets) in &self.imports {
            match layer(file) {
                None => found.push(format!("{file} is in no layer")),
                Some(from) => {
                    let up = targets.iter().filter(|target| layer(target).is_some_and(|to| to > from));
                    found.extend(up.map(|target| format!("{file} imports {target}, which is above it")));
                }
            }
        }
        found
    }

    /// Returns the imports between these folders and files, from the top down, as a picture for
    /// Markdown. An import that other arrows imply has no arrow.
    /// A layer without imports stands alone.
    pub(crate) fn layers(&self, layers: &[&str]) -> String {
        let layer = |file: &str| layers.iter().position(|layer| *layer == top_of(file));
        let mut below = vec![BTreeSet::new(); layers.len()];
        for (file, targets) in &self.imports {
            let Some(from) = layer(file) else { continue };
            below[from].extend(targets.iter().filter_map(|target| layer(target)).filter(|to| *to < from));
        }
        let mut text = String::from("graph TD\n");
        let mut reached: Vec<BTreeSet<usize>> = Vec::new();
        let mut arrows = Vec::new();
        for (from, below) in below.iter().enumerate() {
            let implied: BTreeSet<usize> = below.iter().flat_map(|to| reached[*to].iter().copied()).collect();
            arrows.extend(below.difference(&implied).map(|to| (from, *to)));
            reached.push(below.union(&implied).copied().collect());
        }
        let is_alone = |layer: usize| !arrows.iter().any(|(from, to)| [*from, *to].contains(&layer));
        for layer in (0..layers.len()).rev().filter(|layer| is_alone(*layer)) {
            let _ = writeln!(text, "    {}", layers[layer]);
        }
        for (from, to) in arrows.into_iter().rev() {
            let _ = writeln!(text, "    {} --> {}", layers[from], layers[to]);
        }
        text
    }
}

/// The folder or file directly in the source folder.
fn top_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether an item is for unit tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text.starts_with("#[cfg(") && text.contains("test") && !text.contains("not(test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The value of `#[path = "…"]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let text = attribute.meta.require_name_value().ok()?.value.to_token_stream().to_string();
    Some(text.trim_matches('"').to_owned())
}

impl Crate {
    fn file(&mut self, path: &Path, children: &Path, parent: Option<usize>) -> usize {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(&self.folder).unwrap().to_string_lossy().into_owned();
        self.module(&name, &file.items, children, parent)
    }

    fn module(&mut self, file: &str, items: &[Item], children: &Path, parent: Option<usize>) -> usize {
        let index = self.modules.len();
        self.modules.push(Module {
            file: file.into(),
            parent,
            modules: BTreeMap::new(),
            names: BTreeMap::new(),
            globs: Vec::new(),
            paths: BTreeSet::new(),
            calls: BTreeSet::new(),
            implementations: Vec::new(),
        });
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            self.item(index, item, children);
        }
        index
    }

    fn item(&mut self, index: usize, item: &Item, children: &Path) {
        let file = self.modules[index].file.clone();
        let mut define = |name: String| {
            self.modules[index].names.insert(name, Name::Item(file.clone()));
        };
        match item {
            Item::Const(item) => define(item.ident.to_string()),
            Item::Enum(item) => define(item.ident.to_string()),
            Item::Fn(item) => define(item.sig.ident.to_string()),
            Item::Static(item) => define(item.ident.to_string()),
            Item::Struct(item) => define(item.ident.to_string()),
            Item::Trait(item) => define(item.ident.to_string()),
            Item::Type(item) => define(item.ident.to_string()),
            Item::Union(item) => define(item.ident.to_string()),
            Item::Mod(item) => return self.submodule(index, item, children),
            Item::Use(item) => {
                let mut leaves = Vec::new();
                flatten(&item.tree, &mut Vec::new(), &mut leaves);
                let private = matches!(item.vis, Visibility::Inherited);
                let module = &mut self.modules[index];
                for (path, alias) in leaves.into_iter().filter(|_| item.leading_colon.is_none()) {
                    match alias {
                        Some(alias) => {
                            if private {
                                module.paths.insert(path.clone());
                            }
                            module.names.entry(alias).or_insert(Name::Import(path));
                        }
                        None => module.globs.push(path),
                    }
                }
                return;
            }
            Item::Macro(item) => {
                if let Some(name) = &item.ident {
                    self.macros.insert(name.to_string(), file.clone());
                    // Its body is code of the call site. The rest is scanned below.
                }
            }
            Item::Impl(item) if item.trait_.is_none() => {
                let methods = item.items.iter().filter_map(|item| match item {
                    syn::ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
                    _ => None,
                });
                if let syn::Type::Path(path) = &*item.self_ty {
                    let path = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                    self.modules[index].implementations.push((path, methods.collect()));
                }
            }
            _ => {}
        }
        let module = &mut self.modules[index];
        scan(item.to_token_stream(), &mut module.paths, &mut module.calls);
    }

    fn submodule(&mut self, index: usize, item: &syn::ItemMod, children: &Path) {
        let name = item.ident.to_string();
        let within = children.join(&name);
        let child = match &item.content {
            Some((_, items)) => {
                let file = self.modules[index].file.clone();
                self.module(&file, items, &within, Some(index))
            }
            None => {
                let beside = children.join(format!("{name}.rs"));
                let path = path_attribute(&item.attrs).map(|path| children.join(path));
                let path = path.unwrap_or_else(|| if beside.exists() { beside } else { within.join("mod.rs") });
                self.file(&path, &within, Some(index))
            }
        };
        self.modules[index].modules.insert(name, child);
    }

    /// Returns the file that defines the item at a path. Returns `None` for a module, and for an
    /// item of another crate.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<String> {
        match self.find(from, path, depth)? {
            Found::Item(file) => Some(file),
            Found::Module(_) => None,
        }
    }

    fn find(&self, from: usize, path: &[String], depth: usize) -> Option<Found> {
        // Imports that refer to each other in a circle end here.
        let depth = depth.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        let next = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(from),
            "super" => Found::Module(self.modules[from].parent?),
            name => self.name(from, name, depth)?,
        };
        match next {
            Found::Item(file) => Some(Found::Item(file)),
            Found::Module(module) if rest.is_empty() => Some(Found::Module(module)),
            Found::Module(module) => match rest[0].as_str() {
                "super" => self.find(module, rest, depth),
                name => {
                    let found = self.name(module, name, depth)?;
                    match found {
                        Found::Module(module) if rest.len() > 1 => {
                            let rest: Vec<String> =
                                std::iter::once("self".to_owned()).chain(rest[1..].iter().cloned()).collect();
                            self.find(module, &rest, depth)
                        }
                        found => Some(found),
                    }
                }
            },
        }
    }

    fn name(&self, module: usize, name: &str, depth: usize) -> Option<Found> {
        if let Some(module) = self.modules[module].modules.get(name) {
            return Some(Found::Module(*module));
        }
        match self.modules[module].names.get(name) {
            Some(Name::Item(file)) => return Some(Found::Item(file.clone())),
            // `use name::…` of another crate refers to itself.
            Some(Name::Import(path)) if path[0] == name && path.len() == 1 => return None,
            Some(Name::Import(path)) => return self.find(module, path, depth),
            None => {}
        }
        if module == 0
            && let Some(file) = self.macros.get(name)
        {
            return Some(Found::Item(file.clone()));
        }
        self.modules[module].globs.iter().find_map(|glob| {
            let depth = depth.checked_sub(1)?;
            match self.find(module, glob, depth)? {
                Found::Module(target) if target != module => self.name(target, name, depth),
                _ => None,
            }
        })
    }

    fn add_to(&self, graph: &mut SourceGraph) {
        const DEPTH: usize = 24;
        for (index, module) in self.modules.iter().enumerate() {
            let imports = graph.imports.entry(module.file.clone()).or_default();
            for path in &module.paths {
                let of_macro = path.last().and_then(|name| self.macros.get(name.strip_suffix('!')?)).cloned();
                imports.extend(of_macro.or_else(|| self.resolve(index, path, DEPTH)));
            }
        }
        for (index, module) in self.modules.iter().enumerate() {
            for (path, methods) in &module.implementations {
                let Some(home) = self.resolve(index, path, DEPTH).filter(|home| *home != module.file) else { continue };
                graph.imports.entry(module.file.clone()).or_default().insert(home.clone());
                let folder = home
                    .strip_suffix("mod.rs")
                    .map_or_else(|| format!("{}/", home.trim_end_matches(".rs")), str::to_owned);
                let called = self.modules.iter().filter(|module| module.file == home).any(|module| {
                    let named = |name: &String| {
                        let of_type = |path: &Vec<String>| matches!(&path[..], [.., kind, last] if last == name && kind.starts_with(char::is_uppercase));
                        module.paths.iter().any(of_type)
                    };
                    methods.iter().any(|method| module.calls.contains(method) || named(method))
                });
                if !module.file.starts_with(&folder) || called {
                    graph.imports.entry(home).or_default().insert(module.file.clone());
                }
            }
        }
        for (file, imports) in &mut graph.imports {
            imports.remove(file);
        }
    }
}

enum Found {
    Item(String),
    Module(usize),
}

/// Returns the leaves of a `use`: a path, and its new name; no name for a glob.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Option<String>)>) {
    let leaf = |prefix: &[String], name: String, alias: String| {
        if name == "self" {
            let alias = if alias == "self" { prefix.last().cloned().unwrap_or_default() } else { alias };
            (prefix.to_vec(), Some(alias))
        } else {
            ([prefix, &[name]].concat(), Some(alias))
        }
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Name(name) => leaves.push(leaf(prefix, name.ident.to_string(), name.ident.to_string())),
        UseTree::Rename(name) => leaves.push(leaf(prefix, name.ident.to_string(), name.rename.to_string())),
        UseTree::Glob(_) => leaves.push((prefix.clone(), None)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, leaves)),
    }
}

/// Collects paths and called methods, also in the arguments of macros.
fn scan(tokens: TokenStream, paths: &mut BTreeSet<Vec<String>>, calls: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |index: usize, character: char| matches!(tokens.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == character);
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Group(group) => scan(group.stream(), paths, calls),
            TokenTree::Ident(first) => {
                let before = index.checked_sub(1);
                let foreign = index >= 2 && is(index - 1, ':') && is(index - 2, ':');
                let of_macro = before.is_some_and(|before| is(before, '$'));
                let method = before.is_some_and(|before| is(before, '.')) && !(index >= 2 && is(index - 2, '.'));
                let mut path = vec![first.to_string()];
                while is(index + 1, ':') && is(index + 2, ':') {
                    let Some(TokenTree::Ident(next)) = tokens.get(index + 3) else { break };
                    path.push(next.to_string());
                    index += 3;
                }
                let invoked = is(index + 1, '!')
                    && matches!(tokens.get(index + 2), Some(TokenTree::Group(group)) if group.delimiter() != Delimiter::None);
                if invoked && let Some(last) = path.last_mut() {
                    last.push('!');
                }
                if method {
                    // A field is not a call.
                    let called = matches!(tokens.get(index + 1), Some(TokenTree::Group(_))) || is(index + 1, ':');
                    if called {
                        calls.insert(path.swap_remove(0));
                    }
                } else if !foreign && !of_macro {
                    paths.insert(path);
                }
            }
            _ => {}
        }
        index += 1;
    }
}

/// Returns the strongly connected components with more than one node.
fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reachable(imports, file))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, reached) in &reach {
        let circle: Vec<String> = reached
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(imports: &'a BTreeMap<String, BTreeSet<String>>, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for target in imports.get(file).into_iter().flatten() {
            if reached.insert(target) {
                open.push(target);
            }
        }
    }
    reached
}

/// Returns the number of imports that lead back to a file on the current walk.
fn back_edges(imports: &BTreeMap<String, BTreeSet<String>>) -> usize {
    fn walk<'a>(
        imports: &'a BTreeMap<String, BTreeSet<String>>,
        file: &'a String,
        open: &mut Vec<&'a String>,
        done: &mut BTreeSet<&'a String>,
    ) -> usize {
        open.push(file);
        let mut count = 0;
        for target in imports.get(file).into_iter().flatten() {
            if open.contains(&target) {
                count += 1;
            } else if !done.contains(target) {
                count += walk(imports, target, open, done);
            }
        }
        open.pop();
        done.insert(file);
        count
    }
    let mut done = BTreeSet::new();
    let mut count = 0;
    for file in imports.keys() {
        if !done.contains(file) {
            count += walk(imports, file, &mut Vec::new(), &mut done);
        }
    }
    count
}
