//! Cancelling what contexts wait for.

#[cfg(feature = "grpc")]
use crate::callout::grpc::{calls, streams};
use crate::callout::http::completions;
use crate::callout::timer::timers;
use crate::engine::callbacks::CallbackSet;

/// Cancels the callouts of a context that is gone; `awaits` says what it can wait for.
#[inline]
pub(crate) fn callouts_of(awaits: CallbackSet, owner: u32) {
    if awaits.intersects(CallbackSet::HTTP_CALLS) && !awaits.are_only_futures() {
        completions::cancel_all(owner);
    }
    if awaits.intersects(CallbackSet::TIMERS) {
        timers::forget(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_CALLS) {
        calls::forget(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_STREAMS) {
        streams::forget(owner);
    }
}
