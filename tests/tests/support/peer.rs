//! The public items of `proxy-wasm`, read from the package that the bench filters use.

use std::path::{Path, PathBuf};
use std::process::Command;
use syn::{Item, TraitItem, Visibility};

/// The version and the directory of the package.
fn package(root: &Path) -> (String, PathBuf) {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "proxy-wasm").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    (package["version"].as_str().unwrap().to_owned(), manifest.parent().unwrap().to_path_buf())
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The names in a file of a module. Types and traits are known by their own names; functions have
/// the name of the module before them.
fn names(items: &[Item], module: &str, found: &mut Vec<String>) {
    let mut add = |name: String| found.push(name);
    for item in items {
        match item {
            Item::Fn(item) if is_public(&item.vis) => add(format!("{module}{}", item.sig.ident)),
            Item::Type(item) if is_public(&item.vis) => add(item.ident.to_string()),
            Item::Struct(item) if is_public(&item.vis) => add(item.ident.to_string()),
            Item::Macro(item) if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) => {
                add(format!("{}!", item.ident.as_ref().unwrap()));
            }
            Item::Enum(item) if is_public(&item.vis) => {
                add(item.ident.to_string());
                item.variants.iter().for_each(|variant| add(format!("{}::{}", item.ident, variant.ident)));
            }
            Item::Trait(item) if is_public(&item.vis) => {
                add(item.ident.to_string());
                for method in &item.items {
                    if let TraitItem::Fn(method) = method {
                        add(format!("{}::{}", item.ident, method.sig.ident));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns the list as the repository stores it: the version, then the names.
pub(crate) fn list(root: &Path) -> String {
    let (version, directory) = package(root);
    let parse = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).items
    };
    let crate_root = parse(directory.join("src/lib.rs"));
    let mut found = Vec::new();
    names(&crate_root, "", &mut found);
    for item in &crate_root {
        if let Item::Mod(module) = item
            && is_public(&module.vis)
        {
            let name = module.ident.to_string();
            names(&parse(directory.join(format!("src/{name}.rs"))), &format!("{name}::"), &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    format!("# The public items of proxy-wasm {version}\n{}\n", found.join("\n"))
}
