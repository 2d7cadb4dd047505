//! The table of what was measured in Envoy.

use super::burst::Protocol;
use super::series::Series;
use super::variant::Variant;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What was measured in Envoy.
#[derive(Clone, Debug, Default)]
pub struct Report {
    series: BTreeMap<(u32, String, Protocol), Series>,
    memory: BTreeMap<(String, Variant), u64>,
}

impl Report {
    /// The series of one filter, protocol and number of workers.
    pub(super) fn series(&mut self, filter: &str, protocol: Protocol, workers: u32) -> &mut Series {
        self.series.entry((workers, filter.to_owned(), protocol)).or_default()
    }

    pub(super) fn add_memory(&mut self, filter: &str, variant: Variant, bytes: u64) {
        self.memory.insert((filter.to_owned(), variant), bytes);
    }

    /// The same as JSON: microseconds and bytes.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut rows = Vec::new();
        for ((workers, filter, protocol), series) in &self.series {
            for variant in Variant::ALL {
                let added = series.added(variant);
                let more = series.more_than_floor(variant);
                let to_floor = series.to_floor(variant);
                rows.push(json!({
                    "filter": filter, "protocol": protocol.name(), "workers": workers, "maker": variant.name(),
                    "rounds": series.rounds(),
                    "requests_per_second": series.rate(variant),
                    "cpu": series.cpu(variant),
                    "added_cpu": added.value,
                    "added_cpu_uncertainty": added.uncertainty,
                    "more_than_floor": more.value,
                    "more_than_floor_uncertainty": more.uncertainty,
                    "to_floor": to_floor.map(|ratio| ratio.value),
                    "to_floor_uncertainty": to_floor.map(|ratio| ratio.uncertainty),
                    "p50": series.latency(variant, 0.5),
                    "p99": series.latency(variant, 0.99),
                    "memory": self.memory.get(&(filter.clone(), variant)),
                }));
            }
        }
        Value::Array(rows)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((workers, filter, protocol), series) in &self.series {
            writeln!(f, "{filter}, {}, {workers} worker(s), {} rounds", protocol.name(), series.rounds())?;
            writeln!(
                f,
                "{:>10}{:>12}{:>12}{:>18}{:>18}{:>16}{:>10}{:>10}{:>12}",
                "", "requests/s", "CPU µs", "added µs", "- floor µs", "/ floor", "p50 µs", "p99 µs", "RSS MiB"
            )?;
            for variant in Variant::ALL {
                let added = series.added(variant);
                write!(
                    f,
                    "{:>10}{:>12.0}{:>12.2}{:>11.2} ±{:>5.2}",
                    variant.name(),
                    series.rate(variant),
                    series.cpu(variant),
                    added.value,
                    added.uncertainty
                )?;
                let more = series.more_than_floor(variant);
                match series.to_floor(variant) {
                    Some(ratio) if variant != Variant::None => {
                        write!(f, "{:>11.2} ±{:>5.2}", more.value, more.uncertainty)?;
                        write!(f, "{:>9.2} ±{:>5.2}", ratio.value, ratio.uncertainty)?;
                    }
                    _ => write!(f, "{:>18}{:>16}", "-", "-")?,
                }
                write!(f, "{:>10.0}{:>10.0}", series.latency(variant, 0.5), series.latency(variant, 0.99))?;
                match self.memory.get(&(filter.clone(), variant)) {
                    Some(bytes) => writeln!(f, "{:>12.1}", mebibytes(*bytes))?,
                    None => writeln!(f, "{:>12}", "-")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "requests/s: 16 requests at a time; CPU: of the Envoy process for a request; of the \
             least disturbed quarter of the rounds; added: the difference to no filter, the median over the rounds, with its standard error; - floor, / floor: the same \
             beside the filter by hand (`auth_…`: what is added includes the service they ask, so that the difference to the floor is the filter's own); p50, p99: one request at a time; RSS: of an Envoy with this filter only, one worker."
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "printed with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
