//! Foreign functions of the host that call back, also while a callback of the same context runs.

use crate::current::{self, Callback};
use crate::dispatch::contexts::Contexts;
use crate::dispatch::uses::LifeOf;
use crate::engine::edit::edit;
use crate::engine::life::Life;
use crate::error::Result;
use crate::plugin::registration::NewContext;
use std::cell::Cell;

thread_local! {
    /// Calls for contexts that were in a callback: the host made them inside of it.
    static MISSED: Cell<Vec<ForeignCall>> = const { Cell::new(Vec::new()) };
}

/// A call of `on_foreign_function`.
pub(crate) struct ForeignCall {
    pub(crate) context_id: u32,
    pub(crate) function_id: u32,
    pub(crate) arguments: Result<Vec<u8>>,
}

/// Runs the callback of a root context or of a stream; after the callback that runs, if the context
/// is busy.
pub(crate) fn call<R: NewContext>(contexts: &Contexts<R>, call: ForeignCall) {
    let ForeignCall { context_id: id, function_id, .. } = call;
    if contexts.is_busy(id) {
        return MISSED.with(|cell| edit(cell, |missed| missed.push(call)));
    }
    current::inside(|| match contexts.find_stream(id) {
        Some(stream) => contexts.notify_stream(Callback::FOREIGN_FUNCTION, id, stream, |context| {
            LifeOf::<R>::foreign_function(context, function_id, call.arguments?)
        }),
        None => contexts
            .notify_root(Callback::FOREIGN_FUNCTION, id, |root| root.on_foreign_function(function_id, call.arguments?)),
    });
}

/// Runs the calls that arrived while a callback of the same context ran, which has now returned.
#[inline]
pub(crate) fn run_missed<R: NewContext>(contexts: &Contexts<R>) {
    if !R::FOREIGN {
        return;
    }
    // Such a call may cause further calls of the host. Calls for a context whose callback still
    // runs are delivered when it returns.
    loop {
        let (busy, missed) = MISSED.take().into_iter().partition::<Vec<_>, _>(|call| contexts.is_busy(call.context_id));
        MISSED.with(|cell| edit(cell, |others| others.extend(busy)));
        if missed.is_empty() {
            return;
        }
        for missed in missed {
            call(contexts, missed);
        }
    }
}
