//! `pause_for` of the handles of messages.

use crate::callout::completion::Callout;
use crate::callout::pause::{self, Paused, Status, pause_for};
use crate::engine::callbacks::Declares;
use crate::engine::message_state::{MessageState, Part};
use crate::error::Result;
use crate::error::denial::Raw;
use crate::fields::header_map::ContentLength;
use crate::http::body::{Edits, RequestBody, ResponseBody};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};

macro_rules! status {
    ($($status:ident),*) => {
        $(impl Status for $status {
            const PAUSE: Self = Self::Pause;

            #[inline]
            fn into_raw(self) -> Raw {
                Self::into_raw(self)
            }
        })*
    };
}

status!(FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus);

macro_rules! paused {
    ($($handle:ident -> $status:ident, |$state:ident| $again:expr, |$part:ident| $leave:expr;)*) => {
        $(impl Paused for $handle {
            const PART: Part = Part::$handle;
            type Status = $status;

            #[inline]
            fn again($state: &MessageState) -> Self {
                $again
            }

            #[inline]
            fn leave(&self, $state: &MessageState) {
                let $part = self;
                $leave
            }
        })*
    };
}

paused! {
    RequestHeaders -> FilterHeadersStatus,
        |state| Self::new(state.content_length()), |part| state.note_length(part.content_length());
    ResponseHeaders -> FilterHeadersStatus,
        |state| Self::new(state.content_length()), |part| state.note_length(part.content_length());
    RequestBody -> FilterDataStatus,
        |state| Self::new(state.size.get(), edits(state)), |part| state.size.set(part.len());
    ResponseBody -> FilterDataStatus,
        |state| Self::new(state.size.get(), edits(state)), |part| state.size.set(part.len());
    RequestTrailers -> FilterTrailersStatus, |_state| Self::new(ContentLength::Kept), |_part| ();
    ResponseTrailers -> FilterTrailersStatus, |_state| Self::new(ContentLength::Kept), |_part| ();
}

/// Returns which edits of a paused body are allowed.
#[inline]
fn edits(state: &MessageState) -> Edits {
    if state.size.get() == 0 { Edits::Impossible } else { state.content_length().into() }
}

pause_for! {
    RequestHeaders -> FilterHeadersStatus,
    ResponseHeaders -> FilterHeadersStatus,
    RequestBody -> FilterDataStatus,
    ResponseBody -> FilterDataStatus,
    RequestTrailers -> FilterTrailersStatus,
    ResponseTrailers -> FilterTrailersStatus,
}
