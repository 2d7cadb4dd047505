//! The way of a message's body and trailers through the filter.

use super::attribute::Whose;
use super::exchange::{Ended, Exchange, Which};
use super::fields::{Kind, Map};
use super::state::Phase;
use super::wire;
use crate::message::Fields;

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

impl Exchange<'_> {
    /// Takes body and trailers through the filter. `end_apart`: an end that is a piece of its own comes apart from the last bytes.
    pub(super) fn pass(
        &mut self,
        which: Which,
        pieces: Vec<(Vec<u8>, bool)>,
        trailers: &Fields,
        end_apart: bool,
    ) -> Result<Passed, Ended> {
        let mut passed = Passed::default();
        // What Envoy holds for the filter, and whether the filter can see it.
        let mut held: Vec<u8> = Vec::new();
        let mut buffering = false;
        let mut stopped = false;
        let limit = self.buffer_limit();
        for (number, (piece, end_of_stream)) in pieces.into_iter().enumerate() {
            if number > 0 && (end_apart || !piece.is_empty()) {
                self.tell();
            }
            let new = piece.len();
            let visible = if buffering { [std::mem::take(&mut held), piece].concat() } else { piece };
            if which == Which::Response && buffering && visible.len() > limit {
                self.cut.clone_from(&passed.body);
                return Err(Ended::Closed);
            }
            if which == Which::Request && buffering && visible.len() > limit {
                // Envoy has answered already when it tells the filter of this piece.
                self.tell_code(&wire::payload_too_large());
            }
            let size = u32::try_from(visible.len()).unwrap_or(u32::MAX);
            self.count(which, new, &passed, end_of_stream);
            self.with_side(which, |side| side.body.show(visible));
            let called = self.callback(
                match which {
                    Which::Request => Phase::RequestBody { end_of_stream },
                    Which::Response => Phase::ResponseBody { end_of_stream },
                },
                &which.name("body"),
                &[size, u32::from(end_of_stream)],
            );
            let (body, continued) = self
                .with_side(which, |side| (side.body.take().unwrap_or_default(), std::mem::take(&mut side.continued)));
            let raw = called.inspect_err(|_| self.cut.clone_from(&passed.body))?;
            let data = if continued { Data::Continue } else { Data::from_raw(raw) };
            match data {
                Data::Continue => {
                    passed.body.append(&mut held);
                    passed.body.extend_from_slice(&body);
                    (buffering, stopped) = (false, false);
                    self.release(which);
                }
                Data::Buffer | Data::Watermark => {
                    held.extend_from_slice(&body);
                    buffering = matches!(data, Data::Buffer);
                    stopped = true;
                }
                Data::Drop => {
                    if buffering {
                        held = body;
                    }
                    (buffering, stopped) = (false, true);
                }
            }
            if held.len() > limit {
                self.cut.clone_from(&passed.body);
                return Err(match which {
                    Which::Request => Ended::Reply(wire::payload_too_large()),
                    Which::Response => Ended::Closed,
                });
            }
        }
        if !trailers.is_empty() {
            self.tell();
            let map = Map::from_fields(Kind::Trailers, trailers);
            let count = map.len();
            self.count(which, 0, &passed, true);
            self.with_side(which, |side| {
                side.trailers.show(map);
                // What the filter buffered is in its reach; after another kind of stop an empty buffer is, which nobody sends.
                if stopped {
                    side.body.show(if buffering { std::mem::take(&mut held) } else { Vec::new() });
                }
            });
            let phase = match which {
                Which::Request => Phase::RequestTrailers,
                Which::Response => Phase::ResponseTrailers,
            };
            let called = self.callback(phase, &which.name("trailers"), &[count]);
            let (body, continued) = self
                .with_side(which, |side| (side.body.take().unwrap_or_default(), std::mem::take(&mut side.continued)));
            let raw = called.inspect_err(|_| self.cut.clone_from(&passed.body))?;
            if raw != 0 && !continued {
                self.cut.clone_from(&passed.body);
                return Err(Ended::Stuck);
            }
            if buffering {
                held = body;
            }
            passed.body.append(&mut held);
            self.release(which);
        } else if stopped {
            self.cut.clone_from(&passed.body);
            return Err(Ended::Stuck);
        }
        passed.trailers = self.with_side(which, |side| side.trailers.take());
        self.count(which, 0, &passed, true);
        Ok(passed)
    }

    /// What is known about the sizes of the messages, and whether the upstream is done.
    fn count(&self, which: Which, new: usize, passed: &Passed, end: bool) {
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
