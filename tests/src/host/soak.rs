//! [`Host::soak`] and [`Host::sweep_faults`]: what only many exchanges show.

use super::Host;
use crate::fault::Fault;
use crate::filter_error::{FilterErrorKind, Logged};
use crate::outcome::Outcome;
use crate::usage::Usage;
use proxy_filter::Status;
use std::time::Duration;

/// How long calls in flight may take to end: longer than Envoy lets any route wait.
const END_OF_CALLS: Duration = Duration::from_secs(60);

/// The statuses with which a host function fails. `NotFound` is none of them: for most functions it
/// is an answer, such as that there is no such header.
const STATUSES: [Status; 3] = [Status::BAD_ARGUMENT, Status::INTERNAL_FAILURE, Status::UNIMPLEMENTED];

impl Host {
    /// Plays an exchange so many times, and fails the test if the plugin keeps more after the
    /// second half than after the first: memory, shared data, items of queues, names of metrics,
    /// calls in flight, root contexts, ticks.
    ///
    /// It also fails if the filter logs a line of the level error or above for each of them:
    /// clients would fill the log of the proxy. Lines about failures that the test expects are not
    /// counted.
    ///
    /// A cache that is full after the first half is no leak. A leak of a few bytes is found if it
    /// is a page of memory (64 KiB) in half of the exchanges. Memory is known of a filter that runs
    /// as wasm. A real Envoy does not report what a plugin keeps: it only plays the exchanges.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.soak(1_000, |host| drop(host.get("/").header("x-user", "alice").send()));
    /// # }
    /// ```
    ///
    /// # Panics
    /// The plugin keeps more, or logs an error for each exchange.
    pub fn soak(&mut self, exchanges: usize, mut exchange: impl FnMut(&mut Self)) {
        let half = exchanges.div_ceil(2);
        let observer = self.observer.take();
        let mut kept = Vec::new();
        self.logged = Logged::default();
        for exchanges in [half, exchanges - half] {
            for _ in 0..exchanges {
                exchange(self);
            }
            // Calls that go on for a while are not kept for ever.
            kept.extend(self.backend.usage().is_some().then(|| {
                let _later = self.advance(END_OF_CALLS);
                self.usage().unwrap_or_default()
            }));
        }
        self.observer = observer;
        let Logged { errors, last } = std::mem::take(&mut self.logged);
        let is_flood = exchanges > 1 && errors >= exchanges;
        assert!(
            !is_flood,
            "the filter logs an error for each exchange: {errors} lines in {exchanges} exchanges, the last {last:?}"
        );
        if let [first, second] = kept[..] {
            let grown = grown(first, second);
            let count = exchanges - half;
            assert!(grown.is_empty(), "the plugin keeps more after {count} more equal exchanges: {}", grown.join(", "));
        }
    }

    /// Plays an exchange, and then again for each host call that it makes and each of three error
    /// statuses: the call fails with that status, in a plugin that has just started. The test fails
    /// if a failed call leads to a trap or to a broken rule of Envoy, leaves the stream paused for
    /// ever, or lets a request reach the upstream that does not reach it otherwise.
    ///
    /// Returns what became of each, for assertions of the filter's own. An `Err` that a failed call
    /// leads to is expected. The plugin starts again at the end. In a real Envoy no call fails:
    /// there the exchange is played once.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// for fault in host.sweep_faults(|host| host.get("/admin").send()) {
    ///     assert_ne!(fault.outcome.status(), 200, "{fault}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// See above.
    pub fn sweep_faults(&mut self, exchange: impl Fn(&mut Self) -> Outcome) -> Vec<Fault> {
        let whole = exchange(self);
        let observer = self.observer.take();
        let mut faults = Vec::new();
        for status in STATUSES {
            for call in 0.. {
                self.restart();
                if !self.backend.fail_call(call, status.raw()) {
                    break;
                }
                let before = self.backend.violations().len();
                let outcome = exchange(self);
                let Some(function) = self.backend.failed_call() else { break };
                outcome.expect_all_errors();
                let fault = Fault { function, call, status, outcome };
                self.judge(&whole, &fault, before);
                faults.push(fault);
            }
        }
        self.restart();
        self.observer = observer;
        faults
    }

    /// Fails the test if a failed call has done harm.
    fn judge(&self, whole: &Outcome, fault: &Fault, violations: usize) {
        let outcome = &fault.outcome;
        let trap = outcome.errors().iter().find(|error| error.kind() == FilterErrorKind::Trap);
        assert!(trap.is_none(), "{fault}");
        let broken: Vec<_> = self.backend.violations().iter().skip(violations).map(ToString::to_string).collect();
        assert!(broken.is_empty(), "{}\n{fault}", broken.join("\n"));
        assert!(outcome.record().waiting.is_empty(), "the stream waits for ever\n{fault}");
        let passes = !whole.is_forwarded() && outcome.is_forwarded();
        assert!(!passes, "the request is refused otherwise, and reaches the upstream now\n{fault}");
    }

    /// Starts the plugin again as it was.
    pub(super) fn restart(&mut self) {
        self.stop();
        let started = self.start();
        assert!(started.is_ok(), "the plugin does not start again: {started:?}");
    }
}

/// What has grown, in words.
fn grown(before: Usage, after: Usage) -> Vec<String> {
    [
        ("bytes of memory", before.memory, after.memory),
        ("bytes of shared data", before.shared_data, after.shared_data),
        ("bytes in queues", before.queues, after.queues),
        ("bytes of names of metrics", before.metrics, after.metrics),
        ("calls in flight", before.calls, after.calls),
        ("root contexts", before.root_contexts, after.root_contexts),
        ("ticks", before.ticks, after.ticks),
    ]
    .into_iter()
    .filter(|(_, before, after)| after > before)
    .map(|(what, before, after)| format!("{after} {what} instead of {before}"))
    .collect()
}
