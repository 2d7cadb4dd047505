//! The table: a block for each filter, a line for each maker, and the ratios of ours.

use super::build::{Modules, Profile};
use super::measure::{Costs, measure};
use super::{FILTERS, Failure, Maker, allocators, blocks};
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;

/// The costs of every bench filter.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Row>,
    allocators: Vec<allocators::Row>,
    blocks: Vec<blocks::Row>,
    requests: u32,
}

/// The costs of one bench filter.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the filter does.
    pub filter: &'static str,
    /// Who made it.
    pub maker: Maker,
    /// How it was compiled.
    pub profile: Profile,
    /// Its module.
    pub path: PathBuf,
    /// What it costs.
    pub costs: Costs,
}

impl Table {
    /// Builds the filters and measures them. `requests` is how many a module has seen when its
    /// memory is measured the second time.
    ///
    /// # Errors
    /// A module cannot be built or measured.
    pub fn measure(requests: u32) -> Result<Self, Failure> {
        let mut rows = Vec::new();
        for profile in Profile::ALL {
            let modules = Modules::build(profile)?;
            for filter in FILTERS {
                for maker in Maker::ALL {
                    let path = modules.path(maker, filter)?.to_path_buf();
                    let costs = measure(&path, requests)?;
                    rows.push(Row { filter, maker, profile, path, costs });
                }
            }
        }
        Ok(Self { rows, allocators: Vec::new(), blocks: Vec::new(), requests })
    }

    /// Measures a filter for each block of the kit as well.
    ///
    /// # Errors
    /// A module cannot be built or measured.
    pub fn add_blocks(&mut self) -> Result<(), Failure> {
        self.blocks = blocks::rows(self.requests)?;
        Ok(())
    }

    /// The blocks of the kit.
    #[must_use]
    pub fn blocks(&self) -> &[blocks::Row] {
        &self.blocks
    }

    /// Measures the filters on other allocators as well.
    ///
    /// # Errors
    /// A module cannot be built or measured.
    pub fn add_allocators(&mut self) -> Result<(), Failure> {
        self.allocators = allocators::rows(self.requests)?;
        Ok(())
    }

    /// All lines.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The costs of one module.
    #[must_use]
    pub fn costs(&self, filter: &str, maker: Maker, profile: Profile) -> Option<&Costs> {
        let same = |row: &&Row| row.filter == filter && row.maker == maker && row.profile == profile;
        self.rows.iter().find(same).map(|row| &row.costs)
    }

    /// The same as JSON, with each module's path.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let mut object = row.costs.to_json();
            object.insert("filter".into(), row.filter.into());
            object.insert("maker".into(), row.maker.name().into());
            object.insert("profile".into(), row.profile.name().into());
            object.insert("path".into(), row.path.display().to_string().into());
            Value::Object(object)
        };
        let on_allocator = |row: &allocators::Row| {
            let mut object = row.costs.to_json();
            object.insert("filter".into(), row.filter.into());
            object.insert("allocator".into(), row.allocator.into());
            object.insert("path".into(), row.path.display().to_string().into());
            Value::Object(object)
        };
        json!({
            "requests": self.requests,
            "modules": self.rows.iter().map(row).collect::<Vec<_>>(),
            "blocks": blocks::figures(&self.blocks),
            "allocators": self.allocators.iter().map(on_allocator).collect::<Vec<_>>(),
        })
    }
}

/// The heads of the columns, as [`Costs::figures`] orders them.
const HEADS: [&str; 10] =
    ["bytes", "-O", "imports", "exports", "start", "callbacks", "host calls", "instr.", "pages", "after"];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for profile in Profile::ALL {
            writeln!(f, "{}", title(profile))?;
            for filter in FILTERS {
                heads(f, filter)?;
                for maker in Maker::ALL {
                    if let Some(costs) = self.costs(filter, maker, profile) {
                        line(f, maker.name(), figures(costs))?;
                    }
                }
                let Some(ours) = self.costs(filter, Maker::Ours, profile) else { continue };
                for maker in [Maker::Floor, Maker::Peer] {
                    if let Some(other) = self.costs(filter, maker, profile) {
                        line(f, &format!("ours / {maker}"), ratios(ours, other))?;
                    }
                }
            }
            writeln!(f)?;
        }
        if !self.allocators.is_empty() {
            writeln!(f, "Our filters on other allocators (the workspace's release profile; dlmalloc is the default)")?;
            for filter in allocators::FILTERS {
                heads(f, filter)?;
                for row in self.allocators.iter().filter(|row| row.filter == filter) {
                    line(f, row.allocator, figures(&row.costs))?;
                }
            }
            writeln!(f)?;
        }
        if !self.blocks.is_empty() {
            writeln!(f, "What the blocks of the kit add to a filter (the workspace's release profile)\n")?;
            writeln!(f, "{:<20}{:>11}{:>11}", "", "bytes", "instr.")?;
            for row in &self.blocks {
                writeln!(f, "  {:<18}{:>11}{:>11}", row.block, row.bytes(), row.instructions())?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{}", legend(self.requests))
    }
}

const fn title(profile: Profile) -> &'static str {
    match profile {
        Profile::Workspace => "The workspace's release profile (opt-level s, link-time optimised, stripped)",
        Profile::Plain => "Cargo's own release profile (opt-level 3, not link-time optimised, with names)",
    }
}

fn legend(requests: u32) -> String {
    format!(
        "bytes: of the file; -O: after wasm-opt -O; imports, exports: functions; start: instructions until the plugin is configured; callbacks, \
         host calls, instr.: for a request of 13 headers and 256 bytes and a response of 8 headers and 512 bytes, from the creation of the \
         context to its deletion; pages: of memory (64 KiB) after the start, and after {requests} requests."
    )
}

fn heads(f: &mut fmt::Formatter<'_>, filter: &str) -> fmt::Result {
    write!(f, "\n{filter:<14}")?;
    for head in HEADS {
        write!(f, "{head:>11}")?;
    }
    writeln!(f)
}

fn figures(costs: &Costs) -> [Option<String>; 10] {
    costs.figures().map(|(_, figure)| figure.map(|figure| figure.to_string()))
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, cells: [Option<String>; 10]) -> fmt::Result {
    write!(f, "  {name:<12}")?;
    for cell in cells {
        write!(f, "{:>11}", cell.as_deref().unwrap_or("-"))?;
    }
    writeln!(f)
}

/// Ours divided by another's, figure by figure; none where the other is 0.
fn ratios(ours: &Costs, other: &Costs) -> [Option<String>; 10] {
    let mut ratios =
        ours.figures().into_iter().zip(other.figures()).map(|((_, ours), (_, other))| ratio(ours?, other?));
    std::array::from_fn(|_| ratios.next().flatten())
}

#[allow(clippy::cast_precision_loss, reason = "a ratio is printed with two digits")]
fn ratio(ours: u64, other: u64) -> Option<String> {
    (other > 0).then(|| format!("{:.2}", ours as f64 / other as f64))
}
