//! `costs`: what the bench filters cost, beside the peer's and the floor's.

use super::Result;
use lexopt::Parser;

/// Without an engine that counts there is nothing to print.
#[cfg(not(feature = "wasmtime"))]
pub(super) fn run(_parser: Parser) -> Result<()> {
    Err("costs are counted on wasmtime: run `cargo costs`, which builds with the feature `wasmtime`".into())
}

#[cfg(feature = "wasmtime")]
pub(super) use counting::run;

#[cfg(feature = "wasmtime")]
mod counting {
    use super::{Parser, Result};
    use lexopt::prelude::*;
    use proxy_filter_host::costs::FILTERS;
    use proxy_filter_host::costs::envoy::{self, Options};
    use proxy_filter_host::costs::growth::Growth;
    use proxy_filter_host::costs::ledger::{self, Ledger};
    use proxy_filter_host::costs::table::Table;
    use std::time::Duration;

    /// Requests before the memory is measured the second time.
    const REQUESTS: u32 = 100_000;
    /// Requests in which a leak of one byte a request would show.
    const REQUESTS_FOR_GROWTH: u32 = 1_000_000;

    /// Measures and prints. With `--bless`, our figures become the ones the tests hold us to.
    pub(in super::super) fn run(mut parser: Parser) -> Result<()> {
        let (mut json, mut bless, mut envoy, mut growth, mut requests) = (false, false, false, false, None);
        let mut options = Options::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("json") => json = true,
                Long("bless") => bless = true,
                Long("envoy") => envoy = true,
                Long("growth") => growth = true,
                Long("filter") => options.filters = vec![filter(&parser.value()?.string()?)?],
                Long("workers") => options.workers = vec![parser.value()?.parse()?],
                Long("seconds") => options.time = Duration::from_secs(parser.value()?.parse()?),
                Long("requests") => requests = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if envoy {
            eprintln!("measuring in Envoy, about {} s …", options.time.as_secs());
            let report = envoy::measure(&options)?;
            if json {
                println!("{:#}", report.to_json());
            } else {
                println!("{report}");
            }
            return Ok(());
        }
        if growth {
            eprintln!("building and running the bench filters …");
            let growth = Growth::measure(requests.unwrap_or(REQUESTS_FOR_GROWTH))?;
            println!("{growth}");
            let grown = growth.grown();
            return if grown.is_empty() { Ok(()) } else { Err(grown.join("\n").into()) };
        }
        eprintln!("building and measuring the bench filters …");
        let table = Table::measure(requests.unwrap_or(REQUESTS))?;
        if json {
            println!("{:#}", table.to_json());
        } else {
            println!("{table}");
        }
        let figures = Ledger::of(&table)?;
        if bless {
            figures.bless()?;
            eprintln!("wrote {}", ledger::path().display());
        } else if let Ok(before) = Ledger::read() {
            for sentence in figures.worse_than(&before) {
                eprintln!("worse: {sentence}");
            }
        }
        for sentence in figures.beyond_limits() {
            eprintln!("beyond its limit: {sentence}");
        }
        Ok(())
    }

    fn filter(name: &str) -> Result<&'static str> {
        let known = FILTERS.iter().find(|filter| **filter == name);
        known
            .copied()
            .ok_or_else(|| format!("there is no bench filter {name}; there are: {}", FILTERS.join(", ")).into())
    }
}
