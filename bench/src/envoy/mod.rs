//! The cost that a filter adds to a real Envoy in CPU time, throughput, latency and memory: without
//! a filter, by hand, on this SDK and on the peer.
//!
//! One Envoy serves every variant at once, each on its own listener, and replies itself. A direct
//! response passes through the filters like an upstream's. The load goes to one listener after the
//! other in short bursts, round after round, so that a disturbance of the machine affects all of
//! them. The figure is the CPU time of the Envoy process over a burst, divided by its requests. The
//! baseline is the bursts without a filter. For filters that call a service, it is the bursts with
//! the filter by hand, because without a filter no service is called.

mod bootstrap;
mod burst;
pub mod jobs;
mod proxy;
mod report;
mod series;
mod variant;
mod vectors;

pub use report::Report;

use crate::build::{Modules, Profile};
use crate::{FILTERS, Failure};
use burst::{Load, Protocol};
use proxy::Proxy;
use series::Series;
use std::time::{Duration, Instant};
use variant::Variant;

/// The measurement, and its duration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The filters.
    pub filters: Vec<&'static str>,
    /// Worker threads of Envoy; measured one after the other.
    pub workers: Vec<u32>,
    /// The approximate duration of all measurements.
    pub time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { filters: FILTERS.to_vec(), workers: vec![1, 2], time: Duration::from_secs(180) }
    }
}

/// The share of the time one worker gets. That is where CPU time is compared; with more workers the
/// load generator competes for cores.
const FIRST_SHARE: u32 = 3;
const SHARES: u32 = 4;

/// Measures. Progress goes to standard error.
///
/// # Errors
/// A module cannot be built, there is no Envoy (`ENVOY`) or no `h2load`, or one of them fails.
pub fn measure(options: &Options) -> Result<Report, Failure> {
    let modules = Modules::build(Profile::Workspace)?;
    let load = Load::prepare()?;
    let mut report = Report::default();
    for (index, workers) in options.workers.iter().enumerate() {
        let share = if options.workers.len() == 1 {
            options.time
        } else if index == 0 {
            options.time * FIRST_SHARE / SHARES
        } else {
            options.time / SHARES / u32::try_from(options.workers.len() - 1).unwrap_or(1)
        };
        let mut envoy = Proxy::start(&modules, &options.filters, *workers)?;
        rounds(&mut envoy, &load, options, share, &mut report)?;
    }
    eprintln!("memory, in an Envoy for each …");
    for filter in &options.filters {
        for variant in Variant::ALL {
            let mut envoy = Proxy::start_one(&modules, filter, variant)?;
            load.warm_up(&envoy, &variant.listener(filter))?;
            report.add_memory(filter, variant, envoy.memory()?);
        }
    }
    Ok(report)
}

/// Sends bursts to every listener, round after round, until the time has elapsed.
fn rounds(
    envoy: &mut Proxy,
    load: &Load,
    options: &Options,
    time: Duration,
    report: &mut Report,
) -> Result<(), Failure> {
    let end = Instant::now() + time;
    for filter in &options.filters {
        for variant in Variant::ALL {
            load.warm_up(envoy, &variant.listener(filter))?;
        }
    }
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        eprintln!("{} worker(s), round {} …", envoy.workers(), round + 1);
        for filter in &options.filters {
            for protocol in Protocol::ALL {
                let series = report.series(filter, protocol, envoy.workers());
                one_round(envoy, load, filter, protocol, round, series)?;
            }
        }
        round += 1;
    }
    Ok(())
}

/// A burst on each variant of a filter, every other time in the opposite order.
fn one_round(
    envoy: &mut Proxy,
    load: &Load,
    filter: &str,
    protocol: Protocol,
    round: usize,
    series: &mut Series,
) -> Result<(), Failure> {
    let mut order = Variant::ALL;
    if round % 2 == 1 {
        order.reverse();
    }
    for variant in order {
        let listener = envoy.listener(&variant.listener(filter))?;
        let before = envoy.cpu_time()?;
        let burst = load.busy(listener, protocol)?;
        let cpu = envoy.cpu_time()?.saturating_sub(before);
        series.add_burst(variant, &burst, cpu);
        if round < LATENCY_ROUNDS {
            series.add_latencies(variant, load.alone(listener, protocol)?);
        }
    }
    Ok(())
}

/// Rounds in which latencies are taken as well.
const LATENCY_ROUNDS: usize = 2;
