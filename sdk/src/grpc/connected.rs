use super::error::GrpcError;
use super::message::GrpcMessage;
use super::stream::{GrpcEvent, OpenGrpcStream};
use crate::error::Result;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// An open [`GrpcStream`](crate::GrpcStream) of a filter that is one async function. Dropping it cancels the stream.
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::{GrpcBytes, GrpcStream};
///
/// /// Lets the service rewrite the path.
/// #[proxy_filter::filter]
/// async fn rewrite(mut exchange: Exchange) -> Result<()> {
///     let request = exchange.request_headers().await?;
///     let mut stream = GrpcStream::<GrpcBytes, GrpcBytes>::new("rewriter", "rewrite.Rewriter", "Talk").connect()?;
///     stream.send(&GrpcBytes(request.path()?.unwrap_or_default().to_vec()))?;
///     if let Some(path) = stream.next().await {
///         request.replace(":path", path?.0)?;
///     }
///     Ok(())
/// }
/// # fn main() {}
/// ```
pub struct ConnectedGrpcStream<Sent, Received> {
    open: OpenGrpcStream<Sent>,
    inbox: Rc<Inbox<Received>>,
}

impl<Sent, Received> ConnectedGrpcStream<Sent, Received> {
    pub(crate) const fn new(open: OpenGrpcStream<Sent>, inbox: Rc<Inbox<Received>>) -> Self {
        Self { open, inbox }
    }

    /// Sends a message, as [`OpenGrpcStream::send`] does.
    ///
    /// # Errors
    /// The same.
    pub fn send(&self, message: &Sent) -> Result<()>
    where
        Sent: GrpcMessage,
    {
        self.open.send(message)
    }

    /// Ends the filter's half, as [`OpenGrpcStream::close`] does.
    ///
    /// # Errors
    /// The same.
    pub fn close(&self) -> Result<()> {
        self.open.close()
    }

    /// The next message, when it is there; `None` when the stream has ended with the status OK, or after the error with which it ended.
    ///
    /// Metadata is not told here: [`open`](crate::GrpcStream::open) has it.
    pub async fn next(&mut self) -> Option<core::result::Result<Received, GrpcError>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    pub(crate) fn poll_message(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Option<core::result::Result<Received, GrpcError>>> {
        if let Some(message) = self.inbox.pop() {
            return Poll::Ready(Some(message));
        }
        if self.open.is_over() {
            return Poll::Ready(None);
        }
        self.inbox.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Whether the stream has ended, and every message was awaited.
    #[cfg(feature = "futures")]
    pub(crate) fn is_over(&self) -> bool {
        self.open.is_over() && self.inbox.is_empty()
    }
}

impl<Sent, Received> fmt::Debug for ConnectedGrpcStream<Sent, Received> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.open, f)
    }
}

/// What has come and nobody has awaited yet.
pub(crate) struct Inbox<Received> {
    messages: Cell<VecDeque<core::result::Result<Received, GrpcError>>>,
    waker: Cell<Option<Waker>>,
}

impl<Received> Inbox<Received> {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { messages: Cell::default(), waker: Cell::new(None) })
    }

    /// Takes what came, and wakes who waits for it.
    pub(crate) fn take(&self, event: GrpcEvent<'_, Received>) {
        match event {
            GrpcEvent::Message(message) => self.push(Ok(message)),
            GrpcEvent::Closed(Err(why)) => self.push(Err(why)),
            GrpcEvent::Closed(Ok(())) => {}
            GrpcEvent::InitialMetadata(_) | GrpcEvent::TrailingMetadata(_) => return,
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn push(&self, message: core::result::Result<Received, GrpcError>) {
        let mut messages = self.messages.take();
        messages.push_back(message);
        self.messages.set(messages);
    }

    #[cfg(feature = "futures")]
    fn is_empty(&self) -> bool {
        let messages = self.messages.take();
        let is_empty = messages.is_empty();
        self.messages.set(messages);
        is_empty
    }

    fn pop(&self) -> Option<core::result::Result<Received, GrpcError>> {
        let mut messages = self.messages.take();
        let first = messages.pop_front();
        self.messages.set(messages);
        first
    }
}
