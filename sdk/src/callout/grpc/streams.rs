//! gRPC streams that are open.

use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcBytes;
use crate::callout::grpc::open::{GrpcEvent, GrpcSender, Life};
use crate::callout::registry::{Kind, Registry, Taken};
use crate::error::Result;
use core::any::Any;
use core::convert::Infallible;
use std::rc::Rc;

thread_local! {
    static STREAMS: Registry<Handler> = const { Registry::new() };
}

/// The handler of the events of a stream. Dropping it cancels the stream. While it runs, the
/// registry does not contain it.
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

/// Closes the streams of a deleted root context that no context handles, so that their handles see
/// the end.
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

impl<Sent> Drop for GrpcSender<Sent> {
    fn drop(&mut self) {
        self.life().cancel();
        // The thread-local registry may already be destroyed when a native thread ends with live
        // contexts.
        drop(STREAMS.try_with(|streams| streams.take(self.life().token)));
    }
}
