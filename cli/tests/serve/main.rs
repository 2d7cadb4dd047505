//! `proxy-filter serve`: real clients and a real upstream, with filters between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod grpc;
mod load;
mod page;
mod rates;
#[path = "../../../tests/tests/support/toolchains.rs"]
mod toolchains;

use common::{command, example, fails, stderr};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A server that runs until the test ends.
struct Server {
    child: Child,
    address: SocketAddr,
    /// What it prints.
    output: Arc<Mutex<String>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, output: Arc<Mutex<String>>, lines: std::sync::mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            output.lock().unwrap().extend([&line, "\n"]);
            let _ = lines.send(line);
        }
    });
}

/// Starts the command with a module in front of an upstream.
fn serve(module: &str, upstream: SocketAddr, arguments: &[&str]) -> Server {
    start(command(), module, &format!("http://{upstream}"), arguments)
}

fn start(mut command: Command, module: &str, upstream: &str, arguments: &[&str]) -> Server {
    command.args(["serve", module, "--listen", "127.0.0.1:0", "--upstream", upstream]);
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = Arc::<Mutex<String>>::default();
    let (lines, given) = channel();
    collect(child.stdout.take().unwrap(), Arc::clone(&output), lines.clone());
    collect(child.stderr.take().unwrap(), Arc::clone(&output), lines);
    let line = wait(&given, "Serving");
    let address = line.split("://").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    Server { child, address, output }
}

fn wait(lines: &Receiver<String>, words: &str) -> String {
    loop {
        let line = lines.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("no line with {words}"));
        if line.contains(words) {
            return line;
        }
    }
}

impl Server {
    fn prints(&self, words: &str) -> bool {
        let limit = Instant::now() + Duration::from_secs(10);
        while Instant::now() < limit {
            if self.output.lock().unwrap().contains(words) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

/// One HTTP/1 connection.
struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// The head of a message, in lower case, and its body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Connection {
    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { writer: stream.try_clone().unwrap(), reader: BufReader::new(stream) }
    }

    fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).unwrap();
    }

    fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                return Some(head.to_lowercase());
            }
            head.push_str(&line);
        }
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("{line:?} is no size"));
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        bytes
    }

    fn body(&mut self, head: &str) -> Vec<u8> {
        let mut body = Vec::new();
        if head.contains("transfer-encoding: chunked") {
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    return body;
                }
                body.extend(chunk);
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        body.resize(length, 0);
        self.reader.read_exact(&mut body).unwrap();
        body
    }

    fn message(&mut self) -> Option<Message> {
        let head = self.head()?;
        let body = self.body(&head);
        Some(Message { head, body })
    }
}

/// Sends one request and returns the response.
fn exchange(address: SocketAddr, request: &str) -> Message {
    let mut connection = Connection::to(address);
    connection.send(request);
    connection.message().unwrap_or_else(|| panic!("no response to {request}"))
}

fn get(address: SocketAddr, path: &str) -> Message {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
}

/// An upstream of threads; the function serves one connection.
fn upstream(serve: impl Fn(Connection) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(Connection::over(stream)));
        }
    });
    address
}

/// Answers each request with its own head and body.
fn echo() -> SocketAddr {
    upstream(|mut connection| {
        while let Some(Message { head, body }) = connection.message() {
            let body = [head.as_bytes(), b"--", &body].concat();
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()));
            if !head.starts_with("head ") {
                connection.send(body);
            }
        }
    })
}

const STAMP: &str = r#"{"headers": [{"name": "x-stamp", "value": "one"}]}"#;

#[test]
fn a_filter_changes_responses_of_real_servers() {
    let server = serve(&example("http_config"), echo(), &["--config", STAMP]);
    let response = exchange(server.address, "POST /a?b=c HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\nhello");
    assert!(response.head.starts_with("http/1.1 200") && response.head.contains("x-stamp: one"), "{}", response.head);
    let seen = String::from_utf8(response.body).unwrap();
    assert!(
        seen.starts_with("post /a?b=c http/1.1") && seen.contains("host: shop") && seen.ends_with("--hello"),
        "{seen}"
    );
    assert!(server.prints("POST /a?b=c 200"), "{}", server.output.lock().unwrap());
}

#[test]
fn connections_are_reused_and_heads_have_no_body() {
    let server = serve(&example("http_config"), echo(), &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    for number in 0..50 {
        connection.send(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let response = connection.message().unwrap();
        assert!(response.body.starts_with(format!("get /{number} ").as_bytes()));
    }
    connection.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    let head = connection.head().unwrap();
    assert!(head.contains("x-stamp: one"), "{head}");
    connection.send("GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(connection.message().unwrap().head.contains("200"));
}

#[test]
fn a_local_reply_does_not_reach_the_upstream() {
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let upstream = upstream(move |mut connection| {
        while connection.message().is_some() {
            *counted.lock().unwrap() += 1;
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let server = serve(&example("http_headers"), upstream, &[]);
    let denied = get(server.address, "/");
    assert!(denied.head.starts_with("http/1.1 200") || denied.head.starts_with("http/1.1 4"), "{}", denied.head);
    let authz = self::upstream(|mut connection| {
        while let Some(message) = connection.message() {
            let status = if message.head.contains("authorization: bearer ok") { "200 OK" } else { "403 No" };
            connection.send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    let before = *asked.lock().unwrap();
    let arguments =
        ["--cluster", &format!("authz=http://{authz}"), "--config", r#"{"cluster": "authz", "on_outage": "deny"}"#];
    let server = serve(&example("http_auth_callout"), upstream, &arguments);
    let allowed = exchange(server.address, "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ok\r\n\r\n");
    assert!(allowed.head.starts_with("http/1.1 200"), "{}", allowed.head);
    let denied = exchange(server.address, "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer no\r\n\r\n");
    assert!(denied.head.starts_with("http/1.1 403"), "{}", denied.head);
    assert_eq!(*asked.lock().unwrap(), before + 1);
}

#[test]
fn bodies_stream_both_ways() {
    // The upstream answers each chunk before the next one comes.
    let upstream = upstream(|mut connection| {
        let Some(head) = connection.head() else { return };
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        loop {
            let chunk = connection.chunk();
            connection.send(format!("{:x}\r\n", chunk.len()));
            connection.send(&chunk);
            connection.send("\r\n");
            if chunk.is_empty() {
                return;
            }
        }
    });
    let server = serve(&example("http_config"), upstream, &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    connection.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.send("3\r\none\r\n");
    let head = connection.head().unwrap();
    assert!(head.contains("x-stamp"), "{head}");
    assert_eq!(connection.chunk(), b"one");
    for word in ["two", "three"] {
        connection.send(format!("{:x}\r\n{word}\r\n", word.len()));
        assert_eq!(connection.chunk(), word.as_bytes());
    }
    connection.send("0\r\n\r\n");
    assert_eq!(connection.chunk(), b"");
}

/// The memory of a process, in KiB.
fn resident(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_slow_reader_slows_the_upstream_down() {
    const SIZE: usize = 64 << 20;
    let written = Arc::new(Mutex::new(0_usize));
    let noted = Arc::clone(&written);
    let upstream = upstream(move |mut connection| {
        let Some(_) = connection.message() else { return };
        connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
        for _ in 0..SIZE / 65_536 {
            connection.send(vec![7; 65_536]);
            *noted.lock().unwrap() += 65_536;
        }
    });
    let server = serve(&example("http_config"), upstream, &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let before = resident(&server.child);
    thread::sleep(Duration::from_secs(1));
    let at_once = *written.lock().unwrap();
    assert!(at_once < SIZE / 2, "the upstream has sent {at_once} bytes to a client that reads none");
    assert!(resident(&server.child) < before + 32 * 1024, "the server keeps them");
    assert_eq!(connection.message().unwrap().body.len(), SIZE);
    assert_eq!(*written.lock().unwrap(), SIZE);
}

#[test]
fn an_aborted_client_ends_the_request_at_the_upstream() {
    let (ended, ends) = channel();
    let ended = Mutex::new(ended);
    let upstream = upstream(move |mut connection| {
        let Some(_) = connection.head() else { return };
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        // The connection ends, because the client of the server has gone.
        let mut rest = Vec::new();
        let _ = connection.reader.read_to_end(&mut rest);
        ended.lock().unwrap().send(()).unwrap();
    });
    let server = serve(&example("http_config"), upstream, &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    connection.send("GET /gone HTTP/1.1\r\nhost: a\r\n\r\n");
    connection.head().unwrap();
    assert_eq!(connection.chunk(), b"hello");
    drop(connection);
    ends.recv_timeout(Duration::from_secs(10)).expect("the upstream waits for ever");
    assert!(server.prints("GET /gone 200"), "{}", server.output.lock().unwrap());
}

#[test]
fn an_upstream_that_is_down_or_resets_is_a_503_or_a_reset() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = serve(&example("http_config"), closed, &["--config", STAMP]);
    let response = get(server.address, "/");
    assert!(response.head.starts_with("http/1.1 503") && response.head.contains("x-stamp"), "{}", response.head);
    let cut = upstream(|mut connection| {
        let _ = connection.message();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let server = serve(&example("http_config"), cut, &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    connection.head().unwrap();
    let mut rest = Vec::new();
    let _ = connection.reader.read_to_end(&mut rest);
    assert_eq!(rest, b"half", "the connection ends where the upstream's did");
}

#[test]
fn websocket_bytes_pass_both_ways() {
    let upstream = upstream(|mut connection| {
        let Some(head) = connection.head() else { return };
        assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key: abc"), "{head}");
        connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        let mut buffer = [0; 100];
        loop {
            let count = connection.reader.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return;
            }
            connection.send(&buffer[..count]);
            if buffer[..count].ends_with(b"end") {
                return;
            }
        }
    });
    let server = serve(&example("http_config"), upstream, &["--config", STAMP]);
    let mut connection = Connection::to(server.address);
    let upgrade =
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: abc\r\nsec-websocket-version: 13\r\n";
    connection.send(format!("GET /chat HTTP/1.1\r\nhost: a\r\n{upgrade}\r\n"));
    let head = connection.head().unwrap();
    assert!(head.starts_with("http/1.1 101") && head.contains("x-stamp: one"), "{head}");
    for word in ["ping", "pong", "end"] {
        connection.send(word);
        let mut answer = vec![0; word.len()];
        connection.reader.read_exact(&mut answer).unwrap();
        assert_eq!(answer, word.as_bytes());
    }
    let mut rest = Vec::new();
    connection.reader.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert!(server.prints("GET /chat 101"), "{}", server.output.lock().unwrap());
}

#[test]
fn http2_streams_share_a_connection() {
    let server = serve(&example("http_config"), echo(), &["--config", STAMP, "--workers", "2"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
        let exchanges = (0..100).map(|number| {
            let body = format!("body {number}");
            let uri = format!("http://{}/{number}", server.address);
            let request = Request::post(uri).body(Full::new(Bytes::from(body.clone()))).unwrap();
            let client = client.clone();
            tokio::spawn(async move {
                let response = client.request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(response.headers()["x-stamp"], "one");
                let received = response.into_body().collect().await.unwrap().to_bytes();
                assert!(received.ends_with(body.as_bytes()), "{received:?}");
            })
        });
        for exchange in exchanges.collect::<Vec<_>>() {
            exchange.await.unwrap();
        }
    });
}

#[test]
fn filters_of_a_chain_run_in_order_and_reply_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("second.json");
    std::fs::write(&config, r#"{"headers": [{"name": "x-second", "value": "two"}]}"#).unwrap();
    let then = format!("{}:{}", example("http_config"), config.display());
    let server = serve(&example("http_config"), echo(), &["--config", STAMP, "--then", &then]);
    let response = get(server.address, "/");
    assert!(response.head.contains("x-stamp: one") && response.head.contains("x-second: two"), "{}", response.head);
    // The local reply of the second filter passes the first.
    let authz = "authz=http://127.0.0.1:1";
    let config = directory.path().join("authz.json");
    std::fs::write(&config, r#"{"cluster": "authz", "on_outage": "deny"}"#).unwrap();
    let then = format!("{}:{}", example("http_auth_callout"), config.display());
    let server = serve(&example("http_config"), echo(), &["--config", STAMP, "--then", &then, "--cluster", authz]);
    let response = exchange(server.address, "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\n\r\n");
    assert!(!response.head.starts_with("http/1.1 200") && response.head.contains("x-stamp: one"), "{}", response.head);
}

/// Writes a file so that its time changes too.
fn write(path: &Path, text: impl AsRef<[u8]>) {
    thread::sleep(Duration::from_millis(20));
    std::fs::write(path, text).unwrap();
}

#[test]
fn changed_files_are_reloaded_and_streams_in_flight_finish_with_the_old_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (module, config) = (directory.path().join("filter.wasm"), directory.path().join("config.json"));
    std::fs::copy(example("http_config"), &module).unwrap();
    std::fs::write(&config, STAMP).unwrap();
    let (go, wait_for_go) = channel::<()>();
    let wait_for_go = Mutex::new(wait_for_go);
    let upstream = upstream(move |mut connection| {
        while let Some(message) = connection.message() {
            if message.head.contains("/slow") {
                let _ = wait_for_go.lock().unwrap().recv_timeout(Duration::from_secs(20));
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let server = serve(module.to_str().unwrap(), upstream, &["--config", config.to_str().unwrap()]);
    let mut slow = Connection::to(server.address);
    slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(300));

    write(&config, STAMP.replace("one", "two"));
    let changed = Instant::now();
    while !get(server.address, "/").head.contains("x-stamp: two") {
        assert!(changed.elapsed() < Duration::from_secs(5), "{}", server.output.lock().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    go.send(()).unwrap();
    let old = slow.message().unwrap();
    assert!(old.head.contains("x-stamp: one"), "{}", old.head);

    write(&config, "{");
    assert!(server.prints("the old filters stay"), "{}", server.output.lock().unwrap());
    assert!(get(server.address, "/").head.contains("x-stamp: two"));

    write(&config, STAMP);
    write(&module, std::fs::read(example("hello_world")).unwrap());
    let changed = Instant::now();
    while get(server.address, "/").head.contains("x-stamp") {
        assert!(changed.elapsed() < Duration::from_secs(5), "{}", server.output.lock().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A module whose request callback traps for a path that is longer than `/`.
const TRAPS: &str = r#"(module
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) ":path")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
        (if (i32.gt_u (i32.load (i32.const 20)) (i32.const 1)) (then unreachable))
        i32.const 0))"#;

#[test]
fn a_vm_that_traps_replies_503_and_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("traps.wasm");
    std::fs::write(&path, wat::parse_str(TRAPS).unwrap()).unwrap();
    let server = serve(path.to_str().unwrap(), echo(), &[]);
    assert!(get(server.address, "/").head.starts_with("http/1.1 200"));
    assert!(get(server.address, "/trap").head.starts_with("http/1.1 503"));
    assert!(server.prints("the VM failed"), "{}", server.output.lock().unwrap());
    let trapped = Instant::now();
    while !get(server.address, "/").head.starts_with("http/1.1 200") {
        assert!(trapped.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_callout_that_takes_too_long_ends_with_its_timeout() {
    let silent = upstream(|mut connection| {
        let _ = connection.message();
        thread::sleep(Duration::from_secs(20));
    });
    let cluster = format!("authz=http://{silent}");
    let config = r#"{"cluster": "authz", "on_outage": "deny"}"#;
    let server = serve(&example("http_auth_callout"), echo(), &["--cluster", &cluster, "--config", config]);
    let asked = Instant::now();
    let response = exchange(server.address, "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\n\r\n");
    assert!(response.head.starts_with("http/1.1 5") || response.head.starts_with("http/1.1 4"), "{}", response.head);
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn each_stream_has_a_line_of_json() {
    let server = serve(&example("http_config"), echo(), &["--config", STAMP, "--json"]);
    get(server.address, "/told");
    assert!(server.prints("\"path\":\"/told\""), "{}", server.output.lock().unwrap());
    let output = server.output.lock().unwrap().clone();
    let line = output.lines().find(|line| line.contains("/told")).unwrap();
    let told: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&told["status"], &told["method"]), (&"200".into(), &"GET".into()));
}

#[test]
fn memory_stays_the_same_over_many_exchanges() {
    let server = serve(&example("http_config"), echo(), &["--config", STAMP, "--workers", "2"]);
    let round = |count: usize| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let address = server.address;
                thread::spawn(move || {
                    let mut connection = Connection::to(address);
                    for number in 0..count {
                        if number % 10 == 9 {
                            // A client that disconnects before it has the response, or is no HTTP.
                            connection.send(if number % 20 == 9 {
                                "GET /gone HTTP/1.1\r\nhost: a\r\n\r\n"
                            } else {
                                "\0\r\n\r\n"
                            });
                            connection = Connection::to(address);
                        }
                        let body = "x".repeat(number * 97 % 40_000);
                        connection.send(format!(
                            "POST /{client} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        ));
                        let response = connection.message().expect("a response is lost");
                        assert!(response.head.contains("x-stamp: one") && response.body.ends_with(body.as_bytes()));
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    };
    round(100);
    let before = resident(&server.child);
    round(300);
    let after = resident(&server.child);
    assert!(after < before + 8 * 1024, "the server grew from {before} to {after} KiB");
}

#[test]
fn filters_that_cannot_start_are_refused_before_anything_listens() {
    let module = example("http_config");
    let text = fails(1, &["serve", &module, "--listen", "127.0.0.1:0", "--config", r#"{"headers": 1}"#]);
    assert!(text.contains("Failed to configure"), "{text}");
    fails(2, &["serve", &module, "--upstream", "ftp://a"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command().args(["serve", &module, "--listen", &address, "--config", STAMP]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
#[ignore = "needs the compilers of target/toolchains"]
fn modules_of_other_languages_filter_real_traffic() {
    let builds = [
        ("c", toolchains::c as fn() -> std::path::PathBuf),
        ("c++", toolchains::cpp),
        ("go", toolchains::go),
        ("assemblyscript", toolchains::assemblyscript),
        ("rust", toolchains::rust),
    ];
    for (language, build) in builds {
        let server = serve(build().to_str().unwrap(), echo(), &["--config-text", "blue"]);
        let request = "POST /a HTTP/1.1\r\nhost: a\r\nx-name: Ada\r\ncontent-length: 5\r\n\r\nhello";
        let response = exchange(server.address, request);
        assert!(response.head.contains(&format!("x-language: {language}")), "{language}: {}", response.head);
        let seen = String::from_utf8(response.body).unwrap();
        assert!(seen.contains("x-greeting: ") && seen.ends_with("--hello"), "{language}: {seen}");
        assert!(server.prints("configured with blue"), "{language}: {}", server.output.lock().unwrap());
        assert!(get(server.address, "/fail").head.starts_with("http/1.1 503"), "{language}");
    }
}

/// Runs curl, and returns what it prints. A curl that fails fails the test.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["--silent", "--show-error", "--max-time", "20"]).args(arguments).output();
    let output = output.expect("NOT RUN: there is no curl");
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tls_has_a_certificate_that_is_written_once_and_negotiates_http2() {
    let directory = tempfile::tempdir().unwrap();
    let pem = directory.path().join("local.pem");
    let (file, option) = (pem.to_str().unwrap(), format!("--tls={}", pem.display()));
    let mut written = Vec::new();
    for _ in 0..2 {
        let server = serve(&example("http_config"), echo(), &["--config", STAMP, &option]);
        let url = format!("https://localhost:{}/", server.address.port());
        for (protocol, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let arguments = [protocol, "--cacert", file, "--include", "--write-out", "\n%{http_version}", &url];
            let text = curl(&arguments);
            assert!(text.contains("x-stamp: one") && text.ends_with(&format!("\n{version}")), "{text}");
            assert!(text.contains("x-forwarded-proto: https"), "{text}");
        }
        // A client without TLS gets no response, and other clients are unaffected.
        let mut plain = Connection::to(server.address);
        plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(plain.message().is_none());
        curl(&["--cacert", file, &url]);
        written.push(std::fs::read_to_string(&pem).unwrap());
    }
    assert_eq!(written[0], written[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(pem.metadata().unwrap().permissions().mode() & 0o077, 0, "others can read the key");
    }
    for (text, why) in [("", "no certificate"), (written[0].split("-----BEGIN PRIVATE").next().unwrap(), "key")] {
        std::fs::write(&pem, text).unwrap();
        let told = fails(1, &["serve", &example("http_config"), "--config", STAMP, &option, "--listen", "127.0.0.1:0"]);
        assert!(told.contains(file) && told.contains(why), "{told}");
    }
}

#[test]
fn upstreams_and_clusters_may_have_tls() {
    // One server with TLS is the upstream of another, which trusts its certificate.
    let directory = tempfile::tempdir().unwrap();
    let pem = directory.path().join("local.pem");
    let option = format!("--tls={}", pem.display());
    let inner = serve(&example("http_config"), echo(), &["--config", STAMP, &option]);
    for scheme in ["https", "https2"] {
        let mut command = command();
        command.env("SSL_CERT_FILE", &pem);
        let url = format!("{scheme}://localhost:{}", inner.address.port());
        let second = STAMP.replace("x-stamp", "x-outer");
        let outer = start(command, &example("http_config"), &url, &["--config", &second]);
        let response = exchange(outer.address, "POST /deep HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
        assert!(response.head.contains("x-stamp: one") && response.head.contains("x-outer: one"), "{}", response.head);
        assert!(response.body.ends_with(b"--hello"));
        assert!(inner.prints("POST /deep 200"));
    }
    // Without its certificate, the upstream is not trusted.
    let url = format!("https://localhost:{}", inner.address.port());
    let outer = start(command(), &example("http_config"), &url, &["--config", STAMP]);
    assert!(get(outer.address, "/").head.starts_with("http/1.1 503"));
}

/// A filter without dependencies, which sets a header of responses to the constant `STAMP`.
const WATCHED: &str = r#"
const STAMP: &str = "one";
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_add_header_map_value(map: u32, name: *const u8, name_size: usize, value: *const u8, size: usize) -> u32;
}
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::leak(vec![0; size].into_boxed_slice()).as_mut_ptr()
}
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    unsafe { proxy_add_header_map_value(2, "x-stamp".as_ptr(), 7, STAMP.as_ptr(), STAMP.len()) };
    0
}
"#;

#[test]
fn watch_builds_changed_sources_and_reloads_within_a_second_of_the_build() {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("a filter");
    std::fs::create_dir_all(package.join("src")).unwrap();
    let manifest = "[package]\nname = \"watched\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    let source = package.join("src/lib.rs");
    std::fs::write(&source, WATCHED).unwrap();
    let server = serve(package.to_str().unwrap(), echo(), &["--watch"]);
    let stamped = |stamp: &str| get(server.address, "/").head.contains(&format!("x-stamp: {stamp}\r"));
    let appears = |stamp: &str| {
        let limit = Instant::now() + Duration::from_secs(60);
        while !stamped(stamp) {
            assert!(Instant::now() < limit, "{stamp}: {}", server.output.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    };
    let built = || server.output.lock().unwrap().matches("Built").count();
    appears("one");

    write(&source, WATCHED.replace("\"one\"", "\"two\""));
    let limit = Instant::now() + Duration::from_secs(60);
    while built() == 0 {
        assert!(Instant::now() < limit, "{}", server.output.lock().unwrap());
        thread::sleep(Duration::from_millis(5));
    }
    let finished = Instant::now();
    appears("two");
    let took = finished.elapsed();
    assert!(took < Duration::from_secs(1), "the reload took {took:?}");

    // A build that fails changes nothing, and a file that is added is noticed.
    write(&source, WATCHED.replace("const STAMP: &str = \"one\";", "mod stamp; use stamp::STAMP;"));
    assert!(server.prints("file not found for module `stamp`"), "{}", server.output.lock().unwrap());
    assert!(stamped("two"));
    write(&package.join("src/stamp.rs"), "pub const STAMP: &str = \"three\";");
    appears("three");
    // Files that other files include are sources as well.
    write(&package.join("src/stamp.txt"), "four");
    write(&package.join("src/stamp.rs"), "pub const STAMP: &str = include_str!(\"stamp.txt\");");
    appears("four");
    write(&package.join("src/stamp.txt"), "five");
    appears("five");

    let told = fails(2, &["serve", "filter.wasm", "--watch"]);
    assert!(told.contains("name the directory"), "{told}");
}
