//! Delivers completed callouts to their completion or future.

#[cfg(feature = "grpc")]
use crate::callout::grpc::arrival::Arrival;
#[cfg(feature = "grpc")]
use crate::callout::grpc::call::GrpcCall;
#[cfg(feature = "grpc")]
use crate::callout::grpc::message::GrpcBytes;
#[cfg(feature = "grpc")]
use crate::callout::grpc::messages;
use crate::callout::http::HttpCall;
use crate::callout::ready;
use crate::callout::registry::{Kind, Registry, Taken};
use crate::callout::timer::Timer;
#[cfg(feature = "grpc")]
use crate::current;
use crate::current::Callback;
use crate::dispatch::complete::complete;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::tasks;
use crate::dispatch::uses::Uses;
use crate::engine::callbacks::CallbackSet;
use crate::engine::effective;
use crate::plugin::registration::NewContext;

/// Completes the callout with this number. Runs its completion with `run`, which gets the context,
/// or runs the task of its future. Returns whether the callout was in flight; `arrived` is read
/// only then.
#[inline]
pub(crate) fn arrive<R: NewContext, K: Kind>(
    contexts: &Contexts<R>,
    root: u32,
    number: u32,
    arrived: impl FnOnce() -> K::Arrived,
    run: impl FnOnce(u32, K::Completion, K::Arrived),
) -> bool {
    let taken = if Uses::<R>::ONLY_FUTURES {
        K::registry(|registry| registry.take_future(number)).flatten().map(Taken::Future)
    } else {
        K::registry(|registry| registry.take(number)).flatten()
    };
    match taken {
        Some(Taken::Completion(owner, completion)) => run(owner, completion, arrived()),
        Some(Taken::Future(ticket)) if Uses::<R>::TASKS => {
            if let Some(task) = ticket.complete(arrived()) {
                tasks::run_task(contexts, task);
                // Back from the stream that has run.
                ticket.keep(number, || effective::back_to(root));
            }
        }
        Some(Taken::Future(_)) => {}
        None => return false,
    }
    true
}

/// Runs the completions that are ready before a callback of a stream returns. Returns whether a
/// completion forwards the message that the callback paused.
#[cold]
pub(crate) fn run_ready_before_return<R: NewContext>(contexts: &Contexts<R>) -> bool {
    ready::before_return(|| run_ready(contexts))
}

/// Runs the completions that are ready, after a callback.
#[cold]
#[inline(never)]
pub(crate) fn run_ready<R: NewContext>(contexts: &Contexts<R>) {
    ready::clear();
    if Uses::<R>::AWAITED.intersects(CallbackSet::HTTP_CALLS) {
        while let Some((owner, (completion, why))) = HttpCall::registry(Registry::take_ready).flatten() {
            complete(contexts, Callback::HTTP_CALL_RESPONSE, owner, completion, Err(why));
        }
    }
    if Uses::<R>::AWAITED.intersects(CallbackSet::TIMERS) {
        while let Some((owner, (completion, response))) = Timer::registry(Registry::take_ready).flatten() {
            complete(contexts, Callback::TIMER, owner, completion, response);
        }
    }
    #[cfg(feature = "grpc")]
    if Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_CALLS) {
        while let Some((owner, (completion, why))) = GrpcCall::<GrpcBytes>::registry(Registry::take_ready).flatten() {
            complete(contexts, Callback::GRPC_CALL, owner, completion, Err(why));
        }
    }
    #[cfg(feature = "grpc")]
    if Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
        deliver_messages(contexts);
    }
}

/// Completes the receives of gRPC streams whose messages have arrived, after the handlers have
/// returned.
#[cfg(feature = "grpc")]
pub(crate) fn deliver_messages<R: NewContext>(contexts: &Contexts<R>) {
    let root = current::root_id();
    messages::deliver(|number| {
        arrive::<R, Arrival>(
            contexts,
            root,
            number,
            || (),
            |owner, completion, ()| {
                complete(contexts, Callback::GRPC_STREAM, owner, completion, ());
            },
        );
    });
}
