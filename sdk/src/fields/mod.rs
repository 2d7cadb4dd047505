//! Values of header fields: those of one name ([`HeaderValues`]), those of a whole map ([`Pairs`]),
//! and the media type of `content-type` ([`MediaType`]).

pub(crate) mod header_map;
pub(crate) mod header_value;
pub(crate) mod representation;

pub use crate::fields::header_value::{HeaderValues, Pairs, PairsIter};
pub use crate::fields::representation::MediaType;
