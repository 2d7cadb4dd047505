//! [`Exchange`]: a request and its response, in the order in which they pass, for a filter that is one async function.

pub(crate) mod arrival;
#[cfg(feature = "futures")]
pub(crate) mod chunks;
pub(crate) mod deadline;
pub(crate) mod gate;
pub(crate) mod held;
pub(crate) mod message;
pub(crate) mod policy;
pub(crate) mod stage;
pub(crate) mod task;

use crate::error::denial::Denial;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::error::{Error, Result};
use crate::fields::header_map::ContentLength;
use crate::http::body::Edits;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::http::log_context::LogContext;
use core::future::poll_fn;
use std::rc::Rc;

pub(crate) use crate::engine::point::Point;
#[cfg(feature = "futures")]
pub use crate::exchange::chunks::Chunks;
pub(crate) use crate::exchange::held::HeldBody;
use crate::exchange::message::{handle, message};
pub(crate) use crate::exchange::stage::Stage;

/// A request and its response: what a filter that is one async function is given.
///
/// The parts of the two messages are awaited in the order in which they pass. Awaiting a part lets all before it go on, so that its handle can be used
/// no more; the borrow checker says so. Awaiting anything else, an [`HttpCall`](crate::HttpCall) or a [`Timer`](crate::Timer) for example, holds the
/// stream where it is. When the function returns `Ok`, everything left of the stream passes; with an `Err` the failure policy decides. A stream that ends
/// earlier drops the function where it waits.
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
///         Ok(answer) if answer.status() == 200 => request.replace("x-user", answer.header("x-user").unwrap_or_default())?,
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
/// `T` is the type of the plugin's configuration, read as JSON with serde (feature `json`); [`config`](Self::config) returns it.
///
/// # Pieces of bodies
///
/// [`request_body`](Self::request_body) waits for the whole body, up to a limit. [`request_chunk`](Self::request_chunk) gives one piece after the other; each goes on when
/// the next one is awaited. After the last one, [`request_end`](Self::request_end) is where something can be appended. An edit that changes the length of a body needs `content-length` removed from the headers, as everywhere.
///
/// # Streams that wait for each other
///
/// A waker may be kept where other streams and the root task find it, in the configuration for example, so that channels, locks and shared futures
/// work. What is woken so runs soon after, in a callback of the root context: the next answer to a call, or a tick, for which the filter has to name
/// `timers`.
///
/// What is awaited of the exchange itself runs with the function, and is woken by nobody: `join` and `select` do, but it has no place in a set of futures
/// that polls only what was woken, `FuturesUnordered` or `join_all` of more than 30. Calls, timers and streams have.
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
/// [`response_chunk`](Self::response_chunk) never returns `None`.
///
/// # Errors
/// Every part that is awaited may fail with [`NotAvailableHere`](ErrorKind::NotAvailableHere): it
/// was forwarded already, or the module does not export its callback. The attribute exports what it
/// finds in the function; for what is awaited in another function, name it:
/// `#[proxy_filter::filter(response_body)]`.
///
/// Every part of a request may fail with [`EarlyResponse`](ErrorKind::EarlyResponse).
pub struct Exchange<T = ()> {
    config: Rc<T>,
    stage: Rc<Stage>,
    part: Part,
    /// What the filter did to the lengths of the two messages.
    request_length: ContentLength,
    response_length: ContentLength,
    log: LogContext,
}

/// What was given out last: there is never more than that, and an exchange is moved into its future, so that it should be small.
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
    pub(crate) fn new(config: Rc<T>, stage: Rc<Stage>) -> Self {
        Self {
            config,
            stage,
            part: Part::None,
            request_length: ContentLength::Kept,
            response_length: ContentLength::Kept,
            log: LogContext::new(),
        }
    }

    /// Another handle is about to take the place of this one.
    fn note_lengths(&mut self) {
        match &self.part {
            Part::RequestHeaders(headers) | Part::HeldRequest(headers, _) => {
                self.request_length = headers.content_length();
            }
            Part::ResponseHeaders(headers) | Part::HeldResponse(headers, _) => {
                self.response_length = headers.content_length();
            }
            _ => {}
        }
    }

    /// The plugin's configuration, the same for all streams.
    pub fn config(&self) -> &Rc<T> {
        &self.config
    }

    message! {
        request_length;
        /// The request's headers.
        request_headers: RequestHeaders, RequestHeaders;
        /// The request's headers once its whole body is here, and that. Nothing of the request has gone on: the body decides what the headers say. A request
        /// without a body has an empty one, which cannot be edited.
        ///
        /// Nothing but [`request_headers`](Self::request_headers) may be awaited before. An edit that changes the length of the body removes
        /// `content-length` from the headers.
        ///
        /// **Envoy** gives the body only if the plugin's configuration has `allow_on_headers_stop_iteration: true` (1.35 and later).
        /// Before 1.40, a filter with this setting that buffers data after it has forwarded some loses bytes of the body (Envoy's changelog; not run here).
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
        /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) without that setting, as soon as it shows: a second after the first bytes of the body came, which were not given. (A
        /// filter before this one that keeps the first body for longer looks the same.)
        /// [`Elapsed`](ErrorKind::Elapsed) if nothing of the body has come for half a minute, unless this host has given bodies so before.
        /// [`TooLarge`](ErrorKind::TooLarge) if it has more than `limit` bytes.
        request_headers_with_body: HeldRequest;
        /// The request's whole body, once it is here. The headers go on meanwhile. A request without a body has an empty one, which
        /// cannot be edited. After a chunk was forwarded, there is no whole body any more.
        ///
        /// Envoy buffers up to the listener's `per_connection_buffer_limit_bytes` and answers 413 beyond it.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if it has more than `limit` bytes.
        request_body,
        /// The next piece of the request's body; `None` at its end, when the request has ended. The
        /// piece before it goes on.
        ///
        /// A piece that came while an earlier one was held, because the filter waited for something else, can be read but not edited.
        request_chunk,
        /// The pieces of the request's body as a stream of the crate `futures`: copies, which cannot be edited. Each piece goes on when the next one is asked
        /// for; while the stream is not polled, the body is held.
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
        /// The end of the request's body, after [`request_chunk`](Self::request_chunk) has returned `None`: what is appended here is the
        /// last of it.
        ///
        /// A body that has ended with trailers has gone on already: nothing can be appended to it.
        ///
        /// # Errors
        /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) if there may be more of the body, or
        /// if some was forwarded unseen; [`EarlyResponse`](ErrorKind::EarlyResponse) if the
        /// response began before the body ended.
        request_end: RequestBody, RequestBody;
        /// The request's trailers; `None` if the request has ended without. The body is forwarded
        /// unseen.
        request_trailers: RequestTrailers, RequestTrailers
    }

    message! {
        response_length;
        /// The response's headers: the upstream's, another filter's, or Envoy's own.
        response_headers: ResponseHeaders, ResponseHeaders;
        /// The response's headers once its whole body is here, and that; as [`request_headers_with_body`](Self::request_headers_with_body). Nothing of the response
        /// has gone to the client: a [`reply`](Self::reply) replaces it.
        ///
        /// # Errors
        /// The same. Of a response, Envoy does not tell which bytes have come: [`Elapsed`](ErrorKind::Elapsed) comes after five seconds.
        response_headers_with_body: HeldResponse;
        /// The response's whole body, once it is here; as [`request_body`](Self::request_body). The headers have gone to the client meanwhile: after that, a reply resets the
        /// stream.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if it has more than `limit` bytes.
        response_body,
        /// The next piece of the response's body; `None` at its end. As [`request_chunk`](Self::request_chunk).
        response_chunk,
        /// The pieces of the response's body as a stream of the crate `futures`; as [`request_chunks`](Self::request_chunks).
        response_chunks,
        /// The end of the response's body, after [`response_chunk`](Self::response_chunk) has returned `None`: what is appended here is the
        /// last of it. As [`request_end`](Self::request_end).
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
        ///     exchange.response_end()?.append(format!("\nsum: {sum}\n"))
        /// }
        /// # fn main() {}
        /// ```
        response_end: ResponseBody, ResponseBody;
        /// The response's trailers; `None` if the response has ended without. The body is forwarded
        /// unseen.
        response_trailers: ResponseTrailers, ResponseTrailers
    }

    /// Forwards the rest of a request whose response began early, though the function has not seen
    /// it.
    ///
    /// After [`EarlyResponse`](ErrorKind::EarlyResponse), the closed failure policy drops what
    /// still comes of the request. Call this to forward it to the upstream instead. It does nothing
    /// before.
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

    /// The end of the stream: everything that is logged about it can be read.
    ///
    /// The function need not return before: code after this runs when the stream is over, in `on_log`.
    pub async fn finished(&mut self) -> Result<&LogContext> {
        poll_fn(|_| self.stage.reach(Point::Log)).await?;
        Ok(&self.log)
    }

    /// Answers the client and ends the stream: `return exchange.reply(…)`.
    ///
    /// The exchange is used up, so that nothing can be done with the stream after it. The client gets the reply whatever becomes of the
    /// result. What the function awaits after this never comes back.
    ///
    /// In helpers that borrow the exchange, or that do not see it, return an [`Error`] that carries the reply.
    ///
    /// # Errors
    /// Always one of kind [`Denied`](ErrorKind::Denied), so that `?` ends the function as `return` does.
    pub fn reply(self, reply: LocalReply) -> Result<()> {
        Err(self.stage.deny(Denial::Reply(reply)))
    }

    /// Resets the stream: `return exchange.close_stream()`. The client gets no answer, or what it has is cut off.
    ///
    /// As [`reply`](Self::reply), it uses the exchange up.
    ///
    /// # Errors
    /// Always one of kind [`Denied`](ErrorKind::Denied), so that `?` ends the function as `return` does.
    ///
    /// Source: ABI 0.2.1, `proxy_close_stream`.
    #[doc(alias = "proxy_close_stream")]
    pub fn close_stream(self) -> Result<()> {
        Err(self.stage.deny(Denial::Close))
    }
}

impl<T> core::fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Exchange").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[inline]
fn edits(progress: &stage::Progress, content_length: ContentLength) -> Edits {
    let is_upgrade = !progress.ended.get() && progress.size.get() == 0;
    if progress.bodiless.get() || is_upgrade { Edits::Impossible } else { content_length.into() }
}

#[cold]
#[inline]
fn early() -> Error {
    Error::refused(ErrorKind::NotAvailableHere, "there may be more of the body: await its pieces until there is none")
}
