//! Odd but legal messages: repeated fields, bytes beyond ASCII, empty and large values, messages
//! without a body or with nothing but trailers, early responses. No example traps or sends a 500,
//! and none forwards a request that it refuses in its plain form.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "support/example.rs"]
mod example;

use example::{bootstrap, configure, for_each_example, names_in, read, root, services};
use proxy_filter::log::LogLevel;
use proxy_filter_host::{Body, Host, MetadataSource, Outcome, Reply, build_guest};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

type Field = (&'static str, Vec<u8>);

/// Headers that every example gets, besides those that it names.
const HEADERS: [&str; 20] = [
    "authorization",
    "cookie",
    "x-api-key",
    "x-user",
    "x-subject",
    "x-location",
    "x-forwarded-for",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "range",
    "if-range",
    "te",
    "host",
    "expect",
    "origin",
    "referer",
    "user-agent",
    "traceparent",
    "x-odd",
];

/// The words of an example's code and configuration that may be names of headers: those of the list
/// above, and words with hyphens. A header that an example starts to read is found here.
fn names_of(example: &str) -> Vec<&'static str> {
    let mut names = BTreeSet::new();
    let source = root().join("examples").join(example).join("src");
    let files = names_in(&source).into_iter().filter(|file| !["tests.rs", "test_key.pem"].contains(&file.as_str()));
    let configurations = bootstrap(example).into_iter().map(|plugin| plugin.configuration);
    for text in files.map(|file| read(&source.join(file))).chain(configurations) {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for word in code.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            let is_name = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            let has_hyphen = word.trim_matches('-').contains('-');
            // Lengths are made by the client, and say what the body is.
            if is_name && (has_hyphen || HEADERS.contains(&word)) && word != "content-length" {
                names.insert(word.to_owned());
            }
        }
    }
    names.into_iter().map(|name| &*name.leak()).collect()
}

fn values() -> [Vec<u8>; 6] {
    let beyond_ascii = (0x80..=0xff).collect();
    [vec![], vec![0x80], vec![0xff, 0xfe], beyond_ascii, b"a\tb, c; d=\"e".to_vec(), vec![b'v'; 9_000]]
}

/// What makes a request odd. The method, the path and the fields of the plain request stay.
#[derive(Clone, Debug, Default)]
struct Form {
    before: Vec<Field>,
    after: Vec<Field>,
    body: Option<Body>,
    trailers: Vec<Field>,
    http2: bool,
    early: bool,
    without_authority: bool,
}

/// The places of an odd field among the others, and with another of its name.
fn places(field: &Field) -> [Form; 5] {
    let (once, other) = (vec![field.clone()], |name| (name, b"1".to_vec()));
    let beside = |(name, value): Field| (name, [&value[..1.min(value.len())], b"0"].concat());
    [
        Form { before: once.clone(), ..Form::default() },
        Form { after: once.clone(), ..Form::default() },
        Form {
            before: [vec![other("x-first")], once.clone()].concat(),
            after: vec![other("x-last")],
            ..Form::default()
        },
        Form { after: vec![field.clone(), field.clone()], ..Form::default() },
        Form { before: once.clone(), after: vec![beside(field.clone())], ..Form::default() },
    ]
}

/// The forms for an example: each header that it names in each place, others in one place each.
fn forms(example: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let named = names_of(example);
    for name in named.iter().copied().chain(HEADERS.into_iter().filter(|name| !named.contains(name))) {
        for value in values() {
            let places = places(&(name, value));
            let turn = forms.len() % places.len();
            let (from, count) = if named.contains(&name) { (0, places.len()) } else { (turn, 1) };
            for place in places.into_iter().skip(from).take(count) {
                forms.push(Form { http2: forms.len().is_multiple_of(2), ..place });
            }
        }
    }
    for http2 in [false, true] {
        let plain = Form { http2, ..Form::default() };
        let body = |chunks: &[&[u8]]| Some(Body::Chunked(chunks.iter().map(|chunk| chunk.to_vec()).collect()));
        forms.push(plain.clone());
        forms.push(Form { without_authority: true, ..plain.clone() });
        // The headers do not end the request, and nothing comes after them.
        forms.push(Form { body: body(&[]), ..plain.clone() });
        forms.push(Form { body: body(&[b"", b""]), ..plain.clone() });
        forms.push(Form { body: body(&[b"\0\xff", b"\x80"]), ..plain.clone() });
        forms.push(Form { trailers: vec![("x-odd", vec![0xff])], ..plain.clone() });
        forms.push(Form { body: body(&[b"data"]), trailers: vec![("authorization", vec![])], ..plain.clone() });
    }
    forms.push(Form { body: Some(Body::from("never sent")), early: true, ..Form::default() });
    forms
}

/// A request whose oddities are added to it.
struct Plain {
    method: &'static str,
    path: &'static str,
    headers: Vec<Field>,
}

fn plain_requests() -> Vec<Plain> {
    let with = |path, authorization: &str| Plain {
        method: "GET",
        path,
        headers: vec![("authorization", authorization.as_bytes().to_vec())],
    };
    let without = |method, path| Plain { method, path, headers: Vec::new() };
    vec![
        without("GET", "/"),
        with("/", "Bearer s3cr3t"),
        with("/files/a?expires=1&signature=00", "Bearer wrong"),
        with("/admin/?q=union%20select", "Basic Og=="),
        without("POST", "/admin/secret"),
        without("HEAD", "/files/"),
        without("OPTIONS", "/hello"),
        without("DELETE", "//..;/%00/%ff?&&=%"),
    ]
}

fn send(host: &mut Host, plain: &Plain, form: &Form) -> Option<Outcome> {
    let mut request = host.request(plain.method, plain.path);
    for (name, value) in form.before.iter().chain(&plain.headers).chain(&form.after) {
        request = request.header(name, value);
    }
    for (name, value) in &form.trailers {
        request = request.trailer(name, value);
    }
    match form.body.clone() {
        Some(Body::Chunked(chunks)) => request = request.chunks(chunks),
        Some(body) => request = request.body(body),
        None => {}
    }
    request = if form.without_authority { request.without_authority() } else { request };
    request = if form.http2 { request.http2() } else { request };
    request = if form.early { request.early_response() } else { request };
    request.try_send().ok()
}

/// What the services of an example say about every request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Services {
    Allow,
    Deny,
}

fn answer(services: Services) -> Reply {
    let is_allowed = services == Services::Allow;
    let body = json!({ "active": is_allowed, "sub": "alice", "result": is_allowed, "keys": [] });
    Reply::new(if is_allowed { 200 } else { 403 }).header("x-user", "alice").body(body.to_string())
}

/// The configuration with which an example refuses more than with that of its bootstrap.
fn configuration(example: &str, written: String, of_services: Services) -> String {
    match (example, of_services) {
        ("rate_limit", Services::Deny) => json!({ "limit": 0, "window_seconds": 10, "by": "x-api-key" }).to_string(),
        ("rate_limit", Services::Allow) => {
            json!({ "limit": 1_000_000, "window_seconds": 10, "by": "x-api-key", "announce": true }).to_string()
        }
        _ => written,
    }
}

/// An example as its bootstrap has it. `None` if it is no filter of requests.
fn start(example: &str, of_services: Services) -> Option<Host> {
    let module = fs::read(build_guest(&root(), example, None).unwrap()).unwrap();
    let mut host = Host::for_module(&module);
    host.log_level(LogLevel::Warn);
    for (cluster, is_grpc) in services(example) {
        if is_grpc {
            // In `CheckResponse`, the status is the first field, and its code is its first field.
            let denied = move |_: &_| {
                Reply::grpc(if of_services == Services::Allow { &b""[..] } else { &[0x0a, 0x02, 0x08, 0x07] })
            };
            host.grpc_cluster(&cluster, denied);
        } else {
            host.cluster(&cluster, move |_| answer(of_services));
        }
    }
    host.metadata(MetadataSource::Route, json!({ "com.example.route": { "methods": ["GET", "HEAD"] } }));
    let kind = configure(&mut host, example, |written| configuration(example, written, of_services));
    (kind != "envoy.filters.network.wasm").then_some(host)
}

/// What is wrong with an outcome, whatever the request was.
fn fault(outcome: &Outcome) -> Option<&'static str> {
    match outcome.status() {
        500 => Some("it answers 500"),
        0 | 503 if outcome.to_string().contains("the VM failed") => Some("it traps"),
        _ => None,
    }
}

/// Each form with one of the plain requests, in turn. The forms of a header come with all of them.
fn pairs<'a>(plain: &'a [Plain], forms: &'a [Form]) -> impl Iterator<Item = (&'a Plain, &'a Form)> {
    plain.iter().cycle().zip(forms)
}

#[test]
fn no_odd_request_makes_an_example_trap_or_send_a_500() {
    for_each_example(|example| {
        let forms = forms(example);
        let Some(mut host) = start(example, Services::Allow) else { return Vec::new() };
        let mut faults = Vec::new();
        let plain_requests = plain_requests();
        for (plain, form) in pairs(&plain_requests, &forms) {
            let Some(outcome) = send(&mut host, plain, form) else { continue };
            if let Some(fault) = fault(&outcome) {
                faults.push(format!("{} {}: {fault}: {form:?}", plain.method, plain.path));
            }
        }
        faults
    });
}

#[test]
fn no_odd_form_of_a_refused_request_is_forwarded() {
    let refused = AtomicUsize::new(0);
    for_each_example(|example| {
        let forms = forms(example);
        let Some(mut host) = start(example, Services::Deny) else { return Vec::new() };
        let mut faults = Vec::new();
        let mut is_refused = |plain: &Plain| send(&mut host, plain, &Form::default()).unwrap().upstream().is_none();
        let plain_requests: Vec<Plain> = plain_requests().into_iter().filter(|plain| is_refused(plain)).collect();
        refused.fetch_add(plain_requests.len(), Ordering::Relaxed);
        for (plain, form) in pairs(&plain_requests, &forms) {
            let Some(outcome) = send(&mut host, plain, form) else { continue };
            let is_forwarded = outcome.upstream().is_some();
            if let Some(fault) = fault(&outcome).or(is_forwarded.then_some("it is forwarded")) {
                faults.push(format!("{} {}: {fault}: {form:?}", plain.method, plain.path));
            }
        }
        faults
    });
    assert!(refused.into_inner() >= 40, "plain requests are refused");
}

/// Responses of the upstream: each status with each odd field and each way to have a body or none.
/// The fields that the example names are among them.
fn responses(example: &str) -> Vec<Reply> {
    let of_responses = ["etag", "set-cookie", "location", "www-authenticate", "x-refused"];
    let mut names = names_of(example);
    // What frames a message is made by the upstream.
    names.retain(|name| !["transfer-encoding", "te", "keep-alive", "host"].contains(name));
    names.extend(["content-type", "content-encoding"].into_iter().chain(of_responses));
    names.sort_unstable();
    names.dedup();
    let fields = names.into_iter().flat_map(|name| values().map(|value| (name, value)));
    let statuses = [200, 204, 304, 206, 404, 103, 503];
    let text = "{\"email\":\"a\",\"n\":1}\n";
    let mut replies = Vec::new();
    for (number, (name, value)) in fields.enumerate() {
        let reply = Reply::new(statuses[number % statuses.len()]);
        // First, last, between others, and repeated.
        let reply = match number % 4 {
            0 => reply.header(name, &value),
            1 => reply.header("x-first", "1").header(name, &value),
            2 => reply.header(name, &value).header("x-last", "1").header(name, b"0"),
            _ => reply.header(name, &value).header(name, &value),
        };
        let bodies = [
            reply.clone(),
            reply.clone().body(text),
            reply.clone().chunks([&b""[..]; 0]),
            reply.clone().chunks(["", text, ""]),
            reply.clone().trailer("x-odd", [0xff]),
            reply.clone().chunks(["4111 1111", "\u{feff}"]).trailer("etag", ""),
            reply.clone().body("half").cut_off(),
        ];
        replies.extend(bodies.into_iter().skip(number % 2).step_by(2));
    }
    replies.push(Reply::reset());
    replies
}

#[test]
fn no_odd_response_makes_an_example_trap_or_send_a_500() {
    for_each_example(|example| {
        let responses = responses(example);
        let Some(mut host) = start(example, Services::Allow) else { return Vec::new() };
        let mut faults = Vec::new();
        for (number, reply) in responses.iter().enumerate() {
            let answer = reply.clone();
            host.upstream(move |_| answer.clone());
            let method = ["GET", "HEAD"][usize::from(number.is_multiple_of(5))];
            let plain = Plain { method, path: "/", headers: vec![("authorization", b"Bearer s3cr3t".to_vec())] };
            let form = Form { http2: number.is_multiple_of(3), ..Form::default() };
            let Some(outcome) = send(&mut host, &plain, &form) else { continue };
            if let Some(fault) = fault(&outcome) {
                faults.push(format!("{method}, HTTP/2: {}: {fault}: {reply:?}", form.http2));
            }
        }
        faults
    });
}
