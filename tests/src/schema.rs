//! The JSON schema of a filter's configuration, as a file of its package.

use serde_json::Value;
use std::path::Path;

/// Checks that a file of the package has the JSON schema of the configuration.
///
/// Operators, editors and `proxy-filter package` read the file; the module contains none of it.
/// Derive the schema in tests only, so that the module does not depend on `schemars`:
///
/// ```
/// #[derive(serde::Deserialize)]
/// // In a filter: #[cfg_attr(test, derive(schemars::JsonSchema))]
/// #[derive(schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// The number of requests in a minute.
///     per_minute: u32,
/// }
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = directory.path().join("config.schema.json");
/// # std::fs::write(&file, format!("{:#}\n", schemars::schema_for!(Config).to_value())).unwrap();
/// # let check = |_: &str, schema| proxy_filter_host::check_schema(&file, schema);
///
/// // A test of the package:
/// check("config.schema.json", schemars::schema_for!(Config));
/// ```
///
/// With the environment variable `BLESS=1`, the function writes the file instead. `path` is
/// relative to the directory of the package.
///
/// # Panics
/// The file is missing or has another schema, or cannot be written.
#[allow(clippy::panic, reason = "a function for tests fails by a panic")]
pub fn check_schema(path: impl AsRef<Path>, schema: impl Into<Value>) {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let path = Path::new(&package).join(path);
    let schema = format!("{:#}\n", schema.into());
    if std::env::var_os("BLESS").is_some() {
        if let Err(error) = std::fs::write(&path, schema) {
            panic!("{}: {error}", path.display());
        }
        return;
    }
    match std::fs::read_to_string(&path) {
        Ok(found) if found.replace("\r\n", "\n") == schema => {}
        Ok(_) => panic!("{} has another schema than the type: run the test with BLESS=1 to write it", path.display()),
        Err(error) => panic!("{}: {error}: run the test with BLESS=1 to write it", path.display()),
    }
}
