//! A stream in two parts: until the upstream has the request, and from its answer on. Others may be played between them.

use super::codec::{Decoded, Refusal};
use super::event;
use super::exchange::{Ended, Exchange};
use super::flow::Rest;
use super::functions::Functions;
use super::pause::Patience;
use super::stream::Stream;
use super::vm::Vm;
use crate::backend::Answer;
use crate::message::{Received, Request};
use crate::not_played::NotPlayed;
use proxy_filter::sys::HostFunctions;

/// A stream whose upstream has the request, or that has ended before.
pub(super) struct Begun {
    patience: Patience,
    cut: Vec<u8>,
    upstream: Option<Received>,
    rest: Option<Rest>,
    closes: bool,
    arrived: bool,
    asked: Asked,
}

/// How far a request has come.
enum Asked {
    /// The connection was closed at once, or the host does not play the request.
    Nobody(Option<NotPlayed>),
    /// The host answers it before its filters run.
    Host(Box<Refusal>),
    /// It went through the filters.
    Upstream(Result<(), Ended>),
}

impl Begun {
    /// Whether there is a stream.
    pub(super) const fn has_stream(&self) -> bool {
        !matches!(self.asked, Asked::Nobody(_))
    }

    /// Whether the upstream has the request.
    pub(super) const fn reached_the_upstream(&self) -> bool {
        matches!(self.asked, Asked::Upstream(Ok(())))
    }
}

impl<'a> Exchange<'a> {
    /// Plays a new stream until the upstream has the request, or the request has ended. A request
    /// that the codec resets makes no stream.
    pub(super) fn begin(
        vm: &'a mut Vm,
        functions: &'a Functions,
        decoded: Decoded,
        stream: Option<Stream>,
        request: &'a Request,
    ) -> Begun {
        let patience = Patience::of(request, functions.state().clock.now());
        let started = functions.proxy_get_current_time_nanoseconds().unwrap_or_default();
        functions.state().stream = stream;
        let mut exchange = Self::new(vm, functions, request, patience);
        exchange.with_info(|info| (info.protocol, info.started) = (request.protocol, started));
        let asked = match decoded {
            Decoded::Reset => Asked::Nobody(None),
            Decoded::NotPlayed(why) => Asked::Nobody(Some(why)),
            Decoded::Refused(refusal) => Asked::Host(refusal),
            Decoded::Request(head) => Asked::Upstream(exchange.request(*head)),
        };
        Begun {
            patience: exchange.patience,
            cut: exchange.cut,
            upstream: exchange.upstream,
            rest: exchange.rest,
            closes: exchange.closes,
            arrived: exchange.arrived,
            asked,
        }
    }

    /// Plays the rest of the stream. What the client received, and what the upstream did.
    pub(super) fn finish(
        vm: &'a mut Vm,
        functions: &'a Functions,
        begun: Begun,
        request: &'a Request,
        answer: &Answer,
    ) -> Result<(Option<Received>, Option<Received>), NotPlayed> {
        let Begun { patience, cut, upstream, rest, closes, arrived, asked } = begun;
        let mut exchange = Self { cut, upstream, rest, closes, arrived, ..Self::new(vm, functions, request, patience) };
        let client = match asked {
            Asked::Nobody(why) => {
                functions.state().stream = None;
                return why.map_or(Ok((None, None)), Err);
            }
            Asked::Host(refusal) => Some(exchange.refused(*refusal)),
            Asked::Upstream(asked) => exchange.forward(asked, answer),
        };
        exchange.end();
        functions.state().stream = None;
        exchange.tell();
        event::deliver_due(exchange.vm, functions);
        match exchange.not_played {
            Some(why) => Err(why),
            None => Ok((client, exchange.upstream)),
        }
    }
}
