//! Items of queues as futures.

use crate::callout::future::InFlight;
use crate::callout::queue::shared_queue::SharedQueue;
use crate::callout::registry::{Kind, Registry, next_number};
use crate::engine::declared;
use crate::engine::point::Points;
use crate::error::Result;
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::{Context, Poll};
use std::cell::Cell;

thread_local! {
    static WAITING: Registry<Item> = const { Registry::new() };
    /// The queues for whose items futures wait, each with the number of what waits.
    static QUEUES: Cell<Vec<(u32, u32)>> = const { Cell::new(Vec::new()) };
}

/// That an item was enqueued. What waits takes it out of the queue.
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

/// The numbers of those that wait for an item of this queue.
pub(crate) fn waiting_for(queue: u32) -> Vec<u32> {
    let (woken, others) = QUEUES.take().into_iter().partition::<Vec<_>, _>(|(other, _)| *other == queue);
    QUEUES.set(others);
    woken.into_iter().map(|(_, number)| number).collect()
}

/// Takes an item out of a queue; otherwise waits for one.
fn poll_item(queue: SharedQueue, waits: &mut Option<InFlight<Item>>, context: &Context<'_>) -> Poll<Result<Vec<u8>>> {
    if !declared::is_declared(Points::QUEUES) {
        return Poll::Ready(Err(declared::undeclared("queues")));
    }
    if let Some(item) = queue.dequeue().transpose() {
        *waits = None;
        return Poll::Ready(item);
    }
    // An item that another has taken: the next one is waited for.
    if waits.as_ref().is_none_or(|waits| waits.poll(context.waker()).is_some()) {
        let number = next_number();
        let mut queues = QUEUES.take();
        // Those that wait no more are forgotten here.
        queues.retain(|(_, number)| WAITING.with(|waiting| waiting.contains(*number)));
        queues.push((queue.id(), number));
        QUEUES.set(queues);
        *waits = InFlight::expect(number, context.waker());
    }
    Poll::Pending
}

impl SharedQueue {
    /// Waits for an item and takes it out. For root tasks: `#[proxy_filter::filter(root_task = …, queues)]`.
    ///
    /// The host tells of items only the VM that [registered](Self::register) the queue last: others wait in vain, and may use
    /// [`dequeue`](Self::dequeue) from time to time.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use std::rc::Rc;
    /// async fn count(_config: Rc<()>) -> Result<()> {
    ///     let queue = SharedQueue::register("events")?;
    ///     loop {
    ///         let item = queue.receive().await?;
    ///         log::info!("event: {}", printable(&item));
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`dequeue`](Self::dequeue); [`NotAvailableHere`](crate::ErrorKind::NotAvailableHere) if the attribute does not say `queues`.
    pub async fn receive(&self) -> Result<Vec<u8>> {
        let mut waits = None;
        poll_fn(|context| poll_item(*self, &mut waits, context)).await
    }

    /// The items as a stream of the crate `futures`; its end never comes. With the feature `futures`.
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
    ///         log::info!("{}", printable(&item?));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[cfg(feature = "futures")]
    pub const fn items(&self) -> QueueItems {
        QueueItems { queue: *self, waits: None }
    }
}

/// The items of a [`SharedQueue`] as they come; made by [`SharedQueue::items`].
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
