//! The way of a message's body and trailers through the filters.

use super::exchange::{Ended, Exchange};
use super::fields::Map;
use super::info::Whose;
use super::stream::{Phase, Which};
use super::way::{Hold, Passed, Way};
use super::wire;

/// What a body callback told the host, as Envoy understands the number.
enum Data {
    Continue,
    Buffer,
    Watermark,
    Drop,
}

impl Data {
    const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Continue,
            1 => Self::Buffer,
            2 => Self::Watermark,
            _ => Self::Drop,
        }
    }
}

pub(super) const fn body_phase(which: Which, end_of_stream: bool) -> Phase {
    match which {
        Which::Request => Phase::RequestBody { end_of_stream },
        Which::Response => Phase::ResponseBody { end_of_stream },
    }
}

impl Exchange<'_> {
    /// Takes a piece of the body on, from this filter, until one holds it.
    pub(super) fn data_from(&mut self, way: &mut Way, from: usize, bytes: Vec<u8>, end: bool) -> Result<(), Ended> {
        let (which, mut data, mut end, mut added) = (way.which, bytes, end, None);
        // Whether trailers that were added to a response are lost if a later filter keeps the body.
        let mut fragile = false;
        for index in from..way.stages.len() {
            let Some(stage) = way.stage(index) else { break };
            if stage.hold == Hold::All {
                stage.held.append(&mut data);
                (stage.data, stage.ended) = (true, end);
                return self.added_trailers(way, added);
            }
            let buffering = stage.buffering;
            let new = std::mem::take(&mut data);
            let visible = if buffering { [std::mem::take(&mut stage.held), new].concat() } else { new };
            self.filter = stage.filter;
            let (body, decision) = self.data_of_filter(which, visible, buffering, end)?;
            let Some(stage) = way.stage(index) else { break };
            match decision {
                Data::Continue => {
                    stage.held.extend_from_slice(&body);
                    data = stage.let_go();
                    let held = stage.hold == Hold::Part;
                    self.release(way, index)?;
                    if end && !way.has_trailers && self.with_side(which, |side| side.trailers.value.is_some()) {
                        (way.has_trailers, end) = (true, false);
                        // Envoy 1.40 tells those of a request twice, if the filter has held the
                        // body before.
                        let times = if held && which == Which::Request { 2 } else { 1 };
                        added = Some((index + 1, times));
                        fragile = !held && which == Which::Response;
                    }
                    continue;
                }
                decision @ (Data::Buffer | Data::Watermark) => {
                    stage.held.extend_from_slice(&body);
                    stage.buffering = matches!(decision, Data::Buffer);
                }
                Data::Drop => {
                    if buffering {
                        stage.held = body;
                    }
                    stage.buffering = false;
                }
            }
            (stage.hold, stage.data, stage.ended) = (Hold::Part, true, end);
            if stage.held.len() > self.buffer_limit() {
                return Err(match which {
                    Which::Request => Ended::Reply(wire::payload_too_large()),
                    Which::Response => Ended::Closed,
                });
            }
            if fragile {
                // Envoy 1.40 tells nobody of the trailers: this filter sees no end of the body, and
                // keeps it.
                return Ok(());
            }
            return self.added_trailers(way, added);
        }
        way.passed.body.append(&mut data);
        if which == Which::Response {
            self.encourage();
        }
        self.added_trailers(way, added)
    }

    /// A filter has added trailers to the end of the body: the later ones are told.
    fn added_trailers(&mut self, way: &mut Way, added: Option<(usize, u32)>) -> Result<(), Ended> {
        let (from, times) = added.unwrap_or_default();
        (0..times).try_for_each(|_| self.trailers_from(way, from))
    }

    /// Shows a piece of the body to one filter: what it has made of it, and what it says.
    fn data_of_filter(
        &mut self,
        which: Which,
        visible: Vec<u8>,
        buffering: bool,
        end: bool,
    ) -> Result<(Vec<u8>, Data), Ended> {
        if buffering && visible.len() > self.buffer_limit() {
            if which == Which::Response {
                return Err(Ended::Closed);
            }
            // Envoy has answered already when it tells the filter of this piece.
            self.tell_code(&wire::payload_too_large());
        }
        let (filter, size) = (self.filter, u32::try_from(visible.len()).unwrap_or(u32::MAX));
        self.with_side(which, |side| side.body.show(visible, filter));
        let called = self.callback(body_phase(which, end), &which.name("body"), &[size, u32::from(end)]);
        let body = self.with_side(which, |side| side.body.take().unwrap_or_default());
        let continued = self.take_continued(which);
        let raw = called?;
        Ok((body, if continued { Data::Continue } else { Data::from_raw(raw) }))
    }

    /// Takes the trailers on, from this filter, until one holds them.
    pub(super) fn trailers_from(&mut self, way: &mut Way, from: usize) -> Result<(), Ended> {
        let phase = match way.which {
            Which::Request => Phase::RequestTrailers,
            Which::Response => Phase::ResponseTrailers,
        };
        for index in from..way.stages.len() {
            let Some(stage) = way.stage(index) else { break };
            if stage.hold == Hold::All {
                stage.trailers = true;
                return Ok(());
            }
            let filter = stage.filter;
            self.filter = filter;
            let count = self.with_side(way.which, |side| {
                side.trailers.show_to(filter);
                side.trailers.value.as_ref().map_or(0, Map::len)
            });
            // What the filter buffered is in its reach; after another kind of stop an empty buffer
            // is, which nobody sends.
            let held = way.stages.get(index).is_some_and(|stage| stage.hold == Hold::Part);
            if held {
                self.show_body(way, index);
            }
            let called = self.callback(phase, &way.which.name("trailers"), &[count]);
            if held {
                self.take_body(way, index);
            }
            let continued = self.take_continued(way.which);
            let raw = called?;
            let Some(stage) = way.stage(index) else { break };
            if raw != 0 && !continued {
                (stage.hold, stage.trailers) = (Hold::Part, true);
                return Ok(());
            }
            let data = stage.let_go();
            self.with_side(way.which, |side| side.trailers.hide_from(filter));
            self.release(way, index)?;
            if !data.is_empty() {
                self.data_from(way, index + 1, data, false)?;
            }
        }
        Ok(())
    }

    /// A filter holds nothing any more: headers that wait go on.
    fn release(&mut self, way: &mut Way, index: usize) -> Result<(), Ended> {
        let Some(stage) = way.stage(index) else { return Ok(()) };
        let (all, filter) = (stage.hold == Hold::All, stage.filter);
        stage.hold = Hold::Nothing;
        if !std::mem::take(&mut stage.headers) {
            return Ok(());
        }
        // Response headers that were held stay within reach, although they have gone on.
        if way.which == Which::Request || !all {
            self.with_side(way.which, |side| side.headers.hide_from(filter));
        }
        self.headers_from(way, index + 1)
    }

    /// A filter has continued the message: what waits goes on, through the filter itself if it has
    /// not seen it. Whether anything did.
    ///
    /// Envoy has one buffer for all filters, and tells the later ones of all that is in it: also of
    /// what they have seen already, and hold.
    fn resume(&mut self, way: &mut Way, index: usize) -> Result<bool, Ended> {
        if way.is_held_before(index) {
            self.functions.state().violations.push(
                "a filter continued a message of which another filter, before it, holds the body: Envoy 1.40 has one buffer for both, and lets \
                 go what the other one holds"
                    .into(),
            );
        }
        let later = way.take_held_after(index);
        let Some(stage) = way.stage(index).filter(|stage| stage.hold != Hold::Nothing) else { return Ok(false) };
        let next = if stage.hold == Hold::All { index } else { index + 1 };
        let (data, trailers, mut end) = (stage.data, std::mem::take(&mut stage.trailers), stage.ended);
        let bytes = [later, stage.let_go()].concat();
        self.release(way, index)?;
        let which = way.which;
        let added =
            end && next > index && !way.has_trailers && { self.with_side(which, |side| side.trailers.value.is_some()) };
        if added {
            (way.has_trailers, end) = (true, false);
        }
        if (data && end) || !bytes.is_empty() {
            self.data_from(way, next, bytes, end)?;
        }
        if trailers || added {
            self.trailers_from(way, next)?;
        }
        Ok(true)
    }

    /// Lets go what filters have continued outside of the callbacks of the message. Whether
    /// anything went on.
    pub(super) fn resume_continued(&mut self, way: &mut Way) -> Result<bool, Ended> {
        let mut resumed = false;
        for filter in self.with_side(way.which, |side| std::mem::take(&mut side.continued)) {
            if let Some(index) = way.stages.iter().position(|stage| stage.filter == filter) {
                resumed |= self.resume(way, index)?;
            }
        }
        Ok(resumed)
    }

    /// Puts what a filter buffers into its reach.
    pub(super) fn show_body(&self, way: &mut Way, index: usize) {
        let which = way.which;
        let Some(stage) = way.stage(index) else { return };
        let visible = if stage.buffering { std::mem::take(&mut stage.held) } else { Vec::new() };
        let filter = stage.filter;
        self.with_side(which, |side| {
            side.body.show(visible, filter);
            side.holds_body = true;
        });
    }

    /// Takes it out of its reach.
    pub(super) fn take_body(&self, way: &mut Way, index: usize) {
        let body = self.with_side(way.which, |side| {
            side.holds_body = false;
            side.body.take().unwrap_or_default()
        });
        if let Some(stage) = way.stage(index).filter(|stage| stage.buffering) {
            stage.held = body;
        }
    }

    /// What is known about the sizes of the messages, and whether the upstream is done.
    pub(super) fn count(&self, which: Which, new: usize, passed: &Passed, end: bool) {
        self.with_info(|info| match which {
            Which::Request => info.received += new as u64,
            Which::Response => {
                info.sent = passed.body.len() as u64;
                if end && info.whose == Whose::Upstreams {
                    info.whose = Whose::Ended;
                }
            }
        });
    }
}
