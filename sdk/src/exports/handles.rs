//! Handles for the unit tests of helper functions: `proxy_filter_host::handles` makes them of
//! literals.

use crate::fields::header_map::ContentLength;
use crate::host::configuration::{Configuration, VmConfiguration};
use crate::http::body::{Edits, RequestBody, ResponseBody};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::tcp::data::{DownstreamData, UpstreamData};

/// A handle that reads what the installed host has.
pub trait Handle {
    /// Creates the handle of a buffer with this many bytes. Maps have no length.
    fn of_length(length: usize) -> Self;
}

macro_rules! handles {
    ($($name:ty = |$length:ident| $new:expr;)*) => {
        $(impl Handle for $name {
            fn of_length($length: usize) -> Self {
                $new
            }
        })*
    };
}

handles! {
    RequestHeaders = |_length| Self::new(ContentLength::Kept);
    RequestTrailers = |_length| Self::new(ContentLength::Kept);
    ResponseHeaders = |_length| Self::new(ContentLength::Kept);
    ResponseTrailers = |_length| Self::new(ContentLength::Kept);
    RequestBody = |length| Self::new(length, Edits::Any);
    ResponseBody = |length| Self::new(length, Edits::Any);
    DownstreamData = |length| Self::new(length);
    UpstreamData = |length| Self::new(length);
    Configuration = |length| Self::new(u32::try_from(length).unwrap_or(u32::MAX));
    VmConfiguration = |length| Self::new(u32::try_from(length).unwrap_or(u32::MAX));
}
