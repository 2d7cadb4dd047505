//! What exhausts a module: JSON that is deeply nested, recursion, memory, and lines in the log.

use proxy_filter::prelude::*;
use proxy_filter::{json, log, metadata};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A type whose levels need much stack.
#[allow(dead_code, reason = "only its size matters")]
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wide {
    texts: (Option<String>, Option<String>, Option<String>, Option<String>),
    a1: Option<String>,
    a2: Option<String>,
    a3: Option<String>,
    a4: Option<String>,
    b1: Option<u64>,
    b2: Option<f64>,
    b3: Vec<String>,
    b4: BTreeMap<String, String>,
    a: Option<Box<Wide>>,
    list: Vec<Wide>,
}

#[allow(dead_code, reason = "only its size matters")]
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    A(Box<Rule>),
    All(Vec<Rule>),
    Leaf(String),
}

#[allow(dead_code, reason = "only its size matters")]
#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    List(Vec<Untagged>),
    Node { a: Box<Untagged> },
}

#[allow(dead_code, reason = "only its size matters")]
#[derive(Deserialize)]
#[serde(tag = "tag")]
enum Tagged {
    X { a: Option<Box<Tagged>> },
}

#[allow(dead_code, reason = "only its size matters")]
#[derive(Deserialize)]
struct Flat {
    #[serde(default)]
    a: Option<Box<Flat>>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Default)]
struct Root;

/// Reads the configuration as the type that its first key names: `{"value": …}`.
#[allow(dead_code, reason = "it is read, and dropped")]
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "snake_case")]
struct Config {
    value: serde_json::Value,
    wide: Option<Wide>,
    rule: Option<Rule>,
    untagged: Option<Untagged>,
    tagged: Option<Tagged>,
    flat: Option<Flat>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let _: Config = configuration.json()?;
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

/// Uses 64 bytes of stack and more for each level.
#[inline(never)]
fn recurse(depth: u32) -> u32 {
    let place = core::hint::black_box([depth; 16]);
    if depth == 0 { 16 } else { recurse(depth - 1) + place.iter().sum::<u32>() }
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default().to_string();
        let path = path.trim_start_matches('/');
        let (what, amount) = path.split_once('/').unwrap_or((path, ""));
        let amount: u32 = amount.parse().unwrap_or_default();
        match what {
            "recurse" => request.replace("x-got", recurse(amount).to_string())?,
            "allocate" => {
                let block = core::hint::black_box(vec![1_u8; amount as usize]);
                request.replace("x-got", block.len().to_string())?;
            }
            "reserve" => {
                let mut block = Vec::<u8>::new();
                let refused = block.try_reserve(amount as usize).is_err();
                request.replace("x-got", refused.to_string())?;
            }
            "metadata" => {
                let read = metadata::request().json::<Wide>("x");
                request.replace("x-got", read.map_or_else(|error| error.to_string(), |_| "read".into()))?;
            }
            "body" => {
                let text = request.get("x-json")?.unwrap_or_default();
                let read = json::from_slice::<Wide>(&text);
                request.replace("x-got", read.map_or_else(|error| error.to_string(), |_| "read".into()))?;
            }
            "fail" => return Err(Error::other("provoked")),
            "warn" => log::warn_limited!("a line {amount}"),
            "error" => log::error_limited!("a line {amount}"),
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
