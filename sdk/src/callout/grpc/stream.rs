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

/// A gRPC stream: any number of messages in both directions, made by the host on behalf of the
/// filter. `Sent` are the messages of the filter, `Received` those of the service. It does for
/// methods with a stream in one direction too.
///
/// [`open`](Self::open) takes the handler of what comes, and returns a handle to send with.
/// [`connect_in`](Self::connect_in) opens a stream whose messages are taken one by one, each of
/// which can hold a part of an HTTP stream; in a filter that is one async function,
/// [`connect`](Self::connect) opens one whose messages are awaited. A stream belongs to the context
/// that opened it; it is cancelled when the handle is dropped or the context is gone, whichever
/// comes first.
///
/// It needs the feature `grpc`. The context says in its attribute that it has streams:
/// `#[proxy_filter::context(grpc_streams)]`, or `#[proxy_filter::root(grpc_streams)]` for the root
/// context. That makes the module export the four callbacks of a gRPC stream; without it, `open`
/// does not compile.
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
/// A stream has no timeout of its own: a [`Timer`](crate::Timer) that drops the handle is one.
///
/// Source: context API, "gRPC Stream API"; ABI 0.2.1, `proxy_grpc_stream`; Envoy 1.40,
/// `Context::grpcStream`.
#[doc(alias = "proxy_grpc_stream")]
#[doc(alias = "grpcStreamHandler")]
#[doc(alias = "open_grpc_stream")]
#[must_use = "a gRPC stream does nothing unless it is opened"]
pub struct GrpcStream<Sent, Received>(Box<Request>, PhantomData<fn(Sent) -> Received>);

impl<Sent, Received> GrpcStream<Sent, Received> {
    /// A stream of a method: of the service `pkg.Service` that the cluster has, the method
    /// `Method`.
    ///
    /// An empty name, and one that is not visible ASCII, are errors when the stream is opened.
    pub fn new(cluster: impl AsRef<[u8]>, service: impl AsRef<[u8]>, method: impl AsRef<[u8]>) -> Self {
        Self(Box::new(Request::new(cluster.as_ref(), service.as_ref(), method.as_ref())), PhantomData)
    }

    /// Adds metadata, which goes with the opening of the stream; as
    /// [`GrpcCall::metadata`](crate::GrpcCall::metadata).
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.field(name.as_ref(), value.as_ref());
        self
    }

    /// Asks the host to open it.
    ///
    /// Of a stream that fails at once, Envoy tells the first events inside of this very host
    /// function, with a number that nobody has been given, and refuses then: the refusal is all
    /// there is to say.
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

/// Something came on a gRPC stream.
///
/// The order is: initial metadata, messages, trailing metadata, the end. Envoy tells initial and
/// trailing metadata of every stream, empty if the service sent none: of an answer that is only a
/// status, everything is in the trailing metadata.
#[derive(Debug)]
pub enum GrpcEvent<'a, Received> {
    /// The service has opened its half.
    InitialMetadata(&'a GrpcMetadata),
    /// A message.
    Message(Received),
    /// The service has ended its half.
    TrailingMetadata(&'a GrpcMetadata),
    /// The stream has ended, with the status OK or for this reason. Nothing comes after it, and it
    /// comes once; not at all if the filter cancelled the stream.
    Closed(Result<(), GrpcError>),
}

/// An open [`GrpcStream`]: the filter's half. Dropping it cancels the stream.
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
    /// [`Callout`](ErrorKind::Callout) if the stream has ended, or this half of it has been closed:
    /// hosts would drop the message and say nothing. Otherwise a refusal of the host.
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

    /// Ends the filter's half: there are no more messages to send. What the service still sends
    /// goes on coming. Again, or after the end, it does nothing.
    ///
    /// # Errors
    /// A refusal of the host.
    #[doc(alias = "proxy_grpc_close")]
    #[doc(alias = "half-close")]
    pub fn close(&self) -> Result<()> {
        if self.life.over.get() || self.life.closed.replace(true) {
            return Ok(());
        }
        sys::proxy_grpc_close(self.life.token).map_err(|status| Error::host("proxy_grpc_close", status))
    }

    /// Ends the stream; the same as dropping the handle. The handler is dropped, and hears nothing
    /// more.
    #[doc(alias = "proxy_grpc_cancel")]
    pub fn cancel(self) {}

    /// Whether the stream has ended: its handler was told so, or its context is gone.
    pub fn is_over(&self) -> bool {
        self.life.over.get()
    }
}

impl<Sent> fmt::Debug for OpenGrpcStream<Sent> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenGrpcStream").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

/// How far a stream is; its handle and its handler share it.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) token: u32,
    /// Nothing comes any more.
    over: Cell<bool>,
    /// The filter's half has ended.
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

    /// The host has told the end. It goes on knowing the stream until this half has ended too.
    #[inline]
    pub(crate) fn end(&self) {
        if !self.over.replace(true) && !self.closed.replace(true) {
            let _ = sys::proxy_grpc_close(self.token);
        }
    }

    /// Nobody wants to hear of the stream any more.
    #[inline]
    pub(crate) fn cancel(&self) {
        if !self.over.replace(true) {
            let _ = sys::proxy_grpc_cancel(self.token);
        }
    }
}
