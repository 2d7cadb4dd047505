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
    use proxy_filter_host::costs::ledger::{self, Ledger};
    use proxy_filter_host::costs::table::Table;

    /// Requests before the memory is measured the second time.
    const REQUESTS: u32 = 100_000;

    /// Measures and prints. With `--bless`, our figures become the ones the tests hold us to.
    pub(in super::super) fn run(mut parser: Parser) -> Result<()> {
        let (mut json, mut bless, mut requests) = (false, false, REQUESTS);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("json") => json = true,
                Long("bless") => bless = true,
                Long("requests") => requests = parser.value()?.parse()?,
                other => return Err(other.unexpected().into()),
            }
        }
        eprintln!("building and measuring the bench filters …");
        let table = Table::measure(requests)?;
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
}
