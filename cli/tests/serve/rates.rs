//! Requests a second, with `wrk` and `h2load`: nothing is lost, and the memory of the server stays
//! the same. Starts and reloads are fast.
//!
//! The test takes a second for each row. For figures, on a machine without other work:
//!
//! ```text
//! SECONDS_EACH=60 cargo test --profile bench --package proxy-filter-cli --features wasmtime \
//!     --test serve rates -- --include-ignored --nocapture --test-threads 1
//! ```
//!
//! `ONLY="wasmtime check_auth"` measures these.

use super::common::{command, example};
use super::{STAMP, Server, get, resident, start, write};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proxy_filter_host::build_guest;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// A server on a thread of its own.
#[derive(Clone, Copy)]
struct Local {
    address: SocketAddr,
    thread: u64,
}

/// Starts a server on a thread of its own.
fn local<F: Future<Output = ()>>(serve: impl Fn(TcpListener) -> F + Send + 'static) -> Local {
    let (started, given) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell(&started, listener.local_addr().unwrap());
            serve(listener).await;
        });
    });
    given.recv().unwrap()
}

fn tell(started: &Sender<Local>, address: SocketAddr) {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
    started.send(Local { address, thread }).unwrap();
}

/// Responds to everything with 200 and a short body.
async fn respond(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = service_fn(|_: Request<Incoming>| async {
            let mut response = Response::new(Full::new(Bytes::from_static(b"hello from the upstream\n")));
            response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
            Ok::<_, Infallible>(response)
        });
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// A proxy of hyper without a filter, as plain as it can be.
async fn forward(listener: TcpListener, upstream: SocketAddr) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Incoming>();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let client = client.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            parts.uri = format!("http://{upstream}{path}").parse().unwrap();
            parts.version = hyper::Version::HTTP_11;
            client.request(Request::from_parts(parts, body))
        });
        tokio::task::spawn_local(async move {
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The CPU time of a process or a thread, from its file `stat`.
fn cpu(stat: &str) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap();
    let numbers: Vec<f64> = text.rsplit(')').next().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    // The fields 14 and 15 of proc(5), in hundredths; the state before them is no number.
    (numbers[10] + numbers[11]) / 100.0
}

/// What a load generator reports.
#[derive(Debug)]
struct Load {
    requests: f64,
    seconds: f64,
    /// What it says about requests that failed.
    lost: Vec<String>,
}

/// The number before a word, as in `12345 requests in`.
fn before(text: &str, word: &str) -> f64 {
    let found =
        text.split(word).next().filter(|_| text.contains(word)).and_then(|text| text.split_whitespace().next_back());
    found.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number before {word}: {text}"))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("NOT RUN: {command:?}: {why}"));
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

const TOKEN: &str = "authorization: Bearer somebody";

/// HTTP/1 on 64 connections.
fn wrk(to: SocketAddr, seconds: u64) -> Load {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", "64", "--timeout", "10s", "--duration", &format!("{seconds}s")]);
    let begun = Instant::now();
    let text = output(command.args(["--header", TOKEN, &format!("http://{to}/shop?item=7")]));
    let lost = text.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
    Load {
        requests: before(&text, " requests in"),
        seconds: begun.elapsed().as_secs_f64(),
        lost: lost.map(str::to_owned).collect(),
    }
}

/// HTTP/2 with 16 streams at once on each of 4 connections.
fn h2load(to: SocketAddr, seconds: u64) -> Load {
    let mut command = Command::new("h2load");
    command.args(["--threads", "1", "--clients", "4", "--max-concurrent-streams", "16"]);
    command.args(["--duration", &seconds.to_string(), "--header", TOKEN, &format!("http://{to}/shop?item=7")]);
    let begun = Instant::now();
    let text = output(&mut command);
    let mut lost = Vec::new();
    for word in [" failed,", " errored,", " timeout", " 3xx,", " 4xx,", " 5xx"] {
        let count = before(&text, word);
        if count > 0.0 {
            lost.push(format!("{count}{word}"));
        }
    }
    Load { requests: before(&text, " 2xx,"), seconds: begun.elapsed().as_secs_f64(), lost }
}

/// A server that is measured.
struct Subject {
    name: &'static str,
    address: SocketAddr,
    stat: String,
    server: Option<Server>,
}

fn bench_filter(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/filters/ours");
    let built = build_guest(&directory, "proxy-filter-bench-ours", Some(name));
    built.unwrap_or_else(|error| panic!("{error}")).to_str().unwrap().to_owned()
}

/// Those that the environment variable `ONLY` names, or all if it names none of them.
fn chosen(all: &[&'static str]) -> Vec<&'static str> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let named: Vec<_> = all.iter().filter(|name| only.split(' ').any(|word| word == **name)).copied().collect();
    if named.is_empty() { all.to_vec() } else { named }
}

fn engines() -> Vec<&'static str> {
    chosen(if cfg!(feature = "wasmtime") { &["wasmi", "wasmtime"] } else { &["wasmi"] })
}

/// The seconds for each row, and whether figures are wanted.
fn seconds() -> (u64, bool) {
    std::env::var("SECONDS_EACH").map_or((1, false), |seconds| (seconds.parse().unwrap(), true))
}

#[test]
#[ignore = "needs wrk and h2load"]
fn load_generators_lose_nothing_and_memory_stays_the_same() {
    let (seconds, _) = seconds();
    let upstream = local(respond);
    let plain = local(move |listener| forward(listener, upstream.address));
    let stat = |thread| format!("/proc/self/task/{thread}/stat");
    let proxy = Subject { name: "plain proxy", address: plain.address, stat: stat(plain.thread), server: None };
    for engine in engines() {
        let mut subjects = Vec::new();
        for name in chosen(&["noop", "add_header", "check_auth"]) {
            let module = bench_filter(&format!("ours_{name}"));
            let mut command = command();
            command.env("NO_COLOR", "1");
            let server = start(command, &module, &format!("http://{}", upstream.address), &["--engine", engine]);
            let (address, stat) = (server.address, format!("/proc/{}/stat", server.child.id()));
            subjects.push(Subject { name, address, stat, server: Some(server) });
        }
        println!("{engine}, {seconds} s for each row, one worker");
        println!(
            "{:8} {:12} {:>10} {:>10} {:>10} {:>18}",
            "", "filter", "requests/s", "and CPU s", "plain = 1", "memory, KiB"
        );
        for (tool, load) in [("wrk", wrk as fn(SocketAddr, u64) -> Load), ("h2load", h2load)] {
            let mut most = 0.0;
            for subject in std::iter::once(&proxy).chain(&subjects) {
                let resident = || subject.server.as_ref().map_or(0, |server| resident(&server.child));
                // The memory that the load needs.
                load(subject.address, 1);
                let (memory, used) = (resident(), cpu(&subject.stat));
                let loaded = load(subject.address, seconds);
                let (now, used) = (resident(), cpu(&subject.stat) - used);
                let each = loaded.requests / used;
                if subject.server.is_none() {
                    most = each;
                }
                println!(
                    "{tool:8} {:12} {:>10.0} {each:>10.0} {:>10.2} {memory:>9}{:>+9}",
                    subject.name,
                    loaded.requests / loaded.seconds,
                    each / most,
                    now.cast_signed() - memory.cast_signed(),
                );
                assert!(loaded.lost.is_empty() && loaded.requests > 0.0, "{tool} {}: {:?}", subject.name, loaded.lost);
                assert!(now < memory + 8 * 1024, "{tool} {}: from {memory} to {now} KiB", subject.name);
            }
        }
    }
}

/// The least of five times.
fn least(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| measure()).min().unwrap()
}

#[test]
fn a_server_responds_and_reloads_soon() {
    let upstream = local(respond).address;
    let directory = tempfile::tempdir().unwrap();
    let (module, config) = (directory.path().join("filter.wasm"), directory.path().join("config.json"));
    for engine in engines() {
        std::fs::copy(example("http_config"), &module).unwrap();
        std::fs::write(&config, STAMP).unwrap();
        let arguments = ["--engine", engine, "--config", config.to_str().unwrap()];
        let serve = || start(command(), module.to_str().unwrap(), &format!("http://{upstream}"), &arguments);
        let stamped =
            |server: &Server, stamp: &str| get(server.address, "/").head.contains(&format!("x-stamp: {stamp}\r"));
        let first = least(|| {
            let begun = Instant::now();
            let server = serve();
            assert!(stamped(&server, "one"));
            begun.elapsed()
        });
        let server = serve();
        let mut stamps = ["two", "three", "four", "five", "six"].into_iter();
        let reload = least(|| {
            let stamp = stamps.next().unwrap();
            write(&config, STAMP.replace("one", stamp));
            let begun = Instant::now();
            while !stamped(&server, stamp) {
                assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.output.lock().unwrap());
                thread::sleep(Duration::from_millis(2));
            }
            begun.elapsed()
        });
        println!("{engine}: first response {first:.1?} after the start, reload {reload:.1?}");
        // A debug build is slower, and so is a machine with other work.
        let limit = if seconds().1 && engine == "wasmi" { 100 } else { 1_000 };
        assert!(first < Duration::from_millis(limit), "the first response came after {first:?}");
        assert!(reload < Duration::from_secs(1), "the reload took {reload:?}");
    }
}
