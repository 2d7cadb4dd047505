//! The file with our exact figures, and the limits no filter may exceed.

use super::build::Profile;
use super::measure::Costs;
use super::table::Table;
use super::{FILTERS, Failure, Maker, blocks};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::Command;

/// The most a filter may cost in the workspace's release profile: its name, bytes, instructions for
/// a request.
pub const LIMITS: [(&str, u64, u64); 7] = [
    ("noop", 16_000, 100),
    ("add_header", 18_000, 150),
    ("check_auth", 20_000, 450),
    ("body_rewrite", 20_000, 450),
    ("dump_headers", 28_000, 20_000),
    ("auth_callout", 30_000, 3_500),
    ("auth_async", 36_200, 4_500),
];

/// How to write the file anew.
pub const HOW_TO_BLESS: &str = "to accept the new figures: cargo costs --bless, and commit bench/costs.json";

/// Figures that are not recorded, because they depend on tools outside of the toolchain.
const NOT_KEPT: &str = "optimised";

/// The file.
#[must_use]
pub fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/costs.json"))
}

/// Our figures as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    rustc: String,
    filters: Map<String, Value>,
    /// What the blocks of the kit add.
    blocks: Map<String, Value>,
}

impl Ledger {
    /// The figures of a table.
    ///
    /// # Errors
    /// rustc does not say its version.
    pub fn of(table: &Table) -> Result<Self, Failure> {
        let mut filters = Map::new();
        for filter in FILTERS {
            let mut profiles = Map::new();
            for profile in Profile::ALL {
                if let Some(costs) = table.costs(filter, Maker::Ours, profile) {
                    profiles.insert(profile.name().into(), Value::Object(kept(costs)));
                }
            }
            filters.insert(filter.into(), Value::Object(profiles));
        }
        Ok(Self { rustc: rustc()?, filters, blocks: blocks::figures(table.blocks()) })
    }

    /// The figures in the file.
    ///
    /// # Errors
    /// The file is not there or not what [`bless`](Self::bless) wrote.
    pub fn read() -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}; {HOW_TO_BLESS}", path().display()));
        let text = std::fs::read_to_string(path()).map_err(|error| wrong(&error))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let rustc = value.get("rustc").and_then(Value::as_str);
        let filters = value.get("filters").and_then(Value::as_object);
        match (rustc, filters) {
            (Some(rustc), Some(filters)) => {
                let blocks = value.get("blocks").and_then(Value::as_object).cloned().unwrap_or_default();
                Ok(Self { rustc: rustc.into(), filters: filters.clone(), blocks })
            }
            _ => Err(wrong(&"it has no `rustc` or no `filters`")),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn bless(&self) -> Result<(), Failure> {
        let value = json!({ "rustc": self.rustc, "filters": self.filters, "blocks": self.blocks });
        Ok(std::fs::write(path(), format!("{value:#}\n"))?)
    }

    /// What is worse than in `before`, a sentence each.
    ///
    /// With the compiler of `before`, any higher figure fails. Another compiler has another
    /// standard library: then a figure fails if it is more than 5 % higher. The same applies to the
    /// plain profile, whose modules depend on the directory of the clone. The names of symbols
    /// contain a hash of it, and they determine what the compiler optimises together. They also
    /// determine the order of functions, and so the size of their numbers: one byte in 500 may
    /// differ between directories.
    #[must_use]
    pub fn worse_than(&self, before: &Self) -> Vec<String> {
        let mut worse = Vec::new();
        for (filter, profile, figure, now) in self.figures() {
            let then = before.filters.get(filter).and_then(|profiles| profiles.get(profile)?.get(figure)?.as_u64());
            let is_like_before = self.rustc == before.rustc && profile != Profile::Plain.name();
            let slack = |then: u64| match figure {
                _ if !is_like_before => then / 20,
                "bytes" => then / 500,
                _ => 0,
            };
            match then {
                Some(then) if now > then + slack(then) => {
                    worse.push(format!("{filter} ({profile}): {figure} was {then} and is {now}"));
                }
                Some(_) => {}
                None => worse.push(format!("{filter} ({profile}): {figure} is not in the file")),
            }
        }
        worse
    }

    /// What exceeds [`LIMITS`], a sentence each.
    #[must_use]
    pub fn beyond_limits(&self) -> Vec<String> {
        let mut beyond = Vec::new();
        for (filter, profile, figure, now) in
            self.figures().filter(|(_, profile, ..)| *profile == Profile::Workspace.name())
        {
            for (limited, bytes, instructions) in LIMITS {
                let limit = match figure {
                    "bytes" => bytes,
                    "instructions" => instructions,
                    _ => continue,
                };
                if limited == filter && now > limit {
                    beyond.push(format!("{filter} ({profile}): {figure} may be {limit} and is {now}"));
                }
            }
        }
        beyond
    }

    /// Filter, profile, figure, value.
    fn figures(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.filters.iter().flat_map(|(filter, profiles)| {
            profiles.as_object().into_iter().flatten().flat_map(move |(profile, figures)| {
                figures.as_object().into_iter().flatten().filter_map(move |(figure, value)| {
                    Some((filter.as_str(), profile.as_str(), figure.as_str(), value.as_u64()?))
                })
            })
        })
    }
}

fn kept(costs: &Costs) -> Map<String, Value> {
    let mut figures = costs.to_json();
    figures.remove(NOT_KEPT);
    figures
}

/// The compiler's version.
fn rustc() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(rustc: &str, instructions: u64) -> Ledger {
        ledger_of(rustc, &json!({ "workspace": { "bytes": 100, "instructions": instructions } }))
    }

    fn ledger_of(rustc: &str, noop: &Value) -> Ledger {
        let filters = json!({ "noop": noop });
        Ledger { rustc: rustc.into(), filters: filters.as_object().cloned().unwrap(), blocks: Map::new() }
    }

    #[test]
    fn a_figure_that_is_1_higher_fails() {
        let worse = ledger("1.0", 100).worse_than(&ledger("1.0", 99));
        assert_eq!(worse, ["noop (workspace): instructions was 99 and is 100"]);
        assert_eq!(ledger("1.0", 99).worse_than(&ledger("1.0", 99)), [""; 0]);
    }

    #[test]
    fn the_directory_of_the_clone_may_cost_a_few_bytes() {
        let plain = |bytes: u64| ledger_of("1.0", &json!({ "plain": { "bytes": bytes, "imports": 4 } }));
        assert_eq!(plain(105).worse_than(&plain(100)), [""; 0]);
        assert_eq!(plain(106).worse_than(&plain(100)), ["noop (plain): bytes was 100 and is 106"]);
        let exact = |imports: u64| ledger_of("1.0", &json!({ "plain": { "imports": imports } }));
        assert_eq!(exact(5).worse_than(&exact(4)).len(), 1, "what is small is exact");
        let linked = |bytes: u64| ledger_of("1.0", &json!({ "workspace": { "bytes": bytes, "instructions": bytes } }));
        assert_eq!(linked(1002).worse_than(&linked(1000)), ["noop (workspace): instructions was 1000 and is 1002"]);
        assert_eq!(linked(1003).worse_than(&linked(1000)).len(), 2);
    }

    #[test]
    fn another_compiler_may_cost_5_percent_more() {
        assert_eq!(ledger("2.0", 105).worse_than(&ledger("1.0", 100)), [""; 0]);
        assert_eq!(ledger("2.0", 106).worse_than(&ledger("1.0", 100)).len(), 1);
    }

    #[test]
    fn a_limit_is_the_highest_value_that_is_allowed() {
        assert_eq!(ledger("1.0", 100).beyond_limits(), [""; 0]);
        assert_eq!(ledger("1.0", 101).beyond_limits(), ["noop (workspace): instructions may be 100 and is 101"]);
    }
}
