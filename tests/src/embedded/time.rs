//! The clock, the tick, and the telling of queued items: what happens between the callbacks of streams.

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

    /// Goes on to the next tick, if it comes before this time, or else to this time. Whether a tick is due.
    fn go_on(&mut self, end: Duration) -> bool {
        let due = self.due.filter(|due| *due <= end);
        self.now = due.unwrap_or(end);
        due.is_some()
    }
}

/// Lets time pass: ticks come when they are due. Envoy starts the next period when a tick is over.
pub(super) fn advance(vm: &mut Vm, functions: &Functions, root: u32, by: Duration) {
    let end = functions.state().clock.now() + by;
    tell(vm, functions, root);
    while functions.state().clock.go_on(end) && !vm.failed() {
        vm.call("proxy_on_tick", &[root]);
        functions.state().clock.arm();
        tell(vm, functions, root);
    }
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
