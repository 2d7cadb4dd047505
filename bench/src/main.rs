//! `cargo costs`: prints what the bench filters cost, beside the peer's and those by hand.

use lexopt::prelude::*;
use proxy_filter_bench::FILTERS;
use proxy_filter_bench::blocks;
use proxy_filter_bench::build_time::BuildTimes;
use proxy_filter_bench::envoy::{self, Options, jobs};
use proxy_filter_bench::growth::Growth;
use proxy_filter_bench::ledger::{self, Ledger};
use proxy_filter_bench::table::Table;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Requests before the memory is measured the second time.
const REQUESTS: u32 = 100_000;
/// Requests in which a leak of one byte a request would show.
const REQUESTS_FOR_GROWTH: u32 = 1_000_000;

/// Builds of each kind that are timed.
const BUILDS: u32 = 5;

/// What is measured.
enum What {
    /// What a module is and does, exactly.
    Table,
    /// CPU time, latency and memory in Envoy.
    Envoy,
    /// The jobs of real filters in Envoy, beside its own filters and Lua.
    Jobs,
    /// Memory after a million requests.
    Growth,
    /// The time of a build.
    Build,
}

/// Measures and prints. With `--bless`, the tests compare later figures with these.
fn run() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let (mut what, mut json, mut bless, mut requests) = (What::Table, false, false, None);
    let mut job = None;
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{USAGE}");
                return Ok(());
            }
            Long("json") => json = true,
            Long("bless") => bless = true,
            Long("envoy") => what = What::Envoy,
            Long("jobs") => what = What::Jobs,
            Long("growth") => what = What::Growth,
            Long("build") => what = What::Build,
            Long("filter") => options.filters = vec![filter(&parser.value()?.string()?)?],
            Long("job") => job = Some(parser.value()?.string()?),
            Long("workers") => options.workers = vec![parser.value()?.parse()?],
            Long("seconds") => options.time = Duration::from_secs(parser.value()?.parse()?),
            Long("requests") => requests = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match what {
        What::Table => table(requests.unwrap_or(REQUESTS), json, bless),
        What::Envoy => in_envoy(&options, json),
        What::Jobs => {
            eprintln!("measuring jobs in Envoy, about {} s …", options.time.as_secs());
            let report = jobs::measure(options.time, job.as_deref())?;
            if json {
                println!("{:#}", report.to_json());
            } else {
                println!("{report}");
            }
            Ok(())
        }
        What::Growth => {
            eprintln!("building and running the bench filters …");
            let growth = Growth::measure(requests.unwrap_or(REQUESTS_FOR_GROWTH))?;
            println!("{growth}");
            refuse(&growth.grown())
        }
        What::Build => {
            let times = BuildTimes::measure(BUILDS)?;
            println!("{times}");
            refuse(&times.beyond_limits())
        }
    }
}

fn in_envoy(options: &Options, json: bool) -> Result<()> {
    eprintln!("measuring in Envoy, about {} s …", options.time.as_secs());
    let report = envoy::measure(options)?;
    if json {
        println!("{:#}", report.to_json());
    } else {
        println!("{report}");
    }
    Ok(())
}

fn table(requests: u32, json: bool, bless: bool) -> Result<()> {
    eprintln!("building and measuring the bench filters …");
    let mut table = Table::measure(requests)?;
    table.add_allocators()?;
    table.add_blocks()?;
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
    for sentence in figures.beyond_limits().into_iter().chain(blocks::beyond(table.blocks())) {
        eprintln!("beyond its limit: {sentence}");
    }
    Ok(())
}

/// Ends with an error if something is wrong.
fn refuse(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn filter(name: &str) -> Result<&'static str> {
    let known = FILTERS.iter().find(|filter| **filter == name);
    known.copied().ok_or_else(|| format!("there is no bench filter {name}; there are: {}", FILTERS.join(", ")).into())
}

const USAGE: &str = "\
What the bench filters cost, beside the peer's and those by hand.

  cargo costs                 bytes, imports, callbacks, host calls, instructions and memory, exactly
  cargo costs --envoy         CPU time, latency and memory in a real Envoy (needs ENVOY and h2load)
  cargo costs --jobs          the jobs of real filters in Envoy, beside its own filters and Lua (as --envoy)
  cargo costs --growth        memory after a million requests
  cargo costs --build         the time of builds

  --json              the same figures as JSON, with each module's path
  --requests N        requests before the memory is measured the second time (default: 100000)
  --bless             writes our figures to bench/costs.json, the file the tests hold us to
  --filter NAME       with --envoy: this filter only
  --job TEXT          with --jobs: only the jobs whose names contain this text
  --workers N         with --envoy: this number of worker threads only
  --seconds N         with --envoy and --jobs: how long to measure
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("costs: {error}");
            ExitCode::FAILURE
        }
    }
}
