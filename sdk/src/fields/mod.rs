//! Names and values of header fields, whichever message they belong to.

pub(crate) mod header_map;
pub(crate) mod header_value;
