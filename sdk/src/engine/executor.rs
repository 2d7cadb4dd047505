//! Polls futures. They run only in callbacks of the host.

use crate::engine::edit::edit;
use crate::engine::shared::{Shared, share};
use core::ops::Deref;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Wake;

/// The futures of a module. Each has a place, which belongs to a context and is given back with it.
/// Places are used again, with what can be used again in them.
pub(crate) struct Executor<T: 'static, D: 'static> {
    /// By their numbers, from 1.
    places: RefCell<Vec<Shared<Task<T, D>>>>,
    /// The first idle task.
    idle: Cell<Option<Shared<Task<T, D>>>>,
}

/// A future and its data.
pub(crate) struct Task<T: 'static, D: 'static> {
    identity: Identity,
    owner: Cell<u32>,
    pub(crate) data: D,
    /// `None` while it runs and after it has completed.
    future: Cell<Option<BoxFuture<T>>>,
    /// `None` while it runs. The number is kept beside the waker to detect whether code has stored
    /// a clone of the waker.
    waker: Cell<Option<(Arc<Number>, Waker)>>,
    runs: Cell<bool>,
    /// It was removed while it ran.
    removed: Cell<bool>,
    /// Its future has a handle of its data.
    referenced: Cell<bool>,
    /// It was removed, and a handle of its data was not dropped with the future.
    left: Cell<bool>,
    /// The next idle task.
    next: Cell<Option<Shared<Task<T, D>>>>,
}

/// Tells the wakers of a task from others.
struct Identity {
    number: u32,
    /// The data pointer of the task's own waker.
    waker: Cell<*const ()>,
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Gives a future the data of its task. The place of the task is not used again while this exists,
/// even if the author's code has kept it beyond the future.
pub(crate) struct Handle<T: 'static, D: 'static>(Shared<Task<T, D>>);

impl<T, D> Handle<T, D> {
    #[inline]
    fn new(task: Shared<Task<T, D>>) -> Self {
        task.referenced.set(true);
        Self(task)
    }
}

impl<T, D> Deref for Handle<T, D> {
    type Target = D;

    #[inline]
    fn deref(&self) -> &D {
        &self.0.data
    }
}

impl<T, D> Drop for Handle<T, D> {
    #[inline]
    fn drop(&mut self) {
        self.0.referenced.set(false);
    }
}

impl<T, D> core::fmt::Debug for Task<T, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Task").field("number", &self.identity.number).finish_non_exhaustive()
    }
}

/// How often a place has its number: itself, and in the waker.
const OWN: usize = 2;

thread_local! {
    /// The tasks that were woken and have not run since, in that order.
    static WOKEN: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// Whether any task is woken.
    static ANY_WOKEN: Cell<bool> = const { Cell::new(false) };
    /// The running task.
    static RUNNING: Cell<Option<Shared<Identity>>> = const { Cell::new(None) };
}

/// Wakers may be sent to other threads, so a waker contains only a number. The number is 0 when the
/// task is gone.
struct Number(AtomicU32);

impl Wake for Number {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        match self.0.load(Ordering::Relaxed) {
            0 => {}
            number => wake(number),
        }
    }
}

impl<T, D> Task<T, D> {
    /// The context that it belongs to.
    #[inline]
    pub(crate) fn owner(&self) -> u32 {
        self.owner.get()
    }

    /// Has it run at the next opportunity.
    pub(crate) fn wake(&self) {
        wake(self.identity.number);
    }

    /// Whether it was woken. It is not woken any more.
    pub(crate) fn take_woken(&self) -> bool {
        take_woken(self.identity.number)
    }

    /// Whether it was woken.
    pub(crate) fn is_woken(&self) -> bool {
        ANY_WOKEN.get() && is_listed(self.identity.number)
    }
}

#[inline(never)]
pub(crate) fn wake(task: u32) {
    if !is_listed(task) {
        woken(|woken| woken.push(task));
        ANY_WOKEN.set(true);
    }
}

#[inline(never)]
#[allow(clippy::manual_contains, reason = "less code than `contains`, for a list of hardly ever more than one")]
fn is_listed(task: u32) -> bool {
    woken(|woken| woken.iter().any(|other| *other == task)).unwrap_or_default()
}

/// The running task's number, if the waker is its own; 0 for any other.
#[inline]
pub(crate) fn task_of(waker: &Waker) -> u32 {
    let running = RUNNING.get().filter(|task| task.waker.get() == waker.data());
    running.map_or(0, |task| task.number)
}

fn woken<T>(body: impl FnOnce(&mut Vec<u32>) -> T) -> Option<T> {
    // A waker that outlives the thread has no effect.
    WOKEN.try_with(|cell| edit(cell, body)).ok()
}

/// The task that was woken first. It is not woken any more.
#[inline]
pub(crate) fn next_woken() -> Option<u32> {
    if !ANY_WOKEN.get() {
        return None;
    }
    let first = woken(|woken| woken.first().copied()).flatten();
    ANY_WOKEN.set(first.is_some_and(unlist));
    first
}

#[inline]
fn take_woken(task: u32) -> bool {
    ANY_WOKEN.get() && unlist(task)
}

#[inline(never)]
fn unlist(task: u32) -> bool {
    woken(|woken| {
        let before = woken.len();
        woken.retain(|other| *other != task);
        woken.len() < before
    })
    .unwrap_or_default()
}

/// Whether any task was woken.
#[inline]
pub(crate) fn is_any_woken() -> bool {
    ANY_WOKEN.get() && woken(|woken| !woken.is_empty()).unwrap_or_default()
}

/// Fills a cell that is empty: nothing has to be dropped, and no code for it is in the module.
#[inline]
fn fill<T>(cell: &Cell<Option<T>>, value: T) {
    core::mem::forget(cell.replace(Some(value)));
}

impl<T, D> Executor<T, D> {
    pub(crate) const fn new() -> Self {
        Self { places: RefCell::new(Vec::new()), idle: Cell::new(None) }
    }

    /// Adds a future. It runs when it is first polled. `data` creates the data of a new place, and
    /// `begin` resets that of any place.
    #[inline]
    pub(crate) fn spawn(
        &self,
        owner: u32,
        data: impl FnOnce() -> D,
        begin: impl FnOnce(&D),
        future: impl FnOnce(Handle<T, D>) -> BoxFuture<T>,
    ) -> Shared<Task<T, D>> {
        let task = match self.idle.get() {
            Some(task) => {
                self.idle.set(task.next.get());
                task
            }
            None => self.vacant(data),
        };
        begin(&task.data);
        task.owner.set(owner);
        fill(&task.future, future(Handle::new(task)));
        task
    }

    #[cold]
    #[inline(never)]
    fn vacant(&self, data: impl FnOnce() -> D) -> Shared<Task<T, D>> {
        // No task runs while the list is borrowed, so the borrow does not fail.
        let mut places = self.places.try_borrow_mut().ok();
        let free = |task: &&Shared<Task<T, D>>| task.left.get() && !task.referenced.get();
        if let Some(task) = places.as_ref().and_then(|places| places.iter().find(free)) {
            task.left.set(false);
            return task;
        }
        let number = places.as_ref().map_or(0, |places| places.len() + 1);
        let task = share(Task {
            identity: Identity {
                number: u32::try_from(number).unwrap_or_default(),
                waker: Cell::new(core::ptr::null()),
            },
            owner: Cell::new(0),
            data: data(),
            future: Cell::new(None),
            waker: Cell::new(None),
            runs: Cell::new(false),
            removed: Cell::new(false),
            referenced: Cell::new(false),
            left: Cell::new(false),
            next: Cell::new(None),
        });
        if let Some(places) = &mut places {
            places.push(task);
        }
        task
    }

    /// Returns the task with this number.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<Shared<Task<T, D>>> {
        self.places.try_borrow().ok()?.get((number as usize).checked_sub(1)?).copied()
    }

    /// Polls a task. Returns `None` if the task has completed or is already running.
    pub(crate) fn poll(&self, task: Shared<Task<T, D>>) -> Option<Poll<T>> {
        let mut future = task.future.take()?;
        let (number, waker) = task.waker.take().unwrap_or_else(|| {
            let number = Arc::new(Number(AtomicU32::new(task.identity.number)));
            let waker = Waker::from(Arc::clone(&number));
            task.identity.waker.set(waker.data());
            (number, waker)
        });
        task.runs.set(true);
        let outer = RUNNING.replace(Some(&task.identity));
        let result = future.as_mut().poll(&mut Context::from_waker(&waker));
        RUNNING.set(outer);
        task.runs.set(false);
        fill(&task.waker, (number, waker));
        if task.removed.take() {
            // The slot stays reserved until now, so no other task could use it.
            drop(future);
            self.recycle(task);
        } else if result.is_pending() {
            fill(&task.future, future);
        }
        Some(result)
    }

    /// Drops a future. Its place stays.
    pub(crate) fn stop(task: Shared<Task<T, D>>) {
        drop(task.future.take());
    }

    /// Drops a future, and gives its place back.
    pub(crate) fn remove(&self, task: Shared<Task<T, D>>) {
        if task.runs.get() {
            return task.removed.set(true);
        }
        // Outside of everything else: destructors may call the host, and wake others.
        drop(task.future.take());
        self.recycle(task);
    }

    fn recycle(&self, task: Shared<Task<T, D>>) {
        take_woken(task.identity.number);
        if let Some((number, waker)) = task.waker.take() {
            if Arc::strong_count(&number) == OWN {
                fill(&task.waker, (number, waker));
            } else {
                // Wakers that were stored elsewhere have no effect from now on.
                number.0.store(0, Ordering::Relaxed);
            }
        }
        if task.referenced.get() {
            task.left.set(true);
            return;
        }
        task.next.set(self.idle.get());
        self.idle.set(Some(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn spawn<T>(
        executor: &Executor<T, &'static str>,
        future: impl Future<Output = T> + 'static,
    ) -> Shared<Task<T, &'static str>> {
        executor.spawn(7, || "data", |_| {}, |_| Box::pin(future))
    }

    #[test]
    fn a_woken_task_is_polled_again() {
        let executor = Executor::new();
        let mut times = 0;
        let task = spawn(
            &executor,
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
        assert_eq!(executor.poll(task), Some(Poll::Pending));
        assert!(is_any_woken());
        let number = next_woken().unwrap();
        assert_eq!(next_woken(), None, "once however often it was woken");
        let found = executor.find(number).unwrap();
        assert!(std::ptr::eq(found, task));
        assert_eq!((found.owner(), found.data), (7, "data"));
        assert_eq!(executor.poll(task), Some(Poll::Pending));
        assert!(task.take_woken());
        assert_eq!(executor.poll(task), Some(Poll::Ready(3)));
        assert_eq!(executor.poll(task), None);
        assert!(!is_any_woken());
    }

    #[test]
    fn a_task_that_is_removed_is_dropped_at_once_even_while_it_runs() {
        let executor: &'static Executor<(), &str> = Box::leak(Box::new(Executor::new()));
        let alive = Rc::new(());
        let held = Rc::clone(&alive);
        let task = spawn(executor, async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        assert_eq!(executor.poll(task), Some(Poll::Pending));
        executor.remove(task);
        assert_eq!(Rc::strong_count(&alive), 1);
        let held = Rc::clone(&alive);
        let itself = Rc::new(Cell::new(None));
        let own = Rc::clone(&itself);
        let task = spawn(executor, async move {
            executor.remove(own.take().unwrap());
            assert!(!std::ptr::eq(spawn(executor, async {}), task), "its place is in use");
            std::future::pending::<()>().await;
            drop(held);
        });
        itself.set(Some(task));
        assert_eq!(executor.poll(task), Some(Poll::Pending));
        assert_eq!(Rc::strong_count(&alive), 1);
        assert_eq!(executor.poll(task), None);
    }

    #[test]
    fn a_stored_waker_wakes_only_its_own_task() {
        let executor = Executor::new();
        let kept = Rc::new(Cell::new(None));
        let keep = Rc::clone(&kept);
        let task = spawn(
            &executor,
            std::future::poll_fn(move |context| {
                keep.set(Some(context.waker().clone()));
                Poll::<()>::Pending
            }),
        );
        executor.poll(task);
        executor.remove(task);
        let next = spawn(&executor, std::future::pending());
        assert!(std::ptr::eq(next, task));
        executor.poll(next);
        kept.take().unwrap().wake();
        assert!(!is_any_woken());
    }

    #[test]
    fn a_place_is_not_reused_while_a_handle_of_its_data_exists() {
        let executor: Executor<(), Cell<u32>> = Executor::new();
        let kept = Cell::new(None);
        let spawn = |number, keep: bool| {
            let begin = |data: &Cell<u32>| data.set(number);
            executor.spawn(
                7,
                || Cell::new(0),
                begin,
                |handle| {
                    if keep {
                        kept.set(Some(handle));
                    }
                    Box::pin(std::future::pending())
                },
            )
        };
        let first = spawn(1, true);
        executor.remove(first);
        for number in 2..10 {
            let other = spawn(number, false);
            assert!(!std::ptr::eq(other, first));
            executor.remove(other);
        }
        let handle = kept.take().unwrap();
        assert_eq!(handle.get(), 1, "its data is that of its own task");
        drop(handle);
        let second = spawn(10, false);
        assert_eq!(executor.places.borrow().len(), 2);
        assert!(std::ptr::eq(spawn(11, false), first), "now it is used before a new place is made");
        assert_eq!((second.data.get(), executor.places.borrow().len()), (10, 2));
    }

    #[test]
    fn slots_are_reused_with_their_wakers() {
        let executor = Executor::new();
        for _ in 0..10_000 {
            let task = spawn(&executor, std::future::poll_fn(|context| Poll::Ready(context.waker().data() as usize)));
            assert!(matches!(executor.poll(task), Some(Poll::Ready(_))));
            executor.remove(task);
        }
        assert_eq!(executor.places.borrow().len(), 1);
    }
}
