//! [`Exchange`]: a request and its response, for a filter that is one async function.

#[cfg(feature = "futures")]
pub(crate) mod chunks;
pub(crate) mod deadline;
pub(crate) mod gate;
pub(crate) mod held;
pub(crate) mod message;
pub(crate) mod policy;
pub(crate) mod spawner;
pub(crate) mod stage;
pub(crate) mod task;

use crate::engine::message_state::{Facts, MessageState};
use crate::error::Result;
use crate::error::denial::Denial;
use crate::error::local_reply::LocalReply;
#[cfg(doc)]
use crate::error::{Error, kind::ErrorKind};
use crate::fields::header_map::ContentLength;
use crate::http::body::{Edits, RequestBody, ResponseBody};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::http::log_context::LogContext;
use core::future::poll_fn;
use std::rc::Rc;

pub(crate) use crate::engine::point::Point;
#[cfg(feature = "futures")]
pub use crate::exchange::chunks::Chunks;
pub use crate::exchange::held::HeldBody;
use crate::exchange::message::{handle, message};
use crate::exchange::stage::{StageHandle, early};

/// A request and its response, in a filter that is one async function.
///
/// The function awaits the parts of both messages in their order. Awaiting a part forwards
/// everything before it; using a handle after its part was forwarded is a compile error. Awaiting
/// anything else, such as an [`HttpCall`](crate::callout::HttpCall) or a
/// [`Timer`](crate::timer::Timer), pauses the stream. When the function returns `Ok`, the rest of
/// the stream is forwarded; if it returns an `Err`, the failure policy decides. If the stream ends
/// earlier, the future is dropped at its current await point.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[proxy_filter::filter]
/// async fn authorize(mut exchange: Exchange) -> Result<()> {
///     let request = exchange.request_headers().await?;
///     let started = request.get("x-request-start")?;
///     let answer = HttpCall::get("authz", "/check").header("x-path", request.path()?.unwrap_or_default()).await;
///     match answer {
///         Ok(answer) if answer.status() == 200 => request.replace("x-user", answer.header("x-user")?.unwrap_or_default())?,
///         Ok(_) => return exchange.reply(LocalReply::new(403)),
///         Err(CalloutError::Outage(why)) => return exchange.reply(LocalReply::new(503).details(why.to_string())),
///         Err(CalloutError::Refused(error)) => return Err(error),
///     }
///     let response = exchange.response_headers().await?; // from here on, `request` cannot be used
///     response.add("x-started", started.unwrap_or_default())
/// }
/// # fn main() {}
/// ```
///
/// `T` is the type of the plugin's configuration, read as JSON with serde (feature `json`).
/// [`config`](Self::config) returns it.
///
/// # Chunks of bodies
///
/// [`request_body`](Self::request_body) returns the whole body, up to a limit.
/// [`request_chunk`](Self::request_chunk) returns one chunk after the other; awaiting the next
/// chunk forwards the previous one. After the last chunk, bytes can be appended at
/// [`request_body_end`](Self::request_body_end). An edit that changes the length of a body
/// requires, as always, that `content-length` was removed from the headers.
///
/// # Streams that wait for each other
///
/// Channels, locks and shared futures work between streams and the root task: store them in the
/// configuration, for example. A future that they wake is polled soon afterwards in a callback of
/// the root context: the next response of a callout, or a tick.
///
/// The futures of the exchange itself register no waker, and are polled with the function. Use
/// `join` or `select` for them. Do not put them into a set that polls only futures that were woken,
/// such as `FuturesUnordered` or `join_all` of more than 30. Calls, timers and gRPC streams work in
/// any set.
///
/// # Early responses
///
/// "The end" of a body is reported only at the end of the stream of its message. A response may
/// begin before that: Envoy answers a body above its limit with 413, and an upstream may refuse a
/// request that it has not read. Then the awaited part of the request fails with
/// [`EarlyResponse`](ErrorKind::EarlyResponse).
///
/// * If the function returns that error, with `?` for example, the client gets the response
///   unchanged. This is no failure of the filter: it is logged at debug level.
/// * A function that matches the error may go on to the response, as always.
///
/// Either way, what still comes of the request is not forwarded under the closed failure policy,
/// because the function wanted to see it: Envoy drops it, and ends the stream with the end of the
/// response. Under the open policy it is forwarded unseen.
/// [`forward_request`](Self::forward_request) forwards it under both. A function that awaits
/// nothing more of the request, or has returned `Ok`, does not get the error: the rest is
/// forwarded. Neither does a function that names no part of the response: it reads the request to
/// its end, whatever the upstream responds meanwhile.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// /// No upload passes unseen, even if the upstream responds in the middle of it.
/// #[proxy_filter::filter]
/// async fn scan(mut exchange: Exchange) -> Result<()> {
///     while let Some(chunk) = exchange.request_chunk().await? {
///         if chunk.to_bytes()?.contains(&0) {
///             return exchange.reply(LocalReply::new(403));
///         }
///     }
///     exchange.response_headers().await?.add("x-scanned", "1") // the whole body
/// }
/// # fn main() {}
/// ```
///
/// Calls in both directions at once, such as those of gRPC streams, begin their response early by
/// design: await nothing of their requests but the headers, or write a [`Context`](crate::Context),
/// whose callbacks see both directions.
///
/// # Upgrades
///
/// A WebSocket upgrade, or `CONNECT`, has no body:
/// [`request_headers_with_body`](Self::request_headers_with_body) gives its headers at once, with
/// an empty body. Its response, status 101, begins before the request has ended. So a function that
/// awaits more of the request gets [`EarlyResponse`](ErrorKind::EarlyResponse), and under the
/// closed policy the client's messages are dropped. To forward them unseen, look for `upgrade`
/// among the headers and return, or reply to refuse it. The bytes of the other direction are chunks
/// of the response. They have no end: Envoy resets the stream when the connection closes, so that
/// [`response_chunk`](Self::response_chunk) never returns `None`. (Over HTTP/2, and if Envoy itself
/// terminates a `CONNECT` request, a tunnel ends like any other message.)
///
/// A tunnel has no whole response: [`response_body`](Self::response_body) and
/// [`response_headers_with_body`](Self::response_headers_with_body) fail with
/// [`Tunnel`](ErrorKind::Tunnel) as soon as the upstream has agreed. So a filter that reads whole
/// bodies refuses tunnels under the closed policy, with 403 or a reset, and forwards them unseen
/// under the open policy. To forward them, look at the request and return before:
///
/// ```
/// use proxy_filter::prelude::*;
///
/// /// Edits whole bodies, and forwards tunnels.
/// #[proxy_filter::filter]
/// async fn edit(mut exchange: Exchange) -> Result<()> {
///     let request = exchange.request_headers().await?;
///     if request.get("upgrade")?.is_some() || request.method()?.is_some_and(|method| method == "CONNECT") {
///         return Ok(());
///     }
///     exchange.response_headers().await?.remove("content-length")?;
///     exchange.response_body(64 * 1024).await?.append(b"\n")
/// }
/// # fn main() {}
/// ```
///
/// # Errors
/// Every part that is awaited may fail with [`WrongPhase`](ErrorKind::WrongPhase): it
/// was forwarded already, or a future that a [`Spawner`](crate::future::Spawner) runs awaits it.
///
/// Every part of a request may fail with [`EarlyResponse`](ErrorKind::EarlyResponse).
pub struct Exchange<T = ()> {
    config: Rc<T>,
    stage: StageHandle,
    part: Part,
}

/// It has no state: handles of maps that can only be read.
const LOG: &LogContext = &LogContext::new();

/// The last handle that was returned. There is at most one, and an exchange is moved into its
/// future, so it should be small.
enum Part {
    None,
    RequestHeaders(RequestHeaders),
    RequestBody(RequestBody),
    RequestTrailers(RequestTrailers),
    ResponseHeaders(ResponseHeaders),
    ResponseBody(ResponseBody),
    ResponseTrailers(ResponseTrailers),
    HeldRequest(RequestHeaders, RequestBody),
    HeldResponse(ResponseHeaders, ResponseBody),
}

impl<T> Exchange<T> {
    pub(crate) fn new(config: Rc<T>, stage: StageHandle) -> Self {
        Self { config, stage, part: Part::None }
    }

    /// Called before another handle replaces this one.
    fn note_lengths(&self) {
        match &self.part {
            Part::RequestHeaders(headers) | Part::HeldRequest(headers, _) => {
                self.stage.note_length(Point::RequestHeaders, headers.content_length());
            }
            Part::ResponseHeaders(headers) | Part::HeldResponse(headers, _) => {
                self.stage.note_length(Point::ResponseHeaders, headers.content_length());
            }
            _ => {}
        }
    }

    /// Returns the plugin's configuration, which all streams share.
    ///
    /// The value is a reference of its own, not a borrow of the exchange. So take it before the
    /// first part is awaited, and use it for as long as the function runs:
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Config {
    ///     value: String,
    /// }
    ///
    /// #[proxy_filter::filter]
    /// async fn stamp(mut exchange: Exchange<Config>) -> Result<()> {
    ///     let config = exchange.config();
    ///     let request = exchange.request_headers().await?;
    ///     request.replace("x-stamp", &config.value)
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// A stream keeps the configuration with which it began, also if the plugin is configured again
    /// meanwhile.
    #[must_use]
    pub fn config(&self) -> Rc<T> {
        Rc::clone(&self.config)
    }

    message! {
        /// Returns the request's headers.
        request_headers: RequestHeaders, RequestHeaders;
        /// Returns the request's headers together with its whole body. The headers are paused until
        /// the body is complete, so they can be edited according to the body. A request without a
        /// body has an empty one, which cannot be edited.
        ///
        /// Only [`request_headers`](Self::request_headers) may be awaited before. An edit that
        /// changes the length of the body removes `content-length` from the headers.
        ///
        /// **Envoy** passes the body only if the plugin's configuration has
        /// `allow_on_headers_stop_iteration: true` (1.35 and later). Before 1.40, a filter with
        /// this setting that buffers data after it has forwarded some loses bytes of the body
        /// (according to Envoy's changelog; not tested here).
        ///
        /// ```
        /// use proxy_filter::prelude::*;
        ///
        /// /// Says in a header how long the body is.
        /// #[proxy_filter::filter]
        /// async fn measure(mut exchange: Exchange) -> Result<()> {
        ///     let (request, body) = exchange.request_headers_with_body(64 * 1024).await?;
        ///     request.replace("x-length", body.len().to_string())
        /// }
        /// # fn main() {}
        /// ```
        ///
        /// # Errors
        /// [`WrongPhase`](ErrorKind::WrongPhase) without that setting. The SDK detects
        /// this when the first bytes of the body have arrived and Envoy has not passed them after
        /// one second. (If a filter before this one keeps the first bytes for longer, the error is
        /// the same.) [`Timeout`](ErrorKind::Timeout) if no byte of the body has arrived for half a
        /// minute, unless this host has passed bodies in this way before.
        /// [`TooLarge`](ErrorKind::TooLarge) if the body has more than `limit` bytes.
        /// [`Malformed`](ErrorKind::Malformed), with the status 400, if an upgrade announces a body
        /// with `content-length`: an upstream that declines the upgrade would read that body.
        request_headers_with_body: HeldRequest;
        /// Returns the request's whole body once it is complete. The headers are forwarded before.
        /// A request without a body has an empty one, which cannot be edited. After a chunk was
        /// forwarded, the whole body is not available any more.
        ///
        /// Envoy buffers up to the listener's `per_connection_buffer_limit_bytes`, and responds
        /// with 413 to a larger body.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if the body has more than `limit` bytes.
        request_body,
        /// Returns the next chunk of the request's body, or `None` when the request has ended. It
        /// forwards the previous chunk.
        ///
        /// If a chunk arrived while an earlier one was paused, because the filter awaited something
        /// else, it can be read but not edited.
        request_chunk,
        /// Returns the chunks of the request's body as a stream of the crate `futures`. They are
        /// copies, which cannot be edited. Polling for the next chunk forwards the previous one;
        /// the body is paused while the stream is not polled.
        ///
        /// With the feature `futures`.
        ///
        /// ```
        /// use futures::{StreamExt as _, TryStreamExt as _};
        /// use proxy_filter::prelude::*;
        ///
        /// /// Tells a service of each piece: four at a time.
        /// #[proxy_filter::filter]
        /// async fn mirror(mut exchange: Exchange) -> Result<()> {
        ///     let tell = async |piece| HttpCall::post("mirror", "/").body(piece).await;
        ///     exchange.request_chunks().map_ok(tell).try_for_each_concurrent(4, async |told| Ok(drop(told.await?))).await
        /// }
        /// # fn main() {}
        /// ```
        request_chunks,
        /// Returns the end of the request's body, after [`request_chunk`](Self::request_chunk) has
        /// returned `None`. Bytes that are appended here become the last ones of the body.
        ///
        /// If the body ended with trailers, it was already forwarded: nothing can be appended to
        /// it.
        ///
        /// # Errors
        /// [`WrongPhase`](ErrorKind::WrongPhase) if more of the body may arrive, or if
        /// some of it was forwarded unseen. [`EarlyResponse`](ErrorKind::EarlyResponse) if the
        /// response began before the body ended.
        request_body_end: RequestBody, RequestBody;
        /// Returns the request's trailers, or `None` if the request has ended without trailers. The
        /// body is forwarded unseen.
        request_trailers: RequestTrailers, RequestTrailers
    }

    message! {
        /// Returns the response's headers: the upstream's, another filter's, or Envoy's own.
        response_headers: ResponseHeaders, ResponseHeaders;
        /// Returns the response's headers together with its whole body, like
        /// [`request_headers_with_body`](Self::request_headers_with_body). Nothing of the response
        /// was sent to the client: a [`reply`](Self::reply) replaces it.
        ///
        /// # Errors
        /// The same, and [`Tunnel`](ErrorKind::Tunnel) if the response makes the connection a
        /// [tunnel](Self#upgrades). For a response, Envoy does not report which bytes have arrived,
        /// so the [`Timeout`](ErrorKind::Timeout) comes after five seconds.
        response_headers_with_body: HeldResponse;
        /// Returns the response's whole body once it is complete, like
        /// [`request_body`](Self::request_body). The headers are sent to the client before: a later
        /// reply resets the stream.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if the body has more than `limit` bytes.
        /// [`Tunnel`](ErrorKind::Tunnel) if the response makes the connection a
        /// [tunnel](Self#upgrades).
        response_body,
        /// Returns the next chunk of the response's body, or `None` at its end, like
        /// [`request_chunk`](Self::request_chunk).
        response_chunk,
        /// Returns the chunks of the response's body as a stream of the crate `futures`, like
        /// [`request_chunks`](Self::request_chunks).
        response_chunks,
        /// Returns the end of the response's body, after [`response_chunk`](Self::response_chunk)
        /// has returned `None`. Bytes that are appended here become the last ones of the body, as
        /// at [`request_body_end`](Self::request_body_end).
        ///
        /// ```
        /// # use proxy_filter::prelude::*;
        /// #[proxy_filter::filter]
        /// async fn sum(mut exchange: Exchange) -> Result<()> {
        ///     exchange.response_headers().await?.remove("content-length")?;
        ///     let mut sum = 0u32;
        ///     while let Some(chunk) = exchange.response_chunk().await? {
        ///         sum = chunk.to_bytes()?.into_iter().fold(sum, |sum, byte| sum.wrapping_add(byte.into()));
        ///     }
        ///     exchange.response_body_end()?.append(format!("\nsum: {sum}\n"))
        /// }
        /// # fn main() {}
        /// ```
        response_body_end: ResponseBody, ResponseBody;
        /// Returns the response's trailers, or `None` if the response has ended without trailers.
        /// The body is forwarded unseen.
        response_trailers: ResponseTrailers, ResponseTrailers
    }

    /// Forwards the rest of a request whose response began early, although the function has not
    /// seen it.
    ///
    /// After [`EarlyResponse`](ErrorKind::EarlyResponse), the closed failure policy drops the rest
    /// of the request. Call this to forward it to the upstream instead. Before that error, the call
    /// has no effect.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// /// Counts what is uploaded until the upstream responds; nothing depends on the count.
    /// #[proxy_filter::filter]
    /// async fn count(mut exchange: Exchange) -> Result<()> {
    ///     let mut bytes = 0;
    ///     loop {
    ///         match exchange.request_chunk().await {
    ///             Ok(Some(chunk)) => bytes += chunk.len(),
    ///             Ok(None) => break,
    ///             Err(error) if error.kind() == ErrorKind::EarlyResponse => {
    ///                 exchange.forward_request();
    ///                 break;
    ///             }
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     exchange.response_headers().await?.add("x-bytes", bytes.to_string())
    /// }
    /// # fn main() {}
    /// ```
    pub fn forward_request(&mut self) {
        self.stage.forward_request();
    }

    /// Waits for the end of the stream, when everything that can be logged about it is available.
    ///
    /// The function need not return before: code after this runs when the stream has ended, in
    /// `on_log`.
    pub async fn log_context(&mut self) -> Result<&LogContext> {
        poll_fn(|_| self.stage.reach(Point::Log)).await?;
        Ok(LOG)
    }

    /// Sends a local reply and ends the stream: `return exchange.reply(…)`.
    ///
    /// The method consumes the exchange, so nothing else can be done with the stream. The client
    /// gets the reply whatever happens to the result. A future that the function awaits afterwards
    /// never completes.
    ///
    /// Helpers that borrow the exchange, or do not have it, return an [`Error`] that carries the
    /// reply.
    ///
    /// # Errors
    /// Always [`Denied`](ErrorKind::Denied), so that `?` ends the function like `return`.
    pub fn reply(self, reply: LocalReply) -> Result<()> {
        Err(self.stage.deny(Denial::Reply(reply)))
    }

    /// Resets the stream: `return exchange.close_stream()`. The client gets no response, or a
    /// truncated one.
    ///
    /// Like [`reply`](Self::reply), the method consumes the exchange.
    ///
    /// # Errors
    /// Always [`Denied`](ErrorKind::Denied), so that `?` ends the function like `return`.
    ///
    /// Source: ABI 0.2.1, `proxy_close_stream`.
    #[doc(alias = "proxy_close_stream")]
    pub fn close_stream(self) -> Result<()> {
        Err(self.stage.deny(Denial::Close))
    }
}

impl<T> core::fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Exchange").field("stage", &*self.stage).finish_non_exhaustive()
    }
}

#[inline]
fn edits(message: &MessageState) -> Edits {
    let is_upgrade = !message.has(Facts::ENDED) && message.size.get() == 0;
    if message.has(Facts::BODILESS) || is_upgrade { Edits::Impossible } else { message.content_length().into() }
}
