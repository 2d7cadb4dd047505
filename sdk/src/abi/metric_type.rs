/// What a metric does with the values it gets (`proxy_metric_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricType(u32);

impl MetricType {
    pub(crate) const COUNTER: Self = Self(0);
    pub(crate) const GAUGE: Self = Self(1);
    pub(crate) const HISTOGRAM: Self = Self(2);

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }
}
