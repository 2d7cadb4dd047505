//! Time in filters that are async functions: [`timeout`], [`retry`], and the ticks of an
//! [`Interval`].

use crate::callout::timer::Timer;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

/// Waits for a future for at most the time `limit`, and then drops the future.
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
/// Fails with [`Timeout`](ErrorKind::Timeout) when the time has elapsed, or if the host refuses the
/// timer.
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
    Error::refused(ErrorKind::Timeout, "the time limit has elapsed")
}

/// Calls `body` until it succeeds, at most `times` times. The first pause between two attempts has
/// the length `pause`. Each further pause is twice as long as the previous one, up to 1 minute.
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
/// Fails with the error of the last attempt, or if the host refuses the timer.
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
