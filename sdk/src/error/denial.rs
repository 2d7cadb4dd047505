//! What a filter may do to a stream instead of letting it go on.

use crate::abi::stream_type::StreamType;
use crate::current::Callback;
use crate::error::close::close;
use crate::error::local_reply::LocalReply;
use crate::error::send_reply;

/// How a stream ends by a decision of the filter: one of these, so that a reply and a reset cannot both be ordered.
#[derive(Debug)]
pub enum Denial {
    /// The client gets this.
    Reply(LocalReply),
    /// The client gets nothing: the stream is reset, the connection closed.
    Close,
}

impl Denial {
    /// Does it to an HTTP stream, whatever the failure policy is. The callback has to stop the stream besides.
    #[inline]
    pub(crate) fn carry_out(self, callback: Callback, context_id: u32) {
        match self {
            Self::Reply(reply) => send_reply(reply, callback, context_id),
            Self::Close => close(StreamType::HTTP_RESPONSE),
        }
    }
}

/// What a callback's result is to the host: a number, or a denial to carry out first.
pub(crate) type Raw = core::result::Result<u32, Denial>;
