//! What contexts wait for, until the host tells the answer or the context is gone.

use crate::engine::shared::Shared;
use crate::sys::table::{Entry, Table, key};
use std::cell::Cell;

/// Things that contexts wait for, by the number the host or the SDK gave them, each with what to do then.
///
/// A context that goes away takes what it waits for along: nothing is kept until an answer comes that nobody wants. Places are used
/// again, so that a module that has seen its busiest moment allocates no more of them.
pub(crate) struct Pendings<P: 'static> {
    pendings: Table<Pending<P>>,
    /// The first of each context's things, by the context's id.
    owners: Table<Chain<P>>,
}

/// The first of a context's things; each knows the next.
type Chain<P> = Cell<Option<Shared<Entry<Pending<P>>>>>;

/// The owner of what no context waits for but a future, which gives it up when it is dropped. No host counts so far.
pub(crate) const NOBODY: u32 = u32::MAX;

struct Pending<P: 'static> {
    owner: Cell<u32>,
    number: Cell<u32>,
    payload: Cell<Option<P>>,
    next: Chain<P>,
}

impl<P> Pendings<P> {
    pub(crate) const fn new() -> Self {
        Self { pendings: Table::new(), owners: Table::new() }
    }

    /// Remembers what a context waits for. A host that uses a number again means the new thing.
    pub(crate) fn insert(&self, number: u32, owner: u32, payload: P) {
        drop(self.take(number));
        let new =
            || Pending { owner: Cell::new(0), number: Cell::new(0), payload: Cell::new(None), next: Cell::new(None) };
        let (pending, _) = self.pendings.insert(key(number), new);
        pending.owner.set(owner);
        pending.number.set(number);
        pending.payload.set(Some(payload));
        if owner == NOBODY {
            // Whoever gives it up knows its number.
            return;
        }
        let chain = match self.owners.get(owner) {
            Some(chain) => chain,
            None => self.owners.insert(owner, || Cell::new(None)).0,
        };
        pending.next.set(chain.replace(Some(pending)));
    }

    /// Takes a thing out, with the context that waits for it.
    pub(crate) fn take(&self, number: u32) -> Option<(u32, P)> {
        let pending = self.pendings.remove(key(number))?;
        let owner = pending.owner.get();
        self.unlink(owner, pending);
        let payload = pending.payload.take();
        self.pendings.recycle(pending);
        Some((owner, payload?))
    }

    /// Whether something with this number is waited for.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.pendings.get(key(number)).is_some()
    }

    /// Takes out one of those that no context waits for and that `is_meant` says are meant.
    #[cfg(feature = "grpc")]
    #[cold]
    pub(crate) fn take_of_nobody(&self, is_meant: impl Fn(&P) -> bool) -> Option<P> {
        let pending = self.pendings.find(|pending| {
            let payload = pending.payload.take();
            let found = pending.owner.get() == NOBODY && payload.as_ref().is_some_and(&is_meant);
            pending.payload.set(payload);
            found
        })?;
        self.take(pending.number.get()).map(|(_, payload)| payload)
    }

    /// Drops everything a context waits for.
    pub(crate) fn forget(&self, owner: u32) {
        // One by one: dropping a payload runs code of the author's, which may add to the list.
        while let Some(pending) = self.owners.get(owner).and_then(|chain| chain.get()) {
            drop(self.take(pending.number.get()));
        }
    }

    /// Takes a thing out of its context's list, and a list that is empty out of the table.
    fn unlink(&self, owner: u32, pending: Shared<Entry<Pending<P>>>) {
        if owner == NOBODY {
            return;
        }
        let Some(chain) = self.owners.get(owner) else { return };
        let mut place: &Chain<P> = chain;
        while let Some(found) = place.get() {
            if std::ptr::eq(found, pending) {
                place.set(found.next.take());
                break;
            }
            place = &found.next;
        }
        if chain.get().is_some() {
            return;
        }
        if let Some(chain) = self.owners.remove(owner) {
            self.owners.recycle(chain);
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "grpc")]
    use crate::callout::pending::NOBODY;
    use crate::callout::pending::Pendings;
    use std::rc::Rc;

    #[test]
    fn a_thing_is_taken_once_and_knows_its_context() {
        let pendings = Pendings::new();
        for number in [0, 4, 8, u32::MAX - 1] {
            pendings.insert(number, 7, number);
        }
        for number in [8, 0, u32::MAX - 1, 4] {
            assert_eq!(pendings.take(number), Some((7, number)));
            assert_eq!(pendings.take(number), None);
        }
    }

    #[test]
    fn a_context_takes_along_what_it_waits_for() {
        let pendings = Pendings::new();
        let alive = Rc::new(());
        for number in 0..200 {
            pendings.insert(number, number % 2 + 1, Rc::clone(&alive));
        }
        pendings.forget(1);
        assert_eq!(Rc::strong_count(&alive), 101);
        assert!(pendings.take(0).is_none());
        assert!(pendings.take(1).is_some());
        pendings.forget(2);
        pendings.forget(3);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn a_number_used_again_means_the_new_thing() {
        let pendings = Pendings::new();
        pendings.insert(4, 1, "old");
        pendings.insert(4, 2, "new");
        pendings.forget(1);
        assert_eq!(pendings.take(4), Some((2, "new")));
    }

    #[test]
    #[cfg(feature = "grpc")]
    fn what_no_context_waits_for_stays_whichever_context_goes() {
        let pendings = Pendings::new();
        for number in 0..10 {
            pendings.insert(number, if number < 4 { NOBODY } else { 7 }, number);
        }
        pendings.forget(7);
        let mut odd = [0; 2].map(|_| pendings.take_of_nobody(|payload| payload % 2 == 1).unwrap());
        odd.sort_unstable();
        assert_eq!((odd, pendings.take_of_nobody(|payload| payload % 2 == 1)), ([1, 3], None));
        assert_eq!((pendings.take(2), pendings.take(4)), (Some((NOBODY, 2)), None));
    }

    #[test]
    fn dropping_a_thing_may_add_another() {
        struct Again(Rc<Pendings<Again>>, u32);
        impl Drop for Again {
            fn drop(&mut self) {
                if self.1 > 0 {
                    self.0.insert(self.1, 1, Again(Rc::clone(&self.0), self.1 - 1));
                }
            }
        }
        let pendings = Rc::new(Pendings::new());
        pendings.insert(9, 1, Again(Rc::clone(&pendings), 3));
        pendings.forget(1);
        assert!((0..10).all(|number| pendings.take(number).is_none()));
        assert_eq!(Rc::strong_count(&pendings), 1);
    }
}
