use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::grpc::metadata::GrpcMetadata;
use crate::callout::grpc::request::Request;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;
use core::fmt;
use core::marker::PhantomData;
use std::cell::Cell;
use std::rc::Rc;

/// A gRPC stream with any number of messages in both directions, which the host makes for the
/// filter. `Sent` is the type of the filter's messages, `Received` that of the service's. It also
/// works for methods that stream in one direction.
///
/// There are three ways to use it:
///
/// * [`open`](Self::open) takes a handler for events, and returns a handle to send messages.
/// * [`connect_in`](Self::connect_in) opens a stream whose messages are received one by one. Each
///   can pause a part of an HTTP stream.
/// * [`connect`](Self::connect) opens a stream whose messages are awaited, in a filter that is one
///   async function.
///
/// A stream belongs to the context that opened it. It is cancelled when the handle is dropped or
/// the context ends.
///
/// It needs the feature `grpc`. The attribute of the context must name it:
/// `#[proxy_filter::context(grpc_streams)]`, or `#[proxy_filter::root(grpc_streams)]` for the root
/// context. The module then exports the four callbacks of a gRPC stream. Without the argument,
/// `open` does not compile.
///
/// ```
/// # mod report {
/// use proxy_filter::prelude::*;
/// use proxy_filter::{GrpcEvent, GrpcStream, OpenGrpcStream};
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Report {
///     #[prost(string, tag = "1")]
///     path: String,
/// }
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Order {
///     #[prost(bool, tag = "1")]
///     quiet: bool,
/// }
///
/// /// Reports every request on one stream, until the service has had enough.
/// #[derive(Default)]
/// struct Root {
///     reports: std::rc::Rc<std::cell::RefCell<Option<OpenGrpcStream<Report>>>>,
/// }
///
/// #[proxy_filter::root(grpc_streams)]
/// impl RootContext for Root {
///     type Context = Reporting;
///
///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
///         let opened = GrpcStream::<Report, Order>::new("reports", "reports.Reports", "Talk")
///             .open(self, |root, event| {
///                 match event {
///                     GrpcEvent::Message(order) if order.quiet => {
///                         *root.reports.borrow_mut() = None
///                     } // cancels it
///                     GrpcEvent::Closed(why) => log::info!("the reports have ended: {why:?}"),
///                     _ => {}
///                 }
///                 Ok(())
///             });
///         *self.reports.borrow_mut() = Some(opened?);
///         Ok(())
///     }
///
///     fn new_context(&self) -> Reporting {
///         Reporting { reports: self.reports.clone() }
///     }
/// }
///
/// struct Reporting {
///     reports: std::rc::Rc<std::cell::RefCell<Option<OpenGrpcStream<Report>>>>,
/// }
///
/// #[proxy_filter::context]
/// impl Context for Reporting {
///     fn on_request_headers(
///         &mut self,
///         request: &mut RequestHeaders,
///         _end_of_stream: bool,
///     ) -> Result<FilterHeadersStatus> {
///         if let Some(reports) = &*self.reports.borrow() {
///             reports.send(&Report { path: request.path()?.unwrap_or_default().to_string() })?;
///         }
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # }
/// # fn main() {}
/// ```
///
/// A stream has no timeout. To limit its time, drop the handle in the completion of a
/// [`Timer`](crate::Timer).
///
/// Source: context API, "gRPC Stream API"; ABI 0.2.1, `proxy_grpc_stream`; Envoy 1.40,
/// `Context::grpcStream`.
#[doc(alias = "proxy_grpc_stream")]
#[doc(alias = "grpcStreamHandler")]
#[doc(alias = "open_grpc_stream")]
#[must_use = "a gRPC stream does nothing unless it is opened"]
pub struct GrpcStream<Sent, Received>(Box<Request>, PhantomData<fn(Sent) -> Received>);

impl<Sent, Received> GrpcStream<Sent, Received> {
    /// Creates a stream of `method` of `service` (`pkg.Service`) in the cluster.
    ///
    /// If a name is empty or not visible ASCII, opening the stream fails with an error.
    pub fn new(cluster: impl AsRef<[u8]>, service: impl AsRef<[u8]>, method: impl AsRef<[u8]>) -> Self {
        Self(Box::new(Request::new(cluster.as_ref(), service.as_ref(), method.as_ref())), PhantomData)
    }

    /// Adds metadata, which is sent when the stream is opened, like
    /// [`GrpcCall::metadata`](crate::GrpcCall::metadata).
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.field(name.as_ref(), value.as_ref());
        self
    }

    /// Asks the host to open the stream.
    ///
    /// If the stream fails at once, Envoy makes reentrant calls for its first events during this
    /// host function, with a number that it has not returned yet, and then returns an error. The
    /// error is the only result that is reported.
    pub(crate) fn start(mut self) -> Result<Rc<Life>, GrpcError> {
        let metadata = self.0.check()?;
        let Request { upstream, service, method, .. } = &*self.0;
        sys::proxy_grpc_stream(upstream, service, method, &metadata)
            .map(Life::new)
            .map_err(|status| GrpcError::not_started("proxy_grpc_stream", status))
    }
}

impl<Sent, Received> Clone for GrpcStream<Sent, Received> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<Sent, Received> fmt::Debug for GrpcStream<Sent, Received> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An event of a gRPC stream.
///
/// The order is: initial metadata, messages, trailing metadata, the end. Envoy reports initial and
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
    /// The stream has ended, with the status OK or for this reason. It is the last event, and comes
    /// once. If the filter cancelled the stream, it does not come.
    Closed(Result<(), GrpcError>),
}

/// An open [`GrpcStream`]: the filter's side. Dropping it cancels the stream.
///
/// It can be used in any callback of the module, also of other contexts than the one that opened
/// it.
#[must_use = "dropping it cancels the stream"]
pub struct OpenGrpcStream<Sent> {
    life: Rc<Life>,
    sent: PhantomData<fn(Sent)>,
}

impl<Sent> OpenGrpcStream<Sent> {
    pub(crate) fn new(life: Rc<Life>) -> Self {
        Self { life, sent: PhantomData }
    }

    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// Sends a message.
    ///
    /// ```
    /// # use proxy_filter::{GrpcBytes, OpenGrpcStream, Result};
    /// fn last(stream: &OpenGrpcStream<GrpcBytes>) -> Result<()> {
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

    /// Ends the filter's side: there are no more messages to send. Messages of the service still
    /// arrive. A second call, or a call after the end of the stream, has no effect.
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

impl<Sent> fmt::Debug for OpenGrpcStream<Sent> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenGrpcStream").field("is_over", &self.is_over()).finish_non_exhaustive()
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
    fn new(token: u32) -> Rc<Self> {
        Rc::new(Self { token, over: Cell::new(false), closed: Cell::new(false) })
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Records that the host has reported the end. The host still knows the stream until the
    /// filter's side has ended too.
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
