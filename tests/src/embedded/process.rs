//! What the VMs of one Envoy process share.

use super::metric::Values;
use super::shared::{Data, Queues};

/// Metrics, and the data and queues of one `vm_id`. Clones are the same process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    pub(crate) metrics: Values,
    pub(crate) data: Data,
    pub(crate) queues: Queues,
}
