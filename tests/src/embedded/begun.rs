//! A stream in two parts: until the upstream has the request, and from its answer on. Others may be played between them.

use super::event;
use super::exchange::{Ended, Exchange};
use super::flow::Rest;
use super::functions::Functions;
use super::pause::Patience;
use super::stream::Stream;
use super::vm::Vm;
use crate::backend::Answer;
use crate::message::{Protocol, Received, Request};
use proxy_filter::sys::HostFunctions;

/// A stream whose upstream has the request, or that has ended before.
pub(super) struct Begun {
    patience: Patience,
    cut: Vec<u8>,
    upstream: Option<Received>,
    rest: Option<Rest>,
    asked: Asked,
}

/// How far a request has come.
enum Asked {
    /// The connection was closed at once.
    Nobody,
    /// The host refuses it before its filters run.
    Host,
    /// It went through the filters.
    Upstream(Result<(), Ended>),
}

impl Begun {
    /// Whether the upstream has the request.
    pub(super) const fn reached_the_upstream(&self) -> bool {
        matches!(self.asked, Asked::Upstream(Ok(())))
    }
}

impl<'a> Exchange<'a> {
    /// Plays a new stream until the upstream has the request, or the request has ended.
    pub(super) fn begin(vm: &'a mut Vm, functions: &'a Functions, stream: Stream, request: &'a Request) -> Begun {
        let patience = Patience::of(request, functions.state().clock.now());
        let started = functions.proxy_get_current_time_nanoseconds().unwrap_or_default();
        functions.state().stream = Some(stream);
        let mut exchange =
            Self { vm, functions, filter: 0, request, patience, cut: Vec::new(), upstream: None, rest: None };
        exchange.with_info(|info| (info.protocol, info.started) = (request.protocol, started));
        let asked = match &request.authority {
            None if request.protocol == Protocol::Http2 => Asked::Nobody,
            None => Asked::Host,
            Some(authority) => Asked::Upstream(exchange.request(authority)),
        };
        Begun {
            patience: exchange.patience,
            cut: exchange.cut,
            upstream: exchange.upstream,
            rest: exchange.rest,
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
    ) -> (Option<Received>, Option<Received>) {
        let Begun { patience, cut, upstream, rest, asked } = begun;
        let mut exchange = Self { vm, functions, filter: 0, request, patience, cut, upstream, rest };
        let client = match asked {
            Asked::Nobody => {
                functions.state().stream = None;
                return (None, None);
            }
            Asked::Host => Some(exchange.refused()),
            Asked::Upstream(asked) => exchange.forward(asked, answer),
        };
        exchange.end();
        functions.state().stream = None;
        exchange.tell();
        event::deliver_due(exchange.vm, functions);
        (client, exchange.upstream)
    }
}
