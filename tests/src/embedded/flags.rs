//! `ResponseFlags`: why a stream ended as it did, by the bits of Envoy 1.40.

/// The upstream reset the stream.
pub(super) const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
/// The upstream closed its connection.
pub(super) const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
/// No route matched.
pub(super) const NO_ROUTE_FOUND: u64 = 1 << 8;
/// The client closed its connection.
pub(super) const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 1 << 14;
/// The client, or a filter in its place, broke the rules of the protocol.
pub(super) const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
/// The upstream broke the rules of its protocol.
pub(super) const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
/// The client reset the stream.
pub(super) const DOWNSTREAM_REMOTE_RESET: u64 = 1 << 28;
