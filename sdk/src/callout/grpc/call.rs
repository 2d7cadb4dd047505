use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::grpc::request::Request;
use crate::callout::http::{DEFAULT_TIMEOUT, milliseconds};
use crate::callout::start;
use crate::engine::callbacks::Declares;
use crate::sys;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

/// A gRPC call with one message in each direction ("unary"), which the host makes for the filter.
/// `Reply` is the type of the response.
///
/// A filter can use it in three ways, as an [`HttpCall`](crate::callout::HttpCall):
///
/// * **Pause the message**:
///   [`request.pause_for(self, call, |stream, request, answer|
///   …)`](crate::RequestHeaders::pause_for),
///   and the same for the response, bodies and trailers.
/// * **Send it, and continue**: [`call.send(self, |context, answer| …)`](Self::send).
/// * **Await it**, in a filter that is one async function: `call.await?`. Dropping the future
///   cancels the call.
///
/// The result is the decoded message, or a [`GrpcError`]. The completion runs at most once: if the
/// call cannot be made, it runs at once with the reason; if the stream ends first, the call is
/// cancelled and it does not run.
///
/// It needs the feature `grpc`. The attribute of the context must name it:
/// `#[proxy_filter::context(grpc_calls)]`, or `#[proxy_filter::root(grpc_calls)]` for the root
/// context. The module then exports `proxy_on_grpc_receive` and `proxy_on_grpc_close`. Without the
/// argument, the call does not compile.
///
/// ```
/// # mod authorize {
/// use proxy_filter::prelude::*;
/// use std::time::Duration;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct CheckRequest {
///     #[prost(bytes = "vec", tag = "1")]
///     token: Vec<u8>,
/// }
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct CheckReply {
///     #[prost(string, tag = "1")]
///     user: String,
/// }
///
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root] impl RootContext for Root { type Context = Authorize; fn new_context(&self) -> Authorize { Authorize } }
/// struct Authorize;
///
/// #[proxy_filter::context(grpc_calls)]
/// impl Context for Authorize {
///     fn on_request_headers(
///         &mut self,
///         request: &mut RequestHeaders,
///         _end_of_stream: bool,
///     ) -> Result<FilterHeadersStatus> {
///         let token = request.get("authorization")?.unwrap_or_default().to_vec();
///         let call = GrpcCall::<CheckReply>::new(
///             "authz",
///             "auth.Authz",
///             "Check",
///             &CheckRequest { token },
///         )
///         .timeout(Duration::from_millis(200));
///         request.pause_for(self, call, |_, request, answer| match answer {
///             Ok(reply) => {
///                 request.replace("x-user", reply.user)?;
///                 Ok(FilterHeadersStatus::Continue)
///             }
///             Err(GrpcError::Status(_)) => request.reply(LocalReply::new(403)),
///             Err(GrpcError::Outage(why)) => {
///                 request.reply(LocalReply::new(503).details(why.to_string()))
///             }
///             Err(error @ (GrpcError::Refused(_) | GrpcError::Malformed(_))) => Err(error.into()),
///         })
///     }
/// }
/// # }
/// # fn main() {}
/// ```
///
/// Envoy does not pass the metadata of the response. If the filter needs it, open a
/// [`GrpcStream`](crate::grpc::GrpcStream), send one message and close it. The service sees no
/// difference.
///
/// The cluster must use HTTP/2, in Envoy's configuration:
/// `explicit_http_config: { http2_protocol_options: {} }`.
///
/// Source: context API, "gRPC Call API"; ABI 0.2.1, `proxy_grpc_call`; Envoy 1.40,
/// `Context::grpcCall`.
#[doc(alias = "proxy_grpc_call")]
#[doc(alias = "grpcSimpleCall")]
#[doc(alias = "dispatch_grpc_call")]
#[must_use = "a callout does nothing unless it is sent, awaited or paused for"]
pub struct GrpcCall<Reply>(Box<Inner>, PhantomData<fn() -> Reply>);

#[derive(Clone, Debug)]
struct Inner {
    request: Request,
    message: Vec<u8>,
    timeout: u32,
}

impl<Reply> GrpcCall<Reply> {
    /// Creates a call of `method` of `service` (`pkg.Service`) in the cluster, with this message.
    ///
    /// If a name is empty or not visible ASCII, the call fails with an error when it is made.
    pub fn new<M: GrpcMessage>(
        cluster: impl AsRef<[u8]>,
        service: impl AsRef<[u8]>,
        method: impl AsRef<[u8]>,
        message: &M,
    ) -> Self {
        let request = Request::new(cluster.as_ref(), service.as_ref(), method.as_ref());
        Self(Box::new(Inner { request, message: message.to_wire(), timeout: DEFAULT_TIMEOUT }), PhantomData)
    }

    /// Adds metadata. Call it again with the same name to add a second value.
    ///
    /// If a name ends in `-bin`, the value may have any bytes: pass them unencoded, Envoy encodes
    /// them as base64. The call fails when it is made if it has more than 1,024 fields, or if a
    /// field is one of these:
    ///
    /// * not valid HTTP ([`HeaderMap`](crate::HeaderMap#what-may-be-written) has the rules);
    /// * one that gRPC uses itself (`:path`, `grpc-timeout`, `te`, `content-type`);
    /// * one that [`HttpCall::header`](crate::callout::HttpCall::header) refuses.
    ///
    /// Envoy adds its own fields, which begin with `x-envoy-`.
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.request.field(name.as_ref(), value.as_ref());
        self
    }

    /// Sets the maximum time for the response: more than 0, at most `i32::MAX` milliseconds (24
    /// days), default 5 seconds. It is rounded up to milliseconds. With another value, the call
    /// fails when it is made; for hosts, 0 would mean that the time has already elapsed.
    ///
    /// The server receives the timeout as `grpc-timeout`. Either side may end the call: Envoy with
    /// [`GrpcOutage::Timeout`](crate::grpc::GrpcOutage::Timeout), a server with the status
    /// [`DEADLINE_EXCEEDED`](crate::grpc::GrpcCode::DEADLINE_EXCEEDED). [`GrpcError::code`] returns
    /// that code for both.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        match milliseconds(timeout) {
            Some(timeout) => self.0.timeout = timeout,
            None => self.0.request.refuse(
                "the timeout of a gRPC call must be longer than 0 and at most 2147483647 milliseconds, 24 days",
            ),
        }
        self
    }

    /// Makes the call, and returns the number that identifies it in the host's callbacks.
    pub(crate) fn start(self) -> Result<u32, GrpcError> {
        self.0.start()
    }
}

impl Inner {
    #[inline(never)]
    fn start(mut self) -> Result<u32, GrpcError> {
        let metadata = self.request.check()?;
        let Request { upstream, service, method, .. } = &self.request;
        sys::proxy_grpc_call(upstream, service, method, &metadata, &self.message, self.timeout)
            .map_err(|status| GrpcError::not_started("proxy_grpc_call", status))
    }
}

impl<Reply> Clone for GrpcCall<Reply> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<Reply> fmt::Debug for GrpcCall<Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<Reply: GrpcMessage> GrpcCall<Reply> {
    /// Sends the call and returns without pausing the stream. `then` runs when the call completes,
    /// or at once if the call cannot be made. If the context is deleted first, the call is
    /// cancelled and `then` does not run.
    ///
    /// May be called in any callback of a stream or a root context. `context` is `self` of the
    /// callback. The completion has no handle of the stream, because the state of the stream is not
    /// known then. To get a handle, use [`pause_for`](crate::RequestHeaders::pause_for).
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use proxy_filter::grpc::GrpcBytes;
    /// # #[derive(Default)] struct Root { keys: Vec<u8> }
    /// # #[proxy_filter::root(grpc_calls)] impl RootContext for Root { type Context = Stream; fn new_context(&self) -> Stream { Stream }
    /// fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///     let call = GrpcCall::<GrpcBytes>::new("keys", "keys.Keys", "Current", &GrpcBytes::default());
    ///     call.send(self, |root, answer| {
    ///         root.keys = answer?.0;
    ///         Ok(())
    ///     })
    /// }
    /// # }
    /// # struct Stream;
    /// # #[proxy_filter::context] impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// Fails with the error of `then` when `then` runs at once. An `Err` that `then` returns later
    /// is only logged.
    pub fn send<C, F>(self, context: &mut C, then: F) -> crate::error::Result<()>
    where
        C: Declares<Self>,
        F: FnOnce(&mut C, Result<Reply, GrpcError>) -> crate::error::Result<()> + 'static,
    {
        start::send(context, self, then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::grpc::message::GrpcBytes;
    use crate::error::kind::ErrorKind;

    fn call() -> GrpcCall<GrpcBytes> {
        GrpcCall::new("c", "pkg.Service", "Method", &GrpcBytes::default())
    }

    fn refusal(call: GrpcCall<GrpcBytes>) -> ErrorKind {
        match call.start() {
            Err(GrpcError::Refused(error)) => error.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_with_an_invalid_part_is_not_made() {
        let to = |cluster, service, method| GrpcCall::new(cluster, service, method, &GrpcBytes::default());
        for call in [
            to("", "pkg.Service", "Method"),
            to("c", "", "Method"),
            to("c", "pkg.Service", ""),
            to("c", "pkg.Service", "Method/Other"),
            to("c", "pkg.Service", "Method?a"),
            to("c", "pkg.Service", "Me thod"),
            to("c", "pkg.Service\r\nx: y", "Method"),
            call().metadata("", "x"),
            call().metadata("x\n", "x"),
            call().metadata("x", "a\r\nb: c"),
            call().metadata(":path", "/other"),
            call().metadata("TE", "gzip"),
            call().metadata("Content-Type", "text/plain"),
            call().metadata("grpc-timeout", "1n"),
            call().metadata("x y", "1"),
            call().metadata("host", "other"),
            call().metadata("content-length", "4"),
            call().metadata("x-envoy-upstream-rq-timeout-ms", "1"),
            call().timeout(Duration::ZERO),
            call().timeout(Duration::MAX),
        ] {
            assert_eq!(refusal(call), ErrorKind::InvalidInput);
        }
        assert_eq!(refusal((0..1025).fold(call(), |call, _| call.metadata("x", "y"))), ErrorKind::TooLarge);
    }

    #[test]
    fn binary_metadata_may_have_any_bytes() {
        assert_eq!(refusal(call().metadata("x-bin", b"\r\n\0\xff")), ErrorKind::Unimplemented, "no host is installed");
    }
}
