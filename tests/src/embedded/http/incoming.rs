//! The body and the trailers of a message as they come: each part with the time at which it does.

use super::codec::{Broken, Malformed};
use crate::embedded::clock::PAUSE;
use crate::embedded::flags::{UPSTREAM_PROTOCOL_ERROR, UPSTREAM_REMOTE_RESET};
use crate::embedded::wire;
use crate::message::{Body, Fields, Protocol};
use std::time::Duration;

/// What follows the headers of a message.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) pieces: Vec<Piece>,
    pub(super) trailers: Option<Trailers>,
    /// The connection ends before the message does.
    pub(super) cut_off: bool,
    /// No data arrives with the headers: the first chunk is a separate read.
    pub(super) begins_empty: bool,
    /// Nothing comes once more when the connection ends.
    pub(super) ends_empty: bool,
    /// Why the message has no end: the flag and the reason.
    pub(super) cut_reason: Option<(u64, &'static str)>,
    /// What is wrong with a request.
    pub(super) malformed: Option<Malformed>,
}

/// A chunk of a body.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) end_of_stream: bool,
    /// When it comes; `None`: with what came before.
    pub(super) at: Option<Duration>,
}

/// The trailers.
#[derive(Debug)]
pub(super) struct Trailers {
    pub(super) fields: Fields,
    pub(super) at: Duration,
}

impl Incoming {
    /// A message whose headers come now.
    pub(super) fn of(body: &Body, trailers: &Fields, protocol: Protocol, now: Duration) -> Self {
        let mut time = now;
        // An end in a chunk of its own arrives after the last bytes of a body in chunks.
        let apart = matches!(body, Body::Chunked(_));
        let mut pieces = Vec::new();
        for (bytes, end_of_stream) in wire::pieces(body, !trailers.is_empty(), protocol) {
            let with_the_last = !pieces.is_empty() && !apart && bytes.is_empty();
            if !with_the_last {
                time += PAUSE;
            }
            pieces.push(Piece { bytes, end_of_stream, at: Some(time).filter(|_| !with_the_last) });
        }
        let trailers = (!trailers.is_empty()).then(|| Trailers { fields: trailers.clone(), at: time + PAUSE });
        Self { pieces, trailers, ..Self::default() }
    }

    /// The end comes with the last bytes, and not in a chunk of its own.
    pub(super) fn end_with_bytes(&mut self) {
        if let [.., bytes, end] = &mut self.pieces[..]
            && end.bytes.is_empty()
        {
            bytes.end_of_stream = end.end_of_stream;
            self.pieces.pop();
        }
    }

    /// What follows belongs to another protocol: it has no end. Envoy's parser begins it with
    /// nothing, and ends an upgrade with nothing.
    pub(super) fn tunneled(&mut self, is_upgrade: bool) {
        self.cut_off();
        self.cut_off = false;
        (self.begins_empty, self.ends_empty) = (true, is_upgrade);
    }

    /// Removes and returns the data after so many chunks.
    pub(super) fn split_off(&mut self, pieces: usize) -> Self {
        let rest = self.pieces.split_off(pieces.min(self.pieces.len()));
        Self { pieces: rest, trailers: self.trailers.take(), malformed: self.malformed.take(), ..Self::default() }
    }

    /// Comes from now on, part by part.
    pub(super) fn start(&mut self, now: Duration) {
        let mut time = now;
        for piece in &mut self.pieces {
            time += PAUSE;
            piece.at = Some(time);
        }
        if let Some(trailers) = &mut self.trailers {
            trailers.at = time + PAUSE;
        }
    }

    /// Whether the end of the message comes.
    pub(super) fn has_end(&self) -> bool {
        self.trailers.is_some() || self.pieces.last().is_some_and(|piece| piece.end_of_stream)
    }

    /// A body that is already available.
    pub(super) fn at_once(body: Vec<u8>) -> Self {
        Self { pieces: vec![Piece { bytes: body, end_of_stream: true, at: None }], ..Self::default() }
    }

    /// The sender breaks the rules of its protocol there.
    pub(super) fn break_off(&mut self, broken: Broken) {
        if let Broken::Data(pieces) = broken {
            self.pieces.truncate(pieces);
        }
        self.cut_off();
        self.cut_reason = Some(match broken {
            Broken::TooManyTrailers => (UPSTREAM_REMOTE_RESET, "remote_reset"),
            Broken::Data(_) | Broken::Trailers => (UPSTREAM_PROTOCOL_ERROR, "protocol_error"),
        });
    }

    /// Something comes before the connection ends, if only nothing.
    pub(super) fn send_something(&mut self, now: Duration) {
        if self.pieces.is_empty() {
            self.pieces.push(Piece { bytes: Vec::new(), end_of_stream: false, at: Some(now + PAUSE) });
        }
    }

    /// The connection ends before the message does.
    pub(super) fn cut_off(&mut self) {
        self.pieces.retain(|piece| !piece.bytes.is_empty());
        for piece in &mut self.pieces {
            piece.end_of_stream = false;
        }
        self.trailers = None;
        self.cut_off = true;
    }
}
