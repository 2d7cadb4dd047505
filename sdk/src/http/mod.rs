//! HTTP streams: [`Context`](crate::Context), the handles of each part of a message, and what callbacks return.

pub(crate) mod body;
pub(crate) mod close_stream;
pub(crate) mod context;
pub(crate) mod filter_status;
pub(crate) mod headers;
pub(crate) mod log_context;
pub(crate) mod pause;
pub(crate) mod representation;
