//! A message as it comes, part by part, and the time between the parts.

use super::chain::Chain;
use super::client::Client;
use super::codec::{self, Malformed};
use super::contexts::{Contexts, Ended};
use super::incoming::{Incoming, Piece, Trailers};
use super::progress::Progress;
use super::upstream::Upstream;
use crate::embedded::fields::{Kind, Map};
use crate::embedded::flags::{DOWNSTREAM_CONNECTION_TERMINATION, UPSTREAM_CONNECTION_TERMINATION};
use crate::embedded::info::Whose;
use crate::embedded::stream::{Phase, Side, Which};
use crate::message::{Answered, Fields};
use std::time::Duration;

/// A message that all filters have forwarded.
#[derive(Debug, Default)]
pub(super) struct Forwarded {
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Map>,
}

/// A message that ended early.
pub(super) struct Interrupted {
    pub(super) why: Ended,
    /// What all filters had forwarded of its body.
    pub(super) body: Vec<u8>,
}

/// The part of a request that comes after its response has begun.
pub(super) struct Rest {
    chain: Chain,
    incoming: Incoming,
}

/// A message that is being played.
pub(super) struct Playback<'p> {
    contexts: &'p mut Contexts,
    client: &'p Client,
    progress: &'p Progress,
    chain: Chain,
}

impl<'p> Playback<'p> {
    /// A message whose headers come now.
    pub(super) fn new(
        contexts: &'p mut Contexts,
        (client, progress): (&'p Client, &'p Progress),
        which: Which,
        headers: Map,
        only_headers: bool,
    ) -> Self {
        contexts.with_side(which, |side| side.headers.put(headers));
        let chain = Chain::new(which, contexts.ids(which), only_headers);
        Self { contexts, client, progress, chain }
    }

    /// Takes a message through the filters: its headers, and what follows them, if anything does.
    /// `rest` is what comes of the request once the client has the head of this response.
    pub(super) async fn play(
        mut self,
        frames: &Fields,
        incoming: Option<Incoming>,
        rest: Option<(Rest, &mut Upstream)>,
    ) -> Result<Forwarded, Interrupted> {
        let played = self.all(frames, incoming, rest).await;
        self.contexts.set_phase(Phase::Idle);
        if let Err(why) = played {
            return Err(Interrupted { why, body: self.chain.forwarded });
        }
        let trailers = self.contexts.with_side(self.chain.which, Side::forward_trailers);
        if !self.chain.only_headers {
            self.count(0, true);
        }
        Ok(Forwarded { body: self.chain.forwarded, trailers })
    }

    /// Takes a request through the filters as far as it comes before its response: its headers, and
    /// so many chunks of its body.
    pub(super) async fn play_before_response(
        mut self,
        mut incoming: Incoming,
        chunks: usize,
    ) -> Result<(Forwarded, Option<Rest>), Interrupted> {
        if self.client.request.is_tunnel() && self.client.is_over_http1() {
            incoming.tunneled(self.client.request.is_upgrade());
        }
        let rest = incoming.split_off(chunks);
        let played = self.beginning(incoming).await;
        self.contexts.set_phase(Phase::Idle);
        if let Err(why) = played {
            return Err(Interrupted { why, body: self.chain.forwarded });
        }
        let forwarded = Forwarded { body: self.chain.forwarded.clone(), trailers: None };
        let comes = matches!(self.client.request.answered, Answered::After(_));
        Ok((forwarded, comes.then_some(Rest { chain: self.chain, incoming: rest })))
    }

    async fn beginning(&mut self, incoming: Incoming) -> Result<(), Ended> {
        self.headers(incoming.begins_empty)?;
        for piece in incoming.pieces {
            self.next_piece(piece).await?;
        }
        self.wait_for_headers().await
    }

    async fn all(
        &mut self,
        frames: &Fields,
        incoming: Option<Incoming>,
        rest: Option<(Rest, &mut Upstream)>,
    ) -> Result<(), Ended> {
        let which = self.chain.which;
        self.headers(incoming.as_ref().is_some_and(|incoming| incoming.begins_empty))?;
        if let Some((rest, upstream)) = rest {
            self.play_rest(rest, upstream).await?;
        }
        let Some(incoming) = incoming else { return self.settle().await };
        let comes_later = incoming.pieces.first().is_none_or(|piece| piece.at.is_some());
        if which == Which::Response && comes_later && self.has_no_body() {
            return Err(self.client_is_done());
        }
        if !frames.is_empty() {
            while self.chain.is_closed() {
                self.wait(false).await?;
            }
            if !self.client.is_over_http1() {
                self.contexts.metadata(which, frames)?;
            }
        }
        for (index, piece) in incoming.pieces.into_iter().enumerate() {
            if let Some(Malformed::Data(at, details)) = &incoming.malformed
                && *at <= index
            {
                self.until(piece.at).await?;
                return Err(self.malformed(details));
            }
            self.next_piece(piece).await?;
        }
        if incoming.cut_off {
            if incoming.ends_empty {
                self.chain.data(self.contexts, Vec::new(), false)?;
            }
            self.cut_off(incoming.cut_reason);
            return Err(Ended::Closed);
        }
        if let Some(trailers) = incoming.trailers {
            if self.has_all() {
                self.until(Some(trailers.at)).await?;
                return if which == Which::Request { Ok(()) } else { Err(self.client_is_done()) };
            }
            if let Some(Malformed::Trailers(details)) = &incoming.malformed {
                self.until(Some(trailers.at)).await?;
                return Err(self.malformed(details));
            }
            self.next_trailers(&trailers).await?;
        }
        self.settle().await
    }

    /// The headers come, and an empty chunk with them if the message begins so.
    fn headers(&mut self, begins_empty: bool) -> Result<(), Ended> {
        self.chain.headers(self.contexts)?;
        self.chain.resume_continued(self.contexts)?;
        if begins_empty {
            self.chain.data(self.contexts, Vec::new(), false)?;
        }
        Ok(())
    }

    /// Takes the rest of the request through the filters, once the client has the head of this
    /// response.
    async fn play_rest(&mut self, Rest { chain, mut incoming }: Rest, upstream: &mut Upstream) -> Result<(), Ended> {
        self.wait_for_headers().await?;
        let has_end = incoming.has_end();
        incoming.start(self.contexts.now());
        let mut request = Playback { contexts: self.contexts, client: self.client, progress: self.progress, chain };
        for piece in incoming.pieces {
            request.next_piece(piece).await?;
        }
        if let Some(trailers) = incoming.trailers {
            request.next_trailers(&trailers).await?;
        }
        let complete = has_end && request.chain.is_free();
        let trailers = request.contexts.with_side(Which::Request, Side::forward_trailers);
        upstream.receive_rest(request.chain.forwarded, trailers.filter(|_| complete), complete);
        Ok(())
    }

    /// The next chunk of a body comes.
    async fn next_piece(&mut self, piece: Piece) -> Result<(), Ended> {
        self.until(piece.at).await?;
        if piece.end_of_stream {
            self.note_arrived();
        }
        self.count(piece.bytes.len(), piece.end_of_stream);
        self.chain.data(self.contexts, piece.bytes, piece.end_of_stream)?;
        self.chain.resume_continued(self.contexts).map(drop)
    }

    /// The trailers come.
    async fn next_trailers(&mut self, trailers: &Trailers) -> Result<(), Ended> {
        self.until(Some(trailers.at)).await?;
        self.count(0, true);
        self.note_arrived();
        self.chain.trailers(self.contexts, Map::from_fields(Kind::Trailers, &trailers.fields))?;
        self.chain.resume_continued(self.contexts).map(drop)
    }

    /// All of the message has come.
    fn note_arrived(&self) {
        match self.chain.which {
            Which::Request => self.contexts.note_request(),
            Which::Response => self.contexts.with_side(Which::Response, |side| side.arrived = true),
        }
    }

    /// Notes the sizes of the messages, and whether the upstream is done.
    fn count(&self, new: usize, end: bool) {
        self.contexts.with_info(|info| match self.chain.which {
            Which::Request => info.received += new as u64,
            Which::Response => {
                info.sent = self.chain.forwarded.len() as u64;
                if end && info.whose == Whose::Upstreams {
                    info.whose = Whose::Ended;
                }
            }
        });
    }

    /// A field of the headers that were forwarded, over HTTP/1.
    fn forwarded_field(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.contexts.with_side(self.chain.which, |side| {
            let headers = side.sent.as_ref().or(side.headers.value.as_ref());
            let headers = headers.filter(|_| side.gone && self.client.is_over_http1())?;
            headers.get(name).map(<[u8]>::to_vec)
        })
    }

    /// Whether the receiver has as many bytes as a `content-length` says: over HTTP/1 it does not
    /// wait for trailers.
    fn has_all(&self) -> bool {
        let length = self.chain.forwarded.len().to_string().into_bytes();
        self.chain.is_free() && self.forwarded_field(b"content-length") == Some(length)
    }

    /// Whether the response that was forwarded is one that has no body over HTTP/1.
    fn has_no_body(&self) -> bool {
        self.forwarded_field(b":status").is_some_and(|status| status == b"204" || status == b"304")
    }

    /// The client has the response, and closes the connection.
    fn client_is_done(&self) -> Ended {
        self.contexts.with_info(|info| {
            info.flags |= DOWNSTREAM_CONNECTION_TERMINATION;
            info.code = info.code.take().map(|(code, _)| (code, b"downstream_remote_disconnect".to_vec()));
        });
        Ended::Disconnected
    }

    /// The client has sent what its protocol does not allow: over HTTP/1 Envoy makes a local reply,
    /// over HTTP/2 it resets the stream.
    fn malformed(&self, details: &str) -> Ended {
        self.contexts.with_info(|info| info.flags |= codec::malformed_flags(details));
        if self.client.is_over_http1() {
            return Ended::Reply(codec::malformed_reply(details));
        }
        self.contexts.with_info(|info| info.code = Some((0, details.into())));
        Ended::Disconnected
    }

    /// The upstream's message has no end.
    fn cut_off(&self, reason: Option<(u64, &str)>) {
        self.contexts.with_info(|info| match reason {
            Some((flag, reason)) => {
                let details = format!("upstream_reset_after_response_started{{{reason}}}");
                info.flags |= flag;
                info.code = info.code.take().map(|(code, _)| (code, details.into_bytes()));
            }
            None => info.flags |= UPSTREAM_CONNECTION_TERMINATION,
        });
    }

    /// All of the message has come: waits until no filter pauses any of it.
    async fn settle(&mut self) -> Result<(), Ended> {
        while !self.chain.is_free() {
            self.wait(true).await?;
        }
        Ok(())
    }

    /// Waits until the filters have forwarded the headers.
    async fn wait_for_headers(&mut self) -> Result<(), Ended> {
        while !self.contexts.with_side(self.chain.which, |side| side.gone) {
            self.wait(false).await?;
        }
        Ok(())
    }

    /// Lets the time pass until the next part of the message comes.
    async fn until(&mut self, time: Option<Duration>) -> Result<(), Ended> {
        let Some(time) = time else { return Ok(()) };
        self.chain.between(self.contexts, false, Contexts::notify_of_items);
        loop {
            self.contexts.asked()?;
            self.chain.resume_continued(self.contexts)?;
            let end = time.min(self.client.until(self.contexts)).max(self.contexts.now());
            if !self.chain.next_event(self.contexts, self.progress, false, end).await {
                break;
            }
        }
        let disconnects = self.client.until(self.contexts);
        self.contexts.go_on_to(time.min(disconnects));
        if disconnects < time { Err(self.client.disconnect(self.contexts)) } else { Ok(()) }
    }

    /// Waits until a filter forwards something.
    async fn wait(&mut self, complete: bool) -> Result<(), Ended> {
        self.chain.between(self.contexts, complete, Contexts::notify_of_items);
        loop {
            self.contexts.asked()?;
            if self.chain.resume_continued(self.contexts)? {
                return Ok(());
            }
            let until = self.client.until(self.contexts);
            if !self.chain.next_event(self.contexts, self.progress, complete, until).await {
                return Err(self.client.give_up(self.contexts));
            }
        }
    }
}
