//! The way of one message out of the filters: a queue of its parts, whose length slows its sender
//! down, and a body that hyper sends.

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::HeaderMap;
use proxy_filter_host::Part;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{Notify, mpsc};

use super::fields;

/// The bytes in a queue beyond which its sender waits.
const HIGH: usize = 256 * 1024;

/// How full a queue is.
#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicUsize,
    drained: Notify,
}

/// The end of a queue that parts are put in.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    parts: mpsc::UnboundedSender<Part>,
    gauge: Arc<Gauge>,
}

/// The end that they are taken from.
#[derive(Debug)]
pub(super) struct Receiver {
    parts: mpsc::UnboundedReceiver<Part>,
    gauge: Arc<Gauge>,
}

/// Makes a queue.
pub(super) fn pipe() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let gauge = Arc::new(Gauge::default());
    (Sender { parts: sender, gauge: Arc::clone(&gauge) }, Receiver { parts: receiver, gauge })
}

impl Sender {
    /// Puts a part in. A receiver that is gone does not need it.
    pub(super) fn send(&self, part: Part) {
        if let Part::Data(bytes, _) = &part {
            self.gauge.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        let _ = self.parts.send(part);
    }

    /// Waits until the queue is short, or its receiver gone.
    pub(super) async fn ready(&self) {
        loop {
            let drained = self.gauge.drained.notified();
            if self.gauge.bytes.load(Ordering::Relaxed) < HIGH || self.parts.is_closed() {
                return;
            }
            drained.await;
        }
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
            match self.parts.try_recv().ok()? {
                Part::Data(bytes, _) => return Some(bytes),
                Part::Reset => return None,
                _ => {}
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Part>> {
        let polled = self.parts.poll_recv(context);
        if let Poll::Ready(Some(Part::Data(bytes, _))) = &polled {
            self.gauge.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            self.gauge.drained.notify_waiters();
        }
        polled
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.parts.close();
        self.gauge.drained.notify_waiters();
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
                    fields::append(&mut map, &trailers);
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
