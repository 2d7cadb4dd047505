//! Completions that have their answer when something is to be waited for: they run one after the other, not inside of each other.

use crate::callout::completion::{Callout, Completion};
use crate::current;
use std::cell::Cell;

thread_local! {
    /// A completion runs: one that is ready meanwhile runs after it.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// Some may be ready.
    static ANY: Cell<bool> = const { Cell::new(false) };
    /// A callback of a stream is about to return: what is let go meanwhile goes on with its result.
    static RETURNING: Cell<Returning> = const { Cell::new(Returning::No) };
}

/// Whether a completion runs.
#[inline]
pub(crate) fn is_completion() -> bool {
    RUNS.get()
}

/// Runs a completion.
#[inline]
pub(crate) fn completion<T>(body: impl FnOnce() -> T) -> T {
    let outer = RUNS.replace(true);
    let result = body();
    RUNS.set(outer);
    result
}

/// A completion is ready.
#[inline]
pub(crate) fn note() {
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
pub(crate) fn is_let_go_by_callback() -> bool {
    let returns = RETURNING.get() != Returning::No;
    if returns {
        RETURNING.set(Returning::Forwards);
    }
    returns
}

/// Whether a completion may be ready.
#[inline]
pub(crate) fn is_any() -> bool {
    ANY.get()
}

/// Has a completion of the running context run when its answer is there, or after the one that runs.
#[inline]
pub(crate) fn wait<A: Callout>(started: Result<A::Started, A::Response<'static>>, completion: Completion<A>) {
    match started {
        Ok(started) => A::wait(started, current::context_id(), completion),
        Err(response) => {
            note();
            A::is_ready(completion, response);
        }
    }
}

/// Marks that a callback of a stream is about to return while `body` runs completions; whether one of them forwards the message that
/// the callback paused.
pub(crate) fn before_return(body: impl FnOnce()) -> bool {
    let outer = RETURNING.replace(Returning::Yes);
    body();
    RETURNING.replace(outer) == Returning::Forwards
}

/// The completions that are ready are about to run.
pub(crate) fn clear() {
    ANY.set(false);
}
