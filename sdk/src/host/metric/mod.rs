//! Metrics: [`Counter`], [`Gauge`], [`Histogram`], and the same with labels, [`CounterVec`],
//! [`GaugeVec`], [`HistogramVec`].
//!
//! Declare them as statics. They are defined in the host at their first use:
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
//! In Envoy's `/stats`, the name of a metric has the prefix `wasmcustom.`; in `/stats/prometheus`
//! it has no prefix. All VMs and threads of the process that define the same name and type share
//! one metric. It lives as long as the process, and keeps its value when the plugin is
//! reconfigured. `on_start` and `on_configure` run once in each VM, and so do their increments.
//!
//! Every method returns a `Result`, and works in every callback. With `?`, an error of a metric
//! makes the callback fail, which refuses the stream. To serve the stream anyway, ignore the error:
//! `let _ = REQUESTS.increment(1);`. If the host has no metrics or restricts them, each use calls
//! it again.
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
            /// Creates a metric of this name, for a `static`. A name is any text; every collector
            /// accepts letters, digits, `_` and dots.
            pub const fn new(name: &'static str) -> Self {
                Self(Single::new(MetricType::$kind, name))
            }

            /// Defines the metric now, so that the host shows it before its first use.
            ///
            /// # Errors
            /// An error status of the host.
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
    /// read it.
    ///
    /// The host has no units: make the unit a part of the name (`latency_ms`, `body_bytes`).
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
    /// Adds to the counter. 0 has no effect: the host is not called, and the counter is not
    /// defined.
    ///
    /// # Errors
    /// An error status of the host; [`InvalidInput`](crate::ErrorKind::InvalidInput) above
    /// [`i64::MAX`].
    ///
    /// Source: ABI 0.2.1, `proxy_increment_metric`. Envoy refuses 0.
    #[doc(alias = "proxy_increment_metric")]
    #[doc(alias = "incrementMetric")]
    #[inline]
    pub fn increment(&self, n: u64) -> Result<()> {
        if n == 0 { Ok(()) } else { count(self.0.id()?, n) }
    }

    /// Returns the counter's value, over all VMs and threads.
    ///
    /// # Errors
    /// An error status of the host.
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
    /// Adds to the gauge, or subtracts. Below 0, Envoy's gauge wraps to a very large number. 0 has
    /// no effect.
    ///
    /// # Errors
    /// An error status of the host; [`InvalidInput`](crate::ErrorKind::InvalidInput) for
    /// [`i64::MIN`], which hosts cannot negate.
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
    /// An error status of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_record_metric`.
    #[doc(alias = "proxy_record_metric")]
    #[doc(alias = "recordMetric")]
    #[inline]
    pub fn record(&self, value: u64) -> Result<()> {
        record(self.0.id()?, value)
    }

    /// Returns the gauge's value, over all VMs and threads.
    ///
    /// # Errors
    /// An error status of the host.
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
    /// An error status of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_record_metric`.
    #[doc(alias = "proxy_record_metric")]
    #[doc(alias = "recordMetric")]
    #[inline]
    pub fn record(&self, value: u64) -> Result<()> {
        record(self.0.id()?, value)
    }
}
