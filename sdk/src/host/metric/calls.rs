//! The host functions of metrics.

use crate::abi::metric_type::MetricType;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;

#[inline]
pub(crate) fn define(kind: MetricType, name: &[u8]) -> Result<u32> {
    sys::proxy_define_metric(kind.raw(), name).map_err(|status| Error::host("proxy_define_metric", status))
}

/// Adds to a counter.
#[inline]
pub(crate) fn count(id: u32, n: u64) -> Result<()> {
    shift(id, i64::try_from(n).unwrap_or(i64::MIN))
}

/// Adds to a gauge or a counter.
#[inline]
pub(crate) fn shift(id: u32, n: i64) -> Result<()> {
    if n == i64::MIN {
        return Err(out_of_range());
    }
    sys::proxy_increment_metric(id, n).map_err(|status| Error::host("proxy_increment_metric", status))
}

#[inline]
pub(crate) fn record(id: u32, value: u64) -> Result<()> {
    sys::proxy_record_metric(id, value).map_err(|status| Error::host("proxy_record_metric", status))
}

#[inline]
pub(crate) fn get(id: u32) -> Result<u64> {
    sys::proxy_get_metric(id).map_err(|status| Error::host("proxy_get_metric", status))
}

#[cold]
fn out_of_range() -> Error {
    Error::refused(ErrorKind::InvalidInput, "a metric is incremented by at most 9223372036854775807 at once")
}
