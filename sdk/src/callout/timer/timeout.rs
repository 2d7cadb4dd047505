//! Time in filters that are async functions: [`timeout`], [`retry`], and the ticks of an [`Interval`].

use crate::callout::timer::interval::Interval;
use crate::callout::timer::{Timer, now};
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
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
/// [`Elapsed`](ErrorKind::Elapsed) when the time is over; a refusal of the host, which then cannot say when that is.
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
    Error::refused(ErrorKind::Elapsed, "the time for this is over")
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

type Wait = <Timer as IntoFuture>::IntoFuture;

/// The times at which an [`Interval`] is over, to be awaited one after the other; made by [`Interval::ticks`].
///
/// With the feature `futures` it is a stream of the crate `futures`.
#[derive(Debug)]
pub struct Ticks {
    period: u64,
    /// None before the first.
    next: Option<u64>,
    /// The wait for it, unless it is over.
    wait: Option<Wait>,
}

impl Interval {
    /// The interval for a root task: each [`tick`](Ticks::tick) waits for the end of the next period.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use proxy_filter::Interval;
    /// # use std::time::Duration;
    /// async fn refresh() -> Result<()> {
    ///     let mut ticks = Interval::new(Duration::from_secs(60)).ticks()?;
    ///     loop {
    ///         ticks.tick().await?;
    ///         log::info!("a minute later");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a period of 0.
    #[inline]
    pub fn ticks(self) -> Result<Ticks> {
        Ok(Ticks { period: self.period()?, next: None, wait: None })
    }
}

impl Ticks {
    /// Waits until the period is over. One that is over already when this is called is not made up for; one that was waited for in vain, because the
    /// future was dropped, is waited for again.
    ///
    /// # Errors
    /// A refusal of the host.
    #[inline]
    pub async fn tick(&mut self) -> Result<()> {
        poll_fn(|context| self.poll_tick(context)).await
    }

    #[inline]
    pub(crate) fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut wait = match self.wait.take() {
            Some(wait) => wait,
            None => self.start()?,
        };
        let elapsed = Pin::new(&mut wait).poll(context);
        if elapsed.is_pending() {
            self.wait = Some(wait);
        }
        elapsed
    }

    #[inline]
    fn start(&mut self) -> Result<Wait> {
        let now = now()?;
        let due = self.next.unwrap_or(now).saturating_add(self.period);
        let due = if due > now { due } else { now.saturating_add(self.period) };
        self.next = Some(due);
        Ok(Timer::after(Duration::from_nanos(due.saturating_sub(now))).into_future())
    }
}

/// The times, each as [`tick`](Ticks::tick) returns it. It has no end.
#[cfg(feature = "futures")]
impl futures_core::Stream for Ticks {
    type Item = Result<()>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_tick(context).map(Some)
    }
}
