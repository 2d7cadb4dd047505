//! What a filter can do with a stream instead of forwarding it.

use crate::abi::stream_type::StreamType;
use crate::current::Callback;
use crate::error::close::close;
use crate::error::local_reply::LocalReply;
use crate::error::send_reply;

/// A decision of the filter that ends the stream. It is one of these, so a callback cannot order
/// both a reply and a reset.
#[derive(Debug)]
pub enum Denial {
    /// The client gets this reply.
    Reply(LocalReply),
    /// The client gets no response: the stream is reset, or the connection closed.
    Close,
}

impl Denial {
    /// Applies the decision to an HTTP stream, whatever the failure policy is. The callback must
    /// also return a status that pauses the stream.
    #[inline]
    pub(crate) fn carry_out(self, callback: Callback, context_id: u32) {
        match self {
            Self::Reply(reply) => send_reply(reply, callback, context_id),
            Self::Close => close(StreamType::HTTP_RESPONSE),
        }
    }
}

/// The result of a callback for the host: a number, or a denial that must be carried out first.
pub(crate) type Raw = core::result::Result<u32, Denial>;
