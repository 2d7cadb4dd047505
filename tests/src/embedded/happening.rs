//! The callbacks of a gRPC stream, made from a server's response or from why there is none.

use super::callouts::{REFUSED, REFUSED_BY_TRANSPORT};
use super::fields::{Kind, Map};
use super::info::grpc_status;
use super::wire;
use crate::action::GrpcEvent;
use crate::grpc;
use crate::host_profile::{HostProfile, Quirk};
use crate::message::{Protocol, Reply};

/// What happens on a gRPC call or stream, one callback each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Initial(Map),
    Message(Vec<u8>),
    Trailing(Map),
    /// The status, and its message with Envoy's details.
    Close(u32, String),
}

/// The reason why no server responded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Refused,
    /// The same in an Envoy whose text has the reason of the transport.
    RefusedByTransport,
    Reset,
    TimedOut,
    NoHost,
    NoCluster,
}

/// `UNAVAILABLE`.
const UNAVAILABLE: u32 = 14;
/// `INTERNAL`.
const INTERNAL: u32 = 13;
/// `UNAUTHENTICATED`, the last code that Envoy knows.
const LAST_CODE: u32 = 16;
/// What Envoy makes of any other.
const INVALID: u32 = u32::MAX;
/// `UNKNOWN`.
const UNKNOWN: u32 = 2;
/// Envoy's details of a response that came from the upstream.
const VIA_UPSTREAM: &str = "via_upstream";

/// Envoy's details of a connection that was refused.
const REFUSED_DETAILS: &str =
    "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";

impl Failure {
    /// The server refuses the connection.
    pub(super) fn refused(host: HostProfile) -> Self {
        if host.plays(Quirk::TransportReason) { Self::RefusedByTransport } else { Self::Refused }
    }

    /// The status message, and Envoy's details.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Refused => (REFUSED, REFUSED_DETAILS),
            Self::RefusedByTransport => (REFUSED_BY_TRANSPORT, REFUSED_DETAILS),
            Self::Reset => (
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Self::TimedOut => ("upstream request timeout", "response_timeout"),
            Self::NoHost => ("no healthy upstream", "no_healthy_upstream"),
            Self::NoCluster => ("Cluster not available", ""),
        }
    }

    /// The callbacks about a stream. Envoy responds in place of the server.
    pub(super) fn happenings(self) -> Vec<Happening> {
        let (message, details) = self.texts();
        let mut map = Map::new(Kind::Response);
        for (name, value) in [(":status", "200"), ("content-type", "application/grpc")] {
            map.add(name.as_bytes(), value.as_bytes());
        }
        for (name, value) in grpc::status(UNAVAILABLE, message) {
            map.add(&name, &value);
        }
        vec![
            Happening::Initial(Map::new(Kind::Response)),
            Happening::Trailing(map),
            close(UNAVAILABLE, message.as_bytes(), details),
        ]
    }
}

/// The end, with the message in Envoy's form.
pub(super) fn close(code: u32, message: &[u8], details: &str) -> Happening {
    let message = String::from_utf8_lossy(message);
    Happening::Close(
        code,
        match (message.is_empty(), details.is_empty()) {
            (true, _) => details.into(),
            (false, true) => message.into_owned(),
            (false, false) => format!("{message}{{{details}}}"),
        },
    )
}

/// The end of a stream according to its trailers.
fn end(trailers: Map) -> [Happening; 2] {
    let code = trailers.get(b"grpc-status").filter(|code| !code.is_empty()).map(|code| {
        let known = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).filter(|code| *code <= LAST_CODE);
        known.unwrap_or(INVALID)
    });
    let message = trailers.get(b"grpc-message").unwrap_or_default().to_vec();
    [Happening::Trailing(trailers), close(code.unwrap_or(UNKNOWN), &message, VIA_UPSTREAM)]
}

/// The end of a stream with a status.
pub(super) fn status(code: u32, message: &str) -> [Happening; 2] {
    end(Map::from_fields(Kind::Trailers, &grpc::status(code, message)))
}

/// What response headers lead to. They are all of the response if it ends with them, or if it is no
/// response of gRPC.
fn begin(headers: Map, status: u32, ends: bool) -> Vec<Happening> {
    let nothing = || Map::new(Kind::Trailers);
    if status != 200 {
        let code = u32::try_from(grpc_status(status)).unwrap_or(UNKNOWN);
        return vec![Happening::Initial(nothing()), Happening::Trailing(nothing()), close(code, b"", VIA_UPSTREAM)];
    }
    if ends {
        let mut happenings = vec![Happening::Initial(nothing())];
        happenings.extend(end(headers));
        return happenings;
    }
    vec![Happening::Initial(headers)]
}

/// The end of a response that was cut off after its headers.
fn cut_off() -> [Happening; 2] {
    let details = "upstream_reset_after_response_started{connection_termination}";
    [Happening::Trailing(Map::new(Kind::Trailers)), close(INTERNAL, b"", details)]
}

const fn is_close(happening: &Happening) -> bool {
    matches!(happening, Happening::Close(..))
}

/// What has come so far of a response that comes in parts.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    has_headers: bool,
    over: bool,
    /// The begin of a message.
    bytes: Vec<u8>,
    /// The message of a call, whose callback comes at its end.
    message: Option<Vec<u8>>,
}

impl Arrived {
    /// The callbacks of the next part.
    pub(super) fn happenings(&mut self, event: GrpcEvent) -> Vec<Happening> {
        if self.over {
            return Vec::new();
        }
        let happenings = match event {
            GrpcEvent::Headers(fields, ends) => {
                self.has_headers = true;
                let headers = Map::from_fields(Kind::Response, &fields);
                let status = headers.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
                begin(headers, status.unwrap_or_default(), ends)
            }
            GrpcEvent::Data(bytes) => self.messages(&bytes),
            GrpcEvent::End(trailers) => end(Map::from_fields(Kind::Trailers, &trailers)).into(),
            GrpcEvent::Failed if self.has_headers => cut_off().into(),
            GrpcEvent::Failed => Failure::Reset.happenings(),
            GrpcEvent::TimedOut => Failure::TimedOut.happenings(),
        };
        self.over = happenings.iter().any(is_close);
        happenings
    }

    /// The messages that are complete.
    fn messages(&mut self, bytes: &[u8]) -> Vec<Happening> {
        self.bytes.extend_from_slice(bytes);
        let (messages, used) = grpc::unframe(&self.bytes);
        self.bytes.drain(..used);
        let mut happenings: Vec<_> = messages.into_iter().map(Happening::Message).collect();
        if self.bytes.first().is_some_and(|flags| *flags > 1) {
            happenings.extend([Happening::Trailing(Map::new(Kind::Trailers)), close(INTERNAL, b"", VIA_UPSTREAM)]);
        }
        happenings
    }

    /// The callback about a call, when its end is among these.
    pub(super) fn end_of_call(&mut self, happenings: Vec<Happening>) -> Option<Happening> {
        let message = self.message.take().map(Happening::Message);
        let happenings: Vec<_> = message.into_iter().chain(happenings).collect();
        self.message = happenings.iter().rev().find_map(|happening| match happening {
            Happening::Message(bytes) => Some(bytes.clone()),
            _ => None,
        });
        of_call(happenings)
    }
}

/// A server's response as callbacks of the module.
pub(super) fn of(reply: &Reply) -> Vec<Happening> {
    let nothing = || Map::new(Kind::Trailers);
    if reply.reset {
        return Failure::Reset.happenings();
    }
    let headers = wire::response_map(reply, Protocol::Http2);
    let ends = wire::ends_with_headers(&reply.body, &reply.trailers) && !reply.cut_off;
    let mut happenings = begin(headers, reply.status.into(), ends);
    if happenings.iter().any(is_close) {
        return happenings;
    }
    let body = reply.body.bytes();
    if body.first().is_some_and(|flags| *flags > 1) {
        happenings.extend([Happening::Trailing(nothing()), close(INTERNAL, b"", VIA_UPSTREAM)]);
        return happenings;
    }
    happenings.extend(grpc::unframe(&body).0.into_iter().map(Happening::Message));
    if reply.cut_off {
        happenings.extend(cut_off());
    } else {
        happenings.extend(end(Map::from_fields(Kind::Trailers, &reply.trailers)));
    }
    happenings
}

/// The callback about a call: its last message, or why there is none.
pub(super) fn of_call(happenings: Vec<Happening>) -> Option<Happening> {
    let mut message = None;
    for happening in happenings {
        match happening {
            Happening::Message(bytes) => message = Some(bytes),
            Happening::Close(0, _) => {
                return Some(message.map_or_else(|| close(INTERNAL, b"", ""), Happening::Message));
            }
            end @ Happening::Close(..) => return Some(end),
            Happening::Initial(_) | Happening::Trailing(_) => {}
        }
    }
    None
}
