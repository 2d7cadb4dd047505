//! [`SharedQueue`]: passes items from one VM to another, or to a later callback.

use crate::abi::status::Status;
use crate::callout::future::InFlight;
use crate::callout::registry::{Kind, Registry, next_number};
use crate::engine::declared::{self, not_exported};
use crate::engine::point::Points;
use crate::error::{Error, Result};
use crate::host::shared_data::value::SharedValue;
use crate::sys;
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Context;
use core::task::Poll;
use std::cell::Cell;

/// A queue of the host that VMs and threads share: first in, first out; each item is dequeued once.
///
/// A queue has a `vm_id` and a name. The VM that registers it is notified of each item by
/// [`RootContext::on_queue_ready`](crate::RootContext::on_queue_ready); other VMs find it with
/// [`resolve`](Self::resolve). All of them may enqueue and dequeue items. A queue exists until the
/// last VM with its `vm_id` ends, and only the host's memory limits its length.
///
/// Envoy notifies only the VM that registered the queue **last**, on its thread. Every VM of a
/// plugin runs `on_configure`, first on the main thread and then on each worker. If all of them
/// register the queue, an arbitrary worker is notified. To have one consumer, register the queue in
/// a plugin that runs once: a singleton Wasm service (`envoy.bootstrap.wasm`). Filters on the
/// workers resolve the queue by the `vm_id` of the service.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[derive(Default)]
/// struct Root {
///     events: Option<SharedQueue>,
/// }
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
///         self.events = Some(SharedQueue::register("events")?);
///         Ok(())
///     }
///
///     fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
///         for item in queue.drain().take(100) {
///             log::info!("event: {}", escaped(&item?));
///         }
///         Ok(())
///     }
///
///     fn new_context(&self) -> Stream {
///         Stream { events: self.events }
///     }
/// }
///
/// struct Stream {
///     events: Option<SharedQueue>,
/// }
///
/// #[proxy_filter::context]
/// impl Context for Stream {
///     fn on_log(&mut self, log: &LogContext) -> Result<()> {
///         match &self.events {
///             Some(events) => {
///                 events.enqueue(log.request_headers().get(":path")?.unwrap_or_default())
///             }
///             None => Ok(()),
///         }
///     }
/// }
/// # fn main() {}
/// ```
///
/// Source: context API, "Shared Queue API"; ABI 0.2.1, "Shared queues".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedQueue {
    id: u32,
}

impl SharedQueue {
    pub(crate) const fn id(self) -> u32 {
        self.id
    }

    pub(crate) const fn from_id(id: u32) -> Self {
        Self { id }
    }

    /// Creates the queue of this name, or finds it. From now on, the host notifies this root
    /// context of new items. Items that are already in the queue stay there, without a
    /// notification.
    ///
    /// Works in every callback; in a callback of a stream, the stream's root context is registered.
    /// The host notifies only modules that implement
    /// [`on_queue_ready`](crate::RootContext::on_queue_ready).
    ///
    /// # Errors
    /// An error status of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_register_shared_queue`.
    #[doc(alias = "proxy_register_shared_queue")]
    #[doc(alias = "registerSharedQueue")]
    pub fn register(name: impl AsRef<[u8]>) -> Result<Self> {
        let id = sys::proxy_register_shared_queue(name.as_ref());
        id.map(Self::from_id).map_err(|status| Error::host("proxy_register_shared_queue", status))
    }

    /// Returns the queue that a VM with this `vm_id` has registered under this name, or `None` if
    /// no VM has. An empty `vm_id` is the caller's own.
    ///
    /// Works in every callback. A VM may start before the one that registers the queue: after
    /// `None`, try again later.
    ///
    /// # Errors
    /// An error status of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_resolve_shared_queue`.
    #[doc(alias = "proxy_resolve_shared_queue")]
    #[doc(alias = "resolveSharedQueue")]
    pub fn resolve(vm_id: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Result<Option<Self>> {
        match sys::proxy_resolve_shared_queue(vm_id.as_ref(), name.as_ref()) {
            Ok(id) => Ok(Some(Self::from_id(id))),
            Err(Status::NOT_FOUND) => Ok(None),
            Err(status) => Err(Error::host("proxy_resolve_shared_queue", status)),
        }
    }

    /// Appends an item. An empty item is an item.
    ///
    /// The registered VM is notified once for each item, after the running callback and never
    /// during it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the queue does not exist any more.
    ///
    /// Source: ABI 0.2.1, `proxy_enqueue_shared_queue`.
    #[doc(alias = "proxy_enqueue_shared_queue")]
    #[doc(alias = "enqueueSharedQueue")]
    pub fn enqueue(&self, item: impl AsRef<[u8]>) -> Result<()> {
        sys::proxy_enqueue_shared_queue(self.id, item.as_ref())
            .map_err(|status| Error::host("proxy_enqueue_shared_queue", status))
    }

    /// Removes the first item and returns it, or `None` if the queue is empty.
    ///
    /// The queue may be empty in [`on_queue_ready`](crate::RootContext::on_queue_ready): another
    /// VM, or an earlier call that dequeued several items, may have been faster.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the queue does not exist any more.
    ///
    /// Source: ABI 0.2.1, `proxy_dequeue_shared_queue`.
    #[doc(alias = "proxy_dequeue_shared_queue")]
    #[doc(alias = "dequeueSharedQueue")]
    #[inline]
    pub fn dequeue(&self) -> Result<Option<Vec<u8>>> {
        match sys::proxy_dequeue_shared_queue(self.id) {
            Ok(item) => Ok(Some(item)),
            Err(Status::EMPTY) => Ok(None),
            Err(status) => Err(Error::host("proxy_dequeue_shared_queue", status)),
        }
    }

    /// Like [`enqueue`](Self::enqueue), for a typed item.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn hand_over(queue: &SharedQueue, bytes: u64) -> Result<()> {
    ///     queue.enqueue_value(&bytes)
    /// }
    ///
    /// fn sum(queue: &SharedQueue) -> Result<u64> {
    ///     let mut sum = 0;
    ///     while let Some(bytes) = queue.dequeue_value::<u64>()? {
    ///         sum += bytes;
    ///     }
    ///     Ok(sum)
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`enqueue`](Self::enqueue), and those of the value's encoding.
    pub fn enqueue_value<T: SharedValue>(&self, item: &T) -> Result<()> {
        self.enqueue(item.encode()?)
    }

    /// Like [`dequeue`](Self::dequeue), for a typed item.
    ///
    /// # Errors
    /// Those of [`dequeue`](Self::dequeue); [`Malformed`](crate::ErrorKind::Malformed) for an item
    /// of another type, which is then no longer in the queue.
    pub fn dequeue_value<T: SharedValue>(&self) -> Result<Option<T>> {
        self.dequeue()?.map(T::decode).transpose()
    }

    /// Returns the items one by one, until the queue is empty or the host returns an error.
    ///
    /// If other threads enqueue items as fast as this iterator dequeues them, it does not end:
    /// limit it with [`take`](Iterator::take). The host notifies the VM of every item, so no item
    /// is lost.
    pub const fn drain(&self) -> Drain {
        Drain { queue: *self, refused: false }
    }
}

/// The items of a [`SharedQueue`], which it dequeues one by one. Returned by
/// [`SharedQueue::drain`].
#[derive(Debug)]
#[must_use = "items are taken out as the iterator is used"]
pub struct Drain {
    queue: SharedQueue,
    refused: bool,
}

impl Iterator for Drain {
    type Item = Result<Vec<u8>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.refused {
            return None;
        }
        let item = self.queue.dequeue().transpose();
        self.refused = matches!(item, Some(Err(_)));
        item
    }
}

thread_local! {
    static WAITING: Registry<Item> = const { Registry::new() };
    /// The queues whose items futures wait for, each with the number of the waiting future.
    static QUEUES: Cell<Vec<(u32, u32)>> = const { Cell::new(Vec::new()) };
}

/// The notification that an item was enqueued. The future then dequeues the item.
pub(crate) struct Item(Infallible);

impl Kind for Item {
    type Completion = Infallible;
    type Arrived = ();
    type Output = ();
    type Ready = Infallible;

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        WAITING.try_with(body).ok()
    }

    #[inline]
    fn copy((): ()) {}
}

/// Returns the numbers of the futures that wait for an item of this queue.
pub(crate) fn waiting_for(queue: u32) -> Vec<u32> {
    let (woken, others) = QUEUES.take().into_iter().partition::<Vec<_>, _>(|(other, _)| *other == queue);
    QUEUES.set(others);
    woken.into_iter().map(|(_, number)| number).collect()
}

/// Dequeues an item, or registers the future for the next notification.
fn poll_item(queue: SharedQueue, waits: &mut Option<InFlight<Item>>, context: &Context<'_>) -> Poll<Result<Vec<u8>>> {
    if !declared::is_declared(Points::QUEUES) {
        return Poll::Ready(Err(declared::undeclared(not_exported!("queues"))));
    }
    if let Some(item) = queue.dequeue().transpose() {
        *waits = None;
        return Poll::Ready(item);
    }
    // Another consumer dequeued the item: wait for the next notification.
    if waits.as_ref().is_none_or(|waits| waits.poll(context.waker()).is_some()) {
        let number = next_number();
        let mut queues = QUEUES.take();
        // Removes the futures that were dropped.
        queues.retain(|(_, number)| WAITING.with(|waiting| waiting.contains(*number)));
        queues.push((queue.id(), number));
        QUEUES.set(queues);
        *waits = InFlight::expect(number, context.waker());
    }
    Poll::Pending
}

impl SharedQueue {
    /// Waits for an item and dequeues it. In filters that are async functions, and in their root
    /// tasks.
    ///
    /// The host notifies only the VM that [registered](Self::register) the queue last. In other VMs
    /// this future never completes; call [`dequeue`](Self::dequeue) periodically there.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use std::rc::Rc;
    /// async fn count(_config: Rc<()>) -> Result<()> {
    ///     let queue = SharedQueue::register("events")?;
    ///     loop {
    ///         let item = queue.receive().await?;
    ///         log::info!("event: {}", escaped(&item));
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails as [`dequeue`](Self::dequeue) does.
    pub async fn receive(&self) -> Result<Vec<u8>> {
        let mut waits = None;
        poll_fn(|context| poll_item(*self, &mut waits, context)).await
    }

    /// Returns the items as an endless stream of the crate `futures`. Needs the feature `futures`.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use std::rc::Rc;
    /// use futures::{StreamExt as _, stream};
    ///
    /// async fn count(_config: Rc<()>) -> Result<()> {
    ///     let (errors, events) = (SharedQueue::register("errors")?, SharedQueue::register("events")?);
    ///     let mut both = stream::select(errors.items(), events.items());
    ///     while let Some(item) = both.next().await {
    ///         log::info!("{}", escaped(&item?));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[cfg(feature = "futures")]
    pub const fn items(&self) -> QueueItems {
        QueueItems { queue: *self, waits: None }
    }
}

/// The stream of the items of a [`SharedQueue`]. Made by [`SharedQueue::items`].
#[cfg(feature = "futures")]
#[derive(Debug)]
#[must_use = "items are taken out as the stream is polled"]
pub struct QueueItems {
    queue: SharedQueue,
    waits: Option<InFlight<Item>>,
}

/// The items, each as [`receive`](SharedQueue::receive) returns it. It has no end.
#[cfg(feature = "futures")]
impl futures_core::Stream for QueueItems {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: core::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let queue = self.queue;
        poll_item(queue, &mut self.waits, context).map(Some)
    }
}
