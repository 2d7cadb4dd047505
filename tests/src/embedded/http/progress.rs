//! How far an exchange has come, and what it waits for between two steps.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::embedded) enum Waits {
    /// Nothing: it has not begun.
    #[default]
    Nothing,
    /// The next event of its VM, and no longer than until this time.
    Until(Duration),
    /// The test, which lets the upstream respond.
    ForTest,
}

/// How far an exchange has come. The exchange writes it, and whoever plays it reads it.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Progress {
    waits: Cell<Waits>,
    /// Why the exchange was resumed: an event happened, or the time is up.
    happened: Cell<bool>,
    /// The upstream has the request.
    reached: Cell<bool>,
    /// The upstream does not respond before the test says so.
    held: Cell<bool>,
}

impl Progress {
    /// Of an exchange whose upstream responds at once, or when the test says so.
    pub(super) fn new(held: bool) -> Self {
        let progress = Self::default();
        progress.held.set(held);
        progress
    }

    pub(super) const fn waits(&self) -> Waits {
        self.waits.get()
    }

    /// Resumes the exchange: an event happened, or the time is up.
    pub(super) fn resume(&self, happened: bool) {
        self.happened.set(happened);
    }

    pub(super) const fn reached(&self) -> bool {
        self.reached.get()
    }

    /// Lets the upstream respond.
    pub(super) fn release(&self) {
        self.held.set(false);
    }

    /// Waits for the next event, and no longer than until this time. Returns whether there was one.
    pub(super) async fn next_event(&self, until: Duration) -> bool {
        self.wait(Waits::Until(until)).await;
        self.happened.get()
    }

    /// The upstream has the request: waits until the test lets it respond.
    pub(super) async fn at_upstream(&self) {
        self.reached.set(true);
        while self.held.get() {
            self.wait(Waits::ForTest).await;
        }
    }

    /// Returns to whoever plays the exchange, until it is resumed.
    async fn wait(&self, waits: Waits) {
        self.waits.set(waits);
        let mut resumed = false;
        poll_fn(|_| if std::mem::replace(&mut resumed, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}
