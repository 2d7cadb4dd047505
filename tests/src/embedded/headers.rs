//! The way of a message's headers through the filters.

use super::codec;
use super::exchange::{Ended, Exchange};
use super::fields::Map;
use super::stream::{Phase, Which};
use super::way::{Hold, Way};

impl Exchange<'_> {
    /// Takes headers on, from this filter, until one holds them. They stay in the side, out of the filters' reach once they have gone on.
    pub(super) fn headers_from(&mut self, way: &mut Way, from: usize) -> Result<(), Ended> {
        for index in from..way.stages.len() {
            let Some(stage) = way.stage(index) else { break };
            let filter = stage.filter;
            self.filter = filter;
            if way.which == Which::Request {
                self.create();
            }
            self.with_side(way.which, |side| side.headers.show_to(filter));
            let hold = self.headers_of_filter(way.which, way.only_headers)?;
            if hold != Hold::Nothing {
                if let Some(stage) = way.stage(index) {
                    (stage.hold, stage.headers) = (hold, true);
                }
                return Ok(());
            }
            self.with_side(way.which, |side| side.headers.hide_from(filter));
        }
        if way.which == Which::Response {
            let refused =
                self.with_side(way.which, |side| side.headers.value.as_ref().and_then(codec::refuse_response));
            if let Some(reply) = refused {
                return Err(Ended::Reply(reply));
            }
        }
        self.with_side(way.which, |side| {
            // Those who have held response headers still reach what went on, and change it in vain.
            side.sent = side.headers.value.clone().filter(|_| side.headers.is_in_reach());
            side.gone = true;
        });
        match way.which {
            Which::Request => self.route(),
            Which::Response => {
                self.encourage();
                Ok(())
            }
        }
    }

    /// Shows headers to one filter. What it holds then.
    fn headers_of_filter(&mut self, which: Which, end: bool) -> Result<Hold, Ended> {
        let count = self.with_side(which, |side| side.headers.value.as_ref().map_or(0, Map::len));
        let phase = match which {
            Which::Request => Phase::RequestHeaders,
            Which::Response => Phase::ResponseHeaders,
        };
        let raw = self.callback(phase, &which.name("headers"), &[count, u32::from(end)])?;
        let continued = self.take_continued(which);
        let until_body = raw == 1 && self.functions.state().settings.allow_on_headers_stop_iteration;
        Ok(match raw {
            // 2 is ContinueAndEndStream, which Envoy treats as Continue.
            0 | 2 => Hold::Nothing,
            _ if continued => Hold::Nothing,
            _ if until_body && !end => Hold::Part,
            _ => Hold::All,
        })
    }

    /// Whether the filter whose callback has run has continued the message.
    pub(super) fn take_continued(&mut self, which: Which) -> bool {
        let filter = self.filter;
        self.with_side(which, |side| {
            let before = side.continued.len();
            side.continued.retain(|other| *other != filter);
            side.continued.len() < before
        })
    }
}
