//! One HTTP stream, as Envoy's connection manager plays it.

mod chain;
mod client;
mod codec;
mod contexts;
mod exchange;
mod incoming;
mod playback;
mod upstream;

pub(super) use codec::decode;
pub(super) use contexts::Contexts;
pub(super) use exchange::Exchange;
