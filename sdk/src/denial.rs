//! What a filter may do to a stream instead of letting it go on.

use crate::abi::{LogLevel, StreamType};
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::local_reply::LocalReply;
use crate::runtime::Callback;
use crate::sys;

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
    #[cold]
    #[inline(never)]
    pub(crate) fn carry_out(self, callback: Callback, context_id: u32) {
        if let Self::Reply(reply) = self {
            let Err(error) = reply.send() else { return };
            // Another reply would be refused as well.
            error.report(LogLevel::Error, callback, context_id, "; the stream is reset", 0);
        }
        close(StreamType::HTTP_RESPONSE);
    }
}

/// Resets a stream, or closes a connection. A host that refuses leaves it stopped, which is still closed.
#[inline]
pub(crate) fn close(stream: StreamType) {
    let _ = sys::proxy_close_stream(stream.raw());
}

macro_rules! into_status {
    ($($status:ident),*) => {
        $(impl From<LocalReply> for $status {
            #[inline]
            fn from(reply: LocalReply) -> Self {
                Self::LocalReply(reply)
            }
        }

        impl From<Denial> for $status {
            #[inline]
            fn from(denial: Denial) -> Self {
                match denial {
                    Denial::Reply(reply) => Self::LocalReply(reply),
                    Denial::Close => Self::CloseStream,
                }
            }
        })*
    };
}

into_status!(FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus);
