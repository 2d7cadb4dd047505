//! The way of one message out of the filters: a queue of its parts, whose length slows its sender
//! down, and a body that hyper sends.

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::HeaderMap;
use proxy_filter_host::Part;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::fields;

/// The bytes in a queue beyond which its sender waits.
const HIGH: usize = 256 * 1024;

/// The parts on their way.
#[derive(Debug, Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// The bytes of the bodies in them.
    bytes: usize,
    senders: usize,
    has_receiver: bool,
    receiver: Option<Waker>,
    /// Senders that wait until the queue is short.
    waiting: Vec<Waker>,
}

impl Queue {
    fn take(&mut self) -> Option<Part> {
        let part = self.parts.pop_front()?;
        if let Part::Data(bytes, _) = &part {
            self.bytes -= bytes.len();
            self.waiting.drain(..).for_each(Waker::wake);
        }
        Some(part)
    }
}

/// A queue that its ends share. Both are on the thread of their worker, unless hyper sends a body
/// on another one: the lock is free.
#[derive(Debug)]
struct Shared(Arc<Mutex<Queue>>);

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a queue that parts are put in.
#[derive(Debug)]
pub(super) struct Sender(Shared);

/// The end that they are taken from.
#[derive(Debug)]
pub(super) struct Receiver(Shared);

/// Makes a queue.
pub(super) fn pipe() -> (Sender, Receiver) {
    let queue = Arc::new(Mutex::new(Queue { senders: 1, has_receiver: true, ..Queue::default() }));
    (Sender(Shared(Arc::clone(&queue))), Receiver(Shared(queue)))
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.queue().senders += 1;
        Self(Shared(Arc::clone(&self.0.0)))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.senders -= 1;
        if queue.senders == 0
            && let Some(receiver) = queue.receiver.take()
        {
            receiver.wake();
        }
    }
}

impl Sender {
    /// Puts a part in. A receiver that is gone does not need it.
    pub(super) fn send(&self, part: Part) {
        let mut queue = self.0.queue();
        if !queue.has_receiver {
            return;
        }
        if let Part::Data(bytes, _) = &part {
            queue.bytes += bytes.len();
        }
        queue.parts.push_back(part);
        if let Some(receiver) = queue.receiver.take() {
            receiver.wake();
        }
    }

    /// Waits until the queue is short, or its receiver gone.
    pub(super) async fn ready(&self) {
        std::future::poll_fn(|context| {
            let mut queue = self.0.queue();
            if queue.bytes < HIGH || !queue.has_receiver {
                return Poll::Ready(());
            }
            queue.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Receiver {
    /// Takes a part; `None` if no more comes.
    pub(super) async fn receive(&mut self) -> Option<Part> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Takes the bytes of a chunk that waits.
    pub(super) fn waiting(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.0.queue().take()? {
                Part::Data(bytes, _) => return Some(bytes),
                Part::Reset => return None,
                _ => {}
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Part>> {
        let mut queue = self.0.queue();
        match queue.take() {
            Some(part) => Poll::Ready(Some(part)),
            None if queue.senders == 0 => Poll::Ready(None),
            None => {
                queue.receiver = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.has_receiver = false;
        let parts = std::mem::take(&mut queue.parts);
        queue.waiting.drain(..).for_each(Waker::wake);
        drop(queue);
        // Not while the queue is locked.
        drop(parts);
    }
}

/// A body made of the parts of a queue. A queue that ends before its message is an error, with
/// which hyper resets the stream.
#[derive(Debug)]
pub(super) struct PipeBody {
    receiver: Receiver,
    finished: bool,
}

impl PipeBody {
    /// The body after headers that were taken already. `finished`: there is none.
    pub(super) const fn new(receiver: Receiver, finished: bool) -> Self {
        Self { receiver, finished }
    }
}

impl Body for PipeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if self.finished {
                return Poll::Ready(None);
            }
            let Poll::Ready(part) = self.receiver.poll(context) else { return Poll::Pending };
            let frame = match part {
                Some(Part::Data(bytes, end)) => {
                    self.finished = end;
                    if bytes.is_empty() {
                        continue;
                    }
                    Frame::data(Bytes::from(bytes))
                }
                Some(Part::Trailers(trailers)) => {
                    self.finished = true;
                    let mut map = HeaderMap::new();
                    fields::append(&mut map, trailers);
                    Frame::trailers(map)
                }
                Some(Part::Headers(..)) => continue,
                Some(Part::Reset) | None => {
                    self.finished = true;
                    return Poll::Ready(Some(Err(io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        "the stream was reset",
                    ))));
                }
            };
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.finished
    }
}
