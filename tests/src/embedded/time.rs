//! The clock, the tick, and the telling of queued items: what happens between the callbacks of streams.

use super::event;
use super::functions::Functions;
use super::vm::Vm;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of the host. It stands still unless a test advances it.
#[derive(Debug)]
pub(crate) struct Clock {
    now: Duration,
    period: Duration,
    /// When the tick is due next.
    due: Option<Duration>,
}

impl Clock {
    /// A clock that shows the time at which the host was made.
    pub(crate) fn new() -> Self {
        Self {
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            period: Duration::ZERO,
            due: None,
        }
    }

    pub(crate) const fn now(&self) -> Duration {
        self.now
    }

    /// Sets the period; the first tick comes one from now. Zero stops it.
    pub(crate) fn set_tick_period(&mut self, milliseconds: u32) {
        self.period = Duration::from_millis(milliseconds.into());
        self.arm();
    }

    fn arm(&mut self) {
        self.due = (!self.period.is_zero()).then(|| self.now + self.period);
    }

    /// When the tick is due next.
    pub(super) const fn tick_due(&self) -> Option<Duration> {
        self.due
    }

    /// Goes on to this time, unless it is past.
    pub(super) fn go_on_to(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }
}

/// Lets time pass: what is due comes when it is due.
pub(super) fn advance(vm: &mut Vm, functions: &Functions, root: u32, by: Duration) {
    let end = functions.state().clock.now() + by;
    tell(vm, functions, root);
    while event::next(vm, functions, end) {}
    functions.state().clock.go_on_to(end);
}

/// The tick of the root context. Envoy starts the next period when it is over.
pub(super) fn tick(vm: &mut Vm, functions: &Functions) {
    let root = functions.state().root;
    vm.call("proxy_on_tick", &[root]);
    functions.state().clock.arm();
}

/// Tells the root context of each item that has come into its queues. Envoy does so as soon as what it has read is worked off.
pub(super) fn tell(vm: &mut Vm, functions: &Functions, root: u32) {
    loop {
        // Not in the loop's condition: nothing is locked while the module runs.
        let queue = functions.state().queues.tell();
        let Some(queue) = queue else { break };
        vm.call("proxy_on_queue_ready", &[root, queue]);
    }
}
