//! [`SharedQueue`]: items handed from one VM to another, or to a later callback.

use crate::abi::status::Status;
use crate::error::{Error, Result};
use crate::host::shared_data::value::SharedValue;
use crate::sys;

/// A queue of the host that VMs and threads share: first in, first out, each item taken once.
///
/// A queue belongs to a `vm_id` and a name. Who registers it is told of each item by
/// [`RootContext::on_queue_ready`](crate::RootContext::on_queue_ready); others find it with
/// [`resolve`](Self::resolve). Both kinds may put items in and take them out. A queue lives until
/// the last VM with its `vm_id` is gone, and its length has no bound but the host's memory.
///
/// In Envoy the VM that registered **last** is told, on its thread. As every VM of a plugin runs
/// `on_configure`, on the main thread first and then on each worker, a queue that every one of them
/// registers ends with some worker. To have one consumer, register the queue in a plugin that runs
/// once: a singleton Wasm service (`envoy.bootstrap.wasm`), whose filters on the workers resolve
/// the queue by its `vm_id`.
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
///             log::info!("event: {}", printable(&item?));
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

    /// Makes the queue of this name, or finds it, and has the host tell this root context of its
    /// items from now on. Items that are in it already stay, without being told.
    ///
    /// Works in every callback; from a stream it is the stream's root context that is told. The
    /// host tells only a module that implements
    /// [`on_queue_ready`](crate::RootContext::on_queue_ready).
    ///
    /// # Errors
    /// A refusal of the host.
    ///
    /// Source: ABI 0.2.1, `proxy_register_shared_queue`.
    #[doc(alias = "proxy_register_shared_queue")]
    #[doc(alias = "registerSharedQueue")]
    pub fn register(name: impl AsRef<[u8]>) -> Result<Self> {
        let id = sys::proxy_register_shared_queue(name.as_ref());
        id.map(Self::from_id).map_err(|status| Error::host("proxy_register_shared_queue", status))
    }

    /// The queue that a VM with this `vm_id` registered under this name, or `None` if none did so
    /// far. An empty `vm_id` is the caller's own.
    ///
    /// Works in every callback. A VM may start before the one that registers: try again when `None`
    /// comes back.
    ///
    /// # Errors
    /// A refusal of the host.
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

    /// Puts an item at the end. An empty item is an item.
    ///
    /// The registrant is told after the running callback, never during it, once for each item.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the queue is gone.
    ///
    /// Source: ABI 0.2.1, `proxy_enqueue_shared_queue`.
    #[doc(alias = "proxy_enqueue_shared_queue")]
    #[doc(alias = "enqueueSharedQueue")]
    pub fn enqueue(&self, item: impl AsRef<[u8]>) -> Result<()> {
        sys::proxy_enqueue_shared_queue(self.id, item.as_ref())
            .map_err(|status| Error::host("proxy_enqueue_shared_queue", status))
    }

    /// Takes the first item out, or `None` if the queue is empty.
    ///
    /// An empty queue is no surprise in [`on_queue_ready`](crate::RootContext::on_queue_ready):
    /// another VM, or an earlier call that took several, may have been faster.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the queue is gone.
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

    /// [`enqueue`](Self::enqueue) for an item with a type.
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

    /// [`dequeue`](Self::dequeue) for an item with a type.
    ///
    /// # Errors
    /// Those of [`dequeue`](Self::dequeue); [`Malformed`](crate::ErrorKind::Malformed) for an item
    /// of another type, which is out of the queue then.
    pub fn dequeue_value<T: SharedValue>(&self) -> Result<Option<T>> {
        self.dequeue()?.map(T::decode).transpose()
    }

    /// The items, taken out one by one until the queue is empty or the host refuses.
    ///
    /// Where other threads put items in as fast as this one takes them, this has no end: bound it
    /// with [`take`](Iterator::take). The host tells of each item anyway, so that none is
    /// forgotten.
    pub const fn drain(&self) -> Drain {
        Drain { queue: *self, refused: false }
    }
}

/// The items of a [`SharedQueue`], taken out one by one; made by [`SharedQueue::drain`].
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
