//! Resetting a stream without a response.

use crate::abi::stream_type::StreamType;
use crate::sys;

/// Resets a stream, or closes a connection. If the host refuses, the stream stays paused, so the
/// denial still holds.
#[inline]
pub(crate) fn close(stream: StreamType) {
    let _ = sys::proxy_close_stream(stream.raw());
}
