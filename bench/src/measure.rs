//! The costs of one module.

use super::{Failure, optimise, shape};
use proxy_filter_host::{Engine, Metered, ModuleReport, Spent};
use serde_json::{Map, Value};
use std::path::Path;

/// Requests before the first that counts: allocators and caches have grown to what the filter
/// needs.
const WARM_UP: u32 = 64;
/// Requests that count. A filter may do something only now and then (ours reads the log level every
/// 32 streams): the average of a multiple of 32 is the same in every run.
const COUNTED: u32 = 64;

/// What one module costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes after `wasm-opt -O`; `None` where that is not installed.
    pub optimised: Option<u64>,
    /// Imported functions.
    pub imports: u64,
    /// Exported functions.
    pub exports: u64,
    /// Instructions from loading until the plugin is configured.
    pub start: u64,
    /// Callbacks the host enters for a request.
    pub callbacks: u64,
    /// Host functions the module calls for a request, log lines included.
    pub host_calls: u64,
    /// Instructions for a request, from the creation of its context to its deletion; the average,
    /// rounded up.
    pub instructions: u64,
    /// Pages of memory (64 KiB) after the start.
    pub pages: u64,
    /// Pages of memory after many requests.
    pub pages_after: u64,
}

impl Costs {
    /// The figures by name, in the order of the table.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, Option<u64>); 10] {
        [
            ("bytes", Some(self.bytes)),
            ("optimised", self.optimised),
            ("imports", Some(self.imports)),
            ("exports", Some(self.exports)),
            ("start", Some(self.start)),
            ("callbacks", Some(self.callbacks)),
            ("host_calls", Some(self.host_calls)),
            ("instructions", Some(self.instructions)),
            ("pages", Some(self.pages)),
            ("pages_after", Some(self.pages_after)),
        ]
    }

    /// The figures as JSON, without those that are not known.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let known = self.figures().into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?.into())));
        known.collect()
    }
}

/// A module under the exchange that everything is measured with.
struct Bench(Metered);

impl Bench {
    fn start(module: &[u8], engine: Engine) -> Result<Self, Failure> {
        Metered::start(module, engine, shape::reply(), "authz", shape::authz).map(Self).map_err(Failure::new)
    }

    fn request(&mut self) -> Spent {
        self.0.exchange(&shape::request())
    }

    /// The average of [`COUNTED`] requests after [`WARM_UP`], rounded up.
    fn average(&mut self) -> Spent {
        for _ in 0..WARM_UP {
            self.request();
        }
        let mut sum = Spent::default();
        for _ in 0..COUNTED {
            let spent = self.request();
            sum.callbacks += spent.callbacks;
            sum.host_calls += spent.host_calls;
            sum.instructions += spent.instructions;
        }
        let average = |sum: u64| sum.div_ceil(u64::from(COUNTED));
        Spent {
            callbacks: average(sum.callbacks),
            host_calls: sum.host_calls / u64::from(COUNTED),
            instructions: average(sum.instructions),
            ..sum
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Measures a module. `requests` is how many it has seen when its memory is measured the second
/// time.
///
/// # Errors
/// The file cannot be read, the module is refused, or `wasm-opt` fails.
pub fn measure(module: &Path, requests: u32) -> Result<Costs, Failure> {
    let bytes = std::fs::read(module).map_err(|error| Failure::new(format!("{}: {error}", module.display())))?;
    let report = ModuleReport::read(&bytes).map_err(Failure::new)?;
    let mut bench = Bench::start(&bytes, Engine::Counting)?;
    let started = bench.0.take();
    let spent = bench.average();
    for _ in WARM_UP + COUNTED..requests {
        bench.request();
    }
    Ok(Costs {
        bytes: count(bytes.len()),
        optimised: optimise::size(module)?,
        imports: count(report.imports.len()),
        exports: count(report.exports.len()),
        start: started.instructions,
        callbacks: spent.callbacks,
        host_calls: spent.host_calls,
        instructions: spent.instructions,
        pages: started.pages,
        pages_after: bench.0.take().pages,
    })
}

/// The pages of memory after the first requests, and after so many.
pub(super) fn pages(module: &[u8], requests: u32) -> Result<[u64; 2], Failure> {
    let mut bench = Bench::start(module, Engine::Wasmtime)?;
    let mut after = |range: std::ops::Range<u32>| {
        for _ in range {
            bench.request();
        }
        bench.0.take().pages
    };
    Ok([after(0..WARM_UP), after(WARM_UP..requests)])
}

/// The instructions of a request while `alive` other streams are: the average of many requests,
/// rounded up.
///
/// # Errors
/// The module is refused.
pub fn among(module: &[u8], alive: u32) -> Result<u64, Failure> {
    let mut bench = Bench::start(module, Engine::Counting)?;
    let told =
        ModuleReport::read(module).map_err(Failure::new)?.exports.contains(&"proxy_on_context_create".to_owned());
    bench.0.create_streams(alive, told);
    bench.0.take();
    Ok(bench.average().instructions)
}
