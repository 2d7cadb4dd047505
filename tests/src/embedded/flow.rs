//! A message as it comes, part by part, and the time between the parts.

use super::body::body_phase;
use super::codec::{self, Malformed};
use super::event;
use super::exchange::{Ended, Exchange};
use super::fields::{Kind, Map};
use super::flags::{DOWNSTREAM_CONNECTION_TERMINATION, UPSTREAM_CONNECTION_TERMINATION};
use super::incoming::{Incoming, Piece, Trailers};
use super::stream::{Phase, Which};
use super::way::{Passed, Way};
use crate::message::{Answered, Fields, Protocol};
use std::time::Duration;

/// A request that goes on after its response has begun.
pub(super) struct Rest {
    way: Way,
    incoming: Incoming,
}

impl Exchange<'_> {
    /// Takes a message through the filters: its headers, and what follows them, if anything does.
    pub(super) fn flow(
        &mut self,
        which: Which,
        headers: Map,
        frames: &Fields,
        incoming: Option<Incoming>,
    ) -> Result<Passed, Ended> {
        self.with_side(which, |side| side.headers.put(headers));
        let mut way = Way::new(which, self.chain(which), incoming.is_none());
        let played = self.play(&mut way, frames, incoming);
        self.set_phase(Phase::Idle);
        played.inspect_err(|_| self.cut.clone_from(&way.passed.body))?;
        way.passed.trailers = self.with_side(which, |side| side.trailers.take());
        if !way.only_headers {
            self.count(which, 0, &way.passed, true);
        }
        Ok(way.passed)
    }

    /// Takes a request through the filters as far as it comes before its response: its headers, and
    /// so many chunks of its body.
    pub(super) fn begin_request(&mut self, headers: Map, incoming: Incoming, chunks: usize) -> Result<Passed, Ended> {
        let which = Which::Request;
        let mut incoming = incoming;
        if self.request.is_upgrade() {
            incoming.upgraded();
        }
        let rest = incoming.split_off(chunks);
        self.with_side(which, |side| side.headers.put(headers));
        let mut way = Way::new(which, self.chain(which), false);
        let played = self.play_before_response(&mut way, incoming);
        self.set_phase(Phase::Idle);
        played.inspect_err(|_| self.cut.clone_from(&way.passed.body))?;
        let passed = Passed { body: way.passed.body.clone(), trailers: None };
        if matches!(self.request.answered, Answered::After(_)) {
            self.rest = Some(Rest { way, incoming: rest });
        }
        Ok(passed)
    }

    fn play_before_response(&mut self, way: &mut Way, incoming: Incoming) -> Result<(), Ended> {
        self.headers_from(way, 0)?;
        self.resume_continued(way)?;
        if incoming.begins_empty {
            self.data_from(way, 0, Vec::new(), false)?;
        }
        for piece in incoming.pieces {
            self.next_piece(way, piece)?;
        }
        while !self.with_side(way.which, |side| side.gone) {
            self.wait(way, false)?;
        }
        Ok(())
    }

    /// Takes the rest of the request through the filters, once the client has the head of the
    /// response.
    fn play_rest(&mut self, response: &mut Way) -> Result<(), Ended> {
        let Some(Rest { mut way, mut incoming }) = self.rest.take() else { return Ok(()) };
        while !self.with_side(Which::Response, |side| side.gone) {
            self.wait(response, false)?;
        }
        let has_end = incoming.has_end();
        incoming.start(self.now());
        for piece in incoming.pieces {
            self.next_piece(&mut way, piece)?;
        }
        if let Some(trailers) = incoming.trailers {
            self.next_trailers(&mut way, &trailers)?;
        }
        let complete = has_end && way.is_free();
        let trailers = self.with_side(Which::Request, |side| side.trailers.take()).filter(|_| complete);
        if let Some(upstream) = &mut self.upstream {
            upstream.body = way.passed.body;
            upstream.trailers = trailers.map(|map| map.fields().clone()).unwrap_or_default();
            upstream.complete = complete;
        }
        Ok(())
    }

    /// The next piece of a body comes.
    fn next_piece(&mut self, way: &mut Way, piece: Piece) -> Result<(), Ended> {
        self.until(way, piece.at)?;
        self.arrived |= way.which == Which::Request && piece.end_of_stream;
        self.count(way.which, piece.bytes.len(), &way.passed, piece.end_of_stream);
        self.data_from(way, 0, piece.bytes, piece.end_of_stream)?;
        self.resume_continued(way).map(drop)
    }

    /// The trailers come.
    fn next_trailers(&mut self, way: &mut Way, trailers: &Trailers) -> Result<(), Ended> {
        self.until(way, Some(trailers.at))?;
        self.count(way.which, 0, &way.passed, true);
        let map = Map::from_fields(Kind::Trailers, &trailers.fields);
        self.with_side(way.which, |side| side.trailers.put(map));
        way.has_trailers = true;
        self.arrived |= way.which == Which::Request;
        self.trailers_from(way, 0)?;
        self.resume_continued(way).map(drop)
    }

    fn play(&mut self, way: &mut Way, frames: &Fields, incoming: Option<Incoming>) -> Result<(), Ended> {
        let which = way.which;
        self.headers_from(way, 0)?;
        self.resume_continued(way)?;
        if incoming.as_ref().is_some_and(|incoming| incoming.begins_empty) {
            self.data_from(way, 0, Vec::new(), false)?;
        }
        if which == Which::Response {
            self.play_rest(way)?;
        }
        let Some(incoming) = incoming else { return self.settle(way) };
        let comes_later = incoming.pieces.first().is_none_or(|piece| piece.at.is_some());
        if which == Which::Response && comes_later && self.has_no_body() {
            return Err(self.client_is_done());
        }
        if !frames.is_empty() {
            while way.is_closed() {
                self.wait(way, false)?;
            }
            self.metadata(which, frames)?;
        }
        for (index, piece) in incoming.pieces.into_iter().enumerate() {
            if let Some(Malformed::Data(at, details)) = &incoming.malformed
                && *at <= index
            {
                self.until(way, piece.at)?;
                return Err(self.malformed(details));
            }
            self.next_piece(way, piece)?;
        }
        if incoming.cut_off {
            if incoming.begins_empty {
                self.data_from(way, 0, Vec::new(), false)?;
            }
            self.cut_off(incoming.cut_reason);
            return Err(Ended::Closed);
        }
        if let Some(trailers) = incoming.trailers {
            if self.has_all(way) {
                self.until(way, Some(trailers.at))?;
                return if which == Which::Request { Ok(()) } else { Err(self.client_is_done()) };
            }
            if let Some(Malformed::Trailers(details)) = &incoming.malformed {
                self.until(way, Some(trailers.at))?;
                return Err(self.malformed(details));
            }
            self.next_trailers(way, &trailers)?;
        }
        self.settle(way)
    }

    /// Whether the receiver has as many bytes as a `content-length` says: over HTTP/1 it does not
    /// wait for trailers.
    fn has_all(&self, way: &Way) -> bool {
        let length = self.with_side(way.which, |side| {
            let headers = side.sent.as_ref().or(side.headers.value.as_ref()).filter(|_| side.gone)?;
            headers.get(b"content-length").map(<[u8]>::to_vec)
        });
        let is_there = length == Some(way.passed.body.len().to_string().into_bytes());
        self.request.protocol == Protocol::Http1 && way.is_free() && is_there
    }

    /// Whether the response that went on is one that has no body over HTTP/1.
    fn has_no_body(&self) -> bool {
        let status = self.with_side(Which::Response, |side| {
            let headers = side.sent.as_ref().or(side.headers.value.as_ref()).filter(|_| side.gone)?;
            headers.get(b":status").map(<[u8]>::to_vec)
        });
        self.request.protocol == Protocol::Http1 && status.is_some_and(|status| status == b"204" || status == b"304")
    }

    /// The client has the response, and closes the connection.
    fn client_is_done(&self) -> Ended {
        self.with_info(|info| {
            info.flags |= DOWNSTREAM_CONNECTION_TERMINATION;
            info.code = info.code.take().map(|(code, _)| (code, b"downstream_remote_disconnect".to_vec()));
        });
        Ended::Left
    }

    /// The client has sent what its protocol does not allow: over HTTP/1 it is told, over HTTP/2 the
    /// stream is reset.
    fn malformed(&self, details: &str) -> Ended {
        self.with_info(|info| info.flags |= codec::malformed_flags(details));
        if self.request.protocol == Protocol::Http1 {
            return Ended::Reply(codec::malformed_reply(details));
        }
        self.with_info(|info| info.code = Some((0, details.into())));
        Ended::Left
    }

    /// The upstream's message has no end.
    fn cut_off(&self, reason: Option<(u64, &str)>) {
        self.with_info(|info| match reason {
            Some((flag, reason)) => {
                let details = format!("upstream_reset_after_response_started{{{reason}}}");
                info.flags |= flag;
                info.code = info.code.take().map(|(code, _)| (code, details.into_bytes()));
            }
            None => info.flags |= UPSTREAM_CONNECTION_TERMINATION,
        });
    }

    /// All of the message has come: waits until no filter holds any of it.
    fn settle(&mut self, way: &mut Way) -> Result<(), Ended> {
        while !way.is_free() {
            self.wait(way, true)?;
        }
        Ok(())
    }

    /// Runs what may happen between the parts of the message. What filters buffer is in their reach meanwhile.
    fn between<T>(&mut self, way: &mut Way, complete: bool, body: impl FnOnce(&mut Self) -> T) -> T {
        let reach = way.in_reach(complete);
        if reach.len() > 1 {
            self.functions.state().violations.push(
                "the embedded host does not play two filters that hold pieces of one body at the same time: test them in Envoy".into(),
            );
        }
        let shown = reach.first().copied();
        if let Some(index) = shown {
            self.show_body(way, index);
        }
        let ending = complete && !way.has_trailers && way.holds_the_end();
        self.set_phase(if ending { body_phase(way.which, true) } else { Phase::Idle });
        let result = body(self);
        self.set_phase(Phase::Idle);
        if let Some(index) = shown {
            self.take_body(way, index);
        }
        result
    }

    /// Lets the time pass until the next part of the message comes.
    fn until(&mut self, way: &mut Way, time: Option<Duration>) -> Result<(), Ended> {
        let Some(time) = time else { return Ok(()) };
        self.between(way, false, Self::tell);
        loop {
            self.asked()?;
            self.resume_continued(way)?;
            let end = time.min(self.patience.until()).max(self.now());
            if !self.between(way, false, |this| event::next(this.vm, this.functions, end)) {
                break;
            }
        }
        self.functions.state().clock.go_on_to(time.min(self.patience.until()));
        if self.patience.until() < time { Err(self.left()) } else { Ok(()) }
    }

    /// Waits until something goes on.
    fn wait(&mut self, way: &mut Way, complete: bool) -> Result<(), Ended> {
        self.between(way, complete, Self::tell);
        loop {
            self.asked()?;
            if self.resume_continued(way)? {
                return Ok(());
            }
            let until = self.patience.until();
            if !self.between(way, complete, |this| event::next(this.vm, this.functions, until)) {
                return Err(self.gave_up());
            }
        }
    }
}
