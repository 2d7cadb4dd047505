//! [`ConnectionBuilder`]: a TCP connection as a test scripts it.

use super::Host;
use crate::connection::Connection;
use crate::tcp::Step;
use std::sync::Arc;

/// A connection that is being scripted; made by [`Host::connect`].
///
/// Steps run one after the other. Each begins when the effects of the one before have ended.
#[derive(Debug)]
#[must_use = "the client connects when `play` is called"]
pub struct ConnectionBuilder<'a> {
    host: &'a mut Host,
    script: Vec<Step>,
    worker: Option<usize>,
}

impl<'a> ConnectionBuilder<'a> {
    pub(crate) fn new(host: &'a mut Host) -> Self {
        Self { host, script: Vec::new(), worker: None }
    }

    fn then(mut self, step: Step) -> Self {
        self.script.push(step);
        self
    }

    /// The client sends bytes.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::ClientSends(bytes.as_ref().to_vec()))
    }

    /// The client closes its direction, and still reads.
    pub fn finish(self) -> Self {
        self.then(Step::ClientFinishes)
    }

    /// The client resets the connection.
    pub fn reset(self) -> Self {
        self.then(Step::ClientResets)
    }

    /// The upstream sends bytes.
    pub fn upstream_sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::UpstreamSends(bytes.as_ref().to_vec()))
    }

    /// The upstream sends what this makes of all that it has received so far.
    pub fn upstream_answers(self, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.then(Step::UpstreamAnswers(Arc::new(answer)))
    }

    /// The upstream closes its direction, and still reads.
    pub fn upstream_finishes(self) -> Self {
        self.then(Step::UpstreamFinishes)
    }

    /// The upstream resets the connection.
    pub fn upstream_resets(self) -> Self {
        self.then(Step::UpstreamResets)
    }

    /// The worker that serves the connection to the end, if the host has [several](Host::workers):
    /// 0 is the first. Without it, they take turns. A real Envoy selects the worker itself.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.tcp();
    /// host.workers(2);
    /// let connection = host.connect().on_worker(1).send("hello").play();
    /// assert_eq!(connection.upstream().unwrap().text(), "hello");
    /// # }
    /// ```
    pub const fn on_worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Connects, plays the steps, and then closes the directions that are still open: first the
    /// client's.
    ///
    /// # Panics
    /// The host was started without [`Host::tcp`].
    #[must_use]
    pub fn play(mut self) -> Connection {
        let ended = |script: &[Step], ends: fn(&Step) -> bool| script.iter().any(ends);
        if !ended(&self.script, |step| matches!(step, Step::ClientFinishes | Step::ClientResets)) {
            self.script.push(Step::ClientFinishes);
        }
        if !ended(&self.script, |step| matches!(step, Step::UpstreamFinishes | Step::UpstreamResets)) {
            self.script.push(Step::UpstreamFinishes);
        }
        self.host.play(&self.script, self.worker)
    }
}

impl Host {
    /// A TCP connection of a client, through the plugin, to an upstream. It is played when
    /// [`play`](ConnectionBuilder::play) is called.
    ///
    /// ```
    /// # use proxy_filter_host::{DirectionState, Host};
    /// # fn body(mut host: Host) {
    /// let connection = host
    ///     .connect()
    ///     .send("hello")
    ///     .upstream_answers(|received| received.to_ascii_uppercase())
    ///     .play();
    /// assert_eq!(connection.client().text(), "HELLO", "{connection}");
    /// assert_eq!(connection.client().end, DirectionState::Closed);
    /// # }
    /// ```
    pub fn connect(&mut self) -> ConnectionBuilder<'_> {
        ConnectionBuilder::new(self)
    }
}
