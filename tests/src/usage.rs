//! [`Usage`]: what a plugin keeps.

/// What a plugin keeps in the embedded host, in bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The memory of all VMs of the plugin, in pages of 64 KiB. It never shrinks. 0 for a filter
    /// that runs natively.
    pub memory: usize,
    /// The keys and values of shared data.
    pub shared_data: usize,
    /// The items in queues that were not dequeued.
    pub queues: usize,
    /// The names of metrics, with their labels.
    pub metrics: usize,
    /// HTTP and gRPC calls and gRPC streams that are in flight: their number.
    pub calls: usize,
    /// The number of root contexts: one for each plugin in each VM, and old ones that are not done.
    pub root_contexts: usize,
    /// The number of root contexts that tick.
    pub ticks: usize,
}
