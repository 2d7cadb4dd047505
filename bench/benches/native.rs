//! The SDK's own work as native code: from an export to the filter's callback, and the codec of
//! header maps.
//!
//! A host with constant results stands in for the proxy, so that the SDK is measured. `dispatch` is
//! the life of a stream around one callback that does nothing; the others are the same with one
//! operation in the callback.

use divan::{Bencher, black_box};
use proxy_filter::Status;
use proxy_filter::prelude::*;
use proxy_filter::sys::{HostFunctions, install};
use std::cell::Cell;
use std::rc::Rc;

fn main() {
    divan::main();
}

thread_local! {
    /// What the filter's callback does.
    static WORK: Cell<Work> = const { Cell::new(Work::Nothing) };
}

#[derive(Clone, Copy)]
enum Work {
    Nothing,
    Get,
    Add,
    Decode,
    Encode,
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        match WORK.get() {
            Work::Nothing => {}
            Work::Get => drop(black_box(request.get("authorization")?)),
            Work::Add => request.add("x-filter", "bench")?,
            Work::Decode => {
                for (name, value) in &request.pairs()? {
                    black_box((name, value));
                }
            }
            Work::Encode => request.set_pairs(black_box(FIELDS))?,
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

/// What a browser sends.
const FIELDS: [(&str, &str); 13] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "shop.example.com"),
    (":path", "/api/v1/orders?page=2&sort=created"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.9"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("content-type", "application/json"),
    ("content-length", "256"),
    ("authorization", "Bearer 0123456789abcdef"),
    ("cookie", "session=6f1c2b7e9d; theme=dark"),
    ("x-forwarded-proto", "https"),
];

/// Answers with constants.
struct Constants {
    pairs: Vec<u8>,
}

impl Constants {
    fn new() -> Self {
        let length = |text: &str| u32::try_from(text.len()).unwrap_or_default().to_le_bytes();
        let mut pairs = u32::try_from(FIELDS.len()).unwrap_or_default().to_le_bytes().to_vec();
        for (name, value) in FIELDS {
            pairs.extend(length(name).into_iter().chain(length(value)));
        }
        for text in FIELDS.into_iter().flat_map(|(name, value)| [name, value]) {
            pairs.extend(text.bytes().chain([0]));
        }
        Self { pairs }
    }
}

impl HostFunctions for Constants {
    fn proxy_get_header_map_value(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        Ok(HeaderValue::from("Bearer 0123456789abcdef").into_bytes())
    }

    fn proxy_get_header_map_pairs(&self, _: u32) -> Result<Vec<u8>, Status> {
        Ok(self.pairs.clone())
    }

    fn proxy_add_header_map_value(&self, _: u32, name: &[u8], value: &[u8]) -> Result<(), Status> {
        black_box((name, value));
        Ok(())
    }

    fn proxy_set_header_map_pairs(&self, _: u32, pairs: &[u8]) -> Result<(), Status> {
        black_box(pairs);
        Ok(())
    }
}

type Export = fn([u32; 5]) -> u32;

/// The exports a stream with one callback goes through.
struct Exports {
    create: Export,
    headers: Export,
    delete: Export,
}

impl Exports {
    /// The exports of this file's filter, started.
    fn new() -> Self {
        let module = __proxy_filter::module();
        let export = |name: &str| {
            let found = module.exports.iter().find(|(export, _)| *export == name);
            found.map_or((|_| 0) as Export, |(_, export)| *export)
        };
        install(Some(Rc::new(Constants::new())));
        (export("_initialize"))([0; 5]);
        (export("proxy_on_context_create"))([1, 0, 0, 0, 0]);
        Self {
            create: export("proxy_on_context_create"),
            headers: export("proxy_on_request_headers"),
            delete: export("proxy_on_delete"),
        }
    }

    /// The life of one stream.
    fn stream(&self, id: u32) -> u32 {
        (self.create)([id, 1, 0, 0, 0]);
        let status = (self.headers)([id, 13, 1, 0, 0]);
        (self.delete)([id, 0, 0, 0, 0]);
        status
    }
}

/// Lives of streams whose callback does this, with so many other streams alive.
fn streams(bencher: Bencher<'_, '_>, work: Work, alive: u32) {
    WORK.set(work);
    let exports = Exports::new();
    for id in 2..alive + 2 {
        (exports.create)([id, 1, 0, 0, 0]);
    }
    let mut id = alive + 1;
    bencher.bench_local(|| {
        id += 1;
        exports.stream(black_box(id))
    });
    for id in 2..alive + 2 {
        (exports.delete)([id, 0, 0, 0, 0]);
    }
}

#[divan::bench(args = [0, 1000, 100_000])]
fn dispatch(bencher: Bencher<'_, '_>, alive: u32) {
    streams(bencher, Work::Nothing, alive);
}

#[divan::bench]
fn get_a_header(bencher: Bencher<'_, '_>) {
    streams(bencher, Work::Get, 0);
}

#[divan::bench]
fn add_a_header(bencher: Bencher<'_, '_>) {
    streams(bencher, Work::Add, 0);
}

#[divan::bench]
fn decode_13_pairs(bencher: Bencher<'_, '_>) {
    streams(bencher, Work::Decode, 0);
}

#[divan::bench]
fn encode_13_pairs(bencher: Bencher<'_, '_>) {
    streams(bencher, Work::Encode, 0);
}
