//! Metrics: [`Counter`], [`Gauge`], [`Histogram`], and the same with labels, [`CounterVec`],
//! [`GaugeVec`], [`HistogramVec`].
//!
//! They are declared as statics, and defined in the host when they are first used:
//!
//! ```
//! use proxy_filter::metric::{Counter, CounterVec, Histogram};
//! use proxy_filter::prelude::*;
//!
//! static REQUESTS: Counter = Counter::new("requests");
//! static BODY_BYTES: Histogram = Histogram::new("body_bytes");
//! static RESPONSES: CounterVec<2> = CounterVec::new("responses", ["method", "status"], 100);
//!
//! fn count(method: &str, status: &str, bytes: u64) -> Result<()> {
//!     REQUESTS.increment(1)?;
//!     BODY_BYTES.record(bytes)?;
//!     RESPONSES.increment([method, status], 1)
//! }
//! ```
//!
//! In Envoy a metric is called `wasmcustom.` and its name in `/stats`, and has its bare name in
//! `/stats/prometheus`. All VMs and threads of the process that define the same name and type count
//! together, and a metric lives as long as the process: it keeps its value when the plugin is
//! configured anew. What `on_start` and `on_configure` count, they count once for each VM.
//!
//! Every verb returns a `Result`, and works in every callback. With `?`, a host that refuses a
//! metric makes the callback fail, and that refuses the stream; a filter that would rather serve it
//! ignores the failure: `let _ = REQUESTS.increment(1);`. Where the host has no metrics or
//! restricts them, each use asks it again.
//!
//! Source: context API, "Metrics API"; ABI 0.2.1, "Metrics".

pub(crate) mod calls;
pub(crate) mod escape;
pub(crate) mod labels;
pub(crate) mod registry;
pub(crate) mod stats_tags;

pub use crate::host::metric::stats_tags::{StatsTag, stats_tags};
pub use labels::{CounterVec, GaugeVec, HistogramVec};

use crate::abi::metric_type::MetricType;
use crate::error::Result;
use crate::host::metric::calls::{count, get, record, shift};
use crate::host::metric::registry::Single;

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Single);

        impl $name {
            /// A metric of this name, for a `static`. A name is any text; letters, digits, `_` and
            /// dots are what every collector accepts.
            pub const fn new(name: &'static str) -> Self {
                Self(Single::new(MetricType::$kind, name))
            }

            /// Defines the metric now, so that the host shows it before it is first used.
            ///
            /// # Errors
            /// A refusal of the host.
            #[doc(alias = "proxy_define_metric")]
            #[doc(alias = "defineMetric")]
            #[inline]
            pub fn define(&self) -> Result<()> {
                self.0.id().map(drop)
            }
        }
    };
}

metric! {
    /// A number that only grows.
    ///
    /// ```
    /// use proxy_filter::{Result, metric::Counter};
    ///
    /// static DENIED: Counter = Counter::new("denied");
    ///
    /// fn denied() -> Result<()> {
    ///     DENIED.increment(1)
    /// }
    /// ```
    Counter, COUNTER
}

metric! {
    /// A number that goes up and down, from 0 to [`u64::MAX`].
    ///
    /// ```
    /// use proxy_filter::{Result, metric::Gauge};
    ///
    /// static IN_FLIGHT: Gauge = Gauge::new("in_flight");
    ///
    /// fn begin() -> Result<()> {
    ///     IN_FLIGHT.increment(1)
    /// }
    ///
    /// fn end() -> Result<()> {
    ///     IN_FLIGHT.increment(-1)
    /// }
    /// ```
    Gauge, GAUGE
}

metric! {
    /// The distribution of recorded values. Envoy shows its quantiles and buckets; a filter cannot
    /// read it back.
    ///
    /// The host knows no unit: write it into the name (`latency_ms`, `body_bytes`).
    ///
    /// ```
    /// use proxy_filter::{Result, metric::Histogram};
    /// use std::time::Duration;
    ///
    /// static LATENCY: Histogram = Histogram::new("latency_ms");
    ///
    /// fn answered_after(latency: Duration) -> Result<()> {
    ///     LATENCY.record(u64::try_from(latency.as_millis())?)
    /// }
    /// ```
    Histogram, HISTOGRAM
}

impl Counter {
    /// Adds to the counter. 0 is nothing to do: neither is the host asked nor the counter defined.
    ///
    /// # Errors
    /// A refusal of the host; [`InvalidInput`](crate::ErrorKind::InvalidInput) above [`i64::MAX`].
    ///
    /// Source: ABI 0.2.1, `proxy_increment_metric`. Envoy refuses 0.
    #[doc(alias = "proxy_increment_metric")]
    #[doc(alias = "incrementMetric")]
    #[inline]
    pub fn increment(&self, n: u64) -> Result<()> {
        if n == 0 { Ok(()) } else { count(self.0.id()?, n) }
    }

    /// The counter's value, over all VMs and threads.
    ///
    /// # Errors
    /// A refusal of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_get_metric`.
    #[doc(alias = "proxy_get_metric")]
    #[doc(alias = "getMetric")]
    #[inline]
    pub fn get(&self) -> Result<u64> {
        get(self.0.id()?)
    }
}

impl Gauge {
    /// Adds to the gauge, or takes away. Below 0, Envoy's gauge wraps to a very large number. 0 is
    /// nothing to do.
    ///
    /// # Errors
    /// A refusal of the host; [`InvalidInput`](crate::ErrorKind::InvalidInput) for [`i64::MIN`],
    /// whose opposite hosts cannot represent.
    ///
    /// Source: ABI 0.2.1, `proxy_increment_metric`.
    #[doc(alias = "proxy_increment_metric")]
    #[doc(alias = "incrementMetric")]
    #[inline]
    pub fn increment(&self, n: i64) -> Result<()> {
        if n == 0 { Ok(()) } else { shift(self.0.id()?, n) }
    }

    /// Sets the gauge.
    ///
    /// # Errors
    /// A refusal of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_record_metric`.
    #[doc(alias = "proxy_record_metric")]
    #[doc(alias = "recordMetric")]
    #[inline]
    pub fn record(&self, value: u64) -> Result<()> {
        record(self.0.id()?, value)
    }

    /// The gauge's value, over all VMs and threads.
    ///
    /// # Errors
    /// A refusal of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_get_metric`.
    #[doc(alias = "proxy_get_metric")]
    #[doc(alias = "getMetric")]
    #[inline]
    pub fn get(&self) -> Result<u64> {
        get(self.0.id()?)
    }
}

impl Histogram {
    /// Records a value.
    ///
    /// # Errors
    /// A refusal of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_record_metric`.
    #[doc(alias = "proxy_record_metric")]
    #[doc(alias = "recordMetric")]
    #[inline]
    pub fn record(&self, value: u64) -> Result<()> {
        record(self.0.id()?, value)
    }
}
