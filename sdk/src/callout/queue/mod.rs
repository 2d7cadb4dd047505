//! Queues of the host: [`SharedQueue`](crate::shared_queue::SharedQueue), and its items as futures.

pub mod shared_queue;
