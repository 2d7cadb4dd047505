//! One HTTP stream, as Envoy's connection manager plays it.

mod chain;
mod client;
mod codec;
mod contexts;
mod exchange;
mod incoming;
mod live;
mod playback;
mod progress;
mod upstream;

pub(super) use codec::decode;
pub(super) use contexts::{Contexts, Ended};
pub(super) use exchange::Exchange;
pub(super) use live::LiveStream;
pub(super) use progress::Waits;
