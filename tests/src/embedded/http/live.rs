//! One HTTP stream whose parts come in real time: from a client and an upstream that are real.

use super::chain::Chain;
use super::contexts::{Contexts, Ended};
use crate::action::{Direction, Part};
use crate::embedded::fields::{Kind, Map};
use crate::embedded::info::Whose;
use crate::embedded::stream::{LocalReply, Phase, Side, Stream, Which};
use crate::embedded::wire;
use crate::message::{Fields, Protocol};

/// How much of a message was sent on.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    headers: bool,
    end: bool,
}

/// A stream between two of its parts.
pub(in crate::embedded) struct LiveStream {
    request: Chain,
    response: Option<Chain>,
    sent: [Sent; 2],
    /// The response is the filter's or the host's: what the upstream sends is dropped.
    is_local: bool,
    is_head: bool,
    shown: [Option<usize>; 2],
}

impl LiveStream {
    /// Starts a stream with the headers of its request.
    pub(in crate::embedded) fn begin(
        contexts: &mut Contexts,
        stream: Stream,
        protocol: Protocol,
        headers: Fields,
        end: bool,
    ) -> Self {
        contexts.begin(Some(stream), protocol);
        let map = Map::of(Kind::Request, headers);
        let is_head = map.get(b":method") == Some(b"HEAD");
        contexts.with_stream(|stream| stream.logged.0 = Some(map.clone()));
        contexts.with_side(Which::Request, |side| {
            side.arrived = end;
            side.headers.put(map);
        });
        let request = Chain::new(Which::Request, contexts.ids(Which::Request), end);
        Self { request, response: None, sent: Default::default(), is_local: false, is_head, shown: [None; 2] }
    }

    /// The request headers come to the filters.
    pub(in crate::embedded) fn request(&mut self, contexts: &mut Contexts) -> Result<(), Ended> {
        self.request.headers(contexts)
    }

    /// Whether a chunk of this message may come now.
    pub(in crate::embedded) const fn takes(&self, which: Which) -> bool {
        match which {
            Which::Request => !self.is_local,
            Which::Response => !self.is_local && self.response.is_some(),
        }
    }

    /// The upstream's response headers come. A second head is dropped.
    pub(in crate::embedded) fn response(
        &mut self,
        contexts: &mut Contexts,
        headers: Fields,
        end: bool,
    ) -> Result<(), Ended> {
        if self.is_local || self.response.is_some() {
            return Ok(());
        }
        let map = Map::of(Kind::Response, headers);
        let status = map.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        contexts.with_stream(|stream| {
            stream.response_started = true;
            stream.info.code = Some((status.unwrap_or_default(), b"via_upstream".to_vec()));
            stream.info.whose = if end { Whose::Ended } else { Whose::Upstreams };
        });
        self.start_response(contexts, map, end)
    }

    fn start_response(&mut self, contexts: &mut Contexts, map: Map, end: bool) -> Result<(), Ended> {
        contexts.with_side(Which::Response, |side| {
            side.arrived = end;
            side.headers.put(map);
        });
        let chain = Chain::new(Which::Response, contexts.ids(Which::Response), end);
        self.response.insert(chain).headers(contexts)
    }

    /// A chunk of a body comes.
    pub(in crate::embedded) fn data(
        &mut self,
        contexts: &mut Contexts,
        which: Which,
        bytes: Vec<u8>,
        end: bool,
    ) -> Result<(), Ended> {
        if !self.takes(which) {
            return Ok(());
        }
        contexts.with_side(which, |side| side.arrived |= end);
        if which == Which::Request {
            contexts.with_info(|info| info.received += bytes.len() as u64);
        } else if end {
            contexts.with_info(|info| info.whose = Whose::Ended);
        }
        self.chain(which).map_or(Ok(()), |chain| chain.data(contexts, bytes, end))
    }

    /// The trailers come, which end the message.
    pub(in crate::embedded) fn trailers(
        &mut self,
        contexts: &mut Contexts,
        which: Which,
        fields: &Fields,
    ) -> Result<(), Ended> {
        if !self.takes(which) {
            return Ok(());
        }
        contexts.with_side(which, |side| side.arrived = true);
        let map = Map::from_fields(Kind::Trailers, fields);
        self.chain(which).map_or(Ok(()), |chain| chain.trailers(contexts, map))
    }

    /// The upstream does not respond, or not to the end.
    pub(in crate::embedded) fn upstream_failed(&self) -> Result<(), Ended> {
        match (self.is_local, &self.response) {
            (true, _) => Ok(()),
            (false, None) => Err(Ended::Reply(wire::upstream_reset())),
            (false, Some(_)) => Err(Ended::Closed),
        }
    }

    /// The bytes of a message that filters have not forwarded.
    pub(in crate::embedded) fn buffered(&self, which: Which) -> usize {
        match which {
            Which::Request => self.request.buffered(),
            Which::Response => self.response.as_ref().map_or(0, Chain::buffered),
        }
    }

    fn chain(&mut self, which: Which) -> Option<&mut Chain> {
        match which {
            Which::Request => Some(&mut self.request),
            Which::Response => self.response.as_mut(),
        }
    }

    /// Takes back the buffers that were available to filters between two steps.
    pub(in crate::embedded) fn conceal(&mut self, contexts: &Contexts) {
        contexts.set_phase(Phase::Idle);
        let [request, response] = std::mem::take(&mut self.shown);
        self.request.conceal(contexts, request);
        if let Some(chain) = &mut self.response {
            chain.conceal(contexts, response);
        }
    }

    /// Makes buffers available to filters until the next step: completions read and edit them.
    pub(in crate::embedded) fn expose(&mut self, contexts: &Contexts) {
        let arrived = |which| contexts.with_side(which, |side| side.arrived);
        let (request, mut phase) = self.request.expose(contexts, arrived(Which::Request));
        let mut response = None;
        if let Some(chain) = &mut self.response {
            let (shown, of_response) = chain.expose(contexts, arrived(Which::Response));
            response = shown;
            if of_response != Phase::Idle {
                phase = of_response;
            }
        }
        self.shown = [request, response];
        contexts.set_phase(phase);
    }

    /// Forwards what filters have continued, makes the local reply that they asked for, and
    /// collects what the server must send. Returns whether the stream is over for its client.
    pub(in crate::embedded) fn settle(
        &mut self,
        contexts: &mut Contexts,
        stepped: Result<(), Ended>,
        parts: &mut Vec<(Direction, Part)>,
    ) -> bool {
        let mut result = stepped.and_then(|()| contexts.asked()).and_then(|()| self.resume(contexts));
        // A local reply passes the response callbacks, which may reply or close once more.
        for _ in 0..3 {
            match result {
                Ok(()) => break,
                Err(why) => result = self.end(contexts, why),
            }
        }
        self.send(contexts, Which::Request, parts);
        self.send(contexts, Which::Response, parts);
        let [_, response] = &mut self.sent;
        if result.is_err() && !response.end {
            response.end = true;
            parts.push((Direction::ToClient, Part::Reset));
        }
        response.end
    }

    fn resume(&mut self, contexts: &mut Contexts) -> Result<(), Ended> {
        loop {
            let mut resumed = !self.is_local && self.request.resume_continued(contexts)?;
            if let Some(chain) = &mut self.response {
                resumed |= chain.resume_continued(contexts)?;
            }
            contexts.asked()?;
            if !resumed {
                return Ok(());
            }
        }
    }

    /// The message is not forwarded any further.
    fn end(&mut self, contexts: &mut Contexts, why: Ended) -> Result<(), Ended> {
        let [_, response] = self.sent;
        let gone = response.headers || contexts.with_side(Which::Response, |side| side.gone) && !self.is_local;
        match why {
            Ended::Closed | Ended::Disconnected => Err(why),
            Ended::Reply(_) | Ended::Failed if gone => Err(Ended::Closed),
            Ended::Failed => self.replace(contexts, &wire::failed()),
            // The headers callbacks of this response have run: they are not called again.
            Ended::Reply(reply) if self.response.is_some() => self.replace(contexts, &reply),
            Ended::Reply(reply) => {
                self.is_local = true;
                contexts.note_local_reply(&reply);
                contexts.with_stream(|stream| stream.response_started = true);
                let end = self.is_head || reply.body.is_empty();
                self.start_response(contexts, wire::local_reply_map(&reply), end)?;
                if end {
                    return Ok(());
                }
                contexts.with_side(Which::Response, |side| side.arrived = true);
                let body = reply.body.clone();
                self.response.as_mut().map_or(Ok(()), |chain| chain.data(contexts, body, true))?;
                self.resume(contexts)
            }
        }
    }

    /// A response that no callback sees.
    #[allow(clippy::unnecessary_wraps, reason = "a branch of `end`")]
    fn replace(&mut self, contexts: &Contexts, reply: &LocalReply) -> Result<(), Ended> {
        self.is_local = true;
        contexts.note_local_reply(reply);
        let end = self.is_head || reply.body.is_empty();
        contexts.with_side(Which::Response, |side| {
            side.headers.put(wire::local_reply_map(reply));
            (side.arrived, side.gone, side.sent, side.sent_trailers) = (true, true, None, None);
            side.trailers.take();
            side.held.clear();
        });
        let mut chain = Chain::new(Which::Response, Vec::new(), end);
        if !end {
            chain.forwarded.clone_from(&reply.body);
        }
        self.response = Some(chain);
        Ok(())
    }

    /// Collects what the filters have forwarded of a message.
    fn send(&mut self, contexts: &Contexts, which: Which, parts: &mut Vec<(Direction, Part)>) {
        let (direction, place) = match which {
            Which::Request => (Direction::ToUpstream, 0),
            Which::Response => (Direction::ToClient, 1),
        };
        if which == Which::Request && self.is_local {
            return;
        }
        let Some(mut sent) = self.sent.get(place).copied() else { return };
        let Some(chain) = self.chain(which) else { return };
        let (gone, arrived) = contexts.with_side(which, |side| (side.gone, side.arrived));
        if !gone || sent.end {
            return;
        }
        if !sent.headers {
            let headers = |side: &mut Side| side.sent.clone().or_else(|| side.headers.value.clone());
            let Some(map) = contexts.with_side(which, headers) else { return };
            (sent.headers, sent.end) = (true, chain.only_headers);
            parts.push((direction, Part::Headers(map.fields().clone(), chain.only_headers)));
            contexts.with_stream(|stream| {
                if which == Which::Request {
                    stream.asked = true;
                    stream.logged.0 = Some(map);
                } else {
                    stream.logged.1 = Some(map);
                }
            });
        }
        let bytes = std::mem::take(&mut chain.forwarded);
        let complete = arrived && chain.is_free() && !sent.end;
        let trailers = if complete { contexts.with_side(which, Side::forward_trailers) } else { None };
        let trailers = trailers.filter(|trailers| trailers.len() > 0);
        contexts.with_info(|info| info.sent += if which == Which::Response { bytes.len() as u64 } else { 0 });
        if !bytes.is_empty() || complete && trailers.is_none() {
            parts.push((direction, Part::Data(bytes, complete && trailers.is_none())));
        }
        if let Some(trailers) = trailers {
            contexts.with_stream(|stream| {
                if which == Which::Response {
                    stream.logged.2 = Some(trailers.clone());
                }
            });
            parts.push((direction, Part::Trailers(trailers.fields().clone())));
        }
        sent.end |= complete;
        if let Some(slot) = self.sent.get_mut(place) {
            *slot = sent;
        }
    }
}
