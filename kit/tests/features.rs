//! Each feature compiles without the others. `bench/filters/kit` has a module for each block.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::Path;
use std::process::Command;

/// The names of the features.
fn features() -> impl Iterator<Item = &'static str> {
    let features = include_str!("../Cargo.toml").split_once("default = []\n").unwrap().1.split_once("\n[").unwrap().0;
    features.lines().filter_map(|line| Some(line.split_once(" = [")?.0))
}

/// `KIT_FEATURES=jwt,cache` checks only these features.
#[test]
#[ignore = "checks the kit once for each feature, which takes a minute"]
fn each_feature_compiles_alone() {
    let chosen = std::env::var("KIT_FEATURES").unwrap_or_default();
    let chosen: Vec<&str> = chosen.split(',').filter(|name| !name.is_empty()).collect();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kit_features");
    let mut count = 0;
    for feature in features().filter(|feature| chosen.is_empty() || chosen.contains(feature)) {
        let status = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--package", "proxy-filter-kit", "--features", feature])
            .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
            .arg(&directory)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("RUSTFLAGS", "-Dwarnings")
            .status()
            .unwrap();
        assert!(status.success(), "{feature} does not compile alone");
        count += 1;
    }
    assert!(count > 0 && (!chosen.is_empty() || count > 20), "{count}");
}
