//! Values of header fields: those of one name ([`HeaderValues`]), those of a whole map ([`Pairs`]),
//! and the media type of `content-type` ([`MediaType`]). Names and values that are checked at
//! compile time: [`name!`] and [`value!`].

pub(crate) mod constant;
pub(crate) mod header_map;
pub(crate) mod header_value;
pub(crate) mod representation;

#[doc(inline)]
pub use crate::__field_name as name;
#[doc(inline)]
pub use crate::__field_value as value;
pub use crate::fields::header_value::{HeaderValues, Pairs, PairsIter};
pub use crate::fields::representation::MediaType;
