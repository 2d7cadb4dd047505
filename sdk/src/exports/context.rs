//! The life of contexts, root contexts and streams alike.

use crate::abi::buffer_type::BufferType;
use crate::callout::cancel;
use crate::callout::error::{CalloutError, Outage};
#[cfg(feature = "grpc")]
use crate::callout::grpc::error::GrpcError;
#[cfg(feature = "grpc")]
use crate::callout::grpc::{call::GrpcCall, message::GrpcBytes, streams};
use crate::callout::http::HttpCall;
use crate::callout::registry::{Kind, Taken};
use crate::callout::timer::{tick, timers};
use crate::current::{self, Callback};
#[cfg(feature = "grpc")]
use crate::dispatch::arrive;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::foreign::{self, ForeignCall};
use crate::dispatch::uses::{LifeOf, Uses, has};
use crate::dispatch::{complete, run, wake};
use crate::engine::callbacks::CallbackSet;
use crate::engine::effective;
use crate::engine::life::Life;
use crate::host::buffer;
use crate::http::log_context::LogContext;
use crate::plugin::registration::NewContext;

/// `proxy_on_context_create`: creates a root context if there is no parent, and otherwise a stream
/// of that root context.
pub fn on_context_create<R: NewContext>(contexts: &Contexts<R>, context_id: u32, parent_context_id: u32) {
    if parent_context_id != 0 {
        return contexts.create_stream(context_id, parent_context_id);
    }
    create_root(contexts, context_id);
}

#[cold]
fn create_root<R: NewContext>(contexts: &Contexts<R>, id: u32) {
    current::enter(Callback::CONTEXT_CREATE, id);
    if Uses::<R>::TIMERS {
        tick::share_tick(timers::set_period);
    }
    // Two calls, so that a root context that is always created brings no code for errors.
    match R::new_root() {
        Ok(context) => contexts.add_root(id).replace(context),
        Err(refusal) => contexts.add_root(id).refuse(refusal),
    }
}

/// `proxy_on_done`.
pub fn on_done<R: NewContext>(contexts: &Contexts<R>, context_id: u32) -> u32 {
    if contexts.find_stream(context_id).is_some() {
        if has::<R::Context>(CallbackSet::ON_DONE) {
            run::notify(contexts, Callback::DONE, context_id, LifeOf::<R>::done);
        }
        return 1;
    }
    let Some(root) = contexts.root(context_id) else {
        current::ignore_event();
        return 1;
    };
    complete::enter_root::<R>(context_id);
    let result = root.with_context(Callback::DONE, 1, |root| root.map_or(1, |root| u32::from(root.on_done())));
    run::after_root_callback(contexts, context_id);
    result
}

/// `proxy_on_log`. For an id that is not a stream's, the plugin is an access logger.
pub fn on_log<R: NewContext>(contexts: &Contexts<R>, context_id: u32) {
    if !R::LOGS || contexts.find_stream(context_id).is_some() {
        return run::notify(contexts, Callback::LOG, context_id, LifeOf::<R>::log);
    }
    complete::enter_root::<R>(context_id);
    contexts.notify_root(Callback::LOG, context_id, |root| root.on_log(&LogContext::new()));
    foreign::run_missed(contexts);
    if Uses::<R>::TASKS {
        wake::run_later::<R>();
    }
}

/// `proxy_on_delete`.
pub fn on_delete<R: NewContext>(contexts: &Contexts<R>, context_id: u32) {
    match contexts.remove_stream(context_id) {
        Some(stream) => contexts.delete_stream(stream, context_id),
        None => delete_root(contexts, context_id),
    }
}

#[cold]
fn delete_root<R: NewContext>(contexts: &Contexts<R>, context_id: u32) {
    let Some(root) = contexts.root(context_id) else { return current::ignore_event() };
    current::enter(Callback::DELETE, context_id);
    root.id.set(0);
    if R::AWAITS.intersects(CallbackSet::COMPLETIONS) {
        cancel::callouts_of(R::AWAITS, context_id);
    }
    root.replace(None);
    if Uses::<R>::ROOTS {
        inherit(contexts, context_id);
    }
}

/// Moves pending callouts of other contexts' futures from a deleted root context to another root
/// context, or fails them.
#[cold]
fn inherit<R: NewContext>(contexts: &Contexts<R>, gone: u32) {
    let heir = contexts.any_root();
    complete::enter_root::<R>(gone);
    if let Some(heir) = heir {
        current::set_root_id(heir);
    }
    if Uses::<R>::TIMERS {
        timers::forget_root(gone, heir);
    }
    if Uses::<R>::TASKS {
        while let Some(Taken::Future(ticket)) = HttpCall::registry(|calls| calls.take_abandoned(gone)).flatten() {
            ticket.finish(Err(CalloutError::Outage(Outage::Reset)));
        }
    }
    #[cfg(feature = "grpc")]
    abandon_grpc(contexts, gone);
    if let (true, Some(heir)) = (Uses::<R>::TASKS, heir) {
        effective::back_to(heir);
        wake::run_later::<R>();
    }
}

/// Fails the gRPC callouts that the host made for a deleted root context and that futures of other
/// contexts wait for.
#[cfg(feature = "grpc")]
#[cold]
fn abandon_grpc<R: NewContext>(contexts: &Contexts<R>, root: u32) {
    if Uses::<R>::TASKS && Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_CALLS) {
        while let Some(Taken::Future(ticket)) =
            GrpcCall::<GrpcBytes>::registry(|calls| calls.take_abandoned(root)).flatten()
        {
            ticket.finish(Err(GrpcError::abandoned()));
        }
    }
    if Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
        streams::abandon(root);
        arrive::deliver_messages(contexts);
    }
}

/// `proxy_on_foreign_function`, of a root context or a stream.
pub fn on_foreign_function<R: NewContext>(
    contexts: &Contexts<R>,
    context_id: u32,
    function_id: u32,
    arguments_size: u32,
) {
    // Now, or never: the host has them during this callback only.
    let arguments = buffer::whole(BufferType::FOREIGN_FUNCTION_ARGUMENTS, arguments_size);
    foreign::call(contexts, ForeignCall { context_id, function_id, arguments });
    current::inside(|| run::after_root_callback(contexts, context_id));
}
