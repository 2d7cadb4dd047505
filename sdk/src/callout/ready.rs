//! Completions of callouts that completed at once. They run one after the other, not nested.

use crate::callout::completion::{Callout, Completion};
use crate::current;
use std::cell::Cell;

thread_local! {
    /// Set while a completion runs. A completion that becomes ready in the meantime runs after it.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// Some may be ready.
    static ANY: Cell<bool> = const { Cell::new(false) };
    /// Set while a callback of a stream is about to return. A message that is forwarded in the
    /// meantime is forwarded by the callback's result.
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
    /// The callback is about to return, and forwards the message that it paused.
    Forwards,
}

/// Called when a completion forwards a message. Returns whether the callback that is about to
/// return forwards it.
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

/// Registers a completion of the running context. It runs when the callout completes, or after the
/// running completion if the callout completed at once.
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

/// Runs `body`, which runs completions, while a callback of a stream is about to return. Returns
/// whether a completion forwards the message that the callback paused.
pub(crate) fn before_return(body: impl FnOnce()) -> bool {
    let outer = RETURNING.replace(Returning::Yes);
    body();
    RETURNING.replace(outer) == Returning::Forwards
}

/// The completions that are ready are about to run.
pub(crate) fn clear() {
    ANY.set(false);
}
