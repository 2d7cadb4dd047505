//! Updates that wait for their turn where many threads write.

use super::cell::{SharedCell, SharedCounter};
use super::contention;
use super::value::SharedValue;
use crate::error::{ErrorKind, Result};
use crate::timer::Timer;
use core::time::Duration;

/// Attempts without a pause.
const ATTEMPTS: u32 = 10;
/// The first pause; twice as long each time, up to the longest.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(64);
/// So often it is tried again after a pause: about six seconds.
const ROUNDS: u32 = 100;

impl<T: SharedValue> SharedCell<T> {
    /// [`update`](Self::update) for filters that are async functions and for root tasks: after a few attempts in vain it lets the other threads go ahead,
    /// for a millisecond at first and for 64 at most, and tries again.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    /// use proxy_filter::shared_data::SharedCell;
    ///
    /// static LONGEST: SharedCell<u32> = SharedCell::new("longest-path");
    ///
    /// #[proxy_filter::filter]
    /// async fn measure(mut exchange: Exchange) -> Result<()> {
    ///     let request = exchange.request_headers().await?;
    ///     let length = u32::try_from(request.path()?.unwrap_or_default().len())?;
    ///     LONGEST.update_patiently(|longest| longest.unwrap_or(0).max(length)).await?;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// Dropping the future ends the attempts; nothing is written then.
    ///
    /// # Errors
    /// [`Contention`](ErrorKind::Contention) if other threads were faster every time for about six seconds; nothing is written then.
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) if it has to wait and the attribute does not say `timers`: it does if the function names this method.
    /// Otherwise as [`update`](Self::update).
    pub async fn update_patiently(&self, mut change: impl FnMut(Option<T>) -> T) -> Result<T> {
        let mut pause = SHORTEST;
        for _ in 0..ROUNDS {
            match self.attempt(ATTEMPTS, |before| Some(change(before))) {
                Err(error) if error.kind() == ErrorKind::Contention => {}
                result => return result?.ok_or_else(contention),
            }
            Timer::after(pause).await?;
            pause = pause.saturating_mul(2).min(LONGEST);
        }
        Err(contention())
    }
}

impl SharedCounter {
    /// [`add`](Self::add), with the patience of [`SharedCell::update_patiently`].
    ///
    /// # Errors
    /// As [`SharedCell::update_patiently`].
    pub async fn add_patiently(&self, n: u64) -> Result<u64> {
        self.0.update_patiently(|before| before.unwrap_or(0).saturating_add(n)).await
    }
}
