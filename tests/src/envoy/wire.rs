//! A TCP connection with what was read from it and not yet used. Every wait has a limit.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest wait for the other side to send or to take something. A stream that a filter paused
/// for ever ends here.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// The pause before each chunk of a body, long enough for Envoy to hand it to the filter by itself,
/// and for the head to reach the upstream.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// A client that has connected sends its request within this time, unless it has thought better of
/// it.
pub(super) const SOON: Duration = Duration::from_millis(100);

/// An upstream that responds before the end of a request stops reading if no byte of it arrives for
/// this long.
pub(super) const QUIET: Duration = Duration::from_millis(300);

/// Whether a server pauses between the parts of what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It does, so that each part comes by itself.
    Parts,
    /// It does not: the receiver waits for the end anyway.
    AtOnce,
}

/// One side of a connection.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
    /// The time of this side's disconnect, independent of the other side.
    leaves: Option<Instant>,
}

impl Wire {
    /// Connects to Envoy.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&address, LIMIT)?)
    }

    /// The address of this side.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Takes over a connection.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { stream, buffer: Vec::new(), closed: false, leaves: None })
    }

    /// Waits for the other side no longer than this from now on.
    pub(super) fn disconnect_after(&mut self, patience: Option<Duration>) {
        self.leaves = patience.map(|patience| Instant::now() + patience);
    }

    /// Writes all bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// What was read and not yet taken.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether the other side closed or reset the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes up to `length` of the buffered bytes.
    pub(super) fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Waits until more bytes are buffered.
    ///
    /// # Errors
    ///
    /// `TimedOut` when nothing came within the limit, `UnexpectedEof` when the other side closed or
    /// reset the connection.
    pub(super) fn fill(&mut self, limit: Duration) -> io::Result<()> {
        if self.closed {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let patience = self.leaves.map(|leaves| leaves.saturating_duration_since(Instant::now()));
            if patience.is_some_and(|patience| patience.is_zero()) {
                return Err(ErrorKind::TimedOut.into());
            }
            let limit = patience.map_or(limit, |patience| patience.min(limit));
            self.stream.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    self.buffer.extend(chunk.iter().take(length));
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(_) => break,
            }
        }
        self.closed = true;
        Err(ErrorKind::UnexpectedEof.into())
    }

    /// Waits until `length` bytes are buffered, and takes them.
    pub(super) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill(LIMIT)?;
        }
        Ok(self.take(length))
    }

    /// Waits for a line, and takes it without its end.
    pub(super) fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return Ok(line);
            }
            self.fill(LIMIT)?;
        }
    }

    /// Pauses between two chunks while it reads. Returns true if the other side has closed, or has
    /// sent what `enough` accepts: sending more has no effect.
    pub(super) fn pause(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        let end = Instant::now() + PAUSE;
        loop {
            if self.closed || enough(&self.buffer) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // A failure shows as `closed` or as time that has passed.
            let _ = self.fill(left);
        }
    }

    /// Reads and drops what the other side still sends until it closes, so that closing first
    /// cannot cut off what it has not read.
    pub(super) fn drain(&mut self) {
        while self.fill(LIMIT).is_ok() {
            self.buffer.clear();
        }
    }
}
