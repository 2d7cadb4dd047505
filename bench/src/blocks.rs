//! What the blocks of the kit cost: a filter for each, which runs the block for each request.

use super::Failure;
use super::build::{Profile, build};
use super::measure::{Costs, measure};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The filter without a block.
const NOTHING: &str = "nothing";

/// The most that a block may add to a filter in the workspace's release profile: its name, bytes,
/// instructions for a request.
pub const CEILINGS: &[(&str, u64, u64)] = &[
    ("aws_event_stream", 29_500, 7_000),
    ("cache", 13_500, 1_600),
    ("circuit_breaker", 4_000, 150),
    ("client_address", 8_500, 1_800),
    ("content_decoding", 42_000, 236_000),
    ("content_encoding", 49_000, 521_000),
    ("cors", 26_500, 6_000),
    ("edit", 119_500, 29_000),
    ("event_stream", 5_500, 9_000),
    ("hedge", 2_500, 4_100),
    ("json", 25_500, 19_000),
    ("json_lines", 2_000, 1_100),
    ("jwt_cached", 12_000, 1_200),
    ("jwt_es256", 273_500, 18_600_000),
    ("jwt_rs256", 274_000, 8_700_000),
    ("llm_text", 260_000, 100_000),
    ("llm_usage", 100_000, 100_000),
    ("log_line", 12_000, 15_000),
    ("multipart", 7_000, 9_000),
    ("problem", 31_000, 10_000),
    ("rate_limit", 500, 200),
    ("request", 19_500, 10_000),
    ("retry", 9_500, 500),
    ("route_config", 99_500, 1_000),
    ("security_headers", 8_000, 16_000),
    ("signature_aws", 41_500, 234_000),
    ("signature_hmac", 23_500, 44_000),
    ("signature_message", 174_000, 141_000),
    ("single_flight", 16_500, 2_150),
    ("trace", 7_500, 10_000),
];

/// A block, and the filter that runs it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the filter.
    pub block: &'static str,
    /// The module.
    pub path: PathBuf,
    /// What it costs.
    pub costs: Costs,
    /// The bytes and the instructions that the filter has without the block.
    without: (u64, u64),
}

impl Row {
    /// The bytes that the block adds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.costs.bytes.saturating_sub(self.without.0)
    }

    /// The instructions that the block adds to a request.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.costs.instructions.saturating_sub(self.without.1)
    }

    /// What the block adds, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "bytes": self.bytes(), "instructions": self.instructions() })
    }
}

/// Builds the filters and measures them in the workspace's profile.
///
/// # Errors
/// A module cannot be built or measured.
pub fn rows(requests: u32) -> Result<Vec<Row>, Failure> {
    let blocks: Vec<&'static str> = std::iter::once(NOTHING).chain(CEILINGS.iter().map(|(block, ..)| *block)).collect();
    let names: Vec<String> = blocks.iter().map(|block| format!("kit_{block}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let paths = build(Profile::Workspace, &["proxy-filter-bench-kit"], &names)?;
    let mut rows = Vec::new();
    let mut without = (0, 0);
    for (block, path) in blocks.into_iter().zip(paths) {
        let costs = measure(&path, requests)?;
        if block == NOTHING {
            without = (costs.bytes, costs.instructions);
        } else {
            rows.push(Row { block, path, costs, without });
        }
    }
    Ok(rows)
}

/// The figures by block.
#[must_use]
pub fn figures(rows: &[Row]) -> Map<String, Value> {
    rows.iter().map(|row| (row.block.to_owned(), row.to_json())).collect()
}

/// What exceeds [`CEILINGS`], a sentence each.
#[must_use]
pub fn beyond(rows: &[Row]) -> Vec<String> {
    let mut beyond = Vec::new();
    for row in rows {
        for (block, bytes, instructions) in CEILINGS {
            let figures = [("bytes", row.bytes(), *bytes), ("instructions", row.instructions(), *instructions)];
            for (figure, found, ceiling) in figures.into_iter().filter(|(_, found, ceiling)| found > ceiling) {
                if *block == row.block {
                    beyond.push(format!("the block {block} may add {ceiling} {figure} and adds {found}"));
                }
            }
        }
    }
    beyond
}
