//! Items of queues as futures.

use crate::error::Result;
use crate::exchange::{self, Points};
use crate::shared_queue::SharedQueue;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use std::cell::Cell;

thread_local! {
    /// Who waits for an item of which queue.
    static WAITING: Cell<Vec<(u32, Waker)>> = const { Cell::new(Vec::new()) };
}

/// Somebody has put an item into this queue: everyone who waits for one looks again.
pub(super) fn wake(queue: u32) {
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
        poll_fn(|context| {
            if !exchange::is_declared(Points::QUEUES) {
                return Poll::Ready(Err(exchange::undeclared("queues")));
            }
            let item = self.dequeue().transpose();
            if item.is_none() {
                let mut waiting = WAITING.take();
                waiting.retain(|(_, waker)| !waker.will_wake(context.waker()));
                waiting.push((self.id(), context.waker().clone()));
                WAITING.set(waiting);
            }
            item.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
