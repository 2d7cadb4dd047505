//! Bodies of a stream: [`RequestBody`], [`ResponseBody`], and what they share, [`Body`].

use crate::abi::buffer_type::BufferType;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::error::{Error, Result};
use crate::fields::header_map::ContentLength;
use crate::host::buffer::Buffer;
use crate::http::filter_status::FilterDataStatus;
use core::ops::{Deref, DerefMut};

/// The part of a message's body that the current callback can read and edit.
///
/// After a callback returned [`Continue`](FilterDataStatus::Continue), this is the chunk that has
/// just arrived. After [`StopIterationAndBuffer`](FilterDataStatus::StopIterationAndBuffer), it is
/// everything buffered so far, including the new chunk.
///
/// Every complete message causes exactly one callback with `end_of_stream` true. If trailers end
/// the message, the body is then what is buffered. If the message has no body, it is empty and
/// cannot be edited.
///
/// # Editing
///
/// Hosts do not correct `content-length`. An edit that changes the number of bytes therefore fails,
/// unless the headers callback has removed the field: `response.remove("content-length")?` in
/// `on_response_headers`, and the same for requests. A wrong `content-length` would truncate the
/// message, or leak its end into the next request on the upstream connection.
/// connection.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// struct Shout;
/// impl Context for Shout {
///     fn on_response_headers(
///         &mut self,
///         response: &mut ResponseHeaders,
///         _end_of_stream: bool,
///     ) -> Result<FilterHeadersStatus> {
///         response.remove("content-length")?;
///         Ok(FilterHeadersStatus::Continue)
///     }
///     fn on_response_body(
///         &mut self,
///         body: &mut ResponseBody,
///         end_of_stream: bool,
///     ) -> Result<FilterDataStatus> {
///         if !end_of_stream {
///             return Ok(FilterDataStatus::StopIterationAndBuffer);
///         }
///         if !body.is_empty() {
///             body.append(b"!")?;
///         }
///         Ok(FilterDataStatus::Continue)
///     }
/// }
/// ```
///
/// Source: context API, "Body API"; ABI 0.2.1, "Buffers"; Envoy 1.40 for the rules of edits.
#[derive(Debug)]
pub struct Body {
    buffer: Buffer,
    edits: Edits,
}

/// Which edits are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edits {
    /// The message has no body, or its body was forwarded: there is nothing to edit.
    Impossible,
    /// The headers were forwarded with a `content-length`: the number of bytes must not change.
    SameLength,
    /// Any edit.
    Any,
}

impl From<ContentLength> for Edits {
    fn from(content_length: ContentLength) -> Self {
        match content_length {
            ContentLength::Kept => Self::SameLength,
            ContentLength::Removed => Self::Any,
        }
    }
}

impl Body {
    const fn new(buffer: BufferType, length: usize, edits: Edits) -> Self {
        Self { buffer: Buffer::new(buffer, length), edits }
    }

    /// Returns the number of bytes that are visible now. It makes no host call.
    #[doc(alias = "proxy_get_buffer_status")]
    pub const fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Returns whether no byte is visible now.
    pub const fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// Returns a copy of `length` bytes from `start`. It returns fewer bytes at the end of the
    /// body, and none if `start` is behind it.
    ///
    /// # Errors
    /// [`WrongPhase`](ErrorKind::WrongPhase), or another error status of the host.
    #[doc(alias = "proxy_get_buffer_bytes")]
    #[doc(alias = "getRequestBodyBufferBytes")]
    #[doc(alias = "getResponseBodyBufferBytes")]
    pub fn bytes(&self, start: usize, length: usize) -> Result<Vec<u8>> {
        self.buffer.bytes(start, length)
    }

    /// Returns a copy of all bytes that are visible now.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes(0, self.len())
    }

    /// Replaces everything that is visible now by `bytes`.
    ///
    /// # Errors
    /// [`ContentLength`](ErrorKind::ContentLength) if the edit changes the length and
    /// `content-length` was not removed from the headers.
    /// [`WrongPhase`](ErrorKind::WrongPhase) if the message has no body, or if trailers
    /// ended a body that was already forwarded: no host can add to it.
    #[doc(alias = "proxy_set_buffer_bytes")]
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.len() == self.len())?;
        self.buffer.replace(bytes)
    }

    /// Inserts `bytes` before what is visible now.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn prepend(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.buffer.prepend(bytes)
    }

    /// Appends `bytes` to what is visible now.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.buffer.append(bytes)
    }

    /// Moves the view to another chunk, which cannot be edited.
    #[cfg(feature = "futures")]
    pub(crate) const fn move_to(&mut self, start: usize, length: usize) {
        (self.buffer, self.edits) = (self.buffer.of_piece(start, length), Edits::Impossible);
    }

    /// Returns where the visible part ends in the host's buffer.
    pub(crate) const fn end(&self) -> usize {
        self.buffer.end()
    }

    /// Returns the number of bytes that the host keeps now, those of other chunks included.
    pub(crate) fn measure(&self) -> usize {
        self.buffer.measure()
    }

    /// Returns whether the forwarded headers may announce a length, which the body must keep.
    pub(crate) fn has_announced_length(&self) -> bool {
        self.edits == Edits::SameLength
    }

    /// Records that the headers no longer announce a length.
    pub(crate) const fn allow_any_length(&mut self) {
        self.edits = Edits::Any;
    }

    #[inline]
    fn permit(&self, same_length: bool) -> Result<()> {
        match self.edits {
            Edits::Any => Ok(()),
            Edits::SameLength if same_length => Ok(()),
            Edits::SameLength => Err(Error::refused(
                ErrorKind::ContentLength,
                "this edit changes the length of the body, but content-length may have been sent: call remove(\"content-length\") in \
                 the headers callback of the same message first",
            )),
            Edits::Impossible => Err(Error::refused(
                ErrorKind::WrongPhase,
                "there is no body here to edit, and a host cannot add one: send a local reply from the headers callback instead",
            )),
        }
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $buffer:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Body);

        impl $name {
            pub(crate) const fn new(length: usize, edits: Edits) -> Self {
                Self(Body::new(BufferType::$buffer, length, edits))
            }

            /// Creates the view of a chunk that follows others in the host's buffer.
            pub(crate) const fn piece(start: usize, length: usize, edits: Edits) -> Self {
                Self(Body { buffer: Buffer::piece(BufferType::$buffer, start, length), edits })
            }

            /// Returns the result that sends `reply` to the client and ends the stream.
            ///
            /// The reply is a value: nothing is sent unless the callback returns it. If response
            /// headers were already sent to the client, the host resets the stream instead.
            ///
            /// # Errors
            /// None: the return type is the one that a callback needs. A header or body that cannot
            /// be sent is left out of the reply: see [`LocalReply`].
            #[inline]
            pub fn reply(&self, reply: LocalReply) -> Result<FilterDataStatus> {
                Ok(reply.into())
            }
        }

        impl Deref for $name {
            type Target = Body;

            fn deref(&self) -> &Body {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Body {
                &mut self.0
            }
        }
    };
}

handle! {
    /// The request's body. Available in [`on_request_body`](crate::Context::on_request_body) only.
    RequestBody, REQUEST_BODY
}

handle! {
    /// The response's body. Available in [`on_response_body`](crate::Context::on_response_body)
    /// only.
    ResponseBody, RESPONSE_BODY
}
