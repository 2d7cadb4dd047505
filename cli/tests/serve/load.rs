//! Mixed exchanges in large numbers: nothing is lost, and the memory of the server stays the same.
//!
//! The test runs 400 exchanges. `EXCHANGES=10000 cargo test --package proxy-filter-cli --test serve
//! load` runs more of them.

use super::common::example;
use super::{STAMP, Server, resident, serve};
use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Body = BoxBody<Bytes, io::Error>;

fn bytes(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

/// Echoes bodies as they come, with their trailers, and the bytes of upgraded connections.
async fn echo(mut request: Request<Incoming>) -> io::Result<Response<Body>> {
    if request.headers().contains_key("upgrade") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return Ok(response.body(Empty::new().map_err(|never| match never {}).boxed()).unwrap());
    }
    let mut response = Response::builder();
    for name in ["trailer", "content-length"] {
        if let Some(value) = request.headers().get(name) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(request.into_body().map_err(io::Error::other).boxed()).unwrap())
}

/// A server of HTTP/1, on a thread of its own.
fn upstream() -> SocketAddr {
    let (address, given) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(connection.with_upgrades());
            }
        });
    });
    given.recv().unwrap()
}

/// Bytes that differ from those of other exchanges.
fn pattern(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|index| u8::try_from((index ^ (index >> 8) ^ number) & 255).unwrap()).collect()
}

#[derive(Clone)]
struct Clients {
    to: SocketAddr,
    http1: Client<HttpConnector, Body>,
    http2: Client<HttpConnector, Body>,
    /// The streams that the filter has seen: each has a line in the output.
    begun: Arc<AtomicUsize>,
}

impl Clients {
    /// Sends a body and expects it back.
    async fn echo(&self, client: &Client<HttpConnector, Body>, number: usize, size: usize) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let sent = pattern(number, size);
        let request = Request::post(format!("http://{}/{number}", self.to)).body(bytes(sent.clone())).unwrap();
        let response = client.request(request).await.unwrap_or_else(|why| panic!("{number} is lost: {why}"));
        assert_eq!((response.status(), &response.headers()["x-stamp"]), (StatusCode::OK, &"one".parse().unwrap()));
        let received = response.into_body().collect().await.unwrap_or_else(|why| panic!("{number} is cut off: {why}"));
        assert!(received.to_bytes() == sent, "the body of {number} is another one");
    }

    async fn trailers(&self, number: usize) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
        let request = Request::post(format!("http://{}/{number}", self.to)).header("trailer", "x-sum");
        let request = request.header("te", "trailers").body(body.boxed()).unwrap();
        let sending = async move {
            for chunk in 0..5 {
                sender.send_data(Bytes::from(pattern(chunk, 1_000))).await.unwrap();
            }
            let sum = [("x-sum".parse().unwrap(), number.into())];
            sender.send_trailers(HeaderMap::from_iter(sum)).await.unwrap();
        };
        let (response, ()) = tokio::join!(self.http1.request(request), sending);
        let received = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(received.trailers().unwrap()["x-sum"], number.to_string());
        assert_eq!(received.to_bytes().len(), 5_000);
    }

    /// A connection on which a request with a body of this size was begun.
    async fn begin(&self, number: usize, size: usize) -> TcpStream {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut stream = TcpStream::connect(self.to).await.unwrap();
        let head = format!("POST /{number} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// A client that disconnects within its request, or within the response.
    async fn abort(&self, number: usize) {
        let mut stream = self.begin(number, 300_000).await;
        if number.is_multiple_of(2) {
            stream.write_all(&pattern(number, 10_000)).await.unwrap();
        } else {
            stream.write_all(&pattern(number, 300_000)).await.unwrap();
            stream.read_exact(&mut [0; 1_000]).await.unwrap();
        }
    }

    async fn read_slowly(&self, number: usize) {
        let sent = pattern(number, 300_000);
        let stream = self.begin(number, sent.len()).await;
        let (mut from, mut to) = stream.into_split();
        let copy = sent.clone();
        let sending = tokio::spawn(async move { to.write_all(&copy).await.map(|()| to) });
        let mut received = Vec::new();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let count = from.read(&mut buffer).await.unwrap();
            received.extend_from_slice(&buffer[..count]);
            if count == 0 {
                break;
            }
        }
        sending.await.unwrap().unwrap();
        assert!(received.starts_with(b"HTTP/1.1 200") && received.ends_with(&sent), "{number} is lost");
    }

    /// Bytes that are no HTTP: the connection ends, and no filter sees anything.
    async fn malformed(&self, number: usize) {
        const MALFORMED: [&[u8]; 6] = [
            b"\0\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad name: 1\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: many\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\0garbage, and not a frame of settings",
        ];
        let mut stream = TcpStream::connect(self.to).await.unwrap();
        let _ = stream.write_all(MALFORMED[number / 20 % MALFORMED.len()]).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    }

    async fn websocket(&self, number: usize) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut stream = TcpStream::connect(self.to).await.unwrap();
        let head = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        for message in 0..5 {
            let sent = pattern(number + message, 2_000);
            stream.write_all(&sent).await.unwrap();
            let mut received = vec![0; sent.len()];
            stream.read_exact(&mut received).await.unwrap();
            assert!(received == sent);
        }
    }

    async fn one(self, number: usize) {
        match number % 20 {
            12 => self.trailers(number).await,
            13 => self.echo(&self.http1, number, 1 << 20).await,
            14 | 15 => self.abort(number).await,
            16 => self.read_slowly(number).await,
            17 => self.malformed(number).await,
            18 => self.websocket(number).await,
            19 if number % 400 == 19 => self.echo(&self.http1, number, 50 << 20).await,
            19 => self.echo(&self.http2, number, 100_000).await,
            _ => self.echo(&self.http1, number, number * 97 % 40_000).await,
        }
    }
}

async fn run(clients: &Clients, numbers: std::ops::Range<usize>) {
    let mut running = tokio::task::JoinSet::new();
    for number in numbers {
        // 100 streams at once on one connection of HTTP/2.
        if number % 200 == 0 {
            for stream in 0..100 {
                let clients = clients.clone();
                running.spawn(async move { clients.echo(&clients.http2, number + stream, 2_000).await });
            }
        }
        running.spawn(clients.clone().one(number));
        while running.len() > 116 || number % 200 != 0 && running.len() > 16 {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

fn lines(server: &Server) -> usize {
    server.output.lock().unwrap().matches("\"milliseconds\":").count()
}

#[test]
fn mixed_load_loses_nothing_and_memory_stays_the_same() {
    let count: usize = std::env::var("EXCHANGES").map_or(400, |count| count.parse().unwrap());
    let server = serve(&example("http_config"), upstream(), &["--config", STAMP, "--workers", "2", "--json"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let builder = || Client::builder(TokioExecutor::new());
        let clients = Clients {
            to: server.address,
            http1: builder().build_http(),
            http2: builder().http2_only(true).build_http(),
            begun: Arc::default(),
        };
        let started = Instant::now();
        run(&clients, 0..count / 4).await;
        let before = resident(&server.child);
        run(&clients, count / 4..count).await;
        let grown = resident(&server.child).saturating_sub(before);
        let seconds = started.elapsed().as_secs_f64();
        let begun = clients.begun.load(Ordering::Relaxed);
        eprintln!("{begun} streams in {seconds:.1} s; from {before} KiB, the server grew by {grown} KiB");
        // Each stream ends once, those of clients that disconnected too.
        let limit = Instant::now() + Duration::from_secs(20);
        while lines(&server) < begun && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(lines(&server), begun, "streams that ended");
        assert!(grown < 16 * 1024, "the server grew by {grown} KiB");
    });
}
