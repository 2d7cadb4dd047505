//! Ending a stream without a response.

use crate::abi::stream_type::StreamType;
use crate::sys;

/// Resets a stream, or closes a connection. A host that refuses leaves it stopped, which is still closed.
#[inline]
pub(crate) fn close(stream: StreamType) {
    let _ = sys::proxy_close_stream(stream.raw());
}
