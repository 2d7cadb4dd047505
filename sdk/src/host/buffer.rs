//! A buffer of the host's: what bodies of HTTP messages and the data of connections have in common.

use crate::abi::buffer_type::BufferType;
use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;

/// What the host shows of a buffer now.
#[derive(Debug)]
pub(crate) struct Buffer {
    kind: BufferType,
    /// The offset in the host's buffer. It is above 0 only after data that was paused; such a chunk
    /// cannot be edited.
    start: usize,
    length: usize,
}

impl Buffer {
    #[inline]
    pub(crate) const fn new(buffer: BufferType, length: usize) -> Self {
        Self::piece(buffer, 0, length)
    }

    /// A chunk after other chunks that the host still buffers.
    #[inline]
    pub(crate) const fn piece(buffer: BufferType, start: usize, length: usize) -> Self {
        Self { kind: buffer, start, length }
    }

    /// Another chunk of the host's buffer.
    #[cfg(feature = "futures")]
    pub(crate) const fn of_piece(&self, start: usize, length: usize) -> Self {
        Self::piece(self.kind, start, length)
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Returns the end offset in the host's buffer.
    #[inline]
    pub(crate) const fn end(&self) -> usize {
        self.start.saturating_add(self.length)
    }

    /// Returns `length` bytes from `start`: fewer at the end, and no bytes after the end.
    #[inline]
    pub(crate) fn bytes(&self, start: usize, length: usize) -> Result<Vec<u8>> {
        if start >= self.length || length == 0 {
            return Ok(Vec::new());
        }
        // Lengths beyond the end are cut here, because hosts handle them differently.
        let length = length.min(self.length - start);
        sys::proxy_get_buffer_bytes(self.kind.raw(), size(self.start + start)?, size(length)?)
            .map_err(|status| Error::host("proxy_get_buffer_bytes", status))
    }

    /// Returns the current length of the host's buffer.
    #[cold]
    #[inline(never)]
    pub(crate) fn measure(&self) -> usize {
        sys::proxy_get_buffer_bytes(self.kind.raw(), 0, u32::MAX).map_or(0, |bytes| bytes.len())
    }

    /// Puts `bytes` in the place of everything.
    #[inline]
    pub(crate) fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        // "From 0, at least the whole length" is the one form of replacement every host knows.
        self.set(0, u32::MAX, bytes)?;
        self.length = bytes.len();
        Ok(())
    }

    #[inline]
    pub(crate) fn prepend(&mut self, bytes: &[u8]) -> Result<()> {
        self.set(0, 0, bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.set(size(self.length)?, 0, bytes)?;
        self.length += bytes.len();
        Ok(())
    }

    /// Takes the first `length` bytes out.
    #[inline]
    pub(crate) fn drain(&mut self, length: usize) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        if length >= self.length {
            return self.replace(&[]);
        }
        match sys::proxy_set_buffer_bytes(self.kind.raw(), 0, size(length)?, &[]) {
            Ok(()) => {
                self.length -= length;
                Ok(())
            }
            // Older hosts can replace only an empty range or the whole buffer.
            Err(Status::BAD_ARGUMENT) => {
                let rest = self.bytes(length, self.length)?;
                self.replace(&rest)
            }
            Err(status) => Err(Error::host("proxy_set_buffer_bytes", status)),
        }
    }

    #[inline]
    fn set(&self, start: u32, length: u32, bytes: &[u8]) -> Result<()> {
        sys::proxy_set_buffer_bytes(self.kind.raw(), start, length, bytes).map_err(|status| match status {
            Status::BAD_ARGUMENT if self.length == 0 => forwarded(),
            status => Error::host("proxy_set_buffer_bytes", status),
        })
    }
}

/// Trailers end a body that is not buffered. The host has no buffer then.
#[cold]
fn forwarded() -> Error {
    Error::refused(ErrorKind::WrongPhase, "the body was forwarded before its trailers arrived")
}

/// Returns a whole buffer whose size the host has reported.
#[inline]
pub(crate) fn whole(kind: BufferType, size: u32) -> Result<Vec<u8>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    sys::proxy_get_buffer_bytes(kind.raw(), 0, size).map_err(|status| Error::host("proxy_get_buffer_bytes", status))
}

/// A size on the wire.
#[inline]
fn size(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| Error::refused(ErrorKind::TooLarge, "a buffer of more than 4 GiB"))
}
