//! Runs futures, from callbacks only: nothing runs while the host does something else.

use super::shared::Shared;
use super::table::{Entry, Table};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;
use std::sync::Arc;
use std::task::Wake;

/// The futures of a module. Each belongs to a context, comes with what is known about it, and is dropped with the context.
pub(crate) struct Executor<T: 'static, D: 'static> {
    tasks: Table<Task<T, D>>,
    last: Cell<u32>,
}

struct Task<T, D> {
    owner: Cell<u32>,
    data: Cell<Option<D>>,
    /// Taken out while it runs.
    future: Cell<Option<Pin<Box<dyn Future<Output = T>>>>>,
    waker: Cell<Option<Waker>>,
    /// It was dropped while it ran.
    dropped: Cell<bool>,
}

thread_local! {
    /// The tasks that were woken and have not run since, in that order.
    static WOKEN: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Wakers may be sent anywhere, so this one has no more than a number.
struct Number(u32);

impl Wake for Number {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        wake(self.0);
    }
}

/// Has a task run at the next opportunity.
#[inline]
pub(crate) fn wake(task: u32) {
    woken(|woken| {
        if !woken.contains(&task) {
            woken.push(task);
        }
    });
}

fn woken<T>(body: impl FnOnce(&mut Vec<u32>) -> T) -> Option<T> {
    // A waker that outlives the thread wakes nobody.
    WOKEN
        .try_with(|cell| {
            let mut woken = cell.take();
            let result = body(&mut woken);
            cell.set(woken);
            result
        })
        .ok()
}

/// The task that was woken first.
#[inline]
pub(crate) fn next_woken() -> Option<u32> {
    woken(|woken| woken.first().copied().inspect(|first| woken.retain(|other| other != first))).flatten()
}

/// Whether this task was woken. It is not woken any more.
#[inline]
pub(crate) fn take_woken(task: u32) -> bool {
    woken(|woken| {
        let before = woken.len();
        woken.retain(|other| *other != task);
        woken.len() < before
    })
    .unwrap_or_default()
}

/// Whether this task was woken.
#[inline]
pub(crate) fn is_woken(task: u32) -> bool {
    woken(|woken| woken.contains(&task)).unwrap_or_default()
}

/// Whether any task was woken.
#[inline]
pub(crate) fn is_any_woken() -> bool {
    woken(|woken| !woken.is_empty()).unwrap_or_default()
}

impl<T, D: Clone> Executor<T, D> {
    pub(crate) const fn new() -> Self {
        Self { tasks: Table::new(), last: Cell::new(0) }
    }

    /// Adds a future. It runs when it is polled for the first time: its number, for that.
    pub(crate) fn spawn(&self, owner: u32, data: D, future: impl Future<Output = T> + 'static) -> u32 {
        let number = self.last.get().wrapping_add(1).max(1);
        self.last.set(number);
        let new = || Task {
            owner: Cell::new(0),
            data: Cell::new(None),
            future: Cell::new(None),
            waker: Cell::new(None),
            dropped: Cell::new(false),
        };
        let (task, _) = self.tasks.insert(number, new);
        task.owner.set(owner);
        task.data.set(Some(data));
        task.dropped.set(false);
        task.waker.set(Some(Waker::from(Arc::new(Number(number)))));
        task.future.set(Some(Box::pin(future)));
        number
    }

    /// The context a task belongs to, and what is known about the task.
    pub(crate) fn describe(&self, number: u32) -> Option<(u32, D)> {
        let task = self.tasks.get(number)?;
        let data = task.data.take()?;
        task.data.set(Some(data.clone()));
        Some((task.owner.get(), data))
    }

    /// Lets a task run. None if there is no such task, or if it runs already. A task that is ready is gone.
    pub(crate) fn poll(&self, number: u32) -> Option<Poll<T>> {
        let task = self.tasks.get(number)?;
        let mut future = task.future.take()?;
        let waker = task.waker.take()?;
        let result = future.as_mut().poll(&mut Context::from_waker(&waker));
        if task.dropped.get() {
            // The place was kept until now, so that no other task got it.
            self.tasks.recycle(task);
            drop(future);
            return Some(result);
        }
        task.waker.set(Some(waker));
        if result.is_ready() {
            self.remove(number);
        } else {
            task.future.set(Some(future));
        }
        Some(result)
    }

    /// Drops a task.
    pub(crate) fn remove(&self, number: u32) {
        let Some(task) = self.tasks.remove(number) else { return };
        take_woken(number);
        let waker = task.waker.take();
        let future = task.future.take();
        let data = task.data.take();
        if future.is_none() && waker.is_none() {
            task.dropped.set(true);
        } else {
            self.recycle(task);
        }
        // Outside of everything else: destructors may call the host, and wake others.
        drop((future, data));
    }

    fn recycle(&self, task: Shared<Entry<Task<T, D>>>) {
        self.tasks.recycle(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_task_that_is_woken_runs_again() {
        let executor = Executor::new();
        let mut times = 0;
        let number = executor.spawn(
            7,
            "data",
            std::future::poll_fn(move |context| {
                times += 1;
                if times == 3 {
                    return Poll::Ready(times);
                }
                context.waker().wake_by_ref();
                context.waker().wake_by_ref();
                Poll::Pending
            }),
        );
        assert_eq!(executor.describe(number), Some((7, "data")));
        assert_eq!(executor.poll(number), Some(Poll::Pending));
        assert!(is_any_woken());
        assert_eq!((next_woken(), next_woken()), (Some(number), None), "once however often it was woken");
        assert_eq!(executor.poll(number), Some(Poll::Pending));
        assert!(take_woken(number));
        assert_eq!(executor.poll(number), Some(Poll::Ready(3)));
        assert_eq!(executor.poll(number), None);
        assert!(!is_any_woken());
    }

    #[test]
    fn a_task_that_is_removed_is_dropped_at_once_even_while_it_runs() {
        let executor: &'static Executor<(), ()> = Box::leak(Box::new(Executor::new()));
        let alive = Rc::new(());
        let held = Rc::clone(&alive);
        let number = executor.spawn(1, (), async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        assert_eq!(executor.poll(number), Some(Poll::Pending));
        executor.remove(number);
        assert_eq!(Rc::strong_count(&alive), 1);
        let held = Rc::clone(&alive);
        let itself = Rc::new(Cell::new(0));
        let own = Rc::clone(&itself);
        let number = executor.spawn(1, (), async move {
            executor.remove(own.get());
            executor.spawn(2, (), async {});
            std::future::pending::<()>().await;
            drop(held);
        });
        itself.set(number);
        assert_eq!(executor.poll(number), Some(Poll::Pending));
        assert_eq!(Rc::strong_count(&alive), 1);
        assert_eq!(executor.poll(number), None);
    }

    #[test]
    fn places_are_used_again() {
        let executor = Executor::new();
        for _ in 0..10_000 {
            let number = executor.spawn(1, (), async {});
            assert_eq!(executor.poll(number), Some(Poll::Ready(())));
        }
    }
}
