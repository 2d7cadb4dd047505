//! The bodies of the fuzz targets, with inputs that are the same in each run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(clippy::pedantic, reason = "the bodies are a package of their own")]

#[allow(unreachable_pub, reason = "it is a library for the targets")]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

use bodies::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Numbers that look random, and are the same in each run.
struct Generator(u64);

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    /// An input: random bytes, or a known one with some changes.
    fn input(&mut self, known: &[&[u8]]) -> Vec<u8> {
        let mut input = match self.below(8) {
            0 => (0..self.below(64)).map(|_| self.byte()).collect(),
            _ => known[self.below(known.len())].to_vec(),
        };
        for _ in 0..self.below(6) {
            let (at, length) = (self.below(input.len() + 1), self.below(8));
            let end = (at + length).min(input.len());
            match self.below(5) {
                0 => input.insert(at, self.byte()),
                1 => drop(input.drain(at..end)),
                2 => {
                    let copy = input[at..end].to_vec();
                    let to = self.below(input.len() + 1);
                    input.splice(to..to, copy);
                }
                3 if at < input.len() => input[at] ^= 1 << self.below(8),
                _ => {
                    let other = known[self.below(known.len())];
                    let from = self.below(other.len() + 1);
                    input.splice(at..at, other[from..(from + length).min(other.len())].iter().copied());
                }
            }
        }
        input
    }
}

/// `KIT_FUZZ=100000` runs more inputs for each block.
#[test]
fn no_input_breaks_a_promise_of_a_block() {
    let runs = std::env::var("KIT_FUZZ").ok().map_or(500, |runs| runs.parse().expect("KIT_FUZZ is a number"));
    let mut failures = Vec::new();
    for (name, body, known) in TARGETS {
        let mut generator = Generator(0x9e37_79b9_7f4a_7c15);
        for number in 0..runs {
            let input = if number < known.len() { known[number].to_vec() } else { generator.input(known) };
            if catch_unwind(AssertUnwindSafe(|| body(&input))).is_err() {
                failures.push(format!("{name}: b\"{}\"", input.escape_ascii()));
                break;
            }
        }
    }
    assert_eq!(failures, [""; 0]);
}

/// The names after `[[bin]]` in the manifest of the fuzz targets.
#[test]
fn each_block_has_a_target() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let names: BTreeSet<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
    let bins = manifest.lines().filter_map(|line| line.strip_prefix("name = \"kit_")?.strip_suffix('"'));
    assert_eq!(bins.collect::<BTreeSet<_>>(), names);
    for name in &names {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fuzz/fuzz_targets/kit_{name}.rs"));
        assert!(fs::read_to_string(file).unwrap().contains(&format!("proxy_filter_fuzz::{name}(")), "{name}");
    }
    let features = include_str!("../Cargo.toml").split_once("[features]\n").unwrap().1.split_once("\n[").unwrap().0;
    let features = features.lines().filter_map(|line| line.split_once(" = [")).map(|(name, _)| name);
    // The features of single algorithms are parts of the block `jwt`.
    let blocks = features.filter(|name| *name != "default" && !name.starts_with("jwt_"));
    assert_eq!(blocks.collect::<BTreeSet<_>>(), names);
}

/// Writes the known inputs where `cargo fuzz` looks for them.
#[test]
#[ignore = "writes files: KIT_CORPUS=fuzz/corpus"]
fn known_inputs_are_written() {
    let Ok(corpus) = std::env::var("KIT_CORPUS") else { return };
    for (name, _, known) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&corpus).join(format!("kit_{name}"));
        fs::create_dir_all(&directory).unwrap();
        for (number, input) in known.iter().enumerate() {
            fs::write(directory.join(format!("known_{number}")), input).unwrap();
        }
    }
}
