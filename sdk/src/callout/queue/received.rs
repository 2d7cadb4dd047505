//! Items of queues as futures.

use crate::callout::queue::shared_queue::SharedQueue;
use crate::engine::declared;
use crate::engine::point::Points;
use crate::error::Result;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;

thread_local! {
    /// Who waits for an item of which queue.
    static WAITING: Cell<Vec<(u32, Waker)>> = const { Cell::new(Vec::new()) };
}

/// Somebody has put an item into this queue: everyone who waits for one looks again.
pub(crate) fn wake(queue: u32) {
    let (woken, waiting) = WAITING.take().into_iter().partition::<Vec<_>, _>(|(other, _)| *other == queue);
    WAITING.set(waiting);
    for (_, waker) in woken {
        waker.wake();
    }
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
        poll_fn(|context| self.poll_item(context)).await
    }

    fn poll_item(self, context: &Context<'_>) -> Poll<Result<Vec<u8>>> {
        if !declared::is_declared(Points::QUEUES) {
            return Poll::Ready(Err(declared::undeclared("queues")));
        }
        let item = self.dequeue().transpose();
        if item.is_none() {
            let mut waiting = WAITING.take();
            // Of several queues, each wakes who waits for it.
            waiting.retain(|(queue, waker)| *queue != self.id() || !waker.will_wake(context.waker()));
            waiting.push((self.id(), context.waker().clone()));
            WAITING.set(waiting);
        }
        item.map_or(Poll::Pending, Poll::Ready)
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
        QueueItems(*self)
    }
}

/// The items of a [`SharedQueue`] as they come; made by [`SharedQueue::items`].
#[cfg(feature = "futures")]
#[derive(Clone, Copy, Debug)]
#[must_use = "items are taken out as the stream is polled"]
pub struct QueueItems(SharedQueue);

/// The items, each as [`receive`](SharedQueue::receive) returns it. It has no end.
#[cfg(feature = "futures")]
impl futures_core::Stream for QueueItems {
    type Item = Result<Vec<u8>>;

    fn poll_next(self: core::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_item(context).map(Some)
    }
}
