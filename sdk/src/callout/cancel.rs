//! Cancelling the callouts of a context.

#[cfg(feature = "grpc")]
use crate::callout::grpc::{arrival::Arrival, call::GrpcCall, message::GrpcBytes, streams::Handler};
use crate::callout::http::HttpCall;
use crate::callout::registry::Kind;
use crate::callout::timer::Timer;
use crate::engine::callbacks::CallbackSet;

/// Cancels the callouts of a deleted context. `awaits` names the kinds of callouts that it can
/// start.
#[inline]
pub(crate) fn callouts_of(awaits: CallbackSet, owner: u32) {
    if awaits.are_only_futures() {
        // Each future cancels its own.
        return;
    }
    if awaits.intersects(CallbackSet::HTTP_CALLS) {
        cancel::<HttpCall>(owner);
    }
    if awaits.intersects(CallbackSet::TIMERS) {
        cancel::<Timer>(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_CALLS) {
        cancel::<GrpcCall<GrpcBytes>>(owner);
    }
    #[cfg(feature = "grpc")]
    if awaits.intersects(CallbackSet::GRPC_STREAMS) {
        cancel::<Handler>(owner);
        cancel::<Arrival>(owner);
    }
}

#[inline]
fn cancel<K: Kind>(owner: u32) {
    let _ = K::registry(|registry| registry.cancel_all(owner));
}
