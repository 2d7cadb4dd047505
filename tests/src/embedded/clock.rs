//! The time of the host, and the ticks that are set.

use std::collections::BTreeMap;
use std::time::Duration;

/// The pause before each part of a message but the first.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The time at which the host begins, since 1970: 2025-06-15 15:06:40 UTC.
pub(super) const START: Duration = Duration::from_secs(1_750_000_000);

/// The time of the host. It stands still unless a test advances it.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Goes on only. What happens later, the ticks too, is due by this time.
    now: Duration,
    /// The wall clock if a test has set it: what it said, and at which time.
    set: Option<(Duration, Duration)>,
    /// The ticks of root contexts: how often, and when next.
    ticks: BTreeMap<u32, (Duration, Duration)>,
}

impl Clock {
    /// A clock that shows the time at which each host begins.
    pub(crate) const fn new() -> Self {
        Self { now: START, set: None, ticks: BTreeMap::new() }
    }

    pub(crate) const fn now(&self) -> Duration {
        self.now
    }

    /// What the wall clock says: what modules see.
    pub(super) fn wall(&self) -> Duration {
        self.set.map_or(self.now, |(wall, at)| wall + self.now.saturating_sub(at))
    }

    /// Sets the wall clock, back or ahead.
    pub(super) fn set_wall(&mut self, wall: Duration) {
        self.set = Some((wall, self.now));
    }

    /// Sets the period of a root context; the first tick comes one from now. Zero stops it.
    pub(crate) fn set_tick_period(&mut self, root: u32, milliseconds: u32) {
        let period = Duration::from_millis(milliseconds.into());
        self.ticks.remove(&root);
        if !period.is_zero() {
            self.ticks.insert(root, (period, self.now + period));
        }
    }

    /// When a tick is due next.
    pub(super) fn tick_due(&self) -> Option<Duration> {
        self.ticks.values().map(|(_, due)| *due).min()
    }

    /// The ticks that are set: the root context, the period, and the time of the next one.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (u32, Duration, Duration)> + '_ {
        self.ticks.iter().map(|(root, (period, due))| (*root, *period, *due))
    }

    /// The root context whose tick is due first.
    pub(super) fn ticks_next(&self) -> Option<u32> {
        self.ticks.iter().min_by_key(|(_, (_, due))| *due).map(|(root, _)| *root)
    }

    /// A tick has returned, and the next period begins, unless the module has stopped it.
    pub(super) fn rearm(&mut self, root: u32) {
        if let Some((period, due)) = self.ticks.get_mut(&root) {
            *due = self.now + *period;
        }
    }

    /// Goes on to this time, unless it is past.
    pub(super) fn go_on_to(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }
}
