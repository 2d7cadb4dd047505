//! Open gRPC streams: the events that arrive, and the messages that are sent.

use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::grpc::metadata::GrpcMetadata;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;
use core::fmt;
use core::marker::PhantomData;
use std::cell::Cell;
use std::rc::Rc;

/// An event of a gRPC stream.
///
/// The order is: initial metadata, messages, trailing metadata, closed. Envoy reports initial and
/// trailing metadata of every stream, which are empty if the service sent none. If a response is
/// only a status, all metadata is trailing.
#[derive(Debug)]
pub enum GrpcEvent<'a, Received> {
    /// The service has sent its initial metadata.
    InitialMetadata(&'a GrpcMetadata),
    /// A message.
    Message(Received),
    /// The service has sent its trailing metadata.
    TrailingMetadata(&'a GrpcMetadata),
    /// The stream has ended, with the status OK or for this reason. This is the last event, and is
    /// reported once. It is not reported if the filter cancelled the stream.
    Closed(Result<(), GrpcError>),
}

/// The sending side of an open [`GrpcStream`](crate::grpc::GrpcStream). Dropping it cancels the
/// stream.
///
/// It can be used in any callback of the module, also of other contexts than the one that opened
/// it.
#[must_use = "dropping it cancels the stream"]
pub struct GrpcSender<Sent> {
    life: Rc<Life>,
    sent: PhantomData<fn(Sent)>,
}

impl<Sent> GrpcSender<Sent> {
    pub(crate) fn new(life: Rc<Life>) -> Self {
        Self { life, sent: PhantomData }
    }

    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// Sends a message.
    ///
    /// ```
    /// # use proxy_filter::{grpc::{GrpcBytes, GrpcSender}, Result};
    /// fn last(stream: &GrpcSender<GrpcBytes>) -> Result<()> {
    ///     stream.send(&GrpcBytes(b"bye".to_vec()))?;
    ///     stream.close()
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Callout`](ErrorKind::Callout) if the stream has ended, or the filter has closed its side:
    /// hosts would drop the message without an error. Otherwise an error status of the host.
    #[doc(alias = "proxy_grpc_send")]
    #[doc(alias = "send_grpc_stream_message")]
    pub fn send(&self, message: &Sent) -> Result<()>
    where
        Sent: GrpcMessage,
    {
        if self.life.over.get() || self.life.closed.get() {
            return Err(Error::refused(ErrorKind::Callout, "a message for a gRPC stream that has ended"));
        }
        sys::proxy_grpc_send(self.life.token, &message.to_wire(), 0)
            .map_err(|status| Error::host("proxy_grpc_send", status))
    }

    /// Ends the filter's side of the stream: the filter sends no further messages. Messages of the
    /// service still arrive. A second call, or a call after the end of the stream, has no effect.
    ///
    /// # Errors
    /// An error status of the host.
    #[doc(alias = "proxy_grpc_close")]
    #[doc(alias = "half-close")]
    pub fn close(&self) -> Result<()> {
        if self.life.over.get() || self.life.closed.replace(true) {
            return Ok(());
        }
        sys::proxy_grpc_close(self.life.token).map_err(|status| Error::host("proxy_grpc_close", status))
    }

    /// Cancels the stream, as dropping the handle does. The handler is dropped, and receives no
    /// further event.
    #[doc(alias = "proxy_grpc_cancel")]
    pub fn cancel(self) {}

    /// Returns whether the stream has ended: its handler has received the end, or its context has
    /// ended.
    pub fn is_over(&self) -> bool {
        self.life.over.get()
    }
}

impl<Sent> fmt::Debug for GrpcSender<Sent> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcSender").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

/// The state of a stream, which its handle and its handler share.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) token: u32,
    /// No further event arrives.
    over: Cell<bool>,
    /// The filter's side has ended.
    closed: Cell<bool>,
}

impl Life {
    #[inline]
    pub(crate) fn new(token: u32) -> Rc<Self> {
        Rc::new(Self { token, over: Cell::new(false), closed: Cell::new(false) })
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Records that the host has reported the end. The host keeps the stream until the filter's
    /// side has ended too.
    #[inline]
    pub(crate) fn end(&self) {
        if !self.over.replace(true) && !self.closed.replace(true) {
            let _ = sys::proxy_grpc_close(self.token);
        }
    }

    /// Cancels the stream in the host.
    #[inline]
    pub(crate) fn cancel(&self) {
        if !self.over.replace(true) {
            let _ = sys::proxy_grpc_cancel(self.token);
        }
    }
}
