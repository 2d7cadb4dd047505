//! Whole requests through the bench filters in the embedded host, on each engine: ours beside the
//! peer.
//!
//! What is measured is mostly the embedded host. The module's own work is in `cargo costs`,
//! exactly; here is what it means in time.

use divan::{Bencher, black_box};
use proxy_filter_host::{Engine, Host, Reply, build_guest};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    divan::main();
    // `cargo bench -- NAME` and `-- --list` need no measurement of a request.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        ratios();
    }
}

const FILTERS: [&str; 5] = ["noop", "add_header", "check_auth", "body_rewrite", "dump_headers"];

const ENGINES: &[(&str, Engine)] = &[
    ("wasmi", Engine::Wasmi),
    #[cfg(feature = "wasmtime")]
    ("wasmtime", Engine::Wasmtime),
];

/// A filter of one maker on one engine.
#[derive(Clone, Copy)]
struct Subject {
    filter: &'static str,
    maker: &'static str,
    engine: (&'static str, Engine),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.filter, self.engine.0, self.maker)
    }
}

impl Subject {
    fn host(self) -> Host {
        let package = format!("proxy-filter-bench-{}", self.maker);
        let module = format!("{}_{}", self.maker, self.filter);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = build_guest(directory, &package, Some(&module)).unwrap_or_else(|error| fail(&error));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| fail(&error));
        let mut host = Host::for_module_on(self.engine.1, &bytes);
        host.upstream(|_| {
            Reply::new(200).header("content-type", "text/html").header("server", "x").body(vec![b'r'; 512])
        });
        host.configure("").unwrap_or_else(|error| fail(&error));
        host
    }
}

fn fail(error: &dyn fmt::Display) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}

fn send(host: &mut Host) -> u16 {
    let request = host.post("/api/v1/orders").header("authorization", "Bearer alice").header("accept", "*/*");
    request.header("user-agent", "bench").body(vec![b'q'; 256]).http2().send().status()
}

fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for filter in FILTERS {
        for engine in ENGINES {
            subjects.extend(["floor", "ours", "peer"].map(|maker| Subject { filter, maker, engine: *engine }));
        }
    }
    subjects
}

#[divan::bench(args = subjects())]
fn request(bencher: Bencher<'_, '_>, subject: Subject) {
    let mut host = subject.host();
    bencher.bench_local(|| black_box(send(&mut host)));
}

/// Requests of a round, and rounds; makers take turns, so that the machine's moods meet both.
const REQUESTS: usize = 200;
const ROUNDS: usize = 15;

/// The fastest round of each maker, and ours divided by the peer's.
fn ratios() {
    println!("\n{:<14}{:<10}{:>12}{:>12}{:>14}", "filter", "engine", "ours µs", "peer µs", "ours / peer");
    for filter in FILTERS {
        for engine in ENGINES {
            let mut hosts = ["ours", "peer"].map(|maker| Subject { filter, maker, engine: *engine }.host());
            let mut best = [Duration::MAX; 2];
            for _ in 0..ROUNDS {
                for (host, best) in hosts.iter_mut().zip(&mut best) {
                    let start = Instant::now();
                    for _ in 0..REQUESTS {
                        black_box(send(host));
                    }
                    *best = start.elapsed().min(*best);
                }
            }
            let [ours, peer] = best.map(|round| round.as_secs_f64() * 1e6 / 200.0);
            println!("{filter:<14}{:<10}{ours:>12.2}{peer:>12.2}{:>14.2}", engine.0, ours / peer);
        }
    }
}
