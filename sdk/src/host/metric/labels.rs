//! Metrics with labels. The values of the labels are a part of the metric's name.

use crate::abi::metric_type::MetricType;
use crate::error::Result;
use crate::host::metric::calls::{count, get, record, shift};
use crate::host::metric::escape::escape;
use crate::host::metric::registry::{self, Found};

/// Every label of a series that is one too many, and of one with a value that is too long.
const OTHER: &str = "other";
/// The longest value of a label, in bytes.
const LONGEST: usize = 64;

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<const N: usize>(Family<N>);

        impl<const N: usize> $name<N> {
            /// Creates a metric of this name with these labels, for a `static`. Each VM defines at
            /// most `max` combinations of values.
            ///
            /// Further combinations, and values of more than 64 bytes, are counted as `other` in
            /// every label. Clients that choose a label's values therefore cannot fill the proxy's
            /// memory. With 0, only `other` exists.
            pub const fn new(name: &'static str, labels: [&'static str; N], max: usize) -> Self {
                Self(Family { kind: MetricType::$kind, name, labels, max })
            }

            /// Returns the entries of Envoy's configuration that extract the labels from the name:
            /// see [`stats_tags`](super::stats_tags).
            pub fn stats_tags(&self) -> Vec<crate::host::metric::stats_tags::StatsTag> {
                crate::host::metric::stats_tags(self.0.name, &self.0.labels)
            }
        }
    };
}

labelled! {
    /// A [`Counter`](super::Counter) for each combination of values of its labels.
    ///
    /// The ABI has no labels. They become a part of the name, each as its name and its value, and
    /// Envoy's configuration extracts them. [`stats_tags`](Self::stats_tags) returns the entries
    /// for it. The command `proxy-filter stats-tags responses method status` of the package
    /// `proxy-filter-host` prints them.
    ///
    /// | | |
    /// |---|---|
    /// | `RESPONSES.increment(["GET", "200"], 1)` | increments `responses.method.GET.status.200` |
    /// | with `stats_tags`, in `/stats/prometheus` | `responses{method="GET",status="200"}` |
    /// | a value with other bytes than `A-Z a-z 0-9 _ - /` | these are escaped as in a URL: `a.b` becomes `a%2Eb` |
    /// | an empty value | `%` |
    /// | more than `max` combinations | `responses.method.other.status.other` |
    ///
    /// ```
    /// use proxy_filter::metric::CounterVec;
    /// use proxy_filter::prelude::*;
    ///
    /// static RESPONSES: CounterVec<2> = CounterVec::new("responses", ["method", "status"], 100);
    ///
    /// fn count(log: &LogContext) -> Result<()> {
    ///     let method = log.request_headers().get(":method")?.unwrap_or_default();
    ///     let status = log.response_headers().get(":status")?.unwrap_or_default();
    ///     RESPONSES.increment([method, status], 1)
    /// }
    /// ```
    CounterVec, COUNTER
}

labelled! {
    /// A [`Gauge`](super::Gauge) for each combination of values of its labels; names as for
    /// [`CounterVec`].
    ///
    /// ```
    /// use proxy_filter::{Result, metric::GaugeVec};
    ///
    /// static OPEN: GaugeVec<1> = GaugeVec::new("open_streams", ["listener"], 20);
    ///
    /// fn begin(listener: &str) -> Result<()> {
    ///     OPEN.increment([listener], 1)
    /// }
    /// ```
    GaugeVec, GAUGE
}

labelled! {
    /// A [`Histogram`](super::Histogram) for each combination of values of its labels; names as for
    /// [`CounterVec`].
    ///
    /// ```
    /// use proxy_filter::{Result, metric::HistogramVec};
    ///
    /// static BODY_BYTES: HistogramVec<1> = HistogramVec::new("body_bytes", ["direction"], 2);
    ///
    /// fn received(bytes: u64) -> Result<()> {
    ///     BODY_BYTES.record(["request"], bytes)
    /// }
    /// ```
    HistogramVec, HISTOGRAM
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "values are written down where they are used: `increment([method, status], 1)`"
)]
impl<const N: usize> CounterVec<N> {
    /// Calls [`Counter::increment`](super::Counter::increment) of the counter with these values, in
    /// the order of the labels.
    ///
    /// # Errors
    /// As [`Counter::increment`](super::Counter::increment).
    #[doc(alias = "proxy_increment_metric")]
    pub fn increment<V: AsRef<[u8]>>(&self, values: [V; N], n: u64) -> Result<()> {
        if n == 0 { Ok(()) } else { count(self.0.id(&values)?, n) }
    }

    /// Calls [`Counter::get`](super::Counter::get) of the counter with these values.
    ///
    /// # Errors
    /// As [`Counter::get`](super::Counter::get).
    #[doc(alias = "proxy_get_metric")]
    pub fn get<V: AsRef<[u8]>>(&self, values: [V; N]) -> Result<u64> {
        get(self.0.id(&values)?)
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "values are written down where they are used: `increment([method, status], 1)`"
)]
impl<const N: usize> GaugeVec<N> {
    /// Calls [`Gauge::increment`](super::Gauge::increment) of the gauge with these values, in the
    /// order of the labels.
    ///
    /// # Errors
    /// As [`Gauge::increment`](super::Gauge::increment).
    #[doc(alias = "proxy_increment_metric")]
    pub fn increment<V: AsRef<[u8]>>(&self, values: [V; N], n: i64) -> Result<()> {
        if n == 0 { Ok(()) } else { shift(self.0.id(&values)?, n) }
    }

    /// Calls [`Gauge::record`](super::Gauge::record) of the gauge with these values.
    ///
    /// # Errors
    /// As [`Gauge::record`](super::Gauge::record).
    #[doc(alias = "proxy_record_metric")]
    pub fn record<V: AsRef<[u8]>>(&self, values: [V; N], value: u64) -> Result<()> {
        record(self.0.id(&values)?, value)
    }

    /// Calls [`Gauge::get`](super::Gauge::get) of the gauge with these values.
    ///
    /// # Errors
    /// As [`Gauge::get`](super::Gauge::get).
    #[doc(alias = "proxy_get_metric")]
    pub fn get<V: AsRef<[u8]>>(&self, values: [V; N]) -> Result<u64> {
        get(self.0.id(&values)?)
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "values are written down where they are used: `increment([method, status], 1)`"
)]
impl<const N: usize> HistogramVec<N> {
    /// Calls [`Histogram::record`](super::Histogram::record) of the histogram with these values, in
    /// the order of the labels.
    ///
    /// # Errors
    /// As [`Histogram::record`](super::Histogram::record).
    #[doc(alias = "proxy_record_metric")]
    pub fn record<V: AsRef<[u8]>>(&self, values: [V; N], value: u64) -> Result<()> {
        record(self.0.id(&values)?, value)
    }
}

/// A metric with labels, of any type.
#[derive(Debug)]
struct Family<const N: usize> {
    kind: MetricType,
    name: &'static str,
    labels: [&'static str; N],
    max: usize,
}

impl<const N: usize> Family<N> {
    /// The id of the series with these values, or of the one for those that are too many.
    fn id<V: AsRef<[u8]>>(&self, values: &[V; N]) -> Result<u32> {
        let (found, series) = if values.iter().any(|value| value.as_ref().len() > LONGEST) {
            (Found::Full, Vec::new())
        } else {
            let series = self.series(values.iter().map(AsRef::as_ref));
            (registry::find(self.kind, self.name, &series, self.max), series)
        };
        match found {
            Found::Id(id) => Ok(id),
            Found::Room => registry::add(self.kind, self.name, &series),
            Found::Full => {
                let other = self.series(core::iter::repeat(OTHER.as_bytes()));
                match registry::find(self.kind, self.name, &other, usize::MAX) {
                    Found::Id(id) => Ok(id),
                    Found::Room | Found::Full => registry::add(self.kind, self.name, &other),
                }
            }
        }
    }

    /// The name of a series.
    fn series<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut name = Vec::with_capacity(64);
        name.extend_from_slice(self.name.as_bytes());
        for (label, value) in self.labels.iter().zip(values) {
            name.push(b'.');
            name.extend_from_slice(&escape(label.as_bytes()));
            name.push(b'.');
            name.extend_from_slice(&escape(value));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::status::Status;
    use crate::sys;
    use crate::sys::HostFunctions;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn a_value_cannot_look_like_another_label() {
        for (value, escaped) in [
            ("GET", "GET"),
            ("/a-b_c", "/a-b_c"),
            ("a.status.1", "a%2Estatus%2E1"),
            ("", "%"),
            ("%", "%25"),
            ("\u{e9}", "%C3%A9"),
        ] {
            assert_eq!(escape(value.as_bytes()), escaped.as_bytes());
        }
    }

    /// Numbers the definitions, and notes them and the increments.
    #[derive(Default)]
    struct Noting(RefCell<Vec<String>>);

    impl HostFunctions for Noting {
        fn proxy_define_metric(&self, kind: u32, name: &[u8]) -> core::result::Result<u32, Status> {
            self.0.borrow_mut().push(format!("define {kind} {}", String::from_utf8_lossy(name)));
            Ok(u32::try_from(self.0.borrow().len()).unwrap() * 4)
        }

        fn proxy_increment_metric(&self, id: u32, n: i64) -> core::result::Result<(), Status> {
            self.0.borrow_mut().push(format!("{id} += {n}"));
            Ok(())
        }
    }

    fn noted(body: impl FnOnce()) -> Vec<String> {
        let host = Rc::new(Noting::default());
        sys::install(Some(Rc::clone(&host) as Rc<dyn HostFunctions>));
        body();
        sys::install(None);
        host.0.take()
    }

    #[test]
    fn the_combinations_are_bounded() {
        let counter = CounterVec::new("c", ["a", "b"], 2);
        let log = noted(|| {
            for values in [["1", "1"], ["1", "2"], ["1", "3"], ["1", "1"], ["2", "2"]] {
                counter.increment(values, 1).unwrap();
            }
            counter.increment(["1".repeat(65).as_str(), "1"], 1).unwrap();
            counter.increment(["9", "9"], 0).unwrap();
        });
        assert_eq!(
            log,
            [
                "define 0 c.a.1.b.1",
                "4 += 1",
                "define 0 c.a.1.b.2",
                "12 += 1",
                "define 0 c.a.other.b.other",
                "20 += 1",
                "4 += 1",
                "20 += 1",
                "20 += 1"
            ]
        );
    }

    #[test]
    fn an_id_does_not_outlive_its_vm() {
        static COUNTER: super::super::Counter = super::super::Counter::new("once");
        let use_it = || {
            noted(|| {
                COUNTER.increment(1).unwrap();
                COUNTER.increment(2).unwrap();
                COUNTER.increment(0).unwrap();
            })
        };
        let expected = ["define 0 once", "4 += 1", "4 += 2"];
        assert_eq!(use_it(), expected);
        assert_eq!(use_it(), expected, "another host on this thread");
        assert_eq!(std::thread::spawn(use_it).join().unwrap(), expected, "another thread");
    }

    #[test]
    fn increments_out_of_range_are_refused_without_a_host_call() {
        let log = noted(|| {
            let error = super::super::Counter::new("large").increment(u64::MAX).unwrap_err();
            assert_eq!(error.kind(), crate::error::kind::ErrorKind::InvalidInput);
            let error = super::super::Gauge::new("small").increment(i64::MIN).unwrap_err();
            assert_eq!(error.kind(), crate::error::kind::ErrorKind::InvalidInput);
        });
        assert_eq!(log, ["define 0 large", "define 1 small"]);
    }
}
