//! The body and the trailers of a message as they come: each part with the time at which it does.

use super::pause::PAUSE;
use super::wire;
use crate::message::{Body, Fields, Protocol};
use std::time::Duration;

/// What follows the headers of a message.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) pieces: Vec<Piece>,
    pub(super) trailers: Option<Trailers>,
    /// The connection ends before the message does.
    pub(super) cut_off: bool,
    /// Nothing comes with the headers, as a piece of its own.
    pub(super) begins_empty: bool,
}

/// A piece of a body.
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
        // An end that is a piece of its own comes apart from the last bytes of a body in pieces.
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
        Self { pieces, trailers, cut_off: false, begins_empty: false }
    }

    /// What follows belongs to another protocol: it has no end. Envoy's parser begins it with
    /// nothing.
    pub(super) fn upgraded(&mut self) {
        self.cut_off();
        self.cut_off = false;
        self.begins_empty = true;
    }

    /// Takes out what comes after so many pieces.
    pub(super) fn split_off(&mut self, pieces: usize) -> Self {
        let rest = self.pieces.split_off(pieces.min(self.pieces.len()));
        Self { pieces: rest, trailers: self.trailers.take(), cut_off: false, begins_empty: false }
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

    /// A body that is there already.
    pub(super) fn at_once(body: Vec<u8>) -> Self {
        Self {
            pieces: vec![Piece { bytes: body, end_of_stream: true, at: None }],
            trailers: None,
            cut_off: false,
            begins_empty: false,
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
