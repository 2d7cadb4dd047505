//! When the timers of root contexts are due.

use crate::engine::edit::edit;
use core::cmp::Reverse;
use std::cell::Cell;
use std::collections::BinaryHeap;

thread_local! {
    pub(crate) static DEADLINES: Deadlines = const { Deadlines::new() };
}

/// Times in nanoseconds, each with the number of a timer, for each root context: the host gives
/// each of them one tick.
pub(crate) struct Deadlines {
    roots: Cell<Vec<Root>>,
    clock: Cell<Clock>,
}

/// A clock that never goes back. The ABI has only the host's wall clock, which an operator or NTP
/// may set. The host's ticks use a monotonic clock, so they reveal changes of the wall clock.
#[derive(Clone, Copy)]
struct Clock {
    /// The last reading of the wall clock.
    wall: u64,
    now: u64,
}

#[derive(Default)]
struct Root {
    id: u32,
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// The time for which the tick is set; `None` after the tick.
    armed: Option<u64>,
    /// The period of `on_tick`, and when it is due next.
    period: Option<(u64, u64)>,
}

/// A tick is never this late. If the wall clock advanced further, it was set ahead.
const LATEST: u64 = 5_000 * NANOSECONDS;
/// A tick is never this early. (Envoy counts a period from the start of its event loop's
/// iteration.) If the wall clock advanced less, it was set back.
const EARLIEST: u64 = 1_000 * NANOSECONDS;

/// Up to this many timers, those that were given up are not looked for.
const FEW: usize = 64;

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self { roots: Cell::new(Vec::new()), clock: Cell::new(Clock { wall: 0, now: 0 }) }
    }

    /// Returns the time for this reading of the wall clock.
    #[inline]
    pub(crate) fn now(&self, wall: u64) -> u64 {
        self.read(wall).0
    }

    /// Returns the time, and whether the wall clock was not set since its last reading, as far as
    /// this can be detected. If it was set, the elapsed time is unknown and is counted as zero.
    fn read(&self, wall: u64) -> (u64, bool) {
        let roots = self.roots.take();
        let next_tick = roots.iter().filter_map(|root| root.armed).min();
        self.roots.set(roots);
        let last = self.clock.get();
        let latest = next_tick.unwrap_or(u64::MAX).saturating_add(LATEST);
        let now =
            wall.checked_sub(last.wall).map(|passed| last.now.saturating_add(passed)).filter(|now| *now <= latest);
        let clock = Clock { wall, now: now.unwrap_or(last.now) };
        self.clock.set(clock);
        (clock.now, now.is_some())
    }

    /// Adds a timer. `is_alive` returns whether a timer is still pending. Cancelled timers are
    /// removed from time to time, so that timers that are cancelled long before their time do not
    /// accumulate.
    pub(crate) fn add(&self, root: u32, due: u64, number: u32, is_alive: impl Fn(u32) -> bool) {
        self.with(root, |root| {
            if root.due.len() >= FEW && root.due.len() == root.due.capacity() {
                root.due.retain(|Reverse((_, number))| is_alive(*number));
            }
            root.due.push(Reverse((due, number)));
        });
    }

    /// Takes out a timer that is due.
    #[inline]
    pub(crate) fn pop(&self, root: u32, now: u64) -> Option<u32> {
        self.with(root, |root| {
            let Reverse((due, number)) = *root.due.peek()?;
            if due > now {
                return None;
            }
            root.due.pop();
            Some(number)
        })
    }

    /// Records the host's tick, which must then be set again. Returns the time for this reading of
    /// the wall clock: at least the time for which the tick was set.
    #[inline]
    pub(crate) fn tick(&self, root: u32, wall: u64) -> u64 {
        let (now, steady) = self.read(wall);
        let armed = self.with(root, |root| root.armed.take()).unwrap_or(now);
        let early = armed.saturating_sub(now);
        // A tick that is a little early stays so: if each moved the clock, it would run fast.
        if early > EARLIEST || (early > 0 && !steady) {
            self.clock.set(Clock { wall, now: armed });
        }
        armed.max(now)
    }

    /// Sets the period of `on_tick`; it is due one period from now. Zero stops it.
    pub(crate) fn set_period(&self, root: u32, now: u64, milliseconds: u32) {
        let period = u64::from(milliseconds) * NANOSECONDS;
        self.with(root, |root| root.period = (period > 0).then(|| (period, now.saturating_add(period))));
    }

    /// Whether `on_tick` is due.
    #[inline]
    pub(crate) fn is_tick_due(&self, root: u32, now: u64) -> bool {
        self.with(root, |root| root.period.is_some_and(|(_, due)| due <= now))
    }

    /// Ends an `on_tick` that was due at `told`. The next one is due one period from now, unless
    /// the callback set another period.
    #[inline]
    pub(crate) fn end_tick(&self, root: u32, told: u64, now: u64) {
        self.with(root, |root| {
            if let Some((period, due)) = &mut root.period {
                if *due <= told {
                    *due = now.saturating_add(*period);
                }
            }
        });
    }

    /// Returns the period to set for the host's tick, in milliseconds, if it must change. The
    /// period is 0 if no timer is pending.
    pub(crate) fn arm(&self, root: u32, now: u64, is_alive: impl Fn(u32) -> bool) -> Option<u32> {
        self.with(root, |root| {
            while root.due.peek().is_some_and(|Reverse((_, number))| !is_alive(*number)) {
                root.due.pop();
            }
            let timer = root.due.peek().map(|Reverse((due, _))| *due);
            let next = [timer, root.period.map(|(_, due)| due)].into_iter().flatten().min();
            // A tick that is too early does no harm, so the host's tick is not set again for a
            // cancelled timer.
            if next == root.armed && next.is_some() {
                return None;
            }
            let left = next.map_or(0, |due| due.saturating_sub(now).div_ceil(NANOSECONDS).max(1));
            let period = u32::try_from(left).unwrap_or(u32::MAX);
            // A time beyond the host's range is reached in several steps.
            root.armed = next.map(|due| due.min(now.saturating_add(u64::from(period) * NANOSECONDS)));
            Some(period)
        })
    }

    /// Removes a deleted root context. Its pending timers move to the tick of `heir`, another root
    /// context. Returns whether there were any.
    pub(crate) fn forget(&self, root: u32, heir: Option<u32>, is_alive: impl Fn(u32) -> bool) -> bool {
        let gone = edit(&self.roots, |roots| {
            let position = roots.iter().position(|other| other.id == root)?;
            Some(roots.swap_remove(position))
        });
        let (Some(heir), Some(mut gone)) = (heir, gone) else { return false };
        let mut left = core::mem::take(&mut gone.due);
        left.retain(|Reverse((_, number))| is_alive(*number));
        if left.is_empty() {
            return false;
        }
        self.with(heir, |heir| heir.due.extend(left));
        true
    }

    fn with<T>(&self, id: u32, body: impl FnOnce(&mut Root) -> T) -> T {
        let mut roots = self.roots.take();
        let result = if let Some(root) = roots.iter_mut().find(|root| root.id == id) {
            body(root)
        } else {
            let mut root = Root { id, ..Root::default() };
            let result = body(&mut root);
            roots.push(root);
            result
        };
        self.roots.set(roots);
        result
    }
}

/// In a millisecond.
const NANOSECONDS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use crate::callout::timer::deadlines::Deadlines;

    const MS: u64 = 1_000_000;

    fn all(_: u32) -> bool {
        true
    }

    #[test]
    fn timers_are_due_in_the_order_of_their_times() {
        let deadlines = Deadlines::new();
        for (due, number) in [(30 * MS, 1), (10 * MS, 2), (20 * MS, 3)] {
            deadlines.add(1, due, number, all);
        }
        assert_eq!(deadlines.arm(1, 0, all), Some(10));
        assert_eq!(deadlines.pop(1, 9 * MS), None);
        assert_eq!(
            (deadlines.pop(1, 25 * MS), deadlines.pop(1, 25 * MS), deadlines.pop(1, 25 * MS)),
            (Some(2), Some(3), None)
        );
        assert_eq!(deadlines.arm(1, 25 * MS, all), Some(5));
    }

    #[test]
    fn the_tick_is_set_only_if_it_changes() {
        let deadlines = Deadlines::new();
        deadlines.add(1, 10 * MS, 1, all);
        assert_eq!(deadlines.arm(1, 0, all), Some(10));
        deadlines.add(1, 20 * MS, 2, all);
        assert_eq!(deadlines.arm(1, 0, all), None);
        deadlines.add(1, 5 * MS, 3, all);
        assert_eq!(deadlines.arm(1, 0, all), Some(5));
        assert_eq!(deadlines.tick(1, 0), 5 * MS);
        assert_eq!(deadlines.arm(1, 0, all), Some(5), "the host starts the period anew after a tick");
    }

    #[test]
    fn the_tick_stops_without_pending_timers() {
        let deadlines = Deadlines::new();
        deadlines.add(1, 10 * MS, 1, all);
        deadlines.arm(1, 0, all);
        assert_eq!(deadlines.arm(1, 0, |_| false), Some(0));
    }

    #[test]
    fn delays_are_at_least_1_ms_and_at_most_the_range_of_the_host() {
        let deadlines = Deadlines::new();
        deadlines.add(1, 1, 1, all);
        assert_eq!(deadlines.arm(1, 0, all), Some(1));
        deadlines.add(2, u64::MAX, 1, all);
        assert_eq!(deadlines.arm(2, 0, all), Some(u32::MAX));
        assert_eq!(deadlines.tick(2, 0), u64::from(u32::MAX) * MS, "the first step");
    }

    #[test]
    fn each_root_has_its_own() {
        let deadlines = Deadlines::new();
        deadlines.add(1, MS, 1, all);
        deadlines.add(2, 2 * MS, 2, all);
        assert_eq!((deadlines.pop(2, MS), deadlines.pop(1, MS)), (None, Some(1)));
        assert!(!deadlines.forget(2, None, all));
        assert_eq!(deadlines.pop(2, u64::MAX), None);
    }

    #[test]
    fn pending_timers_of_a_deleted_root_move_to_another_root() {
        let deadlines = Deadlines::new();
        for number in 0..4 {
            deadlines.add(1, 10 * MS, number, all);
        }
        assert!(deadlines.forget(1, Some(2), |number| number == 3));
        assert_eq!(deadlines.arm(2, 0, all), Some(10));
        assert_eq!((deadlines.pop(2, 10 * MS), deadlines.pop(2, 10 * MS)), (Some(3), None));
        assert!(!deadlines.forget(2, Some(3), all), "it has none");
    }

    #[test]
    fn the_period_of_a_root_and_its_timers_share_the_tick() {
        let deadlines = Deadlines::new();
        deadlines.set_period(1, 0, 10);
        deadlines.add(1, 5 * MS, 1, all);
        assert_eq!(deadlines.arm(1, 0, all), Some(5));
        assert!(!deadlines.is_tick_due(1, 5 * MS) && deadlines.pop(1, 5 * MS) == Some(1));
        assert_eq!(deadlines.tick(1, 5 * MS), 5 * MS);
        assert_eq!(deadlines.arm(1, 5 * MS, all), Some(5));
        assert!(deadlines.is_tick_due(1, 10 * MS));
        deadlines.end_tick(1, 10 * MS, 12 * MS);
        deadlines.tick(1, 12 * MS);
        assert_eq!(deadlines.arm(1, 12 * MS, all), Some(10), "the next period begins when the callback is over");
        deadlines.set_period(1, 12 * MS, 0);
        assert_eq!(deadlines.arm(1, 12 * MS, all), Some(0));
        assert!(!deadlines.is_tick_due(1, u64::MAX));
    }

    #[test]
    fn a_period_set_in_the_tick_begins_when_it_is_set() {
        let deadlines = Deadlines::new();
        deadlines.set_period(1, 0, 10);
        deadlines.set_period(1, 11 * MS, 20);
        deadlines.end_tick(1, 10 * MS, 15 * MS);
        assert!(!deadlines.is_tick_due(1, 30 * MS) && deadlines.is_tick_due(1, 31 * MS));
    }

    #[test]
    fn cancelled_timers_do_not_accumulate() {
        let deadlines = Deadlines::new();
        for number in 0..100_000 {
            deadlines.add(1, u64::MAX, number, |alive| alive > number - 10);
        }
        let roots = deadlines.roots.take();
        assert!(roots[0].due.capacity() < 1000, "{}", roots[0].due.capacity());
    }

    /// A wall clock, and what a host does with it.
    struct Wall {
        deadlines: Deadlines,
        wall: u64,
    }

    impl Wall {
        fn new() -> Self {
            Self { deadlines: Deadlines::new(), wall: 1_000_000_000_000 * MS }
        }

        fn now(&self) -> u64 {
            self.deadlines.now(self.wall)
        }

        /// Starts a timer. Returns the period that this sets, if any.
        fn start(&self, number: u32, milliseconds: u64) -> Option<u32> {
            self.deadlines.add(1, self.now() + milliseconds * MS, number, all);
            self.deadlines.arm(1, self.now(), all)
        }

        /// Runs a tick. Returns the timers that are due and the next period.
        fn tick(&self) -> (Vec<u32>, Option<u32>) {
            let now = self.deadlines.tick(1, self.wall);
            (std::iter::from_fn(|| self.deadlines.pop(1, now)).collect(), self.deadlines.arm(1, self.now(), all))
        }
    }

    /// By how much a clock is set, and the milliseconds it went on before that since it was last
    /// read.
    fn settings() -> impl Iterator<Item = (i64, u64)> {
        let steps = [-1_000_000_000_000, -3_600_000, -10_000, -1_100, 10_000, 3_600_000, 1_000_000_000_000];
        steps.into_iter().flat_map(|step| [0, 1, 500].map(|before| (step, before)))
    }

    #[test]
    fn setting_the_clock_moves_no_pending_timer() {
        for (step, before) in settings() {
            let mut host = Wall::new();
            assert_eq!((host.start(1, 1_000), host.start(2, 3_000)), (Some(1_000), None));
            host.wall = host.wall.saturating_add_signed(step * MS.cast_signed()) + 1_000 * MS;
            let (due, period) = host.tick();
            assert_eq!((due, period), (vec![1], Some(2_000)), "{step} {before}");
            host.wall += 2_000 * MS;
            assert_eq!(host.tick(), (vec![2], Some(0)), "{step} {before}");
        }
    }

    #[test]
    fn a_timer_started_after_the_clock_was_set_is_due_on_time() {
        for (step, before) in settings() {
            let mut host = Wall::new();
            assert_eq!(host.start(1, 1_000), Some(1_000));
            host.wall = host.wall.saturating_add_signed(step * MS.cast_signed()) + before * MS;
            assert_eq!(host.start(2, 20), Some(20), "{step} {before}");
            host.wall += 20 * MS;
            let (due, period) = host.tick();
            // The time between the last reading of the clock and the change of the clock is not
            // counted.
            let left = 980 - if step > 0 || before.cast_signed() + step < 0 { 0 } else { before };
            assert_eq!((due, period), (vec![2], u32::try_from(left).ok()), "{step} {before}");
        }
    }

    #[test]
    fn ticks_that_are_a_little_early_or_late_do_not_move_the_clock() {
        let mut host = Wall::new();
        let start = host.now();
        host.start(0, 3_600_000);
        for number in 1..1_000 {
            host.start(number, 50);
            host.wall += if number % 2 == 0 { 40 * MS } else { 90 * MS };
            assert_eq!(host.tick().0, [number]);
        }
        assert_eq!(host.now() - start, (500 * 90 + 499 * 40) * MS);
    }
}
