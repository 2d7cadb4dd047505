//! Files that change: modules, configurations, and with `--watch` the sources of a package. A
//! change of the sources builds the package.

use crate::module;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often files are compared.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// The time and the size of a file; `None` if there is none.
pub(super) type Stamp = Option<(SystemTime, u64)>;

/// What differs when a file has changed.
pub(super) fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Builds a package whenever one of its sources changes, and reports each build. The module is
/// reloaded because its file changes.
pub(super) fn run(package: &Path, module: &Path, report: impl Fn(&str, &str)) {
    let mut files = sources(package, module);
    let mut before = stamps(&files);
    // What has changed since the module was built is built first.
    let built = stamp(module).map(|(time, _)| time);
    if before.values().flatten().any(|(time, _)| Some(*time) > built) {
        before.clear();
    }
    let mut failed = false;
    loop {
        std::thread::sleep(LOOK);
        let now = stamps(&files);
        // A file that a failed build misses may be added, which changes its directory only.
        let differs = |path: &PathBuf| (failed || !path.is_dir()) && now.get(path) != before.get(path);
        if !files.iter().any(differs) {
            continue;
        }
        let begun = Instant::now();
        let built = module::build(package);
        // What has changed during the build is built next.
        before = now;
        failed = built.is_err();
        match built {
            Ok(built) => {
                files = sources(package, &built);
                let known = std::mem::replace(&mut before, stamps(&files));
                before.extend(known);
                report("Built", &format!("{} in {:.1} s", built.display(), begun.elapsed().as_secs_f64()));
            }
            Err(why) => report("Refused", &format!("{why}\nThe old filters stay.")),
        }
    }
}

fn stamps(files: &[PathBuf]) -> BTreeMap<PathBuf, Stamp> {
    files.iter().map(|file| (file.clone(), stamp(file))).collect()
}

/// The sources of a module, which cargo lists beside it, their directories, and the files that
/// configure the build.
fn sources(package: &Path, module: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_to_string(module.with_extension("d")).unwrap_or_default();
    let mut sources: Vec<_> = listed.lines().flat_map(prerequisites).collect();
    let directories: Vec<_> = sources.iter().filter_map(|source| source.parent()).map(Path::to_path_buf).collect();
    sources.extend(directories);
    let root = module::workspace_root(package).unwrap_or_else(|_| package.to_path_buf());
    for directory in [package, &root] {
        for name in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
            sources.push(directory.join(name));
        }
    }
    sources
}

/// The files after the colon of a rule of make. A space in a name has a backslash before it.
fn prerequisites(line: &str) -> Vec<PathBuf> {
    let Some((_, list)) = line.split_once(": ") else { return Vec::new() };
    let mut names = vec![String::new()];
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(' ')) => {
                characters.next();
                names.iter_mut().next_back().into_iter().for_each(|name| name.push(' '));
            }
            (' ', _) => names.push(String::new()),
            _ => names.iter_mut().next_back().into_iter().for_each(|name| name.push(character)),
        }
    }
    names.into_iter().filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::prerequisites;
    use std::path::PathBuf;

    #[test]
    fn files_of_a_rule_may_have_spaces() {
        let files = prerequisites(r"/t/a.wasm: /a/lib.rs /a/with\ space.rs /b\c.rs");
        assert_eq!(files, ["/a/lib.rs", "/a/with space.rs", r"/b\c.rs"].map(PathBuf::from));
        assert!(prerequisites("").is_empty());
    }
}
