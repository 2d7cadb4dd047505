//! The servers behind Envoy: the upstream of requests, and those that a module calls.

use super::visit::{State, Visit, lock};
use super::wire::{LIMIT, Pace, SOON, Wire};
use super::{http1, http2};
use crate::backend::Answer;
use crate::grpc::GrpcStreamAnswer;
use crate::message::{Answered, Received};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

/// A server that responds as the test says and keeps what it received.
pub(super) struct Upstream {
    /// Where it listens, for each cluster that it serves.
    addresses: Vec<(String, SocketAddr)>,
    state: Arc<Mutex<State>>,
}

impl Upstream {
    /// Starts a server on a port that the kernel chooses, for a cluster that it does not name.
    pub(super) fn start(pace: Pace) -> io::Result<Self> {
        Self::start_with(pace, &[""], false)
    }

    /// Starts a server with a port for each of these clusters. Envoy names the client at the
    /// beginning of each connection, with the PROXY protocol.
    pub(super) fn start_for_exchanges(clusters: &[&str]) -> io::Result<Self> {
        Self::start_with(Pace::Parts, clusters, true)
    }

    fn start_with(pace: Pace, clusters: &[&str], names_clients: bool) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let mut server = Self { addresses: Vec::new(), state };
        for cluster in clusters {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            server.addresses.push(((*cluster).to_owned(), listener.local_addr()?));
            let (cluster, state) = ((*cluster).to_owned(), Arc::clone(&server.state));
            std::thread::spawn(move || listen(&listener, &cluster, pace, names_clients, &state));
        }
        Ok(server)
    }

    /// Where Envoy finds it, for each cluster.
    pub(super) fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Where Envoy finds the server of a single cluster.
    pub(super) fn address(&self) -> SocketAddr {
        self.addresses.first().map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), |(_, address)| *address)
    }

    /// Sets how it responds from now on, and clears the received messages.
    pub(super) fn expect(&self, answer: &Answer) {
        let mut state = lock(&self.state);
        state.answer = Some(Arc::clone(answer));
        state.received.clear();
    }

    /// Sets how and when it responds to the request of this client. Others get this response too,
    /// unless they have one of their own.
    pub(super) fn expect_from(&self, client: SocketAddr, answer: &Answer, answered: Answered) {
        let mut state = lock(&self.state);
        state.answer = Some(Arc::clone(answer));
        if state.clients.is_empty() {
            state.received.clear();
            state.senders.clear();
        }
        state.clients.push((client, Arc::clone(answer), answered));
    }

    /// The last message received from this client, which expects no response any more. A panic of a
    /// reply function resumes here.
    pub(super) fn take_from(&self, client: SocketAddr) -> Option<Received> {
        let mut state = lock(&self.state);
        if let Some(panic) = state.panic.take() {
            drop(state);
            resume_unwind(panic);
        }
        let all = std::mem::take(&mut state.received);
        let is_own = |number: usize| state.owner(number).is_some_and(|(owner, ..)| *owner == client);
        let (own, others) = all.into_iter().partition::<Vec<_>, _>(|(number, _)| is_own(*number));
        state.received = others;
        let index = state.clients.iter().rposition(|(found, ..)| *found == client);
        index.map(|index| state.clients.remove(index));
        own.into_iter().max_by_key(|(number, _)| *number).map(|(_, received)| received)
    }

    /// What was received since the previous call, until [`put_back`](Self::put_back).
    pub(super) fn put_away(&self) -> Vec<(usize, Received)> {
        std::mem::take(&mut lock(&self.state).received)
    }

    /// What was put away comes before what has been received since. Of one connection, the latter
    /// counts.
    pub(super) fn put_back(&self, noted: Vec<(usize, Received)>) {
        let mut state = lock(&self.state);
        for (number, received) in noted {
            if !state.received.iter().any(|(found, _)| *found == number) {
                state.received.push((number, received));
            }
        }
    }

    /// Answers each message of gRPC streams from now on.
    pub(super) fn converse(&self, turns: &GrpcStreamAnswer) {
        lock(&self.state).turns = Some(Arc::clone(turns));
    }

    /// The messages received since the previous call, in the order in which Envoy connected. A
    /// panic of a reply function resumes here.
    pub(super) fn take(&self) -> Vec<Received> {
        let mut state = lock(&self.state);
        if let Some(panic) = state.panic.take() {
            drop(state);
            resume_unwind(panic);
        }
        state.received.sort_by_key(|(connection, _)| *connection);
        state.received.drain(..).map(|(_, received)| received).collect()
    }

    /// Whether all connections that Envoy counts have arrived, and each is closed, delays its
    /// response, or is one of those that a test pauses.
    pub(super) fn is_idle_after(&self, connections: usize, held: usize) -> bool {
        let state = lock(&self.state);
        state.active == state.waiting + held && state.accepted >= connections
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        lock(&self.state).stopping = true;
        // Wakes the threads that wait for connections; should it fail, they end with the process.
        for (_, address) in &self.addresses {
            let _ = TcpStream::connect_timeout(address, LIMIT);
        }
    }
}

/// Serves the connections of one port.
fn listen(listener: &TcpListener, cluster: &str, pace: Pace, names_clients: bool, state: &Arc<Mutex<State>>) {
    for stream in listener.incoming() {
        let mut current = lock(state);
        if current.stopping {
            return;
        }
        if let Ok(stream) = stream {
            current.accepted += 1;
            current.active += 1;
            let visit = Visit { number: current.accepted, cluster: cluster.to_owned(), state: Arc::clone(state) };
            std::thread::spawn(move || {
                serve(stream, pace, names_clients, &visit);
                lock(&visit.state).active -= 1;
            });
        }
    }
}

/// The client that a line of the PROXY protocol names.
fn client(line: &[u8]) -> Option<SocketAddr> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(2);
    let (ip, port) = (words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?);
    Some(SocketAddr::new(ip, port))
}

fn serve(stream: TcpStream, pace: Pace, names_clients: bool, visit: &Visit) {
    let Ok(mut wire) = Wire::new(stream) else { return };
    if names_clients {
        let Ok(line) = wire.line() else { return };
        lock(&visit.state).senders.extend(client(&line).map(|client| (visit.number, client)));
    }
    // No method has fewer letters.
    let mut listen = |limit| while wire.buffered().len() < 3 && wire.fill(limit).is_ok() {};
    listen(SOON);
    visit.wait(|| listen(LIMIT));
    if wire.buffered().len() < 3 {
        return;
    }
    let (converses, answered) = {
        let state = lock(&visit.state);
        let answered = state.owner(visit.number).map(|(_, _, answered)| *answered);
        (state.turns.is_some(), answered.unwrap_or_default())
    };
    if converses {
        // A failure is a client that has disconnected.
        let _ = http2::converse(wire, visit);
    } else if wire.buffered().starts_with(b"PRI") {
        // No method begins so: it is the connection preface of HTTP/2.
        http2::serve(wire, pace, visit);
    } else {
        http1::serve(wire, pace, answered, visit);
    }
}

#[cfg(test)]
mod tests {
    //! The client and the upstream without an Envoy between them.

    use super::*;
    use crate::message::{Body, Fields, Protocol, Reply, Request};
    use std::time::Duration;
    use std::time::Instant;

    const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
    const LONG: &[u8] = &[b'v'; 60 * 1024];

    fn exchange(request: &Request, reply: Reply) -> (Option<Received>, Option<Received>) {
        let upstream = Upstream::start(Pace::Parts).unwrap();
        let answer: Answer = Arc::new(move |_| reply.clone());
        upstream.expect(&answer);
        let response = match request.protocol {
            Protocol::Http1 => http1::exchange(upstream.address(), request),
            Protocol::Http2 => http2::exchange_on(Wire::connect(upstream.address()).unwrap(), request),
        };
        (upstream.take().pop(), response.unwrap())
    }

    fn request(protocol: Protocol, method: &str) -> Request {
        Request { headers: odd_fields(), ..Request::new(method, "/a?b", "h").protocol(protocol) }
    }

    fn reply(body: Body) -> Reply {
        Reply { headers: odd_fields(), body, ..Reply::new(200) }
    }

    fn odd_fields() -> Fields {
        fields(&[("x-a", b"1"), ("x-bytes", &[0xff, 0xfe]), ("x-empty", b""), ("x-a", b"2"), ("x-long", LONG)])
    }

    fn fields(list: &[(&str, &[u8])]) -> Fields {
        list.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
    }

    fn message(pseudo: &[(&str, &[u8])], length: Option<&str>) -> Received {
        let length = length.map(|length| (b"content-length".to_vec(), length.as_bytes().to_vec()));
        let headers = fields(pseudo).into_iter().chain(odd_fields()).chain(length).collect();
        Received { headers, complete: true, ..Received::default() }
    }

    fn request_line(method: &str) -> [(&str, &[u8]); 3] {
        [(":method", method.as_bytes()), (":path", b"/a?b"), (":authority", b"h")]
    }

    #[test]
    fn fields_arrive_byte_for_byte_and_in_order() {
        for protocol in PROTOCOLS {
            let (received, response) = exchange(&request(protocol, "GET"), reply(b"hi"[..].into()));
            assert_eq!(received, Some(message(&request_line("GET"), None)));
            assert_eq!(response, Some(Received { body: b"hi".into(), ..message(&[(":status", b"200")], Some("2")) }));
        }
    }

    #[test]
    fn bodies_in_chunks_and_trailers_arrive_whole() {
        for protocol in PROTOCOLS {
            let trailers = fields(&[("x-t", b"1"), ("x-t", b"2")]);
            let body = Body::Chunked(vec![b"abc".to_vec(), b"de".to_vec()]);
            let request = Request { body: body.clone(), trailers: trailers.clone(), ..request(protocol, "POST") };
            let (received, response) = exchange(&request, Reply { trailers: trailers.clone(), ..reply(body) });
            for (message, expected) in
                [(received, message(&request_line("POST"), None)), (response, message(&[(":status", b"200")], None))]
            {
                let mut message = message.unwrap();
                // What HTTP/1 adds to say that nothing is known of the length is not listed.
                assert_eq!(std::mem::take(&mut message.trailers), trailers);
                assert_eq!(message, Received { body: b"abcde".into(), ..expected });
            }
        }
    }

    #[test]
    fn a_large_body_keeps_within_the_windows() {
        for protocol in PROTOCOLS {
            let body = vec![b'b'; 300_000];
            let request = Request { body: Body::Sized(body.clone()), ..request(protocol, "POST") };
            let (received, response) = exchange(&request, reply(Body::Sized(body.clone())));
            assert!(received.is_some_and(|message| message.complete && message.body == body));
            assert!(response.is_some_and(|message| message.complete && message.body == body));
        }
    }

    #[test]
    fn a_head_response_announces_its_body_without_one() {
        for protocol in PROTOCOLS {
            let (_, response) = exchange(&request(protocol, "HEAD"), reply(b"hello"[..].into()));
            assert_eq!(response, Some(message(&[(":status", b"200")], Some("5"))));
        }
    }

    #[test]
    fn a_reset_is_no_response() {
        for protocol in PROTOCOLS {
            let (received, response) =
                exchange(&request(protocol, "GET"), Reply { reset: true, ..reply(Body::Absent) });
            assert!(received.is_some() && response.is_none());
        }
    }

    #[test]
    fn a_response_that_is_cut_off_is_incomplete() {
        let headers = fields(&[("content-length", b"10")]);
        let reply = Reply { headers, ..reply(Body::Chunked(vec![b"abc".to_vec()])) };
        let (_, response) = exchange(&request(Protocol::Http1, "GET"), reply);
        assert!(response.is_some_and(|message| !message.complete && message.body == b"abc"));
    }

    #[test]
    fn a_server_that_cuts_off_announces_more_than_it_sends() {
        for protocol in PROTOCOLS {
            for body in [Body::Sized(b"abc".to_vec()), Body::Chunked(vec![b"abc".to_vec()]), Body::Absent] {
                let sent = body.bytes();
                let (_, response) = exchange(&request(protocol, "GET"), reply(body).cut_off());
                let response = response.unwrap();
                assert!(!response.complete && response.body == sent, "{response:?}");
            }
        }
    }

    #[test]
    fn a_response_arrives_after_its_delay_and_a_client_disconnects_after_its_own() {
        for protocol in PROTOCOLS {
            let late = || reply(Body::Absent).after(Duration::from_millis(300));
            let begin = Instant::now();
            let (received, response) = exchange(&request(protocol, "GET"), late());
            assert!(received.is_some() && response.is_some_and(|response| response.complete));
            assert!(begin.elapsed() >= Duration::from_millis(300));
            let impatient = Request { disconnect_after: Some(Duration::from_millis(100)), ..request(protocol, "GET") };
            let (received, response) = exchange(&impatient, late());
            assert!(received.is_some() && response.is_none());
        }
    }

    #[test]
    fn bytes_that_are_not_a_request_are_recorded_for_the_test() {
        let upstream = Upstream::start(Pace::Parts).unwrap();
        let mut wire = Wire::connect(upstream.address()).unwrap();
        wire.send(b"\x00nonsense\r\n\r\n").unwrap();
        wire.drain();
        let received = upstream.take().pop().unwrap();
        assert!(!received.complete && received.body.starts_with(b"\0nonsense"), "{received:?}");
    }
}
