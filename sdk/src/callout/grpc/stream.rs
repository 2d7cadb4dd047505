use crate::callout::grpc::connected::{GrpcDuplex, Inbox};
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
use crate::callout::grpc::messages;
use crate::callout::grpc::open::{GrpcEvent, GrpcSender, Life};
use crate::callout::grpc::request::Request;
use crate::callout::grpc::streams::{Handler, wait};
use crate::callout::registry::NOBODY;
use crate::current;
use crate::engine::callbacks::Declares;
use crate::engine::declared::{self, not_exported};
use crate::engine::point::Points;
use crate::error::Result;
use crate::sys;
use core::any::Any;
use core::fmt;
use core::marker::PhantomData;
use std::rc::Rc;

/// A gRPC stream with any number of messages in both directions, which the host makes for the
/// filter. `Sent` is the type of the filter's messages, `Received` that of the service's. It also
/// works for methods that stream in one direction.
///
/// A filter can use it in three ways:
///
/// * [`open`](Self::open) takes a handler for events, and returns a handle to send messages.
/// * [`connect_in`](Self::connect_in) opens a stream whose messages are received one by one. Each
///   receive can pause a part of an HTTP stream.
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
/// use proxy_filter::grpc::{GrpcEvent, GrpcSender, GrpcStream};
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
///     reports: std::rc::Rc<std::cell::RefCell<Option<GrpcSender<Report>>>>,
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
///     reports: std::rc::Rc<std::cell::RefCell<Option<GrpcSender<Report>>>>,
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
/// [`Timer`](crate::timer::Timer).
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
    /// [`GrpcCall::metadata`](crate::grpc::GrpcCall::metadata).
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.field(name.as_ref(), value.as_ref());
        self
    }

    /// Opens the stream in the host.
    ///
    /// If the stream fails at once, Envoy makes reentrant calls for its first events during this
    /// host function. These calls use a number that the function has not returned yet. The function
    /// then returns an error, which is the only result that the SDK reports.
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

impl<Sent: 'static, Received: GrpcMessage> GrpcStream<Sent, Received> {
    /// Opens the stream. `on_event` runs for every event of the stream, in this context (`context`
    /// is `self` of the callback).
    ///
    /// May be called in any callback of a stream or a root context. The handler has the context,
    /// but no handle of the HTTP stream. To pause a part of the HTTP stream, use
    /// [`connect_in`](Self::connect_in). An `Err` of the handler is logged, and the gRPC stream
    /// continues.
    ///
    /// # Errors
    /// Fails if the stream cannot be opened; the handler is then dropped and gets no event. If the
    /// host cannot reach the service later, this method succeeds and the handler gets
    /// [`Closed`](GrpcEvent::Closed).
    pub fn open<C: Declares<Self>>(
        self,
        context: &mut C,
        mut on_event: impl FnMut(&mut C, GrpcEvent<'_, Received>) -> Result<()> + 'static,
    ) -> Result<GrpcSender<Sent>, GrpcError> {
        let _ = context;
        self.handle(current::context_id(), move |context, event| match context.downcast_mut() {
            Some(context) => on_event(context, event),
            // The token was another context's: a host that uses one twice.
            None => Ok(()),
        })
    }

    /// Opens the stream in a filter that is one async function, which awaits the messages.
    ///
    /// # Errors
    /// Fails as [`open`](Self::open) does, or if the filter is not an async function.
    pub fn connect(self) -> Result<GrpcDuplex<Sent, Received>, GrpcError> {
        if !declared::is_declared(Points::GRPC_STREAMS) {
            return Err(GrpcError::Refused(declared::undeclared(not_exported!("grpc_streams"))));
        }
        self.collect()
    }

    /// Opens the stream in a filter of callbacks that receives one message at a time.
    /// [`receive`](GrpcDuplex::receive) can pause a part of an HTTP stream until a message arrives.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there.
    ///
    /// # Errors
    /// Why the stream cannot be opened: as [`open`](Self::open).
    pub fn connect_in<C: Declares<Self>>(self, context: &mut C) -> Result<GrpcDuplex<Sent, Received>, GrpcError> {
        let _ = context;
        self.collect()
    }

    /// Opens a stream whose messages are buffered until they are received.
    fn collect(self) -> Result<GrpcDuplex<Sent, Received>, GrpcError> {
        let inbox = Inbox::new();
        let own = Rc::clone(&inbox);
        // The handle owns the stream: the context that opened it may be deleted earlier.
        let open = self.handle(NOBODY, move |_, event| {
            own.take(event);
            messages::arrived(&own);
            Ok(())
        })?;
        Ok(GrpcDuplex::new(open, inbox))
    }

    /// Opens the stream for a context, or without an owner.
    fn handle(
        self,
        owner: u32,
        mut on_event: impl FnMut(&mut dyn Any, GrpcEvent<'_, Received>) -> Result<()> + 'static,
    ) -> Result<GrpcSender<Sent>, GrpcError> {
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
        Ok(GrpcSender::new(life))
    }
}
