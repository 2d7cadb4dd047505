//! [`InFlight`]: an exchange that was started and not finished.

use super::Host;
use crate::not_played::NotPlayed;
use crate::outcome::Outcome;

/// An exchange in flight: [`RequestBuilder::start`](crate::RequestBuilder::start) has sent its
/// request. Several can be in flight at the same time, and one may wait for what another does.
///
/// ```
/// # use proxy_filter_host::{Host, Reply};
/// # use std::time::Duration;
/// # fn body(mut host: Host) {
/// host.cluster("keys", |_| Reply::new(200).after(Duration::from_secs(1)));
/// let first = host.get("/first").start();
/// let second = host.get("/second").start();
/// assert!(!first.has_ended(&mut host), "it waits for the keys");
/// let (first, second) = (first.finish(&mut host), second.finish(&mut host));
/// assert_eq!((first.status(), second.status()), (200, 200), "{first}{second}");
/// assert_eq!(first.calls("keys").len(), 1, "one call serves both");
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the outcome of the exchange is what `finish` returns"]
pub struct InFlight {
    id: u64,
}

impl InFlight {
    pub(super) const fn new(id: u64) -> Self {
        Self { id }
    }

    /// Whether the client has its response or has disconnected. No time passes.
    pub fn has_ended(&self, host: &mut Host) -> bool {
        host.has_ended(self.id)
    }

    /// Waits for the end of the exchange: time passes, and other exchanges in flight continue.
    ///
    /// # Panics
    /// The host is another one, or the embedded host does not play the exchange: see [`NotPlayed`].
    #[must_use]
    #[allow(clippy::panic, reason = "this is how a test with a message that is not played fails")]
    pub fn finish(self, host: &mut Host) -> Outcome {
        self.try_finish(host).unwrap_or_else(|why| panic!("the embedded host does not play the exchange: {why}"))
    }

    /// Waits for the end of the exchange, like [`finish`](Self::finish).
    ///
    /// # Errors
    /// The embedded host does not play the exchange.
    ///
    /// # Panics
    /// The host is another one.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, NotPlayed, Reply};
    /// let mut host = Host::without_module();
    /// host.upstream(|_| Reply::new(103));
    /// let exchange = host.get("/").start();
    /// assert_eq!(exchange.try_finish(&mut host).unwrap_err(), NotPlayed::InformationalResponse(103));
    /// ```
    pub fn try_finish(self, host: &mut Host) -> Result<Outcome, NotPlayed> {
        host.finish_exchange(self.id)
    }
}
