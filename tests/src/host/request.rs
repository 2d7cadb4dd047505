//! [`RequestBuilder`]: a request as a test puts it together.

use super::{BeforeResponse, Host, InFlight};
use crate::message::{Answered, Body, Protocol, Request};
use crate::not_played::NotPlayed;
use crate::outcome::Outcome;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A request that is being put together; made by [`Host::get`] and its siblings.
#[must_use = "the request goes out when `send` is called"]
pub struct RequestBuilder<'a> {
    host: &'a mut Host,
    request: Request,
    worker: Option<usize>,
    before_response: Option<BeforeResponse<'a>>,
}

impl<'a> RequestBuilder<'a> {
    pub(crate) fn new(host: &'a mut Host, method: &str, path: &str) -> Self {
        let request = Request::new(method, path, "example.com");
        Self { host, request, worker: None, before_response: None }
    }

    /// Adds a header, as text or bytes. Repeated names are allowed.
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

    /// The body in one chunk, announced with `content-length`.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.request.body = body.into();
        self
    }

    /// The body in several chunks with pauses between them.
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.request.body = Body::Chunked(chunks.into_iter().map(|chunk| chunk.as_ref().to_vec()).collect());
        self
    }

    /// Adds a trailer.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.request.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds an entry to a METADATA frame of HTTP/2, which the client sends after the headers. It
    /// needs [`Host::allow_metadata`] and [`http2`](Self::http2).
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.request.metadata.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The address and port that the client connects from: the attributes `source.address` and
    /// `source.port`, which [`stream_info::source`](proxy_filter::stream_info::source) reads. It is
    /// the machine itself unless said here.
    ///
    /// In a real Envoy, a load balancer before it names this address with the PROXY protocol, which
    /// the listener filter `envoy.filters.listener.proxy_protocol` reads.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// let exchange = host.get("/").source_address("203.0.113.7:4711".parse().unwrap()).send();
    /// assert_eq!(exchange.status(), 403, "{exchange}");
    /// # }
    /// ```
    pub const fn source_address(mut self, address: SocketAddr) -> Self {
        self.request.source = Some(address);
        self
    }

    /// HTTP/2 on both sides of the host instead of HTTP/1.1.
    pub const fn http2(mut self) -> Self {
        self.request.protocol = Protocol::Http2;
        self
    }

    /// Closes the connection this long after the end of the request, unless the client has the
    /// whole response by then. Otherwise it waits five seconds for each part of the response.
    pub const fn disconnect_after(mut self, patience: Duration) -> Self {
        self.request.disconnect_after = Some(patience);
        self
    }

    /// The upstream responds when it has the headers, before the body. The client sends no part of
    /// the body before it has the response, and Envoy then ends the stream. The upstream records
    /// the request as incomplete.
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

    /// The upstream begins its response when it has the headers and this number of chunks of the
    /// body. The client sends the rest when it has the head of the response. The upstream ends its
    /// response when it has the rest, or when no more of it arrives.
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

    /// The worker that serves the request, counted from 0, if the host has
    /// [several](Host::workers); otherwise they take turns.
    ///
    /// A real Envoy gives the connection to a worker of its own choice, and this does nothing.
    pub const fn on_worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Runs a closure when the upstream has received the request, before it responds. The closure
    /// can send other requests, set a [new configuration](Host::reconfigure), or advance the time.
    /// It does not run if the request never reaches the upstream.
    ///
    /// In the embedded host all of it happens in the same VM, and time stands still for the stream
    /// that waits.
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
    ///
    /// # Panics
    /// The embedded host does not play the exchange: see [`NotPlayed`].
    #[must_use]
    #[allow(clippy::panic, reason = "this is how a test with a message that is not played fails")]
    pub fn send(self) -> Outcome {
        self.try_send().unwrap_or_else(|why| panic!("the embedded host does not play the exchange: {why}"))
    }

    /// Sends the request and waits for all that follows.
    ///
    /// # Errors
    /// The embedded host does not play the exchange. Nothing was sent, or nothing came of it that
    /// would be the same in Envoy.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, NotPlayed, Reply};
    /// let mut host = Host::without_module();
    /// host.upstream(|_| Reply::new(103));
    /// let why = host.get("/").try_send().unwrap_err();
    /// assert_eq!(why, NotPlayed::InformationalResponse(103));
    /// ```
    pub fn try_send(mut self) -> Result<Outcome, NotPlayed> {
        self.complete();
        self.host.try_send(&self.request, self.worker, self.before_response)
    }

    /// Sends the request, and returns while the exchange is in flight. What takes no time has
    /// happened then. The exchange waits for the rest: for the response of a service or of the
    /// upstream that comes [later](crate::Reply::after), for a timer of the filter, for the next
    /// part of a message.
    ///
    /// Other requests can be sent meanwhile, by [`send`](Self::send) or by this method. Time passes
    /// while one of them waits, in [`Host::advance`], and in [`InFlight::finish`], which returns
    /// the outcome. An exchange that is not finished when the plugin ends is finished then.
    ///
    /// An outcome shows the callbacks of its own stream, with their host calls and log lines.
    /// Callbacks of root contexts, such as ticks and completions, and the calls of services belong
    /// to the outcome that was started or finished when they happened.
    ///
    /// In a real Envoy the exchanges are in flight at the same time, too. This method needs about
    /// 100 ms there, so what they wait for should come after a second. Events that happen at the
    /// same time have any order: give responses different times, for example 300 ms apart.
    ///
    /// # Panics
    /// The request has a closure for [`before_response`](Self::before_response).
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # use std::time::Duration;
    /// # fn body(mut host: Host) {
    /// host.upstream(|request| match request.header(":path") {
    ///     Some(path) if path == "/slow" => Reply::new(200).after(Duration::from_secs(1)),
    ///     _ => Reply::new(200),
    /// });
    /// let slow = host.get("/slow").start();
    /// assert_eq!(host.get("/fast").send().status(), 200);
    /// assert!(!slow.has_ended(&mut host));
    /// assert_eq!(slow.finish(&mut host).status(), 200);
    /// # }
    /// ```
    pub fn start(mut self) -> InFlight {
        self.complete();
        let closure = self.before_response.is_some();
        assert!(
            !closure,
            "`start` and `before_response` do not go together: what comes after `start` happens meanwhile"
        );
        InFlight::new(self.host.start_exchange(&self.request, self.worker))
    }

    /// Adds what follows from the rest.
    fn complete(&mut self) {
        if !self.request.metadata.is_empty() && self.request.body == Body::Absent {
            // The headers cannot be the end.
            self.request.body = Body::Chunked(Vec::new());
        }
        let is_tunnel = self.request.is_connect() && self.host.allows_connect();
        if is_tunnel && self.request.answered == Answered::Complete {
            self.request.answered = Answered::After(0);
        }
    }
}

impl fmt::Debug for RequestBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Host {
    /// A `GET` request.
    pub fn get(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request("GET", path)
    }

    /// A `POST` request.
    pub fn post(&mut self, path: &str) -> RequestBuilder<'_> {
        self.request("POST", path)
    }

    /// A request with any method. It goes out when [`send`](RequestBuilder::send) is called.
    pub fn request(&mut self, method: &str, path: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, path)
    }
}
