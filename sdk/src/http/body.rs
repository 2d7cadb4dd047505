//! Bodies of a stream: [`RequestBody`], [`ResponseBody`], and what they share, [`Body`].

use crate::abi::buffer_type::BufferType;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::error::{Error, Result};
use crate::fields::header_map::ContentLength;
use crate::host::buffer::Buffer;
use crate::http::filter_status::FilterDataStatus;
use core::ops::{Deref, DerefMut};

/// The part of a message's body the host shows now.
///
/// After a callback returned [`Continue`](FilterDataStatus::Continue) that is the piece that has just arrived. After
/// [`StopIterationAndBuffer`](FilterDataStatus::StopIterationAndBuffer) it is everything kept so far and the piece.
///
/// The callback is called once with `end_of_stream` true for every message that ends, whatever ends it: a piece of body, trailers
/// (the body is then what was buffered), or the headers of a message without a body (the body is then empty and cannot be edited).
///
/// # Editing
///
/// A host never corrects `content-length`. An edit that changes the number of bytes is therefore refused unless the filter removed
/// the field when it still could: `response.remove("content-length")?` in `on_response_headers`, and the same for requests. A wrong
/// one would truncate the message, or leak its end into the next request on the upstream connection.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// struct Shout;
/// impl Context for Shout {
///     fn on_response_headers(&mut self, response: &mut ResponseHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
///         response.remove("content-length")?;
///         Ok(FilterHeadersStatus::Continue)
///     }
///     fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
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
    /// The message has no body, or its body has gone on: there is nothing to edit.
    Impossible,
    /// The headers went on with a `content-length`: the number of bytes must stay.
    SameLength,
    /// Any.
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

    /// The number of bytes visible now. No host call.
    #[doc(alias = "proxy_get_buffer_status")]
    pub const fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether no byte is visible now.
    pub const fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// `length` bytes from `start`, copied from the host; fewer at the end of the body, none after it.
    ///
    /// # Errors
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) or another refusal of the host.
    #[doc(alias = "proxy_get_buffer_bytes")]
    #[doc(alias = "getRequestBodyBufferBytes")]
    #[doc(alias = "getResponseBodyBufferBytes")]
    pub fn bytes(&self, start: usize, length: usize) -> Result<Vec<u8>> {
        self.buffer.bytes(start, length)
    }

    /// All bytes visible now.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes(0, self.len())
    }

    /// Puts `bytes` in the place of everything visible now.
    ///
    /// # Errors
    /// [`ContentLength`](ErrorKind::ContentLength) if that changes the length and `content-length` was not removed from the headers;
    /// [`NotAvailableHere`](ErrorKind::NotAvailableHere) if the message has no body, or if trailers ended a body that was forwarded:
    /// no host can add to it.
    #[doc(alias = "proxy_set_buffer_bytes")]
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.len() == self.len())?;
        self.buffer.replace(bytes)
    }

    /// Puts `bytes` before what is visible now.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn prepend(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.buffer.prepend(bytes)
    }

    /// Puts `bytes` after what is visible now.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.permit(bytes.is_empty())?;
        self.buffer.append(bytes)
    }

    /// Another piece, which cannot be edited.
    #[cfg(feature = "futures")]
    pub(crate) const fn move_to(&mut self, start: usize, length: usize) {
        (self.buffer, self.edits) = (self.buffer.of_piece(start, length), Edits::Impossible);
    }

    /// Where what is visible ends in what the host keeps.
    pub(crate) const fn end(&self) -> usize {
        self.buffer.end()
    }

    /// Whether the headers may announce another length.
    pub(crate) fn has_announced_length(&self) -> bool {
        self.edits == Edits::SameLength
    }

    /// The headers announce no length any more.
    pub(crate) const fn allow_any_length(&mut self) {
        self.edits = Edits::Any;
    }

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
                ErrorKind::NotAvailableHere,
                "there is no body here to edit, and a host cannot add one: answer with a local reply from the headers callback instead",
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

            /// A piece after others that the host still keeps.
            pub(crate) const fn piece(start: usize, length: usize, edits: Edits) -> Self {
                Self(Body { buffer: Buffer::piece(BufferType::$buffer, start, length), edits })
            }

            /// The result that answers the client with `reply` and ends the stream.
            ///
            /// It is a value: nothing happens unless the callback returns it. If the response headers have gone to the client already, the
            /// host resets the stream instead.
            ///
            /// # Errors
            /// None: a callback returns a `Result`. What cannot be sent of a reply is left out, see [`LocalReply`].
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
    /// The request's body, in [`on_request_body`](crate::Context::on_request_body) only.
    RequestBody, REQUEST_BODY
}

handle! {
    /// The response's body, in [`on_response_body`](crate::Context::on_response_body) only.
    ResponseBody, RESPONSE_BODY
}
