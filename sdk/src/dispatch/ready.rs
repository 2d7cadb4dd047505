//! Completions that have their answer when something is to be waited for: they run one after the other, not inside of each other.

use super::callout::{Callout, Waiting};
use super::{CallbackSet, NewContext, Runtime};
use crate::runtime::{current, edit};
use std::cell::Cell;

thread_local! {
    /// A completion runs: one that is ready meanwhile runs after it.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// Some may be ready.
    static ANY: Cell<bool> = const { Cell::new(false) };
    /// A callback of a stream is about to return: what is let go meanwhile goes on with its result.
    static RETURNING: Cell<Returning> = const { Cell::new(Returning::No) };
}

/// The completions of one kind of callout that are ready, in their order. There are few at a time: the last is found by way of the others.
pub(super) struct ReadyList<A: Callout>(Cell<List<A>>);

type List<A> = Option<Box<Ready<A>>>;

/// A completion that is ready.
pub(super) struct Ready<A: Callout> {
    pub(super) owner: u32,
    pub(super) waiting: Waiting<A>,
    pub(super) answer: A::Answer<'static>,
    next: List<A>,
}

impl<A: Callout> ReadyList<A> {
    pub(super) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Adds one of the running context.
    pub(super) fn add(&self, waiting: Waiting<A>, answer: A::Answer<'static>) {
        note();
        let new = Box::new(Ready { owner: current::context_id(), waiting, answer, next: None });
        edit(&self.0, |first| {
            let mut place = first;
            while let Some(ready) = place {
                place = &mut ready.next;
            }
            *place = Some(new);
        });
    }

    /// Takes the first out.
    pub(super) fn take(&self) -> List<A> {
        edit(&self.0, |first| {
            let mut ready = first.take()?;
            *first = ready.next.take();
            Some(ready)
        })
    }
}

/// Whether a completion runs.
#[inline]
pub(super) fn is_completion() -> bool {
    RUNS.get()
}

/// Runs a completion.
#[inline]
pub(super) fn completion<T>(body: impl FnOnce() -> T) -> T {
    let outer = RUNS.replace(true);
    let result = body();
    RUNS.set(outer);
    result
}

/// A completion is ready.
#[inline]
pub(super) fn note() {
    ANY.set(true);
}

/// Whether a callback of a stream is about to return.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returning {
    No,
    Yes,
    /// It is, and the message that it held goes on.
    Forwards,
}

/// A completion lets a message go. Whether the callback that is about to return does so.
#[inline]
pub(super) fn is_let_go_by_callback() -> bool {
    let returns = RETURNING.get() != Returning::No;
    if returns {
        RETURNING.set(Returning::Forwards);
    }
    returns
}

/// Whether a completion may be ready.
#[inline]
pub(super) fn is_any() -> bool {
    ANY.get()
}

/// Has a completion of the running context run when its answer is there, or after the one that runs.
#[inline]
pub(super) fn wait<A: Callout>(started: Result<A::Started, A::Answer<'static>>, waiting: Waiting<A>) {
    match started {
        Ok(started) => A::wait(started, current::context_id(), waiting),
        Err(answer) => A::is_ready(waiting, answer),
    }
}

impl<R: NewContext> Runtime<R> {
    /// Whether completions of callbacks may be ready.
    pub(super) const COMPLETIONS: bool = !Self::ONLY_FUTURES && Self::AWAITED.intersects(CallbackSet::CALLOUTS);

    /// Runs the completions that are ready before a callback of a stream returns: whether the message that it holds goes on.
    #[cold]
    pub(super) fn run_ready_before_return(&self) -> bool {
        let outer = RETURNING.replace(Returning::Yes);
        self.run_ready();
        RETURNING.replace(outer) == Returning::Forwards
    }

    /// Runs the completions that are ready, after a callback.
    #[cold]
    #[inline(never)]
    pub(super) fn run_ready(&self) {
        ANY.set(false);
        if Self::AWAITED.intersects(CallbackSet::HTTP_CALLS) {
            self.run_ready_calls();
        }
        if Self::AWAITED.intersects(CallbackSet::TIMERS) {
            self.run_ready_timers();
        }
        #[cfg(feature = "grpc")]
        if Self::AWAITED.intersects(CallbackSet::GRPC_CALLS) {
            self.run_ready_grpc_calls();
        }
        #[cfg(feature = "grpc")]
        if Self::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
            self.deliver_messages();
        }
    }
}
