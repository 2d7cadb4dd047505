//! [`Exchange`]: one request and what became of it.

use crate::backend::Refused;
use crate::host::Host;
use crate::message::{Body, Protocol, Received, Request};
use crate::record::{Event, LogLine, Record};
use crate::trace::{self, Colour};
use std::fmt;
use std::time::Duration;

/// A request that is being put together; made by [`Host::get`] and its siblings.
#[derive(Debug)]
#[must_use = "the request goes out when `send` is called"]
pub struct ExchangeBuilder<'a> {
    host: &'a mut Host,
    request: Request,
}

impl<'a> ExchangeBuilder<'a> {
    pub(crate) fn new(host: &'a mut Host, method: &str, path: &str) -> Self {
        let request = Request {
            protocol: Protocol::Http1,
            method: method.into(),
            path: path.into(),
            authority: Some("example.com".into()),
            headers: Vec::new(),
            body: Body::Absent,
            trailers: Vec::new(),
            leave_after: None,
        };
        Self { host, request }
    }

    /// Adds a header: text or bytes, repeated names kept.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.request.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The authority (`host`) instead of `example.com`.
    pub fn authority(mut self, authority: &str) -> Self {
        self.request.authority = Some(authority.into());
        self
    }

    /// Leaves `host` out: the request is refused before the filters run.
    pub fn without_authority(mut self) -> Self {
        self.request.authority = None;
        self
    }

    /// The body in one piece, announced with `content-length`.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.request.body = body.into();
        self
    }

    /// The body in pieces with pauses between them.
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.request.body = Body::Chunked(chunks.into_iter().map(|chunk| chunk.as_ref().to_vec()).collect());
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.request.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// HTTP/2 on both sides of the host instead of HTTP/1.1.
    pub const fn http2(mut self) -> Self {
        self.request.protocol = Protocol::Http2;
        self
    }

    /// The client closes the connection so long after it has sent everything, unless it has the whole response by then. Otherwise it
    /// waits five seconds for each part of the response.
    pub const fn leave_after(mut self, patience: Duration) -> Self {
        self.request.leave_after = Some(patience);
        self
    }

    /// Sends the request and waits for all that follows.
    #[must_use]
    pub fn send(self) -> Exchange {
        self.host.send(&self.request)
    }
}

/// One request and what became of it. Printing it shows the trace of callbacks, host calls and log lines.
#[derive(Clone, Debug)]
pub struct Exchange {
    record: Record,
    nothing: Received,
    refused: Option<Refused>,
}

impl Exchange {
    pub(crate) fn new(record: Record) -> Self {
        Self { record, nothing: Received::default(), refused: None }
    }

    /// The plugin did not start: nothing was sent.
    pub(crate) fn refused(refused: Refused) -> Self {
        Self { refused: Some(refused), ..Self::new(Record::default()) }
    }

    /// The status the client received; 0 if the connection ended without a response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response().status()
    }

    /// What the client received; an empty message if the connection ended without a response.
    #[must_use]
    pub fn response(&self) -> &Received {
        self.record.response.as_ref().unwrap_or(&self.nothing)
    }

    /// What the upstream received; `None` if nothing reached it.
    #[must_use]
    pub const fn upstream(&self) -> Option<&Received> {
        self.record.upstream.as_ref()
    }

    /// What a cluster received during this exchange, in order. Empty if nothing came.
    ///
    /// In a real Envoy every VM of the plugin does what `on_configure` and `on_tick` do; the calls made there come several times.
    #[must_use]
    pub fn calls(&self, cluster: &str) -> Vec<Received> {
        self.record.calls.get(cluster).cloned().unwrap_or_default()
    }

    /// The lines the module logged during this exchange.
    #[must_use]
    pub fn logs(&self) -> Vec<&LogLine> {
        self.record.events.iter().filter_map(Event::log_line).collect()
    }

    /// The texts of the lines the module logged during this exchange.
    #[must_use]
    pub fn messages(&self) -> Vec<&str> {
        self.logs().into_iter().map(|line| line.message.as_str()).collect()
    }

    /// The callbacks the host entered, by export name. In a real Envoy only while the log level is trace.
    #[must_use]
    pub fn callbacks(&self) -> Vec<&str> {
        self.record.events.iter().filter_map(Event::callback).collect()
    }

    /// Everything that happened, for tools.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The trace of callbacks, host calls and log lines, and what client and upstream saw.
    #[must_use]
    pub fn trace(&self, colour: Colour) -> String {
        match &self.refused {
            Some(refused) => refused.to_string(),
            None => trace::render(&self.record, colour),
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace(Colour::Never))
    }
}
