//! The way of a message's headers through the filters.

use super::exchange::{Ended, Exchange, Which};
use super::fields::Map;
use super::state::Phase;

impl Exchange<'_> {
    /// Takes headers through the filter. They stay in the side, out of the module's reach once they have gone on.
    pub(super) fn headers(&mut self, which: Which, map: Map, end: bool) -> Result<(), Ended> {
        self.with_side(which, |side| side.headers.show(map));
        let mut kept = false;
        for filter in self.chain(which) {
            self.filter = filter;
            if which == Which::Request {
                self.create();
            }
            kept |= self.headers_of_filter(which, end)?;
        }
        if !kept {
            self.release(which);
        }
        Ok(())
    }

    /// Shows headers to one filter. Whether they stay in its reach.
    fn headers_of_filter(&mut self, which: Which, end: bool) -> Result<bool, Ended> {
        let count = self.with_side(which, |side| side.headers.value.as_ref().map_or(0, Map::len));
        let phase = match which {
            Which::Request => Phase::RequestHeaders,
            Which::Response => Phase::ResponseHeaders,
        };
        let raw = self.callback(phase, &which.name("headers"), &[count, u32::from(end)])?;
        let continued = self.with_side(which, |side| std::mem::take(&mut side.continued));
        let holds_until_body = raw == 1 && self.functions.state().settings.allow_on_headers_stop_iteration;
        match raw {
            // 2 is ContinueAndEndStream, which Envoy treats as Continue.
            0 | 2 => {}
            _ if continued => {}
            _ if holds_until_body && !end => {
                self.holds_alone();
                return Ok(true);
            }
            _ => {
                self.wait(which)?;
                // Response headers that were held stay within reach, although they have gone on.
                let keep = which == Which::Response;
                self.with_side(which, |side| side.sent = side.headers.value.clone().filter(|_| keep));
                self.with_side(which, |side| side.gone = true);
                if keep {
                    self.holds_alone();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The filter lets the headers go.
    pub(super) fn release(&mut self, which: Which) {
        self.with_side(which, |side| {
            // Those that have gone on already stay as they are.
            side.headers.open &= side.sent.is_some();
            side.gone = true;
        });
    }
}
