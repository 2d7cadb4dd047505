//! The wire: ids, statuses and encodings of the Proxy-Wasm 0.2.1 ABI. No unsafe code, no host calls.

mod buffer_type;
mod log_level;
mod map_type;
mod metric_type;
pub(crate) mod pairs;
pub(crate) mod path;
pub(crate) mod protobuf;
pub(crate) mod request;
mod status;
mod stream_type;

pub(crate) use buffer_type::BufferType;
pub use log_level::LogLevel;
pub(crate) use map_type::MapType;
pub(crate) use metric_type::MetricType;
pub use status::Status;
pub(crate) use stream_type::StreamType;
