//! Queues of the host: [`SharedQueue`](crate::SharedQueue), and its items as futures.

pub(crate) mod shared_queue;
