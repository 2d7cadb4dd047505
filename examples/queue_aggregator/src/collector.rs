//! The service: it adds the reports of all workers.

use crate::{QUEUE, Report};
use proxy_filter::metric::{Counter, Gauge};
use proxy_filter::prelude::*;
use proxy_filter::shared_data::Json;
use proxy_filter::timer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

static COLLECTED: Counter = Counter::new("queue_aggregator_collected");
static HOSTS: Gauge = Gauge::new("queue_aggregator_hosts");

/// The maximum number of items that one callback dequeues: the main thread has other work too. The
/// host notifies the collector of the rest.
const AT_ONCE: usize = 100;
/// The maximum number of hosts that are counted separately. Clients can invent names.
const MOST_HOSTS: usize = 1000;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Seconds between two summaries in the log.
    every_seconds: u64,
}

/// The plugin with the `root_id` `collector`.
#[derive(Debug, Default)]
pub struct Collector {
    /// The numbers of requests and of failed requests, by host.
    hosts: BTreeMap<String, (u64, u64)>,
}

#[proxy_filter::root(root_id = "collector")]
impl RootContext for Collector {
    type Context = NoStream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let config: Config = configuration.json()?;
        SharedQueue::register(QUEUE)?;
        HOSTS.record(0)?;
        timer::set_tick_period(Duration::from_secs(config.every_seconds))
    }

    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        for _ in 0..AT_ONCE {
            let Some(Json(report)) = queue.dequeue_value::<Json<Report>>()? else { break };
            COLLECTED.increment(1)?;
            self.add(report);
        }
        HOSTS.record(u64::try_from(self.hosts.len()).unwrap_or(u64::MAX))
    }

    fn on_tick(&mut self) -> Result<()> {
        for (host, (requests, failed)) in std::mem::take(&mut self.hosts) {
            log::info!("{host}: {requests} requests, {failed} failed");
        }
        HOSTS.record(0)
    }

    fn new_context(&self) -> NoStream {
        NoStream
    }
}

impl Collector {
    fn add(&mut self, report: Report) {
        let known = self.hosts.contains_key(&report.host) || self.hosts.len() < MOST_HOSTS;
        let host = if known { report.host } else { "other".to_owned() };
        let (requests, failed) = self.hosts.entry(host).or_default();
        *requests += 1;
        *failed += u64::from(report.status == 0 || report.status >= 500);
    }
}

/// A service has no streams.
#[derive(Debug)]
pub struct NoStream;

#[proxy_filter::context]
impl Context for NoStream {}
