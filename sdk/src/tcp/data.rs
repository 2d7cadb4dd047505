//! Data of a connection: [`DownstreamData`], [`UpstreamData`], and what they share, [`StreamData`].

use crate::abi::buffer_type::BufferType;
use crate::error::Result;
use crate::host::buffer::Buffer;
use core::ops::{Deref, DerefMut};

/// The data of one direction that the current callback can read and edit: the buffered data and the
/// data that has just arrived.
///
/// Edits are kept while the data is buffered: the next callback sees the edited data.
///
/// ```
/// # use proxy_filter::prelude::*;
/// /// Passes lines on when they are complete.
/// fn whole_lines(data: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
///     let line_ends = data.to_bytes()?.ends_with(b"\n");
///     Ok(if line_ends || end_of_stream {
///         NetworkFilterStatus::Continue
///     } else {
///         NetworkFilterStatus::StopIteration
///     })
/// }
/// ```
///
/// Data from the client can be buffered until a callout completes: [`DownstreamData::pause_for`].
///
/// Source: ABI 0.2.1, "Buffers"; Envoy 1.40 for the rules of edits.
#[derive(Debug)]
pub struct StreamData(Buffer);

impl StreamData {
    /// Returns the number of bytes that are visible now. It makes no host call.
    #[doc(alias = "proxy_get_buffer_status")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no byte is visible now, as when the end of a direction arrives without data.
    pub const fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns a copy of `length` bytes from `start`. It returns fewer bytes at the end of the
    /// data, and no bytes if `start` is after the end.
    ///
    /// # Errors
    /// [`WrongPhase`](crate::ErrorKind::WrongPhase), or another error status of the
    /// host.
    #[doc(alias = "proxy_get_buffer_bytes")]
    #[doc(alias = "get_downstream_data")]
    #[doc(alias = "get_upstream_data")]
    #[inline]
    pub fn bytes(&self, start: usize, length: usize) -> Result<Vec<u8>> {
        self.0.bytes(start, length)
    }

    /// Returns a copy of all bytes that are visible now.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    #[inline]
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.0.bytes(0, self.len())
    }

    /// Replaces everything that is visible now by `bytes`. Empty `bytes` drop the data.
    ///
    /// # Errors
    /// An error status of the host.
    #[doc(alias = "proxy_set_buffer_bytes")]
    #[doc(alias = "set_downstream_data")]
    #[doc(alias = "set_upstream_data")]
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.replace(bytes.as_ref())
    }

    /// Inserts `bytes` before the visible data.
    ///
    /// # Errors
    /// An error status of the host.
    pub fn prepend(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.prepend(bytes.as_ref())
    }

    /// Appends `bytes` to the visible data. Data can also be appended when the end of a direction
    /// arrives without data.
    ///
    /// # Errors
    /// An error status of the host.
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.append(bytes.as_ref())
    }

    /// Removes the first `length` bytes, or all if there are fewer.
    ///
    /// For hosts that cannot do that in one call, the SDK replaces the data by its rest, which
    /// costs a copy.
    ///
    /// # Errors
    /// An error status of the host.
    #[inline]
    pub fn drain(&mut self, length: usize) -> Result<()> {
        self.0.drain(length)
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $buffer:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(StreamData);

        impl $name {
            pub(crate) const fn new(length: usize) -> Self {
                Self(StreamData(Buffer::new(BufferType::$buffer, length)))
            }
        }

        impl Deref for $name {
            type Target = StreamData;

            #[inline]
            fn deref(&self) -> &StreamData {
                &self.0
            }
        }

        impl DerefMut for $name {
            #[inline]
            fn deref_mut(&mut self) -> &mut StreamData {
                &mut self.0
            }
        }
    };
}

handle! {
    /// Data from the client. Available in
    /// [`on_downstream_data`](crate::tcp::StreamContext::on_downstream_data), and in completions
    /// that were started with its own [`pause_for`](Self::pause_for).
    ///
    /// While a callout is pending, `on_downstream_data` is still called for data that arrives, and
    /// sees everything that is buffered. It must return
    /// [`Pause`](crate::tcp::NetworkFilterStatus::Pause) until the completion has decided.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// #[derive(Default)]
    /// struct Root;
    ///
    /// #[proxy_filter::root]
    /// impl RootContext for Root {
    ///     type Context = Guard;
    ///
    ///     fn new_context(&self) -> Guard {
    ///         Guard { asks: false, allowed: false }
    ///     }
    /// }
    ///
    /// struct Guard {
    ///     asks: bool,
    ///     allowed: bool,
    /// }
    ///
    /// #[proxy_filter::stream_context(http_calls)]
    /// impl StreamContext for Guard {
    ///     fn on_downstream_data(
    ///         &mut self,
    ///         data: &mut DownstreamData,
    ///         _: bool,
    ///     ) -> Result<NetworkFilterStatus> {
    ///         if self.allowed {
    ///             return Ok(NetworkFilterStatus::Continue);
    ///         }
    ///         if core::mem::replace(&mut self.asks, true) {
    ///             return Ok(NetworkFilterStatus::Pause);
    ///         }
    ///         data.pause_for(self, HttpCall::get("authz", "/"), |guard, _data, answer| {
    ///             guard.allowed = answer?.status() == 204;
    ///             Ok(if guard.allowed {
    ///                 NetworkFilterStatus::Continue
    ///             } else {
    ///                 NetworkFilterStatus::Close
    ///             })
    ///         })
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    DownstreamData, DOWNSTREAM_DATA
}

handle! {
    /// Data from the upstream. Available in
    /// [`on_upstream_data`](crate::tcp::StreamContext::on_upstream_data) only.
    UpstreamData, UPSTREAM_DATA
}
