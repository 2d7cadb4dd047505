//! The way of a message's body and trailers through the filter.

use super::attribute::Whose;
use super::exchange::{Ended, Exchange, UPSTREAM_CONNECTION_TERMINATION, Which};
use super::fields::{Kind, Map};
use super::incoming::{Incoming, Piece};
use super::state::Phase;
use super::wire;
use crate::message::Fields;
use std::time::Duration;

/// A message after the filter let all of it go.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Map>,
}

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

/// A message on its way.
struct Way {
    which: Which,
    passed: Passed,
    /// What Envoy holds for the filter.
    held: Vec<u8>,
    /// The filter can see all that is held.
    buffering: bool,
    stopped: bool,
}

impl Way {
    /// What was held goes on.
    fn go_on(&mut self) {
        self.passed.body.append(&mut self.held);
        (self.buffering, self.stopped) = (false, false);
    }
}

const fn body_phase(which: Which, end_of_stream: bool) -> Phase {
    match which {
        Which::Request => Phase::RequestBody { end_of_stream },
        Which::Response => Phase::ResponseBody { end_of_stream },
    }
}

impl Exchange<'_> {
    /// Takes body and trailers through the filter.
    pub(super) fn pass(&mut self, which: Which, mut incoming: Incoming) -> Result<Passed, Ended> {
        let mut way = Way { which, passed: Passed::default(), held: Vec::new(), buffering: false, stopped: false };
        incoming.join(self.now());
        self.take_through(&mut way, incoming).inspect_err(|_| self.cut.clone_from(&way.passed.body))?;
        way.passed.trailers = self.with_side(which, |side| side.trailers.take());
        self.count(which, 0, &way.passed, true);
        Ok(way.passed)
    }

    fn take_through(&mut self, way: &mut Way, incoming: Incoming) -> Result<(), Ended> {
        for piece in incoming.pieces {
            self.until(way, piece.at)?;
            self.piece(way, piece)?;
        }
        if incoming.cut_off {
            self.with_info(|info| info.flags |= UPSTREAM_CONNECTION_TERMINATION);
            return Err(Ended::Closed);
        }
        match incoming.trailers {
            Some(trailers) => {
                self.until(way, Some(trailers.at))?;
                self.trailers(way, &trailers.fields)
            }
            None if way.stopped => {
                self.set_phase(body_phase(way.which, true));
                self.hold(way)
            }
            None => Ok(()),
        }
    }

    /// Lets the time pass until the next part of the message comes. What the filter buffers is in its reach meanwhile.
    fn until(&mut self, way: &mut Way, time: Option<Duration>) -> Result<(), Ended> {
        let Some(time) = time else { return Ok(()) };
        if way.buffering {
            self.show_body(way);
        }
        let waited = self.let_pass_until(time);
        let continued = self.take_body(way);
        waited?;
        if continued && way.stopped {
            way.go_on();
            self.release(way.which);
        }
        Ok(())
    }

    /// Takes what the filter buffers out of its reach. Whether the filter has continued the message.
    fn take_body(&mut self, way: &mut Way) -> bool {
        let (body, continued) = self.with_side(way.which, |side| {
            side.holds_body = false;
            (side.body.take().unwrap_or_default(), std::mem::take(&mut side.continued))
        });
        if way.buffering {
            way.held = body;
        }
        continued
    }

    fn piece(&mut self, way: &mut Way, piece: Piece) -> Result<(), Ended> {
        let Piece { bytes, end_of_stream, .. } = piece;
        let (which, limit, new) = (way.which, self.buffer_limit(), bytes.len());
        let visible = if way.buffering { [std::mem::take(&mut way.held), bytes].concat() } else { bytes };
        if which == Which::Response && way.buffering && visible.len() > limit {
            return Err(Ended::Closed);
        }
        if which == Which::Request && way.buffering && visible.len() > limit {
            // Envoy has answered already when it tells the filter of this piece.
            self.tell_code(&wire::payload_too_large());
        }
        self.count(which, new, &way.passed, end_of_stream);
        let phase = body_phase(which, end_of_stream);
        let (mut body, mut raw, mut continued) = (visible, 0, false);
        for filter in self.chain(which) {
            self.filter = filter;
            let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
            self.with_side(which, |side| side.body.show(body));
            let called = self.callback(phase, &which.name("body"), &[size, u32::from(end_of_stream)]);
            (body, continued) = self
                .with_side(which, |side| (side.body.take().unwrap_or_default(), std::mem::take(&mut side.continued)));
            raw = called?;
            if raw != 0 && !continued {
                self.holds_alone();
                break;
            }
        }
        match if continued { Data::Continue } else { Data::from_raw(raw) } {
            Data::Continue => {
                way.held.extend_from_slice(&body);
                way.go_on();
                self.release(which);
            }
            data @ (Data::Buffer | Data::Watermark) => {
                way.held.extend_from_slice(&body);
                way.buffering = matches!(data, Data::Buffer);
                way.stopped = true;
            }
            Data::Drop => {
                if way.buffering {
                    way.held = body;
                }
                (way.buffering, way.stopped) = (false, true);
            }
        }
        if which == Which::Response && !way.stopped {
            self.encourage();
        }
        if way.held.len() > limit {
            return Err(match which {
                Which::Request => Ended::Reply(wire::payload_too_large()),
                Which::Response => Ended::Closed,
            });
        }
        Ok(())
    }

    fn trailers(&mut self, way: &mut Way, fields: &Fields) -> Result<(), Ended> {
        let map = Map::from_fields(Kind::Trailers, fields);
        self.count(way.which, 0, &way.passed, true);
        self.with_side(way.which, |side| side.trailers.show(map));
        // What the filter buffered is in its reach; after another kind of stop an empty buffer is, which nobody sends.
        if way.stopped {
            self.show_body(way);
        }
        let phase = match way.which {
            Which::Request => Phase::RequestTrailers,
            Which::Response => Phase::ResponseTrailers,
        };
        for filter in self.chain(way.which) {
            self.filter = filter;
            let count = self.with_side(way.which, |side| side.trailers.value.as_ref().map_or(0, Map::len));
            let called = self.callback(phase, &way.which.name("trailers"), &[count]);
            let continued = self.take_body(way);
            if called? != 0 && !continued {
                self.holds_alone();
                return self.hold(way);
            }
        }
        way.go_on();
        self.release(way.which);
        Ok(())
    }

    fn show_body(&mut self, way: &mut Way) {
        let visible = if way.buffering { std::mem::take(&mut way.held) } else { Vec::new() };
        self.with_side(way.which, |side| {
            side.body.show(visible);
            side.holds_body = true;
        });
    }

    /// Holds all that there is of the message until the filter continues it.
    fn hold(&mut self, way: &mut Way) -> Result<(), Ended> {
        if way.stopped {
            self.show_body(way);
        }
        let waited = self.wait(way.which);
        self.set_phase(Phase::Idle);
        self.take_body(way);
        waited?;
        way.go_on();
        self.release(way.which);
        Ok(())
    }

    /// What is known about the sizes of the messages, and whether the upstream is done.
    fn count(&mut self, which: Which, new: usize, passed: &Passed, end: bool) {
        let kept = if which == Which::Request { self.kept.min(new as u64) } else { 0 };
        self.kept -= kept;
        self.with_info(|info| match which {
            Which::Request => info.received += new as u64 - kept,
            Which::Response => {
                info.sent = passed.body.len() as u64;
                if end && info.whose == Whose::Upstreams {
                    info.whose = Whose::Ended;
                }
            }
        });
    }
}
