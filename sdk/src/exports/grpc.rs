//! What arrives on gRPC calls and streams.

use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcBytes;
use crate::callout::grpc::metadata::GrpcMetadata;
use crate::callout::grpc::open::{GrpcEvent, Life};
use crate::callout::grpc::{calls, streams};
use crate::callout::registry::NOBODY;
use crate::current::{self, Callback};
use crate::dispatch::arrive::{self, arrive};
use crate::dispatch::complete::{self, enter_root};
use crate::dispatch::contexts::Contexts;
use crate::dispatch::uses::Uses;
use crate::dispatch::{failure, run};
use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::engine::effective;
use crate::plugin::registration::NewContext;
use core::any::Any;

/// Completes a call, in modules that make any. Returns whether the token is a call's.
#[inline]
fn completes_call<R: NewContext>(
    contexts: &Contexts<R>,
    root: u32,
    token: u32,
    response: impl FnOnce() -> Result<GrpcBytes, GrpcError>,
) -> bool {
    Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_CALLS)
        && arrive::<R, GrpcCall<GrpcBytes>>(contexts, root, token, response, |owner, completion, response| {
            complete::complete(contexts, Callback::GRPC_CALL, owner, completion, response);
        })
}

/// `proxy_on_grpc_receive_initial_metadata`.
pub fn on_grpc_receive_initial_metadata<R: NewContext>(
    contexts: &Contexts<R>,
    root: u32,
    token: u32,
    _number_of_fields: u32,
) {
    enter_root::<R>(root);
    event(contexts, root, token, |_| GrpcEvent::InitialMetadata(&GrpcMetadata::INITIAL));
}

/// `proxy_on_grpc_receive_trailing_metadata`.
pub fn on_grpc_receive_trailing_metadata<R: NewContext>(
    contexts: &Contexts<R>,
    root: u32,
    token: u32,
    _number_of_fields: u32,
) {
    enter_root::<R>(root);
    event(contexts, root, token, |_| GrpcEvent::TrailingMetadata(&GrpcMetadata::TRAILING));
}

/// `proxy_on_grpc_receive`: the response to a call, or a message of a stream.
pub fn on_grpc_receive<R: NewContext>(contexts: &Contexts<R>, root: u32, token: u32, size: u32) {
    enter_root::<R>(root);
    if completes_call(contexts, root, token, || calls::message(size)) {
        return run::after_root_callback(contexts, root);
    }
    if Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
        event(contexts, root, token, |life| match calls::message(size) {
            Ok(message) => GrpcEvent::Message(message),
            Err(why) => {
                life.cancel();
                GrpcEvent::Closed(Err(why))
            }
        });
    }
}

/// `proxy_on_grpc_close`: a call without a response, or the end of a stream.
pub fn on_grpc_close<R: NewContext>(contexts: &Contexts<R>, root: u32, token: u32, code: u32) {
    enter_root::<R>(root);
    if completes_call(contexts, root, token, || Err(calls::end(code))) {
        return run::after_root_callback(contexts, root);
    }
    if Uses::<R>::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
        event(contexts, root, token, |life| {
            let why = if code == 0 { Ok(()) } else { Err(calls::end(code)) };
            life.end();
            GrpcEvent::Closed(why)
        });
    }
}

/// Runs the handler of a stream. The host may report events of unknown streams: those that failed
/// while they were opened.
fn event<'a, R: NewContext>(
    contexts: &Contexts<R>,
    root: u32,
    token: u32,
    event: impl FnOnce(&Life) -> GrpcEvent<'a, GrpcBytes>,
) {
    let Some((owner, handler)) = streams::take(token) else { return };
    let event = event(&handler.life);
    let mut handler = Some(handler);
    let run = |context: &mut dyn Any| {
        let Some(mut handler) = handler.take() else { return };
        let result = (handler.handle)(context, event);
        if !handler.life.is_over() {
            streams::wait(owner, handler);
        }
        if let Err(error) = result {
            failure::report(Callback::GRPC_STREAM, owner, &error, "");
        }
    };
    let alive = match contexts.find_stream(owner) {
        None if owner == NOBODY => {
            current::enter(Callback::GRPC_STREAM, root);
            run(&mut ());
            true
        }
        // Hosts deliver events on the root context. If the host does not know the stream, the
        // stream has ended.
        Some(stream) => {
            let alive = effective::choose(owner);
            if alive {
                contexts.with_stream(Callback::GRPC_STREAM, owner, stream, |context| {
                    context.map(|context| run(Callbacks::as_any(context)))
                });
            }
            alive
        }
        None => contexts.root(owner).is_some_and(|root| {
            effective::back_to(owner);
            root.with_context(Callback::GRPC_STREAM, (), |root| {
                if let Some(root) = root {
                    run(root.as_any());
                }
            });
            true
        }),
    };
    // A context that was busy has missed the event, not the next one.
    if let Some(handler) = handler.filter(|handler| alive && !handler.life.is_over()) {
        streams::wait(owner, handler);
    }
    arrive::deliver_messages(contexts);
    run::after_root_callback(contexts, root);
}
