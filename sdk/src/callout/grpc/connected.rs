use crate::callout::future::InFlight;
use crate::callout::grpc::arrival::Arrival;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::grpc::open::{GrpcEvent, GrpcSender};
use crate::callout::registry::next_number;
use crate::engine::edit::edit;
use crate::error::Result;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// An open [`GrpcStream`](crate::grpc::GrpcStream) whose messages are received one by one. Dropping
/// it cancels the stream.
///
/// A filter that is one async function [connects](crate::grpc::GrpcStream::connect) the stream and
/// awaits the messages:
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::grpc::{GrpcBytes, GrpcStream};
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
///
/// A filter of callbacks [connects](crate::grpc::GrpcStream::connect_in) the stream too, and pauses
/// a part of the HTTP stream until a message arrives. A pending receive keeps the gRPC stream open.
/// In this example the stream is therefore cancelled when the request is decided:
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::grpc::{GrpcBytes, GrpcStream};
///
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root] impl RootContext for Root { type Context = Judged; fn new_context(&self) -> Judged { Judged } }
/// struct Judged;
///
/// #[proxy_filter::context(grpc_streams)]
/// impl Context for Judged {
///     fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
///         let stream = GrpcStream::<GrpcBytes, GrpcBytes>::new("judge", "judge.Judge", "Talk").connect_in(self)?;
///         stream.send(&GrpcBytes(request.path()?.unwrap_or_default().to_vec()))?;
///         request.pause_for(self, stream.receive(), |_, request, verdict| match verdict {
///             Some(Ok(GrpcBytes(verdict))) if verdict == b"pass" => Ok(FilterHeadersStatus::Continue),
///             _ => request.reply(LocalReply::new(403)),
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// A context that stores the handle can continue to use the stream. It can send another message and
/// wait again, in the same completion or in another callback. A stream has no timeout: also pause
/// the part for a [`Timer`](crate::timer::Timer).
pub struct GrpcDuplex<Sent, Received> {
    open: Rc<GrpcSender<Sent>>,
    inbox: Rc<Inbox<Received>>,
    /// The pending receive of a future.
    waits: Option<InFlight<Arrival>>,
}

impl<Sent, Received> GrpcDuplex<Sent, Received> {
    pub(crate) fn new(open: GrpcSender<Sent>, inbox: Rc<Inbox<Received>>) -> Self {
        Self { open: Rc::new(open), inbox, waits: None }
    }

    /// Sends a message, as [`GrpcSender::send`] does.
    ///
    /// # Errors
    /// The same.
    pub fn send(&self, message: &Sent) -> Result<()>
    where
        Sent: GrpcMessage,
    {
        self.open.send(message)
    }

    /// Ends the filter's half, as [`GrpcSender::close`] does.
    ///
    /// # Errors
    /// The same.
    pub fn close(&self) -> Result<()> {
        self.open.close()
    }

    /// Returns a callout for the next message. Pass it to `pause_for` of a part of the stream. The
    /// completion receives what [`next`](Self::next) returns.
    ///
    /// If a message has already arrived, the callout completes at once. A pending receive keeps the
    /// stream open. If there are several, the first receive gets the first message. Messages
    /// without a pending receive are buffered.
    pub fn receive(&self) -> GrpcReceive<Sent, Received> {
        GrpcReceive { open: Rc::clone(&self.open), inbox: Rc::clone(&self.inbox) }
    }

    /// Waits for the next message. Returns `None` if the stream ended with the status OK, or after
    /// the error that ended the stream.
    ///
    /// Metadata is not reported here: use [`open`](crate::grpc::GrpcStream::open) for it.
    pub async fn next(&mut self) -> Option<core::result::Result<Received, GrpcError>> {
        poll_fn(|context| self.poll_message(context)).await
    }

    pub(crate) fn poll_message(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Option<core::result::Result<Received, GrpcError>>> {
        loop {
            if let Some(message) = self.inbox.pop() {
                return Poll::Ready(Some(message));
            }
            if self.open.is_over() {
                return Poll::Ready(None);
            }
            match &self.waits {
                None => self.waits = InFlight::expect(self.inbox.wait(), context.waker()),
                // Another receive took the message.
                Some(waits) if waits.poll(context.waker()).is_some() => {
                    self.waits = None;
                    continue;
                }
                Some(_) => {}
            }
            return Poll::Pending;
        }
    }

    /// Whether the stream has ended, and every message was awaited.
    #[cfg(feature = "futures")]
    pub(crate) fn is_over(&self) -> bool {
        self.open.is_over() && !self.inbox.has_message()
    }
}

impl<Sent, Received> fmt::Debug for GrpcDuplex<Sent, Received> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.open, f)
    }
}

/// The next message of a [`GrpcDuplex`], for `pause_for`.
pub struct GrpcReceive<Sent, Received> {
    open: Rc<GrpcSender<Sent>>,
    inbox: Rc<Inbox<Received>>,
}

impl<Sent, Received> GrpcReceive<Sent, Received> {
    pub(crate) const fn inbox(&self) -> &Rc<Inbox<Received>> {
        &self.inbox
    }

    /// Returns whether a message has arrived, or the stream has ended.
    pub(crate) fn has_come(&self) -> bool {
        self.inbox.has_message() || self.open.is_over()
    }

    /// Takes the first message, if any.
    pub(crate) fn take(&self) -> Option<core::result::Result<Received, GrpcError>> {
        self.inbox.pop()
    }
}

impl<Sent, Received> fmt::Debug for GrpcReceive<Sent, Received> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcReceive").field("stream", &self.open).finish_non_exhaustive()
    }
}

/// The messages that have arrived and that no receive has taken.
pub(crate) struct Inbox<Received> {
    messages: Cell<VecDeque<core::result::Result<Received, GrpcError>>>,
    /// No further message will arrive.
    over: Cell<bool>,
    /// The numbers of pending completions.
    waiting: Cell<VecDeque<u32>>,
}

/// A source of events that completions wait for.
pub(crate) trait Arrivals {
    /// Returns the number of a completion that can run: a message has arrived, or none will.
    fn next(&self) -> Option<u32>;
}

impl<Received> Arrivals for Inbox<Received> {
    fn next(&self) -> Option<u32> {
        let is_there = self.has_message() || self.over.get();
        if is_there { edit(&self.waiting, VecDeque::pop_front) } else { None }
    }
}

impl<Received> Inbox<Received> {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { messages: Cell::default(), over: Cell::new(false), waiting: Cell::default() })
    }

    /// Returns a number for a receive of the next message.
    pub(crate) fn wait(&self) -> u32 {
        let number = next_number();
        edit(&self.waiting, |waiting| waiting.push_back(number));
        number
    }

    /// Stores a message and wakes the pending receive.
    pub(crate) fn take(&self, event: GrpcEvent<'_, Received>) {
        self.over.set(self.over.get() || matches!(event, GrpcEvent::Closed(_)));
        match event {
            GrpcEvent::Message(message) => self.push(Ok(message)),
            GrpcEvent::Closed(Err(why)) => self.push(Err(why)),
            GrpcEvent::Closed(Ok(())) | GrpcEvent::InitialMetadata(_) | GrpcEvent::TrailingMetadata(_) => {}
        }
    }

    fn has_message(&self) -> bool {
        edit(&self.messages, |messages| !messages.is_empty())
    }

    fn push(&self, message: core::result::Result<Received, GrpcError>) {
        edit(&self.messages, |messages| messages.push_back(message));
    }

    fn pop(&self) -> Option<core::result::Result<Received, GrpcError>> {
        edit(&self.messages, VecDeque::pop_front)
    }
}

/// Yields each message as [`next`](GrpcDuplex::next) returns it, and the error that ended the
/// stream, if any.
#[cfg(feature = "futures")]
impl<Sent, Received> futures_core::Stream for GrpcDuplex<Sent, Received> {
    type Item = Result<Received, GrpcError>;

    fn poll_next(
        mut self: core::pin::Pin<&mut Self>,
        context: &mut core::task::Context<'_>,
    ) -> core::task::Poll<Option<Self::Item>> {
        self.poll_message(context)
    }
}

#[cfg(feature = "futures")]
impl<Sent, Received> futures_core::FusedStream for GrpcDuplex<Sent, Received> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}
