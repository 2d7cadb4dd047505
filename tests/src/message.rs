//! HTTP messages as a test writes them: the request of a client and the response of an upstream.

use crate::grpc;
use proxy_filter::HeaderValue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A list of header or trailer fields in order, including repeated names.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The protocol between client and host, and between host and upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 over cleartext.
    Http2,
}

/// The body of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// The message ends with its headers.
    #[default]
    Absent,
    /// One chunk of known length, announced with `content-length`.
    Sized(Vec<u8>),
    /// Chunks that are sent one after the other with pauses between them: `transfer-encoding:
    /// chunked` in HTTP/1, DATA frames in HTTP/2.
    Chunked(Vec<Vec<u8>>),
}

impl Body {
    /// All bytes of the body.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Absent => Vec::new(),
            Self::Sized(bytes) => bytes.clone(),
            Self::Chunked(chunks) => chunks.concat(),
        }
    }

    /// The same bytes as one chunk.
    pub(crate) fn whole(self) -> Self {
        match self {
            Self::Chunked(chunks) => Self::Sized(chunks.concat()),
            body => body,
        }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Sized(text.into())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Sized(text.into())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Sized(bytes)
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self::Sized(bytes.to_vec())
    }
}

/// When an upstream begins its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answered {
    /// When it has the whole request.
    #[default]
    Complete,
    /// When it has the headers. The client sends no more data.
    Early,
    /// When it has the headers and so many chunks. The client sends the rest when it has the head
    /// of the response.
    After(usize),
}

impl Answered {
    /// How many chunks of the body come before the response, if not all.
    pub(crate) const fn chunks(self) -> Option<usize> {
        match self {
            Self::Complete => None,
            Self::Early => Some(0),
            Self::After(chunks) => Some(chunks),
        }
    }
}

/// A request as the client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) protocol: Protocol,
    pub(crate) method: String,
    pub(crate) path: String,
    /// `None`: the request has no `host`, and is refused before the filters run.
    pub(crate) authority: Option<String>,
    pub(crate) headers: Fields,
    pub(crate) body: Body,
    pub(crate) trailers: Fields,
    /// The client disconnects this long after the end of its request, unless it has the response.
    pub(crate) disconnect_after: Option<Duration>,
    /// When the upstream begins its response.
    pub(crate) answered: Answered,
    /// The entries of a METADATA frame after the headers (HTTP/2).
    pub(crate) metadata: Fields,
    /// The address that the client connects from, if the test sets one.
    pub(crate) source: Option<SocketAddr>,
    /// The client connects with TLS.
    pub(crate) tls: bool,
}

/// The status with which an upstream agrees to an upgrade.
pub(crate) const SWITCHING_PROTOCOLS: u16 = 101;
/// The method that asks for a tunnel.
pub(crate) const CONNECT: &str = "CONNECT";

impl Request {
    /// A request over HTTP/1.1 to this authority, without a body.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>, authority: impl Into<String>) -> Self {
        Self {
            protocol: Protocol::Http1,
            method: method.into(),
            path: path.into(),
            authority: Some(authority.into()),
            headers: Vec::new(),
            body: Body::Absent,
            trailers: Vec::new(),
            disconnect_after: None,
            answered: Answered::Complete,
            metadata: Vec::new(),
            source: None,
            tls: false,
        }
    }

    /// The scheme of its URL.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether the request upgrades its connection to another protocol. `h2c` is not an upgrade for
    /// Envoy.
    pub(crate) fn is_upgrade(&self) -> bool {
        let values = |wanted: &'static [u8]| {
            self.headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let mut named = values(b"connection").flat_map(|list| list.split(|byte| *byte == b','));
        self.protocol == Protocol::Http1
            && named.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
            && values(b"upgrade").any(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
    }

    /// Whether it asks for a tunnel to the upstream.
    pub(crate) fn is_connect(&self) -> bool {
        self.method == CONNECT
    }

    /// Whether the bytes that follow it belong to another protocol, if the upstream agrees.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.is_upgrade() || self.is_connect()
    }

    /// Whether a response with this status makes the connection a tunnel.
    pub(crate) fn is_tunneled_by(&self, status: u16) -> bool {
        status == SWITCHING_PROTOCOLS || self.is_connect() && (200..300).contains(&status)
    }

    /// Sets the protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }
}

/// The response of the upstream, or of a cluster that the filter calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: Body,
    pub(crate) trailers: Fields,
    /// The upstream closes the connection without a response.
    pub(crate) reset: bool,
    /// The upstream closes the connection before the message ends.
    pub(crate) cut_off: bool,
    /// The time until the upstream responds.
    pub(crate) after: Duration,
    /// The entries of a METADATA frame after the headers (HTTP/2).
    pub(crate) metadata: Fields,
}

/// A message as the other side received it: the request at the upstream, the response at the
/// client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Pseudo-headers first (`:method`, `:path`, `:scheme`, `:authority`; `:status`), then the
    /// fields in the order received, names in lower case.
    pub headers: Fields,
    /// The whole body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Fields,
    /// Whether the message ended as its framing says. False: the stream was reset or the connection
    /// closed before the end.
    pub complete: bool,
    /// The cluster to which a request was routed: `upstream`, unless a
    /// [route](crate::Host::route) names another one. Empty for responses and callouts.
    pub cluster: String,
}

/// The function that makes the upstream's response to a request.
pub(crate) type Answer = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// The first field of this name.
fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value.as_slice())
}

impl Received {
    /// The HTTP status of a response; 0 for a request, or when there was no response.
    #[must_use]
    pub fn status(&self) -> u16 {
        find(&self.headers, ":status").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or_default()
    }

    /// The first value of a header, pseudo-headers included.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<HeaderValue> {
        find(&self.headers, name).map(HeaderValue::from)
    }

    /// Every value of a header.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<HeaderValue> {
        let same = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        self.headers
            .iter()
            .filter(|(found, _)| same(found))
            .map(|(_, value)| HeaderValue::from(value.as_slice()))
            .collect()
    }

    /// The first value of a trailer.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<HeaderValue> {
        find(&self.trailers, name).map(HeaderValue::from)
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The gRPC messages in the body, as far as they are complete.
    #[must_use]
    pub fn grpc_messages(&self) -> Vec<Vec<u8>> {
        grpc::unframe(&self.body).0
    }
}

impl Reply {
    /// A response with this status, without a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Absent,
            trailers: Vec::new(),
            reset: false,
            cut_off: false,
            after: Duration::ZERO,
            metadata: Vec::new(),
        }
    }

    /// Adds an entry to a METADATA frame of HTTP/2, which the upstream sends after the headers. It
    /// needs [`Host::allow_metadata`](crate::Host::allow_metadata) and an
    /// [HTTP/2](crate::RequestBuilder::http2) exchange.
    #[must_use]
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.metadata.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        if self.body == Body::Absent {
            // The headers cannot be the end.
            self.body = Body::Chunked(Vec::new());
        }
        self
    }

    /// No response: the upstream closes the connection.
    #[must_use]
    pub const fn reset() -> Self {
        let mut reply = Self::new(0);
        reply.reset = true;
        reply
    }

    /// Responds after this time. The embedded host advances its clock and takes no time; a real
    /// Envoy waits.
    ///
    /// Responses to requests that are in flight at the same time come in the order of their times.
    /// Give them times that are well apart, for example 100 ms, so that they come in the same order
    /// in a real Envoy.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.cluster("slow", |_call| Reply::new(200).after(std::time::Duration::from_millis(100)));
    /// # }
    /// ```
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// Closes the connection after the headers and the given body, before the message ends: the
    /// `content-length` is one byte more than is sent, or the body in chunks has no end.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.cluster("broken", |_call| Reply::new(200).body("the first half").cut_off());
    /// # }
    /// ```
    #[must_use]
    pub const fn cut_off(mut self) -> Self {
        self.cut_off = true;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The body in one chunk, announced with `content-length`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The body in several chunks with pauses between them.
    #[must_use]
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.body = Body::Chunked(chunks.into_iter().map(|chunk| chunk.as_ref().to_vec()).collect());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// A gRPC response: one message, and the status OK. [`header`](Self::header) adds initial and
    /// [`trailer`](Self::trailer) trailing metadata.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.grpc_cluster("authz", |_call| Reply::grpc(b"allowed").trailer("x-cost", "3"));
    /// # }
    /// ```
    #[must_use]
    pub fn grpc(message: impl AsRef<[u8]>) -> Self {
        Self::grpc_messages([message])
    }

    /// A gRPC response of several messages, or none, and the status OK.
    #[must_use]
    pub fn grpc_messages<M: AsRef<[u8]>>(messages: impl IntoIterator<Item = M>) -> Self {
        let mut reply = Self::new(200);
        reply.headers.push(grpc::content_type());
        reply.body = Body::Chunked(messages.into_iter().map(|message| grpc::frame(message.as_ref())).collect());
        reply.trailers = grpc::status(0, "");
        reply
    }

    /// A gRPC response that is a status and no message ("trailers only"): for codes see
    /// [the gRPC documentation](https://grpc.io/docs/guides/status-codes/).
    #[must_use]
    pub fn grpc_status(code: u32, message: &str) -> Self {
        let mut reply = Self::new(200);
        reply.headers.push(grpc::content_type());
        reply.headers.extend(grpc::status(code, message));
        reply
    }
}
