//! [`Exchange`]: a request and its response, in the order in which they pass, for a filter that is one async function.

mod gate;
mod stage;
mod task;

use crate::body::{Edits, RequestBody, ResponseBody};
use crate::context::LogContext;
use crate::error::{Error, ErrorKind, Result};
use crate::headers::{ContentLength, RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::local_reply::LocalReply;
use core::future::poll_fn;
use core::task::Poll;
use stage::{Point, Wanted};
use std::rc::Rc;

pub use gate::Gate;
pub use stage::Points;
pub(crate) use stage::{Stage, undeclared};
pub(crate) use task::{Next, describe, is_declared, poll_root, resume};
pub use task::{RootTask, StreamTask};

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
///         Err(why) => return exchange.reply(LocalReply::new(503).details(why.to_string())),
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
/// # Errors
/// Every part that is awaited may fail with [`NotAvailableHere`](ErrorKind::NotAvailableHere): it has passed, or the upstream answered before the
/// request came to it, or the module does not export its callback. The attribute exports what it finds in the function; for what is awaited in another
/// function, name it: `#[proxy_filter::filter(response_body)]`.
pub struct Exchange<T = ()> {
    config: Rc<T>,
    stage: Rc<Stage>,
    request_headers: RequestHeaders,
    request_body: RequestBody,
    request_trailers: RequestTrailers,
    response_headers: ResponseHeaders,
    response_body: ResponseBody,
    response_trailers: ResponseTrailers,
    log: LogContext,
}

/// The methods for the parts of one message.
macro_rules! message {
    ($(#[$headers_doc:meta])* $headers:ident: $Headers:ident, $point:ident;
     $(#[$body_doc:meta])* $body:ident, $(#[$chunk_doc:meta])* $chunk:ident, $(#[$end_doc:meta])* $end:ident: $Body:ident, $body_point:ident;
     $(#[$trailers_doc:meta])* $trailers:ident: $Trailers:ident, $trailers_point:ident) => {
        $(#[$headers_doc])*
        #[inline]
        pub async fn $headers(&mut self) -> Result<&mut $Headers> {
            self.stage.reach(Point::$point).await?;
            Ok(&mut self.$headers)
        }

        $(#[$body_doc])*
        #[inline]
        pub async fn $body(&mut self, limit: usize) -> Result<&mut $Body> {
            let length = self.stage.whole(Point::$body_point, limit).await?;
            self.$body = $Body::new(length, edits(self.stage.progress(Point::$body_point), self.$headers.content_length()));
            Ok(&mut self.$body)
        }

        $(#[$chunk_doc])*
        #[inline]
        pub async fn $chunk(&mut self) -> Result<Option<&mut $Body>> {
            // What the filter made of the piece before it.
            self.stage.progress(Point::$body_point).seen.set(self.$body.len());
            let Some((start, length)) = self.stage.piece(Point::$body_point).await? else { return Ok(None) };
            let edits = match start {
                0 => edits(self.stage.progress(Point::$body_point), self.$headers.content_length()),
                // No host can edit what comes after something that it keeps.
                _ => Edits::Impossible,
            };
            self.$body = $Body::piece(start, length, edits);
            Ok(Some(&mut self.$body))
        }

        $(#[$end_doc])*
        #[inline]
        pub fn $end(&mut self) -> Result<&mut $Body> {
            let progress = self.stage.progress(Point::$body_point);
            let passed = self.stage.here() > Point::$body_point || progress.bodiless.get();
            if passed {
                self.$body = $Body::new(0, Edits::Impossible);
            } else if !progress.ended.get() {
                return Err(early());
            } else if progress.fresh.get() {
                // An empty piece, which was not given to the filter. Otherwise the last piece is here, as the filter left it.
                self.$body = $Body::new(progress.size.get(), edits(progress, self.$headers.content_length()));
            }
            Ok(&mut self.$body)
        }

        $(#[$trailers_doc])*
        #[inline]
        pub async fn $trailers(&mut self) -> Result<Option<&mut $Trailers>> {
            Ok(self.stage.trailers(Point::$trailers_point).await?.then_some(&mut self.$trailers))
        }
    };
}

impl<T> Exchange<T> {
    pub(crate) fn new(config: Rc<T>, stage: Rc<Stage>) -> Self {
        Self {
            config,
            stage,
            request_headers: RequestHeaders::new(ContentLength::Kept),
            request_body: RequestBody::new(0, Edits::Impossible),
            request_trailers: RequestTrailers::new(ContentLength::Kept),
            response_headers: ResponseHeaders::new(ContentLength::Kept),
            response_body: ResponseBody::new(0, Edits::Impossible),
            response_trailers: ResponseTrailers::new(ContentLength::Kept),
            log: LogContext::new(),
        }
    }

    /// The plugin's configuration, the same for all streams.
    pub fn config(&self) -> &Rc<T> {
        &self.config
    }

    message! {
        /// The request's headers.
        request_headers: RequestHeaders, RequestHeaders;
        /// The request's whole body, once it is here. The headers go on meanwhile. A request without a body has an empty one, which
        /// cannot be edited.
        ///
        /// Envoy buffers up to the listener's `per_connection_buffer_limit_bytes` and answers 413 beyond it.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if it has more than `limit` bytes.
        request_body,
        /// The next piece of the request's body; `None` at its end. The piece before it goes on.
        ///
        /// A piece that came while an earlier one was held, because the filter waited for something else, can be read but not edited.
        request_chunk,
        /// The end of the request's body, after [`request_chunk`](Self::request_chunk) has returned `None`: what is appended here is the
        /// last of it.
        ///
        /// A body that has ended with trailers has gone on already: nothing can be appended to it.
        ///
        /// # Errors
        /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) if there may be more of the body.
        request_end: RequestBody, RequestBody;
        /// The request's trailers; `None` if the client sent none, which is known when the response begins.
        request_trailers: RequestTrailers, RequestTrailers
    }

    message! {
        /// The response's headers: the upstream's, another filter's, or Envoy's own.
        response_headers: ResponseHeaders, ResponseHeaders;
        /// The response's whole body, once it is here; as [`request_body`](Self::request_body). The headers have gone to the client meanwhile: after that, a reply resets the
        /// stream.
        ///
        /// # Errors
        /// [`TooLarge`](ErrorKind::TooLarge) if it has more than `limit` bytes.
        response_body,
        /// The next piece of the response's body; `None` at its end. As [`request_chunk`](Self::request_chunk).
        response_chunk,
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
        /// The response's trailers; `None` if the upstream sent none, which is known when the stream is over.
        response_trailers: ResponseTrailers, ResponseTrailers
    }

    /// The end of the stream: everything that is logged about it can be read.
    ///
    /// The function need not return before: code after this runs when the stream is over, in `on_log`.
    pub async fn finished(&mut self) -> Result<&LogContext> {
        self.stage.reach(Point::Log).await?;
        Ok(&self.log)
    }

    /// Answers the client and ends the stream: `return exchange.reply(…)`.
    ///
    /// The exchange is used up, so that nothing can be done with the stream after it. What the function awaits after this never comes back.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) or [`TooLarge`](ErrorKind::TooLarge) for a reply that cannot be sent, see [`LocalReply`].
    pub fn reply(self, reply: LocalReply) -> Result<()> {
        self.stage.set_reply(reply.check()?);
        Ok(())
    }
}

impl<T> core::fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Exchange").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[inline]
fn edits(progress: &stage::Progress, content_length: ContentLength) -> Edits {
    if progress.bodiless.get() { Edits::Impossible } else { content_length.into() }
}

impl Stage {
    /// Waits for a part, and lets all before it go.
    #[inline]
    async fn reach(&self, point: Point) -> Result<()> {
        poll_fn(|_| match self.ask(point) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                self.want(Wanted::Point(point));
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Waits for a whole body: its length.
    #[inline]
    async fn whole(&self, point: Point, limit: usize) -> Result<usize> {
        poll_fn(|_| {
            let progress = self.progress(point);
            if self.here() > point && progress.ended.get() || progress.bodiless.get() {
                // It ended with headers or trailers.
                return Poll::Ready(self.declared(point).map(|()| progress.size.get()));
            }
            match self.ask(point) {
                Ok(true) if progress.size.get() > limit => Poll::Ready(Err(too_large())),
                Ok(true) if progress.ended.get() => Poll::Ready(Ok(progress.size.get())),
                Ok(_) => {
                    self.want(Wanted::Whole(point));
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Waits for the next piece of a body: where it starts in what is visible, and its length.
    #[inline]
    async fn piece(&self, point: Point) -> Result<Option<(usize, usize)>> {
        poll_fn(|_| {
            let progress = self.progress(point);
            if self.here() > point || progress.bodiless.get() {
                return Poll::Ready(self.declared(point).map(|()| None));
            }
            match self.ask(point) {
                Ok(true) if progress.fresh.get() && (progress.size.get() > 0 || !progress.ended.get()) => {
                    Poll::Ready(Ok(Some(Self::take_piece(progress))))
                }
                Ok(true) if progress.ended.get() => Poll::Ready(Ok(None)),
                Ok(_) => {
                    self.want(Wanted::Point(point));
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    #[inline]
    fn take_piece(progress: &stage::Progress) -> (usize, usize) {
        progress.fresh.set(false);
        // Nothing that was seen is still here, unless it was held.
        let start = if progress.held.get() { progress.seen.get().min(progress.size.get()) } else { 0 };
        (start, progress.size.get() - start)
    }

    /// Waits for trailers: whether there are some. The end of a body does not say it: what comes after it does.
    #[inline]
    async fn trailers(&self, point: Point) -> Result<bool> {
        poll_fn(|_| {
            let over = self.here() > point || self.progress(point).bodiless.get();
            match self.ask(point) {
                Ok(true) => Poll::Ready(Ok(true)),
                _ if over => Poll::Ready(self.declared(point).map(|()| false)),
                Ok(false) => {
                    self.want(Wanted::Point(point));
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
}

#[cold]
#[inline]
fn early() -> Error {
    Error::refused(ErrorKind::NotAvailableHere, "there may be more of the body: await its pieces until there is none")
}

#[cold]
#[inline]
fn too_large() -> Error {
    Error::refused(ErrorKind::TooLarge, "the body is longer than the limit of the filter")
}
