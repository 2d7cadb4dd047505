//! [`Outcome`]: one request and what became of it.

use crate::backend::ConfigureError;
use crate::host::Host;
use crate::message::{Answered, Body, Protocol, Received, Request};
use crate::record::{Event, LogLine, Record, VmRole};
use crate::trace::{self, Colour};
use std::fmt;
use std::time::Duration;

/// A request that is being put together; made by [`Host::get`] and its siblings.
#[must_use = "the request goes out when `send` is called"]
pub struct RequestBuilder<'a> {
    host: &'a mut Host,
    request: Request,
    worker: Option<usize>,
    before_response: Option<BeforeResponse<'a>>,
}

/// What a test does while an exchange is under way.
pub(crate) type BeforeResponse<'a> = Box<dyn FnOnce(&mut Host) + 'a>;

impl<'a> RequestBuilder<'a> {
    pub(crate) fn new(host: &'a mut Host, method: &str, path: &str) -> Self {
        let request = Request::new(method, path, "example.com");
        Self { host, request, worker: None, before_response: None }
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

    /// Adds an entry to a METADATA frame of HTTP/2, which the client sends after the headers. It needs [`Host::allow_metadata`] and
    /// [`http2`](Self::http2).
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.request.metadata.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// HTTP/2 on both sides of the host instead of HTTP/1.1.
    pub const fn http2(mut self) -> Self {
        self.request.protocol = Protocol::Http2;
        self
    }

    /// The client closes the connection so long after it has sent everything, unless it has the whole response by then. Otherwise it
    /// waits five seconds for each part of the response.
    pub const fn disconnect_after(mut self, patience: Duration) -> Self {
        self.request.disconnect_after = Some(patience);
        self
    }

    /// The upstream answers when it has the headers, while the body is still to come: the client sends none of it before it has the response, and
    /// Envoy ends the stream then. Which request it was, the upstream sees as one that is not complete.
    ///
    /// For HTTP/1.1, and a request with a body or trailers.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// let exchange = host.post("/upload").body("never sent").early_response().send();
    /// assert!(!exchange.upstream().unwrap().complete);
    /// # }
    /// ```
    pub const fn early_response(mut self) -> Self {
        self.request.answered = Answered::Early;
        self
    }

    /// The upstream begins its response when it has the headers and so many chunks of the body; the
    /// request goes on after that. The client sends the rest when it has the head of the response.
    /// The upstream ends its response when it has the rest, or when nothing more of it comes.
    ///
    /// For HTTP/1.1, and a body in [`chunks`](Self::chunks).
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// let exchange = host.post("/upload").chunks(["before", "after"]).response_after_chunks(1).send();
    /// assert_eq!(exchange.upstream().unwrap().text(), "beforeafter");
    /// # }
    /// ```
    pub const fn response_after_chunks(mut self, chunks: usize) -> Self {
        self.request.answered = Answered::After(chunks);
        self
    }

    /// Asks for another protocol on the connection, `websocket` for example, which
    /// [`Host::upgrades`] allows. The bytes of [`chunks`](Self::chunks) follow when the client has
    /// the response, whose status is 101 if the upstream agrees.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.upgrades(&["websocket"]);
    /// host.upstream(|_| Reply::new(101).header("connection", "Upgrade").header("upgrade", "websocket").chunks(["pong"]));
    /// let exchange = host.get("/chat").upgrade("websocket").chunks(["ping"]).send();
    /// assert_eq!(exchange.upstream().unwrap().text(), "ping");
    /// # }
    /// ```
    pub fn upgrade(self, protocol: &str) -> Self {
        self.header("connection", "Upgrade").header("upgrade", protocol).response_after_chunks(0)
    }

    /// The worker that serves the request, counted from 0, if the host has [several](Host::workers); otherwise they take turns.
    ///
    /// A real Envoy gives the connection to a worker of its own choice, and this does nothing.
    pub const fn on_worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// What happens while the upstream has the request and has not answered yet: other exchanges, a
    /// [new configuration](Host::reconfigure), time that passes. It does not run if the request never reaches the upstream.
    ///
    /// In the embedded host all of it happens in the same VM, and time stands still for the stream that waits.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// let slow = host.get("/slow").before_response(|host| {
    ///     assert_eq!(host.get("/fast").send().status(), 200);
    ///     host.reconfigure("new").unwrap();
    /// });
    /// assert_eq!(slow.send().status(), 200, "it stays with the root context that made it");
    /// # }
    /// ```
    pub fn before_response(mut self, body: impl FnOnce(&mut Host) + 'a) -> Self {
        self.before_response = Some(Box::new(body));
        self
    }

    /// Sends the request and waits for all that follows.
    #[must_use]
    pub fn send(mut self) -> Outcome {
        if !self.request.metadata.is_empty() && self.request.body == Body::Absent {
            // The headers cannot be the end.
            self.request.body = Body::Chunked(Vec::new());
        }
        self.host.send(&self.request, self.worker, self.before_response)
    }
}

impl fmt::Debug for RequestBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").field("request", &self.request).finish_non_exhaustive()
    }
}

/// One request and what became of it. Printing it shows the trace of callbacks, host calls and log lines.
#[derive(Clone, Debug)]
pub struct Outcome {
    record: Record,
    nothing: Received,
    refused: Option<ConfigureError>,
}

impl Outcome {
    pub(crate) fn new(record: Record) -> Self {
        Self { record, nothing: Received::default(), refused: None }
    }

    /// The plugin did not start: nothing was sent.
    pub(crate) fn refused(refused: ConfigureError) -> Self {
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

    /// The texts of the lines that another VM of the plugin logged meanwhile, if the host has [several](Host::workers) or a
    /// [singleton service](Host::singleton_service).
    ///
    /// [`messages`](Self::messages) are those of the VM that served the request; where no request was served, as in [`Host::advance`],
    /// those of each VM are here.
    #[must_use]
    pub fn messages_of(&self, of: VmRole) -> Vec<&str> {
        let events = self.record.elsewhere.iter().filter(|(found, _)| *found == of).flat_map(|(_, events)| events);
        events.filter_map(Event::log_line).map(|line| line.message.as_str()).collect()
    }

    /// The texts of the lines that any VM logged during this exchange: first those of the VM that served it.
    #[must_use]
    pub fn messages_of_all(&self) -> Vec<&str> {
        let elsewhere = self.record.elsewhere.iter().flat_map(|(_, events)| events);
        let events = self.record.events.iter().chain(elsewhere);
        events.filter_map(Event::log_line).map(|line| line.message.as_str()).collect()
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace(Colour::Never))
    }
}
