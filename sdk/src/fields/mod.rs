//! Names and values of header fields of all messages.

pub(crate) mod header_map;
pub(crate) mod header_value;
pub(crate) mod representation;
