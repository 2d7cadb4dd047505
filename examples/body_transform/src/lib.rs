//! Removes fields from each line of a JSON Lines response (`application/x-ndjson`), as the lines pass.
//!
//! ```json
//! {"remove": ["email", "phone"], "longest_line": 65536}
//! ```
//!
//! A piece of the body ends anywhere. What follows its last line end is kept back until the rest of that line comes, so that no more than a
//! line and a piece are in memory, however long the body is.

mod lines;
#[cfg(test)]
mod tests;

use lines::Lines;
use proxy_filter::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The fields that nobody outside gets to see.
    remove: Vec<String>,
    /// How the content type of the responses begins that are edited.
    #[serde(default = "json_lines")]
    content_type: String,
    /// A line may have so many bytes; a response with a longer one is cut off.
    #[serde(default = "sixty_four_kilobytes")]
    longest_line: usize,
}

fn json_lines() -> String {
    "application/x-ndjson".to_owned()
}

const fn sixty_four_kilobytes() -> usize {
    65536
}

#[proxy_filter::filter]
async fn body_transform(mut exchange: Exchange<Config>) -> Result<()> {
    let config = Rc::clone(exchange.config());
    let response = exchange.response_headers().await?;
    if !response.get("content-type")?.is_some_and(|value| value.starts_with(config.content_type.as_bytes())) {
        return Ok(());
    }
    response.remove("content-length")?;
    let edit = |line: &[u8]| without(line, &config.remove);
    let mut lines = Lines::new(config.longest_line);
    while let Some(chunk) = exchange.response_chunk().await? {
        let edited = lines.push(&chunk.to_bytes()?, edit)?;
        chunk.replace(edited)?;
    }
    let rest = lines.finish(edit)?;
    if rest.is_empty() { Ok(()) } else { exchange.response_end()?.append(rest) }
}

/// A line without the fields. One that is not a JSON object is an error: nobody knows what is in it.
fn without(line: &[u8], fields: &[String]) -> Result<Vec<u8>> {
    if line.trim_ascii().is_empty() {
        return Ok(line.to_vec());
    }
    // What stays, stays as it is: a number of twenty digits, for example.
    let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line)?;
    for field in fields {
        object.remove(field);
    }
    Ok(serde_json::to_vec(&object)?)
}
