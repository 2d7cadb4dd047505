//! The callouts in flight, by the number with which the host or the SDK reports their completion.

use crate::current;
use crate::engine::edit::edit;
use crate::engine::executor;
use crate::engine::shared::Shared;
use crate::sys::table::{Entry, Table, key};
use core::task::Waker;
use std::cell::Cell;

/// A kind of callout: the types of its results and completions.
pub trait Kind: 'static {
    /// What a context runs when it completes.
    type Completion: 'static;
    /// What the host reports on completion. It may be valid only while the host's callback runs.
    type Arrived: 'static;
    /// What a future returns.
    type Output: 'static;
    /// A completion with its response, which was there when the callout was started.
    type Ready: 'static;

    /// Calls `body` with the registry of the running module. Returns `None` at the end of a native
    /// thread.
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T>
    where
        Self: Sized;

    /// What a future returns, copied while the host has it.
    fn copy(arrived: Self::Arrived) -> Self::Output;

    /// Cancels the call in the host.
    #[inline]
    fn cancel(number: u32) {
        let _ = number;
    }
}

/// The callouts of one kind in flight. Each belongs to a completion of a context, or to a future.
///
/// A deleted context drops its completions, and a dropped future drops its callout. The registry
/// therefore keeps no callout that has lost its owner. Slots are reused: the registry allocates no
/// more slots than the largest number of callouts in flight.
pub struct Registry<K: Kind> {
    slots: Table<Slot<K>>,
    /// The first callout of each context, by the context's id.
    owners: Table<Chain<K>>,
    ready: Cell<Option<Box<Ready<K>>>>,
}

/// The owner of a callout that only a future waits for. No host assigns a context id this large.
pub(crate) const NOBODY: u32 = u32::MAX;

thread_local! {
    static LAST: Cell<u32> = const { Cell::new(0) };
}

/// A number for what the SDK completes itself.
#[inline]
pub(crate) fn next_number() -> u32 {
    let number = LAST.get().wrapping_add(1).max(1);
    LAST.set(number);
    number
}

/// The first callout of a context. Each callout links to the next.
type Chain<K> = Cell<Option<Ticket<K>>>;

/// A callout in flight. A future owns it until the future is dropped.
pub(crate) type Ticket<K> = Shared<Entry<Slot<K>>>;

pub(crate) struct Slot<K: Kind> {
    number: Cell<u32>,
    /// The context that owns the completion; [`NOBODY`] for a future.
    owner: Cell<u32>,
    /// The root context on which the host completes the callout. Set only in modules that need it.
    root: Cell<u32>,
    /// The registry has it: it is in flight, and no other callout has its number.
    listed: Cell<bool>,
    state: Cell<State<K>>,
    /// The task of the future. If it is 0, the task is unknown and `waker` is set.
    task: Cell<u32>,
    waker: Cell<Option<Waker>>,
    next: Chain<K>,
}

enum State<K: Kind> {
    /// A future is pending, or the slot is unused.
    Empty,
    Completion(K::Completion),
    /// The host has what the future returns.
    Arrived(K::Arrived),
    Output(K::Output),
}

struct Ready<K: Kind> {
    completion: K::Ready,
    owner: u32,
    next: Option<Box<Self>>,
}

/// The owner of a completed callout.
pub(crate) enum Taken<K: Kind> {
    /// The context, and its completion.
    Completion(u32, K::Completion),
    Future(Ticket<K>),
}

impl<K: Kind> Registry<K> {
    pub(crate) const fn new() -> Self {
        Self { slots: Table::new(), owners: Table::new(), ready: Cell::new(None) }
    }

    /// Adds a callout with the completion of a context. If the host reuses a number, the number
    /// means the new callout.
    pub(crate) fn insert(&self, number: u32, owner: u32, completion: K::Completion) {
        drop(self.take(number));
        let slot = self.slot(number, owner);
        slot.put(State::Completion(completion));
        if owner == NOBODY {
            return;
        }
        let chain = match self.owners.get(owner) {
            Some(chain) => chain,
            None => self.owners.insert(owner, || Cell::new(None)).0,
        };
        slot.next.set(chain.replace(Some(slot)));
    }

    /// Adds a callout with a future. `waker` is woken when the callout completes.
    pub(crate) fn expect(&self, number: u32, waker: &Waker) -> Ticket<K> {
        if let Some(old) = self.slots.remove(key(number)) {
            // Its future, or its context, still has the slot.
            old.listed.set(false);
        }
        let slot = self.slot(number, NOBODY);
        slot.wait(waker, true);
        slot
    }

    #[inline]
    fn slot(&self, number: u32, owner: u32) -> Ticket<K> {
        let (slot, _) = self.slots.insert(key(number), Slot::new);
        slot.number.set(number);
        slot.owner.set(owner);
        slot.root.set(current::root_id());
        slot.listed.set(true);
        slot
    }

    /// Takes out a callout that has completed. It cannot be cancelled any more.
    pub(crate) fn take(&self, number: u32) -> Option<Taken<K>> {
        let slot = self.slots.remove(key(number))?;
        slot.listed.set(false);
        Some(match slot.state.replace(State::Empty) {
            State::Completion(completion) => {
                let owner = slot.owner.get();
                if owner != NOBODY {
                    self.unlink(owner, slot);
                }
                self.slots.recycle(slot);
                Taken::Completion(owner, completion)
            }
            other => {
                // What a future has is put into its slot when it is not in flight any more.
                core::mem::forget(other);
                Taken::Future(slot)
            }
        })
    }

    /// Removes a completed callout, in a module that uses only futures.
    #[inline]
    pub(crate) fn take_future(&self, number: u32) -> Option<Ticket<K>> {
        let slot = self.slots.remove(key(number))?;
        slot.listed.set(false);
        Some(slot)
    }

    /// Whether this callout is in flight.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.slots.get(key(number)).is_some()
    }

    /// Cancels a callout, if it is in flight.
    pub(crate) fn cancel(&self, number: u32) {
        if let Some(taken) = self.take(number) {
            K::cancel(number);
            drop(taken);
        }
    }

    /// Cancels every callout of a deleted context.
    #[inline(never)]
    pub(crate) fn cancel_all(&self, owner: u32) {
        // One at a time: dropping a completion runs code of the filter author, which may start
        // another callout.
        while let Some(slot) = self.owners.get(owner).and_then(|chain| chain.get()) {
            self.unlink(owner, slot);
            if slot.listed.take() {
                self.slots.remove(key(slot.number.get()));
                K::cancel(slot.number.get());
            }
            let state = slot.state.replace(State::Empty);
            self.slots.recycle(slot);
            match state {
                State::Completion(completion) => drop(completion),
                // A context owns only completions. Forgetting the other states keeps their drop
                // code out of the module.
                other => core::mem::forget(other),
            }
        }
    }

    /// Releases the ticket of a future that has taken its output. The callout is not in flight, and
    /// its waker was woken. The ticket must not be used afterwards.
    #[inline]
    pub(crate) fn release(&self, ticket: Ticket<K>) {
        self.slots.recycle(ticket);
    }

    /// Releases the ticket of a dropped future. The ticket must not be used afterwards.
    pub(crate) fn give_back(&self, ticket: Ticket<K>) {
        if ticket.listed.take() {
            self.slots.remove(key(ticket.number.get()));
            K::cancel(ticket.number.get());
        }
        let (state, waker) = (ticket.state.replace(State::Empty), ticket.waker.take());
        self.slots.recycle(ticket);
        match state {
            State::Arrived(arrived) => drop(arrived),
            State::Output(output) => drop(output),
            // A future has no completion: its code need not be in the module.
            other => core::mem::forget(other),
        }
        // Last: dropping a waker may run code of the author's.
        drop(waker);
    }

    /// Removes one callout that the host would have completed on this deleted root context and that
    /// only a future waits for.
    #[cold]
    pub(crate) fn take_abandoned(&self, root: u32) -> Option<Taken<K>> {
        let is_meant = |slot: &Slot<K>| slot.listed.get() && slot.owner.get() == NOBODY && slot.root.get() == root;
        self.take(self.slots.find(is_meant)?.number.get())
    }

    /// Adds a completion that has its response, and runs after the one that runs now.
    pub(crate) fn add_ready(&self, completion: K::Ready) {
        let new = Box::new(Ready { completion, owner: current::context_id(), next: None });
        edit(&self.ready, |first| {
            // The list is short, so the last entry is found by walking it.
            let mut place = first;
            while let Some(ready) = place {
                place = &mut ready.next;
            }
            *place = Some(new);
        });
    }

    /// Takes out the first completion that has its response, and the context that it is for.
    pub(crate) fn take_ready(&self) -> Option<(u32, K::Ready)> {
        let ready = edit(&self.ready, |first| {
            let mut ready = first.take()?;
            *first = ready.next.take();
            Some(ready)
        })?;
        Some((ready.owner, ready.completion))
    }

    /// Takes a callout out of its context's list, and a list that is empty out of the table.
    fn unlink(&self, owner: u32, slot: Ticket<K>) {
        let Some(chain) = self.owners.get(owner) else { return };
        let mut place: &Chain<K> = chain;
        while let Some(found) = place.get() {
            if std::ptr::eq(found, slot) {
                place.set(found.next.take());
                break;
            }
            place = &found.next;
        }
        if chain.get().is_none() {
            if let Some(chain) = self.owners.remove(owner) {
                self.owners.recycle(chain);
            }
        }
    }
}

impl<K: Kind> core::fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl<K: Kind> Slot<K> {
    const fn new() -> Self {
        Self {
            number: Cell::new(0),
            owner: Cell::new(0),
            root: Cell::new(0),
            listed: Cell::new(false),
            state: Cell::new(State::Empty),
            task: Cell::new(0),
            waker: Cell::new(None),
            next: Cell::new(None),
        }
    }

    /// Sets the state of an empty slot. The previous state needs no drop.
    #[inline]
    fn put(&self, state: State<K>) {
        core::mem::forget(self.state.replace(state));
    }

    /// Records the waker. If another task polls the future than before, that task may belong to
    /// another root context. Its host functions could not read the response, so the response is
    /// copied before that task runs.
    #[inline(never)]
    fn wait(&self, waker: &Waker, is_first: bool) {
        let task = executor::task_of(waker);
        let task = if is_first || task == self.task.get() { task } else { 0 };
        self.task.set(task);
        // A number is cheaper than a waker.
        if task == 0 {
            self.waker.set(Some(waker.clone()));
        }
    }

    /// Completes the callout. Returns the task to run now; the caller calls [`keep`](Self::keep)
    /// after it has run. Without a task, stores the output and wakes the waker.
    pub(crate) fn complete(&self, arrived: K::Arrived) -> Option<u32> {
        let task = self.task.get();
        if task != 0 {
            self.put(State::Arrived(arrived));
            return Some(task);
        }
        self.finish(K::copy(arrived));
        None
    }

    /// Gives the future its output.
    pub(crate) fn finish(&self, output: K::Output) {
        self.put(State::Output(output));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        } else if self.task.get() != 0 {
            executor::wake(self.task.get());
        }
    }

    /// Copies the response of this number if the future has not taken it: the host is about to
    /// release it. `before` runs before the copy.
    pub(crate) fn keep(&self, number: u32, before: impl FnOnce()) {
        if self.number.get() == number {
            match self.state.replace(State::Empty) {
                State::Arrived(arrived) => {
                    before();
                    self.put(State::Output(K::copy(arrived)));
                }
                other => self.put(other),
            }
        }
    }

    /// The output, if the callout has completed.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<K::Output> {
        match self.state.replace(State::Empty) {
            State::Arrived(arrived) => Some(K::copy(arrived)),
            State::Output(output) => Some(output),
            other => {
                // No future has the slot of a completion.
                core::mem::forget(other);
                self.wait(waker, false);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, NOBODY, Registry, Taken, Ticket};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Waker;

    thread_local! {
        static REGISTRY: Registry<Words> = const { Registry::new() };
        static CANCELLED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    }

    enum Words {}

    impl Kind for Words {
        type Completion = Rc<dyn std::any::Any>;
        type Arrived = &'static str;
        type Output = String;
        type Ready = u32;

        fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
            REGISTRY.try_with(body).ok()
        }

        fn copy(arrived: &'static str) -> String {
            format!("{arrived}, copied")
        }

        fn cancel(number: u32) {
            CANCELLED.with_borrow_mut(|cancelled| cancelled.push(number));
        }
    }

    fn with<T>(body: impl FnOnce(&Registry<Words>) -> T) -> T {
        Words::registry(body).unwrap()
    }

    fn cancelled() -> Vec<u32> {
        CANCELLED.take()
    }

    fn completes(number: u32, arrived: &'static str) -> bool {
        match with(|words| words.take(number)) {
            Some(Taken::Future(ticket)) => ticket.complete(arrived).is_none(),
            _ => false,
        }
    }

    fn poll(ticket: Ticket<Words>) -> Option<String> {
        ticket.poll(Waker::noop())
    }

    #[test]
    fn a_completion_is_taken_once_with_its_context() {
        for number in [0, 4, 8, u32::MAX - 1] {
            with(|words| words.insert(number, 7, Rc::new(number)));
        }
        for number in [8, 0, u32::MAX - 1, 4] {
            let Some(Taken::Completion(7, found)) = with(|words| words.take(number)) else { panic!("{number}") };
            assert_eq!(found.downcast_ref(), Some(&number));
            assert!(with(|words| words.take(number)).is_none());
        }
        assert!(cancelled().is_empty(), "what has completed is not cancelled");
    }

    #[test]
    fn callouts_are_cancelled_with_their_context() {
        let alive = Rc::new(());
        for number in 0..200 {
            with(|words| words.insert(number, number % 2 + 1, Rc::<()>::clone(&alive)));
        }
        with(|words| words.cancel_all(1));
        assert_eq!(Rc::strong_count(&alive), 101);
        let mut numbers = cancelled();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..200).step_by(2).collect::<Vec<_>>());
        assert!(with(|words| words.take(0)).is_none());
        assert!(with(|words| words.take(1)).is_some());
        with(|words| words.cancel_all(2));
        with(|words| words.cancel_all(3));
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn a_reused_number_means_the_new_callout() {
        with(|words| words.insert(4, 1, Rc::new("old")));
        with(|words| words.insert(4, 2, Rc::new("new")));
        with(|words| words.cancel_all(1));
        assert!(matches!(with(|words| words.take(4)), Some(Taken::Completion(2, _))));
        let old = with(|words| words.expect(4, Waker::noop()));
        let new = with(|words| words.expect(4, Waker::noop()));
        with(|words| words.give_back(old));
        assert!(completes(4, "new"));
        assert_eq!(poll(new).as_deref(), Some("new, copied"));
        assert!(cancelled().is_empty(), "the host has forgotten the old callout");
    }

    #[test]
    fn a_completion_without_owner_is_dropped_when_its_number_is_reused() {
        let alive = Rc::new(());
        for _ in 0..3 {
            with(|words| words.insert(4, NOBODY, Rc::<()>::clone(&alive)));
        }
        assert_eq!(Rc::strong_count(&alive), 2);
        assert!(with(|words| words.take(4)).is_some());
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn dropping_a_completion_may_start_another_callout() {
        struct Again(u32);
        impl Drop for Again {
            fn drop(&mut self) {
                if self.0 > 0 {
                    with(|words| words.insert(self.0, 1, Rc::new(Again(self.0 - 1))));
                }
            }
        }
        with(|words| words.insert(9, 1, Rc::new(Again(3))));
        with(|words| words.cancel_all(1));
        assert!((0..10).all(|number| with(|words| words.take(number)).is_none()));
    }

    #[test]
    fn a_future_gets_its_output_once() {
        let tickets = [0, 4, u32::MAX - 1].map(|number| with(|words| words.expect(number, Waker::noop())));
        assert!(completes(4, "four"));
        assert!(!completes(4, "again"));
        assert!(!completes(8, "of nothing"));
        assert_eq!(tickets.map(poll), [None, Some("four, copied".into()), None]);
        assert_eq!(tickets.map(poll), [const { None }; 3]);
        for ticket in tickets {
            with(|words| words.give_back(ticket));
        }
        assert_eq!(cancelled(), [0, u32::MAX - 1], "those that were in flight");
        assert!(!completes(0, "late"), "nothing waits any more");
    }

    #[test]
    fn a_response_that_no_future_took_is_copied() {
        let ticket = with(|words| words.expect(4, Waker::noop()));
        ticket.task.set(1);
        let Some(Taken::Future(slot)) = with(|words| words.take(4)) else { panic!() };
        assert_eq!(slot.complete("four"), Some(1));
        slot.keep(8, || unreachable!("another callout"));
        let mut before = false;
        slot.keep(4, || before = true);
        assert!(before);
        assert_eq!(poll(ticket).as_deref(), Some("four, copied"));
        slot.keep(4, || unreachable!("it was taken"));
    }

    #[test]
    fn a_reused_slot_keeps_no_state() {
        let ticket = with(|words| words.expect(1, Waker::noop()));
        assert!(completes(1, "first"));
        with(|words| words.give_back(ticket));
        assert_eq!(poll(with(|words| words.expect(2, Waker::noop()))), None);
    }

    #[test]
    fn callouts_of_a_deleted_root_are_those_of_futures() {
        with(|words| words.insert(1, 7, Rc::new(())));
        let ticket = with(|words| words.expect(2, Waker::noop()));
        let Some(Taken::Future(found)) = with(|words| words.take_abandoned(0)) else { panic!() };
        assert!(std::ptr::eq(found, ticket));
        assert!(with(|words| words.take_abandoned(0)).is_none());
        found.finish("gone".into());
        assert_eq!(poll(ticket).as_deref(), Some("gone"));
        assert!(with(|words| words.take(1)).is_some());
    }

    #[test]
    fn ready_completions_run_in_order() {
        for number in 0..5 {
            with(|words| words.add_ready(number));
        }
        let order: Vec<_> = std::iter::from_fn(|| with(Registry::take_ready)).map(|(_, ready)| ready).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
}
