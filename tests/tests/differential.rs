//! Generated exchanges in the embedded host and in a real Envoy, compared. What differs is shrunk
//! and printed in the form of a file of `differential/`, which a test plays again.
//!
//! `PROXY_FILTER_EXCHANGES=10000 PROXY_FILTER_SEED=7 cargo differential` is a long run: it needs
//! the variable `ENVOY` as well. Without these variables the run is short.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "support/example.rs"]
#[allow(unused_imports, reason = "for several tests")]
mod example;

use example::{configure, root, services};
use proxy_filter_host::{Host, Outcome, Reply, build_guest, differences};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An exchange, and the plugins that it passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    /// Why this case is kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// `script`, the guest that makes the host calls of its configuration, or an example.
    module: String,
    /// The configurations of a chain of scripts. An example has those of its bootstrap.
    chain: Vec<String>,
    http2: bool,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<String>>,
    trailers: Vec<(String, String)>,
    response: Response,
    /// The response begins before the body.
    early: bool,
    /// The client disconnects after so many milliseconds.
    disconnects_after: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<Vec<String>>,
    trailers: Vec<(String, String)>,
    after: u64,
    resets: bool,
    cut_off: bool,
}

impl Response {
    fn reply(&self) -> Reply {
        if self.resets {
            return Reply::reset().after(Duration::from_millis(self.after));
        }
        let reply = self.headers.iter().fold(Reply::new(self.status), |reply, (name, value)| reply.header(name, value));
        let reply = match &self.body {
            Some(chunks) => reply.chunks(chunks),
            None => reply,
        };
        let reply = self.trailers.iter().fold(reply, |reply, (name, value)| reply.trailer(name, value));
        let reply = reply.after(Duration::from_millis(self.after));
        if self.cut_off { reply.cut_off() } else { reply }
    }
}

impl Case {
    /// Plays the exchange; `None` if the embedded host does not play it.
    fn play(&self, host: &mut Host) -> Option<Outcome> {
        let reply = self.response.reply();
        host.upstream(move |_| reply.clone());
        let mut request = host.request(&self.method, &self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(chunks) = &self.body {
            request = request.chunks(chunks);
        }
        for (name, value) in &self.trailers {
            request = request.trailer(name, value);
        }
        request = if self.http2 { request.http2() } else { request };
        request = if self.early { request.early_response() } else { request };
        if let Some(after) = self.disconnects_after {
            request = request.disconnect_after(Duration::from_millis(after));
        }
        request.try_send().ok()
    }

    /// Smaller cases: each without one of its parts.
    fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut case = self.clone();
            change(&mut case);
            if case != *self {
                smaller.push(case);
            }
        };
        with(&|case| case.chain.truncate(1));
        with(&|case| (case.body, case.early) = (None, false));
        with(&|case| case.trailers.clear());
        with(&|case| case.response.body = None);
        with(&|case| case.response.trailers.clear());
        with(&|case| case.response.headers.clear());
        with(&|case| case.response.after = 0);
        with(&|case| case.disconnects_after = None);
        with(&|case| case.early = false);
        with(&|case| case.http2 = false);
        with(&|case| case.method = "GET".into());
        for index in 0..self.headers.len() {
            with(&|case| drop(case.headers.remove(index)));
            with(&|case| {
                let text = &mut case.headers[index].1;
                *text = text.rsplit_once("; ").map_or(text.clone(), |(before, _)| before.to_owned());
            });
        }
        smaller
    }
}

/// A generator of numbers: the same for a seed on each machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.next(count) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.next(list.len())]
    }

    fn fields(&mut self, names: &[&str], most: usize) -> Vec<(String, String)> {
        let values = ["", "1", "a, b", "Bearer s3cr3t", "x; q=0.5", "\u{e9}\u{fc}", "\"quoted\"", "text/plain", "a\tb"];
        (0..self.next(most + 1)).map(|_| (self.of(names).to_owned(), self.of(&values).to_owned())).collect()
    }

    fn body(&mut self) -> Option<Vec<String>> {
        let chunks = ["a", "{\"a\": 1}", "4111 1111 1111 1111", "line\nline\n", "<script>", "0123456789abcdef"];
        (!self.one_in(3)).then(|| (0..=self.next(3)).map(|_| self.of(&chunks).to_owned()).collect())
    }

    /// A list of host calls that Envoy survives.
    fn script(&mut self, callback: &str) -> String {
        let (map, trailers) = if callback.starts_with("request") { (0, 1) } else { (2, 3) };
        let map = if callback.ends_with("trailers") { trailers } else { map };
        let calls = (0..=self.next(4)).map(|_| match self.next(9) {
            0 => format!("add {map} x-a {}", self.next(9)),
            1 => format!("replace {map} x-a {}", self.next(9)),
            2 => format!("remove {map} {}", self.of(&["x-a", "x-b", "accept", "etag"])),
            3 => format!("get {} {}", self.next(4), self.of(&["x-a", ":path", ":status", "cookie"])),
            4 => format!("pairs {}", self.next(4)),
            // Envoy counts the digits of the time that the upstream took, too.
            5 => format!("size {}", self.next(2)),
            6 => format!("buffer {}", self.next(2)),
            7 => format!("property {}", self.of(&["request.path", "request.method", "response.code", "request.size"])),
            _ => format!("length {}", self.next(2)),
        });
        calls.collect::<Vec<_>>().join("; ")
    }

    fn case(&mut self, module: &str, chain: &[String]) -> Case {
        const NAMES: [&str; 12] = [
            "x-a",
            "x-b",
            "x-a",
            "accept",
            "cookie",
            "authorization",
            "user-agent",
            "x-api-key",
            "origin",
            "referer",
            "x-forwarded-for",
            "content-type",
        ];
        const CALLBACKS: [&str; 7] = [
            "request-headers",
            "request-body",
            "request-trailers",
            "response-headers",
            "response-body",
            "response-trailers",
            "log",
        ];
        let mut headers = self.fields(&NAMES, 4);
        if module == "script" {
            for callback in CALLBACKS {
                if self.one_in(3) {
                    headers.push((format!("x-{callback}"), self.script(callback)));
                }
            }
            match self.next(8) {
                0 => headers.push(("x-request-headers".into(), "reply 403 denied x-a=1".into())),
                1 => {
                    let cluster = self.of(&["fine", "slow", "broken", "down", "empty", "unknown"]);
                    headers.retain(|(name, _)| name != "x-request-headers");
                    headers.push(("x-request-headers".into(), format!("call {cluster} /check 300; return 1")));
                    headers.push(("x-answer".into(), "pairs 6; status; stream; continue 0".into()));
                }
                _ => {}
            }
        }
        let (http2, body) = (self.one_in(3), self.body());
        let has_trailers = http2 && self.one_in(3);
        let method = self.of(&["GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"]);
        let status = [200, 200, 200, 404, 204, 304, 503, 206][self.next(8)];
        let response = Response {
            status,
            headers: self.fields(&["content-type", "etag", "set-cookie", "x-a", "cache-control", "vary"], 3),
            body: if matches!(status, 204 | 304) { None } else { self.body() },
            trailers: if http2 && self.one_in(3) { self.fields(&["x-a", "etag"], 2) } else { Vec::new() },
            after: if self.one_in(8) { 100 } else { 0 },
            resets: self.one_in(12),
            cut_off: false,
        };
        Case {
            module: module.into(),
            chain: chain.to_vec(),
            http2,
            method: method.into(),
            path: self.of(&["/", "/hello", "/a?b=c&d", "/admin/x", "/%2e%2e/", "/files/a?expires=1"]).into(),
            headers,
            early: !http2 && body.is_some() && self.one_in(15),
            body,
            trailers: if has_trailers { self.fields(&["x-a", "x-b"], 2) } else { Vec::new() },
            response,
            ..Case::default()
        }
    }
}

/// A module with its plugins, in both hosts.
struct World {
    module: String,
    chain: Vec<String>,
    embedded: Host,
    envoy: Host,
}

impl World {
    fn start(module: &str, chain: &[String]) -> Self {
        let path = file(module);
        let embedded = Host::for_module(&fs::read(&path).unwrap()).without_checks();
        let mut world = Self {
            module: module.into(),
            chain: chain.to_vec(),
            embedded,
            envoy: Host::in_envoy(&path).unwrap().without_checks(),
        };
        set_up(&mut world.embedded, module, chain);
        set_up(&mut world.envoy, module, chain);
        world
    }

    fn again(&self) -> Self {
        Self::start(&self.module, &self.chain)
    }

    /// How an exchange differs in the two hosts; `None` if the embedded host does not play it, or
    /// says that Envoy does not survive it.
    fn differences(&mut self, case: &Case) -> Option<String> {
        let before = self.embedded.violations().len();
        let embedded = case.play(&mut self.embedded);
        if embedded.is_none() || self.embedded.violations().len() > before {
            *self = self.again();
            return None;
        }
        let envoy = case.play(&mut self.envoy)?;
        let found = differences(embedded?.record(), envoy.record());
        if !found.is_empty() {
            *self = self.again();
        }
        Some(found)
    }
}

fn file(module: &str) -> PathBuf {
    let built = match module {
        "script" => build_guest(&root().join("tests"), "proxy-filter-guests", Some("script")),
        example => build_guest(&root(), example, None),
    };
    built.unwrap_or_else(|error| panic!("{error}"))
}

fn set_up(host: &mut Host, module: &str, chain: &[String]) {
    if module != "script" {
        for (cluster, is_grpc) in services(module) {
            if is_grpc {
                host.grpc_cluster(&cluster, |_| Reply::grpc(b""));
            } else {
                host.cluster(&cluster, |_| Reply::new(200).body("{\"active\": true, \"result\": true, \"keys\": []}"));
            }
        }
        configure(host, module, |written| written);
        return;
    }
    host.cluster("fine", |_| Reply::new(200).header("x-a", "1").body("fine"));
    host.cluster("slow", |_| Reply::new(200).after(Duration::from_secs(1)));
    host.cluster("broken", |_| Reply::reset());
    host.cluster_refusing_connections("down");
    host.cluster_without_hosts("empty");
    for configuration in chain.iter().skip(1) {
        host.plugin("", configuration);
    }
    host.configure(chain.first().map_or("", String::as_str)).unwrap();
}

/// The smallest case that still differs, and how.
fn shrink(world: &World, case: &Case, found: String) -> (Case, String) {
    let (mut case, mut found) = (case.clone(), found);
    let mut tries = 0;
    'again: loop {
        for smaller in case.smaller() {
            tries += 1;
            if tries > 40 {
                return (case, found);
            }
            let mut fresh = World::start(&world.module, &smaller.chain);
            if let Some(differs) = fresh.differences(&smaller).filter(|differs| !differs.is_empty()) {
                (case, found) = (smaller, differs);
                continue 'again;
            }
        }
        return (case, found);
    }
}

/// The modules of the run, with the chains of scripts: examples whose exchanges depend on neither
/// the time nor on chance.
fn worlds() -> Vec<(&'static str, Vec<String>)> {
    let script = |chain: &[&str]| ("script", chain.iter().map(ToString::to_string).collect::<Vec<_>>());
    vec![
        script(&[""]),
        script(&["every request-headers: add 0 x-one 1", "every response-headers: add 2 x-two 2; pairs 2"]),
        script(&[
            "every request-body: length 0",
            "every response-body: length 1",
            "every response-headers: remove 2 etag",
        ]),
        ("http_headers", Vec::new()),
        ("http_auth", Vec::new()),
        ("http_auth_callout", Vec::new()),
        ("http_body", Vec::new()),
        ("http_config", Vec::new()),
        ("waf", Vec::new()),
        ("waf_lite", Vec::new()),
        ("opa_authz", Vec::new()),
        ("body_transform", Vec::new()),
    ]
}

/// Runs so many exchanges, and prints the report. What differs.
fn run(exchanges: usize, seed: u64, limit: Duration) -> Vec<(Case, String)> {
    let (start, worlds) = (Instant::now(), worlds());
    let (mut played, mut skipped, mut found) = (0, 0, Vec::new());
    let mut random = Random(seed);
    for (index, (module, chain)) in worlds.iter().enumerate() {
        if start.elapsed() > limit {
            println!("the time is over before {module}");
            break;
        }
        let mut world = World::start(module, chain);
        let share = exchanges * (index + 1) / worlds.len() - exchanges * index / worlds.len();
        for _ in 0..share {
            if start.elapsed() > limit {
                break;
            }
            let case = random.case(module, chain);
            match world.differences(&case) {
                None => skipped += 1,
                Some(same) if same.is_empty() => played += 1,
                Some(differs) => {
                    played += 1;
                    let (case, differs) = shrink(&world, &case, differs);
                    let is_known =
                        found.iter().any(|(known, _): &(Case, String)| known.module == case.module && *known == case);
                    if !is_known {
                        println!("{}\n{differs}", serde_json::to_string_pretty(&case).unwrap());
                        found.push((case, differs));
                    }
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs();
    println!(
        "seed {seed}: {played} exchanges compared in {seconds} s, {skipped} not played, {} differences left",
        found.len()
    );
    found
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn report(found: &[(Case, String)]) -> String {
    found.iter().fold(String::new(), |mut text, (case, differs)| {
        let _ = writeln!(text, "{}\n{differs}", serde_json::to_string_pretty(case).unwrap());
        text
    })
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn generated_exchanges_are_equal_in_both_hosts() {
    let exchanges = number("PROXY_FILTER_EXCHANGES", 60);
    let limit = if exchanges > 60 { Duration::from_secs(24 * 60 * 60) } else { Duration::from_secs(10) };
    let found = run(usize::try_from(exchanges).unwrap(), number("PROXY_FILTER_SEED", 1), limit);
    assert!(found.is_empty(), "{}", report(&found));
}

fn kept() -> Vec<(PathBuf, Case)> {
    let folder = root().join("tests/tests/differential");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|file| (file.clone(), serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()))
        .collect()
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn stored_cases_are_equal_in_both_hosts() {
    for (file, case) in kept() {
        let found = World::start(&case.module, &case.chain).differences(&case);
        assert_eq!(found.as_deref(), Some(""), "{}: {}", file.display(), case.why);
    }
}

#[test]
fn a_seed_makes_the_same_cases_and_a_case_becomes_smaller() {
    let cases = |seed| {
        let mut random = Random(seed);
        (0..50).map(|_| random.case("script", &[String::new(), String::new()])).collect::<Vec<_>>()
    };
    assert_eq!(cases(1), cases(1));
    assert_ne!(cases(1), cases(2));
    for case in cases(1) {
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
        assert!(case.smaller().iter().all(|smaller| *smaller != case));
    }
    assert!(kept().iter().all(|(_, case)| !case.why.is_empty()), "a stored case says why");
}
