//! [`Usage`]: what a plugin keeps.

/// What a plugin keeps in the embedded host, in bytes.
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
}
