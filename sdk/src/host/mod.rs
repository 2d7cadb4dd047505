//! What a host offers besides messages: time, properties, metadata, metrics, shared data.

pub(crate) mod buffer;
pub mod clock;
pub(crate) mod configuration;
pub mod configured;
pub mod filter_state;
pub mod foreign;
#[cfg(feature = "json")]
pub mod json;
pub mod metadata;
pub mod metric;
pub mod property;
pub mod random;
pub mod shared_data;
#[cfg(feature = "json")]
pub(crate) mod stack;
pub mod stream_info;
