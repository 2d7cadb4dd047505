//! HTTP streams: [`Context`](crate::Context), the handles of the parts of a message, and the return
//! values of callbacks.

pub(crate) mod body;
pub(crate) mod close_stream;
pub(crate) mod context;
pub(crate) mod filter_status;
pub(crate) mod headers;
pub(crate) mod log_context;
pub(crate) mod pause;
