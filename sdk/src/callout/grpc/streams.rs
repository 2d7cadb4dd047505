//! gRPC streams that are open.

use crate::callout::grpc::connected::{ConnectedGrpcStream, Inbox};
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
use crate::callout::grpc::messages;
use crate::callout::grpc::stream::{GrpcEvent, GrpcStream, Life, OpenGrpcStream};
use crate::callout::registry::{Kind, NOBODY, Registry, Taken};
use crate::current;
use crate::engine::callbacks::Awaits;
use crate::engine::declared;
use crate::engine::point::Points;
use crate::error::Result;
use core::any::Any;
use core::convert::Infallible;
use std::rc::Rc;

thread_local! {
    static STREAMS: Registry<Handler> = const { Registry::new() };
}

/// What runs for each event of a stream. Dropping it cancels the stream. While it runs, it is nowhere else.
pub(crate) struct Handler {
    pub(crate) life: Rc<Life>,
    pub(crate) handle: Box<Handle>,
}

pub(crate) type Handle = dyn FnMut(&mut dyn Any, GrpcEvent<'_, GrpcBytes>) -> Result<()>;

impl Drop for Handler {
    #[inline]
    fn drop(&mut self) {
        self.life.cancel();
    }
}

impl Kind for Handler {
    type Completion = Self;
    type Arrived = Infallible;
    type Output = Infallible;
    type Ready = Infallible;

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        STREAMS.try_with(body).ok()
    }

    #[inline]
    fn copy(arrived: Infallible) -> Infallible {
        arrived
    }
}

/// A root context is gone, and its streams with it: what still has one that no context handles gets its end.
#[cold]
pub(crate) fn abandon(root: u32) {
    while let Some(Taken::Completion(_, mut handler)) = STREAMS.with(|streams| streams.take_abandoned(root)) {
        // It never fails: it has no code of the author's.
        let _ = (handler.handle)(&mut (), GrpcEvent::Closed(Err(GrpcError::abandoned())));
    }
}

/// Takes a stream's handler out, and the context that it runs in.
pub(crate) fn take(token: u32) -> Option<(u32, Handler)> {
    match STREAMS.with(|streams| streams.take(token))? {
        Taken::Completion(owner, handler) => Some((owner, handler)),
        Taken::Future(_) => None,
    }
}

/// Puts a handler where the next event of its stream finds it.
#[inline]
pub(crate) fn wait(owner: u32, handler: Handler) {
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
        if !declared::is_declared(Points::GRPC_STREAMS) {
            return Err(GrpcError::Refused(declared::undeclared("grpc_streams")));
        }
        self.collect()
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
        self.collect()
    }

    /// Opens a stream whose messages are kept until they are asked for.
    fn collect(self) -> Result<ConnectedGrpcStream<Sent, Received>, GrpcError> {
        let inbox = Inbox::new();
        let own = Rc::clone(&inbox);
        // Whoever has the handle has the stream: the context that opened it may be gone before.
        let open = self.handle(NOBODY, move |_, event| {
            own.take(event);
            messages::arrived(&own);
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
        wait(owner, Handler { life: Rc::clone(&life), handle: Box::new(handle) });
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
