//! When the timers of root contexts are due.

use super::edit::edit;
use core::cmp::Reverse;
use std::cell::Cell;
use std::collections::BinaryHeap;

/// Times in nanoseconds, each with the number of a timer, for each root context: the host gives each of them one tick.
pub(crate) struct Deadlines {
    roots: Cell<Vec<Root>>,
}

struct Root {
    id: u32,
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// The time the tick is set for; none after it came.
    armed: Option<u64>,
}

/// Up to this many timers, those that were given up are not looked for.
const FEW: usize = 64;

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self { roots: Cell::new(Vec::new()) }
    }

    /// Adds a timer. `is_alive` says which numbers are still waited for: the others are dropped now and then, so that timers that are
    /// given up long before their time do not pile up.
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

    /// The host's tick came: it has to be set again. The time it was set for: that has come, even if the host's clock does not say so yet.
    /// (Envoy counts a period from when it began to work off what had happened.)
    #[inline]
    pub(crate) fn disarm(&self, root: u32) -> Option<u64> {
        self.with(root, |root| root.armed.take())
    }

    /// The period to set the host's tick to, in milliseconds, if it has to be set: 0 if nothing is waited for.
    pub(crate) fn arm(&self, root: u32, now: u64, is_alive: impl Fn(u32) -> bool) -> Option<u32> {
        self.with(root, |root| {
            while root.due.peek().is_some_and(|Reverse((_, number))| !is_alive(*number)) {
                root.due.pop();
            }
            let next = root.due.peek().map(|Reverse((due, _))| *due);
            // A tick that comes too early does no harm: timers that were given up need not be told to the host.
            if next == root.armed && next.is_some() {
                return None;
            }
            let left = next.map_or(0, |due| due.saturating_sub(now).div_ceil(NANOSECONDS).max(1));
            let period = u32::try_from(left).unwrap_or(u32::MAX);
            // What a host cannot count is waited for in several steps.
            root.armed = next.map(|due| due.min(now.saturating_add(u64::from(period) * NANOSECONDS)));
            Some(period)
        })
    }

    /// The root context is gone.
    #[inline]
    pub(crate) fn forget(&self, root: u32) {
        edit(&self.roots, |roots| roots.retain(|other| other.id != root));
    }

    fn with<T>(&self, id: u32, body: impl FnOnce(&mut Root) -> T) -> T {
        let mut roots = self.roots.take();
        let result = if let Some(root) = roots.iter_mut().find(|root| root.id == id) {
            body(root)
        } else {
            let mut root = Root { id, due: BinaryHeap::new(), armed: None };
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
    use super::Deadlines;

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
        assert_eq!(deadlines.disarm(1), Some(5 * MS));
        assert_eq!(deadlines.arm(1, 0, all), Some(5), "the host starts the period anew after a tick");
    }

    #[test]
    fn the_tick_stops_when_nothing_is_waited_for() {
        let deadlines = Deadlines::new();
        deadlines.add(1, 10 * MS, 1, all);
        deadlines.arm(1, 0, all);
        assert_eq!(deadlines.arm(1, 0, |_| false), Some(0));
    }

    #[test]
    fn a_moment_is_a_millisecond_and_forever_is_what_a_host_can_count() {
        let deadlines = Deadlines::new();
        deadlines.add(1, 1, 1, all);
        assert_eq!(deadlines.arm(1, 0, all), Some(1));
        deadlines.add(2, u64::MAX, 1, all);
        assert_eq!(deadlines.arm(2, 0, all), Some(u32::MAX));
        assert_eq!(deadlines.disarm(2), Some(u64::from(u32::MAX) * MS), "the first step");
    }

    #[test]
    fn each_root_has_its_own() {
        let deadlines = Deadlines::new();
        deadlines.add(1, MS, 1, all);
        deadlines.add(2, 2 * MS, 2, all);
        assert_eq!((deadlines.pop(2, MS), deadlines.pop(1, MS)), (None, Some(1)));
        deadlines.forget(2);
        assert_eq!(deadlines.pop(2, u64::MAX), None);
    }

    #[test]
    fn timers_that_were_given_up_do_not_pile_up() {
        let deadlines = Deadlines::new();
        for number in 0..100_000 {
            deadlines.add(1, u64::MAX, number, |alive| alive > number - 10);
        }
        let roots = deadlines.roots.take();
        assert!(roots[0].due.capacity() < 1000, "{}", roots[0].due.capacity());
    }
}
