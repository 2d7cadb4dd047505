//! Answers that futures wait for.

use crate::current;
use crate::engine::executor;
use crate::engine::shared::Shared;
use crate::sys::table::{Entry, Table, key};
use core::task::Waker;
use std::cell::Cell;

/// Places for answers, by the number the host will tell them under. A place belongs to the future that waits, which gives it back; they are used
/// again, so that waiting allocates nothing in a module that has seen its busiest moment.
///
/// An answer is copied by the future that is run for it, while the host has it: `H` says how. If it does not, the answer is kept as a `T`.
pub(crate) struct Answers<T: 'static, H: 'static> {
    places: Table<Place<T, H>>,
}

pub(crate) struct Place<T, H> {
    number: Cell<u32>,
    /// The table has it: there is no answer yet, and no other thing with the same number.
    listed: Cell<bool>,
    answer: Cell<Answer<T, H>>,
    /// The root context that the host will tell it to.
    root: Cell<u32>,
    /// The task that waits; 0 if it is not known, and there is a waker.
    task: Cell<u32>,
    waker: Cell<Option<Waker>>,
}

enum Answer<T, H> {
    None,
    /// The host has it.
    Here(H),
    Kept(T),
}

/// A future's own place.
pub(crate) type Ticket<T, H> = Shared<Entry<Place<T, H>>>;

impl<T, H> Answers<T, H> {
    pub(crate) const fn new() -> Self {
        Self { places: Table::new() }
    }

    /// A place for the answer with this number; the waker is woken when it is there.
    pub(crate) fn expect(&self, number: u32, waker: &Waker) -> Ticket<T, H> {
        // A host that uses a number again means the new thing: the old one has no answer.
        if let Some(old) = self.places.remove(key(number)) {
            old.listed.set(false);
        }
        let (place, _) = self.places.insert(key(number), Place::new);
        place.number.set(number);
        place.listed.set(true);
        place.root.set(current::root_id());
        place.wait(waker, true);
        place
    }

    /// A root context is gone: the host will tell it nothing any more. All that waits for that gets this instead.
    #[cold]
    pub(crate) fn abandon(&self, root: u32, instead: impl Fn() -> T) {
        while let Some(place) = self.places.find(|place| place.listed.get() && place.root.get() == root) {
            self.take(place.number.get());
            // There was no answer that would have to be dropped.
            core::mem::forget(place.answer.replace(Answer::Kept(instead())));
            let task = place.task.get();
            if task != 0 {
                executor::wake(task);
            } else if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    /// The place where an answer is waited for. Nobody else is told of it.
    pub(crate) fn take(&self, number: u32) -> Option<Ticket<T, H>> {
        self.places.remove(key(number)).inspect(|place| place.listed.set(false))
    }

    /// The future waits no more. Nobody uses its ticket after this.
    pub(crate) fn give_back(&self, ticket: Ticket<T, H>) {
        if ticket.listed.take() {
            self.places.remove(key(ticket.number.get()));
        }
        let left = (ticket.answer.replace(Answer::None), ticket.waker.take());
        self.places.recycle(ticket);
        // Last: dropping a waker may run code of the author's.
        drop(left);
    }
}

impl<T, H> Place<T, H> {
    const fn new() -> Self {
        Self {
            number: Cell::new(0),
            listed: Cell::new(false),
            answer: Cell::new(Answer::None),
            root: Cell::new(0),
            task: Cell::new(0),
            waker: Cell::new(None),
        }
    }

    /// The answer is not there when the future is polled again. It may be polled by another task than before, of another root context even, whose host
    /// functions would not find the answer: then it is copied before that task runs.
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

    /// The host has the answer now. The task that waits, for which [`keep`](Self::keep) follows when it has run. Without one the answer is kept, and
    /// the waker woken.
    pub(crate) fn tell(&self, here: H, copy: impl FnOnce(H) -> T) -> Option<u32> {
        let task = self.task.get();
        if task != 0 {
            self.answer.set(Answer::Here(here));
            return Some(task);
        }
        self.answer.set(Answer::Kept(copy(here)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        None
    }

    /// Keeps the answer to what had this number, if no future has taken it: the host has it no longer.
    pub(crate) fn keep(&self, number: u32, copy: impl FnOnce(H) -> T) {
        if self.number.get() == number {
            match self.answer.replace(Answer::None) {
                Answer::Here(here) => self.answer.set(Answer::Kept(copy(here))),
                other => self.answer.set(other),
            }
        }
    }

    /// The answer, if it is there.
    pub(crate) fn look(&self, waker: &Waker, copy: impl FnOnce(H) -> T) -> Option<T> {
        match self.answer.replace(Answer::None) {
            Answer::None => {
                self.wait(waker, false);
                None
            }
            Answer::Here(here) => Some(copy(here)),
            Answer::Kept(answer) => Some(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::callout::answers::{Answers, Ticket};
    use std::task::Waker;

    type Words = Answers<String, &'static str>;

    fn look(ticket: Ticket<String, &'static str>) -> Option<String> {
        ticket.look(Waker::noop(), String::from)
    }

    fn tell(answers: &Words, number: u32, answer: &'static str) -> bool {
        let place = answers.take(number);
        place.is_some_and(|place| place.tell(answer, String::from).is_none())
    }

    #[test]
    fn an_answer_is_given_once_to_who_waits_for_it() {
        let answers = Answers::new();
        let tickets = [0, 4, u32::MAX - 1].map(|number| answers.expect(number, Waker::noop()));
        assert!(tell(&answers, 4, "four"));
        assert!(!tell(&answers, 4, "again"));
        assert!(!tell(&answers, 8, "nobody's"));
        assert_eq!(tickets.map(look), [None, Some("four".into()), None]);
        assert_eq!(tickets.map(look), [const { None }; 3]);
        for ticket in tickets {
            answers.give_back(ticket);
        }
        assert!(!tell(&answers, 0, "late"), "nobody waits any more");
    }

    #[test]
    fn an_answer_that_no_future_took_is_kept() {
        let answers = Words::new();
        let ticket = answers.expect(4, Waker::noop());
        ticket.task.set(1);
        let place = answers.take(4).unwrap();
        assert_eq!(place.tell("four", |_| unreachable!("the task copies it")), Some(1));
        place.keep(8, |_| unreachable!("it waits for another"));
        place.keep(4, |word| format!("{word}, kept"));
        assert_eq!(look(ticket).as_deref(), Some("four, kept"));
        place.keep(4, |_| unreachable!("it was taken"));
    }

    #[test]
    fn a_place_that_is_used_again_has_nothing_of_the_one_before() {
        let answers = Words::new();
        let ticket = answers.expect(1, Waker::noop());
        assert!(tell(&answers, 1, "first"));
        answers.give_back(ticket);
        assert_eq!(look(answers.expect(2, Waker::noop())), None);
    }

    #[test]
    fn a_number_used_again_means_the_new_thing() {
        let answers = Words::new();
        let old = answers.expect(4, Waker::noop());
        let new = answers.expect(4, Waker::noop());
        answers.give_back(old);
        assert!(tell(&answers, 4, "new"));
        assert_eq!(look(new).as_deref(), Some("new"));
    }
}
