//! Time in filters that are async functions: [`timeout`], [`retry`], and the ticks of an [`Interval`].

use crate::callout::timer::Timer;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

/// Waits for a future, but not longer than this. The future is dropped when the time is over.
///
/// In filters that are async functions, and in their root tasks.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::timer::timeout;
/// # use std::time::Duration;
/// async fn user(token: &HeaderValue) -> Result<Vec<u8>> {
///     let call = HttpCall::get("users", "/whoami").header("authorization", token);
///     timeout(Duration::from_millis(50), call.into_future()).await??.into_body()
/// }
/// ```
///
/// # Errors
/// [`Timeout`](ErrorKind::Timeout) when the time is over; a refusal of the host, which then cannot say when that is.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(Timer::after(limit).into_future());
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        timer.as_mut().poll(context).map(|elapsed| elapsed.and_then(|()| Err(elapsed_error())))
    })
    .await
}

#[cold]
fn elapsed_error() -> Error {
    Error::refused(ErrorKind::Timeout, "the time for this is over")
}

/// Tries something until it succeeds: so many times at most, with a pause in between that is `pause` long at first and twice as long each time,
/// up to a minute.
///
/// In filters that are async functions, and in their root tasks.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::timer::retry;
/// # use std::time::Duration;
/// async fn keys() -> Result<Vec<u8>> {
///     retry(5, Duration::from_millis(100), async || HttpCall::get("keys", "/jwks.json").await?.into_body()).await
/// }
/// ```
///
/// # Errors
/// The last failure; a refusal of the host to wait.
pub async fn retry<T>(times: u32, pause: Duration, mut body: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut pause = pause;
    let mut left = times;
    loop {
        left = left.saturating_sub(1);
        match body().await {
            Err(_) if left > 0 => {
                Timer::after(pause).await?;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(60);
