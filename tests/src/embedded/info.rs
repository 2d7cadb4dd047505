//! What the host knows about a stream beside its messages.

use crate::message::Protocol;
use crate::message::Request;
use crate::route::Found;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Whose response it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The host's or a filter's, or there is none yet.
    Own,
    /// The upstream's.
    Upstreams,
    /// The upstream's, and it has come to its end.
    Ended,
}

/// When parts of the stream came, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) began: Duration,
    /// The end of the request came from the client.
    pub(super) request_ended: Option<Duration>,
    /// The first part of the response came from the upstream.
    pub(super) response_began: Option<Duration>,
}

impl Times {
    const fn new() -> Self {
        Self { began: Duration::ZERO, request_ended: None, response_began: None }
    }
}

/// What the host knows about a stream beside its messages.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Info {
    pub(crate) protocol: Protocol,
    /// When the request began, in nanoseconds since 1970.
    pub(crate) started: u64,
    pub(super) times: Times,
    /// Bytes of the request's body that have arrived.
    pub(crate) received: u64,
    /// Bytes of the response's body that were forwarded.
    pub(crate) sent: u64,
    /// Status of the response and why it is that.
    pub(crate) code: Option<(u32, Vec<u8>)>,
    /// The bits of `ResponseFlags`.
    pub(crate) flags: u64,
    /// The route, as far as the host looked for one.
    pub(crate) route: Found,
    /// The request has reached the upstream.
    pub(crate) upstream: bool,
    pub(crate) whose: Whose,
    /// The filters never forwarded the request's headers: Envoy keeps them readable to the end of
    /// the stream.
    pub(crate) held: bool,
    /// The client has connected over IPv6.
    pub(crate) ipv6: bool,
    /// The client's address, if the test sets one.
    pub(crate) source: Option<SocketAddr>,
    /// The request asks for a tunnel that Envoy allows: an upgrade, or `CONNECT`.
    pub(crate) tunnel: bool,
}

impl Info {
    pub(crate) const fn new() -> Self {
        Self {
            protocol: Protocol::Http1,
            started: 0,
            times: Times::new(),
            received: 0,
            sent: 0,
            code: None,
            flags: 0,
            route: Found::Default,
            upstream: false,
            whose: Whose::Own,
            held: false,
            ipv6: false,
            source: None,
            tunnel: false,
        }
    }

    /// Returns the client's address, if it is not that of the connection. Without
    /// `use_remote_address`, Envoy takes the last address of `x-forwarded-for`, with port 0.
    pub(super) fn source_of(request: &Request) -> Option<SocketAddr> {
        let is_forwarded = |name: &[u8]| name.eq_ignore_ascii_case(b"x-forwarded-for");
        let values = request.headers.iter().filter(|(name, _)| is_forwarded(name)).map(|(_, value)| value.as_slice());
        let forwarded = values.collect::<Vec<_>>().join(&b","[..]);
        let last = forwarded.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let address = std::str::from_utf8(last.trim_ascii()).ok()?.parse::<IpAddr>();
        address.ok().map(|address| SocketAddr::new(address, 0)).or(request.source)
    }

    /// An address at the client's end.
    pub(super) fn downstream(&self, port: u16) -> String {
        if self.ipv6 { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") }
    }
}

/// The gRPC status that belongs to an HTTP status.
pub(super) const fn grpc_status(code: u32) -> i64 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}
