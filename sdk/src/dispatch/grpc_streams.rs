//! gRPC streams: their handlers, and the host's callbacks about them.

use super::{Awaits, NewContext, Runtime, effective, failure, grpc_calls, grpc_messages};
use crate::error::Result;
use crate::exchange::{self, Points};
use crate::grpc::{
    ConnectedGrpcStream, GrpcBytes, GrpcError, GrpcEvent, GrpcMessage, GrpcMetadata, GrpcStream, Inbox, Life,
    OpenGrpcStream,
};
use crate::runtime::{Callback, NOBODY, Pendings, current};
use core::any::Any;
use std::rc::Rc;

thread_local! {
    static STREAMS: Pendings<Handler> = const { Pendings::new() };
}

/// What to do with what comes on a stream. Dropping it cancels the stream. While it runs, it is nowhere else.
struct Handler {
    life: Rc<Life>,
    /// The root context that the host tells what comes.
    root: u32,
    handle: Box<Handle>,
}

type Handle = dyn FnMut(&mut dyn Any, GrpcEvent<'_, GrpcBytes>) -> Result<()>;

impl Drop for Handler {
    #[inline]
    fn drop(&mut self) {
        self.life.cancel();
    }
}

/// Cancels the streams of a context that is gone.
#[inline]
pub(super) fn forget(owner: u32) {
    STREAMS.with(|streams| streams.forget(owner));
    grpc_messages::forget(owner);
}

/// A root context is gone, and its streams with it: those who still have one that no context handles are told its end.
#[cold]
pub(super) fn abandon(root: u32) {
    while let Some(mut handler) = STREAMS.with(|streams| streams.take_of_nobody(|handler| handler.root == root)) {
        // It fails never: it has no code of the author's.
        let _ = (handler.handle)(&mut (), GrpcEvent::Closed(Err(GrpcError::abandoned())));
    }
}

#[inline]
fn wait(owner: u32, handler: Handler) {
    STREAMS.with(|streams| streams.insert(handler.life.token, owner, handler));
}

impl<Sent: 'static, Received: GrpcMessage> GrpcStream<Sent, Received> {
    /// Opens the stream. `on_event` runs for everything that comes on it, in this context (`context` is `self` in a callback).
    ///
    /// In any callback of a stream or a root context. Nothing of an HTTP stream is in reach of the handler but its context: to hold a part of it,
    /// [`connect_in`](Self::connect_in). An `Err` it returns is
    /// logged, and the gRPC stream goes on.
    ///
    /// # Errors
    /// Why the stream cannot be opened; the handler is dropped and hears nothing. A service that cannot be reached is another matter as long
    /// as the host tries: the handler is told of it with [`Closed`](GrpcEvent::Closed).
    pub fn open<C: Awaits<Self>>(
        self,
        context: &mut C,
        mut on_event: impl FnMut(&mut C, GrpcEvent<'_, Received>) -> Result<()> + 'static,
    ) -> Result<OpenGrpcStream<Sent>, GrpcError> {
        let _ = context;
        self.handle(current::context_id(), move |context, event| match context.downcast_mut() {
            Some(context) => on_event(context, event),
            // The token was another context's: a host that uses one twice.
            None => Ok(()),
        })
    }

    /// Opens the stream in a filter that is one async function, which awaits what comes.
    ///
    /// The filter's attribute exports the callbacks of streams if the function names `GrpcStream`; for a stream that is connected in another function,
    /// write `#[proxy_filter::filter(grpc_streams)]`.
    ///
    /// # Errors
    /// Why the stream cannot be opened: as [`open`](Self::open), or because the filter is none that awaits.
    pub fn connect(self) -> Result<ConnectedGrpcStream<Sent, Received>, GrpcError> {
        if !exchange::is_declared(Points::GRPC_STREAMS) {
            return Err(GrpcError::Refused(exchange::undeclared("grpc_streams")));
        }
        self.collect(|_| {})
    }

    /// Opens the stream in a filter of callbacks, which takes one message after the other: with
    /// [`receive`](ConnectedGrpcStream::receive), which can hold a part of an HTTP stream until a message is there.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there.
    ///
    /// # Errors
    /// Why the stream cannot be opened: as [`open`](Self::open).
    pub fn connect_in<C: Awaits<Self>>(
        self,
        context: &mut C,
    ) -> Result<ConnectedGrpcStream<Sent, Received>, GrpcError> {
        let _ = context;
        self.collect(grpc_messages::arrived)
    }

    /// Opens a stream whose messages are kept until they are asked for.
    fn collect(self, arrived: fn(&Rc<Inbox<Received>>)) -> Result<ConnectedGrpcStream<Sent, Received>, GrpcError> {
        let inbox = Inbox::new();
        let own = Rc::clone(&inbox);
        // Whoever has the handle has the stream: the context that opened it may be gone before.
        let open = self.handle(NOBODY, move |_, event| {
            own.take(event);
            arrived(&own);
            Ok(())
        })?;
        Ok(ConnectedGrpcStream::new(open, inbox))
    }

    /// Opens the stream for a context, or for nobody.
    fn handle(
        self,
        owner: u32,
        mut on_event: impl FnMut(&mut dyn Any, GrpcEvent<'_, Received>) -> Result<()> + 'static,
    ) -> Result<OpenGrpcStream<Sent>, GrpcError> {
        let life = self.start()?;
        let own = Rc::clone(&life);
        let handle = move |context: &mut dyn Any, event: GrpcEvent<'_, GrpcBytes>| {
            let event = match event {
                GrpcEvent::Message(message) => match Received::from_wire(message.0) {
                    Ok(message) => GrpcEvent::Message(message),
                    Err(malformed) => {
                        own.cancel();
                        GrpcEvent::Closed(Err(GrpcError::Malformed(malformed)))
                    }
                },
                GrpcEvent::InitialMetadata(metadata) => GrpcEvent::InitialMetadata(metadata),
                GrpcEvent::TrailingMetadata(metadata) => GrpcEvent::TrailingMetadata(metadata),
                GrpcEvent::Closed(why) => GrpcEvent::Closed(why),
            };
            on_event(context, event)
        };
        wait(owner, Handler { life: Rc::clone(&life), root: current::root_id(), handle: Box::new(handle) });
        Ok(OpenGrpcStream::new(life))
    }
}

impl<Sent> Drop for OpenGrpcStream<Sent> {
    fn drop(&mut self) {
        self.life().cancel();
        // Contexts that are alive at the end of a native thread are dropped when there may be no table any more.
        drop(STREAMS.try_with(|streams| streams.take(self.life().token)));
    }
}

impl<R: NewContext> Runtime<R> {
    /// `proxy_on_grpc_receive_initial_metadata`.
    pub fn on_grpc_receive_initial_metadata(&self, root: u32, token: u32, _number_of_fields: u32) {
        Self::enter_root(root);
        self.grpc_event(root, token, |_| GrpcEvent::InitialMetadata(&GrpcMetadata::INITIAL));
    }

    /// `proxy_on_grpc_receive_trailing_metadata`.
    pub fn on_grpc_receive_trailing_metadata(&self, root: u32, token: u32, _number_of_fields: u32) {
        Self::enter_root(root);
        self.grpc_event(root, token, |_| GrpcEvent::TrailingMetadata(&GrpcMetadata::TRAILING));
    }

    /// `proxy_on_grpc_receive` for a stream.
    pub(super) fn grpc_message(&self, root: u32, token: u32, size: u32) {
        self.grpc_event(root, token, |life| match grpc_calls::message(size) {
            Ok(message) => GrpcEvent::Message(message),
            Err(why) => {
                life.cancel();
                GrpcEvent::Closed(Err(why))
            }
        });
    }

    /// `proxy_on_grpc_close` for a stream.
    pub(super) fn grpc_closed(&self, root: u32, token: u32, code: u32) {
        self.grpc_event(root, token, |life| {
            let why = if code == 0 { Ok(()) } else { Err(grpc_calls::end(code)) };
            life.end();
            GrpcEvent::Closed(why)
        });
    }

    /// Runs a stream's handler. The host may tell of streams that nobody knows: those that failed while they were opened.
    fn grpc_event<'a>(&self, root: u32, token: u32, event: impl FnOnce(&Life) -> GrpcEvent<'a, GrpcBytes>) {
        let Some((owner, handler)) = STREAMS.with(|streams| streams.take(token)) else { return };
        let event = event(&handler.life);
        let mut handler = Some(handler);
        let run = |context: &mut dyn Any| {
            let Some(mut handler) = handler.take() else { return };
            let result = (handler.handle)(context, event);
            if !handler.life.is_over() {
                wait(owner, handler);
            }
            if let Err(error) = result {
                failure::report(Callback::GRPC_STREAM, owner, &error, "");
            }
        };
        let alive = match self.streams.get(owner) {
            None if owner == NOBODY => {
                current::enter(Callback::GRPC_STREAM, root);
                run(&mut ());
                true
            }
            // Hosts tell events on the root context. One that does not know the stream any more has ended it.
            Some(stream) => {
                let alive = effective::choose(owner);
                if alive {
                    self.with_context(Callback::GRPC_STREAM, owner, stream, |context| {
                        context.map(|context| run(super::Callbacks::as_any(context)))
                    });
                }
                alive
            }
            None => self.root(owner).is_some_and(|root| {
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
            wait(owner, handler);
        }
        self.deliver_messages();
        self.after_root_callback(root);
    }
}
