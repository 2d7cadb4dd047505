//! Runs the callbacks of a stream, and the work that remains when a callback of the host returns.

use crate::callout::ready;
use crate::current::{self, Callback};
use crate::dispatch::complete::end;
use crate::dispatch::contexts::{Contexts, Found};
use crate::dispatch::failure::{self, Refuse};
use crate::dispatch::uses::{Uses, has};
use crate::dispatch::{arrive, foreign, tasks, wake};
use crate::engine::callbacks::CallbackSet;
use crate::engine::executor;
use crate::error::denial::Raw;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::plugin::registration::NewContext;

/// Runs a callback that decides about the stream. Then sends its local reply or applies the failure
/// policy. Returns the callback's result.
#[inline]
pub(crate) fn decide<R: NewContext, F: Refuse>(
    contexts: &Contexts<R>,
    callback: Callback,
    id: u32,
    stream: Found<R>,
    refusal: F,
    body: impl FnOnce(&mut R::Context) -> Result<Raw>,
) -> u32 {
    let run = |context: Option<&mut R::Context>| {
        let Some(context) = context else {
            if id == 0 {
                current::ignore_event();
                return failure::CONTINUE;
            }
            // Without a context, no policy is known. Pausing denies the stream too.
            failure::report(callback, id, &no_context(), "; the stream is stopped");
            return failure::STOP;
        };
        let failed = if has::<R::Context>(CallbackSet::ON_CREATE) { stream.failed.take() } else { None };
        let result = match failed {
            Some(error) => Err(error),
            None => body(context),
        };
        let answered = !matches!(result, Ok(Ok(_)));
        let status = failure::settle(callback, id, context, || callback.is_of_response(), refusal, result);
        if has::<R::Context>(CallbackSet::COMPLETIONS) && answered && status == failure::STOP {
            end(&stream.messages);
        }
        status
    };
    let mut result = contexts.with_stream(callback, id, stream, run).unwrap_or(failure::CONTINUE);
    foreign::run_missed(contexts);
    if Uses::<R>::COMPLETIONS && ready::is_any() && arrive::run_ready_before_return(contexts) {
        result = failure::CONTINUE;
    }
    if Uses::<R>::TASKS {
        wake::run_later::<R>();
    }
    result
}

/// Runs a callback of a stream, and only logs a failure.
pub(crate) fn notify<R: NewContext>(
    contexts: &Contexts<R>,
    callback: Callback,
    id: u32,
    body: impl FnOnce(&mut R::Context) -> Result<()>,
) {
    if let Some(stream) = contexts.stream(id) {
        contexts.notify_stream(callback, id, stream, body);
        foreign::run_missed(contexts);
        if Uses::<R>::COMPLETIONS && ready::is_any() {
            arrive::run_ready(contexts);
        }
    }
}

/// Runs the work that a callback of a root context leaves: foreign function calls, ready
/// completions, and woken futures.
#[inline]
pub(crate) fn after_root_callback<R: NewContext>(contexts: &Contexts<R>, root: u32) {
    foreign::run_missed(contexts);
    if Uses::<R>::COMPLETIONS && ready::is_any() {
        arrive::run_ready(contexts);
    }
    if Uses::<R>::TASKS && executor::is_any_woken() {
        tasks::run_woken(contexts, root);
    }
    foreign::run_missed(contexts);
}

/// The error for a stream whose root context could not create a context.
#[cold]
fn no_context() -> Error {
    Error::refused(ErrorKind::Other, "no context: the root context is missing, refused or busy")
}
