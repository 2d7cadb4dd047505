//! The wire: ids, statuses and encodings of the Proxy-Wasm 0.2.1 ABI. No unsafe code, no host
//! calls.

pub(crate) mod buffer_type;
pub(crate) mod field;
pub(crate) mod log_level;
pub(crate) mod map_type;
pub(crate) mod metric_type;
pub(crate) mod pairs;
pub(crate) mod path;
pub(crate) mod protobuf;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod stream_type;
