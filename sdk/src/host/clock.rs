//! The time of day, from the host.

use crate::error::{Error, Result};
use crate::sys;
use core::time::Duration;
use std::time::SystemTime;

/// Returns the current time, in the resolution of the host's clock (at most nanoseconds).
///
/// This is the host's wall clock. It may be set back, so the difference of two times is a `Result`.
/// [`std::time::SystemTime::now`] and [`std::time::Instant::now`] panic on
/// `wasm32-unknown-unknown`, which has no clock; the arithmetic of [`SystemTime`] works there.
///
/// Works in every callback.
///
/// ```
/// use proxy_filter::{Result, clock};
/// use std::time::{Duration, SystemTime};
///
/// fn is_expired(not_after: u64) -> Result<bool> {
///     Ok(clock::now()? >= SystemTime::UNIX_EPOCH + Duration::from_secs(not_after))
/// }
///
/// fn age(since: SystemTime) -> Result<Duration> {
///     Ok(clock::now()?.duration_since(since).unwrap_or_default()) // 0 if the clock was set back
/// }
/// ```
///
/// # Errors
/// An error status of the host; [`Malformed`](crate::ErrorKind::Malformed) for a time that this
/// target cannot represent.
///
/// Source: ABI 0.2.1, `proxy_get_current_time_nanoseconds`.
#[doc(alias = "proxy_get_current_time_nanoseconds")]
#[doc(alias = "getCurrentTimeNanoseconds")]
#[doc(alias = "get_current_time")]
#[inline]
pub fn now() -> Result<SystemTime> {
    let nanoseconds = sys::proxy_get_current_time_nanoseconds()
        .map_err(|status| Error::host("proxy_get_current_time_nanoseconds", status))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds)).ok_or_else(no_such_time)
}

#[cold]
fn no_such_time() -> Error {
    Error::refused(crate::error::kind::ErrorKind::Malformed, "the host's time is not one this target can represent")
}
