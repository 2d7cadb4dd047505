//! A message as it comes, part by part, and the time between the parts.

use super::body::body_phase;
use super::event;
use super::exchange::{Ended, Exchange, UPSTREAM_CONNECTION_TERMINATION, Which};
use super::fields::{Kind, Map};
use super::incoming::Incoming;
use super::state::Phase;
use super::way::{Passed, Way};
use crate::message::Fields;
use std::time::Duration;

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

    fn play(&mut self, way: &mut Way, frames: &Fields, incoming: Option<Incoming>) -> Result<(), Ended> {
        let which = way.which;
        self.headers_from(way, 0)?;
        self.resume_continued(way)?;
        let Some(incoming) = incoming else { return self.settle(way) };
        if !frames.is_empty() {
            while way.is_closed() {
                self.wait(way, false)?;
            }
            self.metadata(which, frames)?;
        }
        for piece in incoming.pieces {
            self.until(way, piece.at)?;
            self.count(which, piece.bytes.len(), &way.passed, piece.end_of_stream);
            self.data_from(way, 0, piece.bytes, piece.end_of_stream)?;
            self.resume_continued(way)?;
        }
        if incoming.cut_off {
            self.with_info(|info| info.flags |= UPSTREAM_CONNECTION_TERMINATION);
            return Err(Ended::Closed);
        }
        if let Some(trailers) = incoming.trailers {
            self.until(way, Some(trailers.at))?;
            self.count(which, 0, &way.passed, true);
            let map = Map::from_fields(Kind::Trailers, &trailers.fields);
            self.with_side(which, |side| side.trailers.put(map));
            way.has_trailers = true;
            self.trailers_from(way, 0)?;
            self.resume_continued(way)?;
        }
        self.settle(way)
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
