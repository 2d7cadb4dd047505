//! Makes the host calls that the headers of the request list, one list for each callback: a guest
//! for what no SDK would do.
//!
//! `x-request-headers: call authz /check 1000; return 1` calls and stops; `x-answer: stream;
//! continue 0` continues the stream when the answer is there; `add 0 a%20b 1` adds a field, bytes
//! of which are given in hexadecimal digits. What a callback of the root context does for no stream
//! is listed in the configuration, a line each: `tick: call authz /tick 0`. A line `every
//! request-headers: pairs 0` is a list for that callback of every stream, before the one of the
//! request.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "exports without the SDK, which would not make these calls")]
#![allow(clippy::missing_panics_doc, missing_docs, clippy::must_use_candidate, reason = "nobody links this")]

use proxy_filter::sys;
use std::cell::RefCell;
use std::collections::HashMap;

#[derive(Default)]
struct State {
    /// The lists of each stream, by the name of the callback. Those of the root are the
    /// configuration's.
    scripts: HashMap<u32, HashMap<String, String>>,
    /// The context that each callout belongs to.
    owners: HashMap<u32, u32>,
    last_token: u32,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

const ROOT: u32 = 1;

fn with<T>(body: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(body)
}

fn log(text: &str) {
    let _ = sys::proxy_log(2, text.as_bytes());
}

fn number(text: &str) -> u32 {
    match text {
        "last" => with(|state| state.last_token),
        _ => text.parse().unwrap_or_default(),
    }
}

/// The bytes of a word, any of which can be given as `%` and two hexadecimal digits.
fn unescape(word: &str) -> Vec<u8> {
    let mut parts = word.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], part.as_bytes().get(2..).unwrap_or_default()].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    bytes
}

/// `a=b,c=d` as a map of the ABI.
fn pairs(text: &str) -> Vec<u8> {
    let list: Vec<_> = text.split(',').filter_map(|pair| pair.split_once('=')).collect();
    let list: Vec<_> = list.into_iter().map(|(name, value)| (unescape(name), unescape(value))).collect();
    let size = |part: &[u8]| u32::try_from(part.len()).unwrap_or_default().to_le_bytes();
    let mut bytes = u32::try_from(list.len()).unwrap_or_default().to_le_bytes().to_vec();
    for (name, value) in &list {
        bytes.extend([size(name), size(value)].concat());
    }
    for (name, value) in &list {
        bytes.extend([name, &b"\0"[..], value, b"\0"].concat());
    }
    bytes
}

/// The text with odd bytes escaped: of a long one its beginning, and its length.
fn escape(text: &[u8]) -> String {
    match text.get(..300) {
        Some(shown) if shown.len() < text.len() => format!("{}… ({} bytes)", shown.escape_ascii(), text.len()),
        _ => text.escape_ascii().to_string(),
    }
}

/// A map of the ABI as `a: b | c: d`.
fn lines(map: &[u8]) -> String {
    let word = |index: usize| {
        let bytes = map.get(index * 4..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
    };
    let count = word(0);
    let mut at = 4 + count * 8;
    let mut texts = (0..count * 2).map(|index| {
        let text = map.get(at..at + word(index + 1)).unwrap_or_default();
        at += text.len() + 1;
        escape(text)
    });
    let mut lines = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        lines.push(format!("{name}: {value}"));
    }
    lines.join(" | ")
}

fn own(context: u32, token: Result<u32, proxy_filter::Status>) {
    if let Ok(token) = token {
        with(|state| {
            state.owners.insert(token, context);
            state.last_token = token;
        });
    }
}

fn show(what: &str, bytes: Result<Vec<u8>, proxy_filter::Status>) {
    match bytes {
        Ok(bytes) => {
            let shown = bytes.get(..300).unwrap_or(&bytes);
            log(&format!("{what}: {} bytes: {}", bytes.len(), shown.escape_ascii()));
        }
        Err(status) => log(&format!("{what}: {status}")),
    }
}

/// Does one thing; a number is what the callback shall return.
fn act(context: u32, command: &str) -> Option<u32> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let bytes = |index: usize| word(index).as_bytes();
    let num = |index: usize| number(word(index));
    match word(0) {
        "" => {}
        "return" => return Some(num(1)),
        "call" => {
            let method = if word(4).is_empty() { "GET" } else { "POST" };
            let headers = pairs(&format!(":method={method},:path={},:authority=a", word(2)));
            own(context, sys::proxy_http_call(bytes(1), &headers, bytes(4), b"", num(3)));
        }
        "headers" => own(context, sys::proxy_http_call(bytes(1), &pairs(word(2)), bytes(4), b"", num(3))),
        "large" => {
            let headers = pairs(":method=POST,:path=/large,:authority=a");
            own(context, sys::proxy_http_call(bytes(1), &headers, &vec![b'x'; num(2) as usize], b"", 0));
        }
        "stream" => drop(sys::proxy_set_effective_context(context)),
        "context" => drop(sys::proxy_set_effective_context(num(1))),
        "continue" => drop(sys::proxy_continue_stream(num(1))),
        "close" => drop(sys::proxy_close_stream(num(1))),
        "reply" => drop(sys::proxy_send_local_response(num(1), b"", bytes(2), &pairs(word(3)), -1)),
        "get" => show(word(2), sys::proxy_get_header_map_value(num(1), bytes(2))),
        "pairs" => match sys::proxy_get_header_map_pairs(num(1)) {
            Ok(bytes) => log(&format!("pairs: {}", lines(&bytes))),
            Err(status) => log(&format!("pairs: {status}")),
        },
        "size" => log(&format!("{:?}", sys::proxy_get_header_map_size(num(1)))),
        "add" => drop(sys::proxy_add_header_map_value(num(1), &unescape(word(2)), &unescape(word(3)))),
        "replace" => drop(sys::proxy_replace_header_map_value(num(1), &unescape(word(2)), &unescape(word(3)))),
        "remove" => drop(sys::proxy_remove_header_map_value(num(1), &unescape(word(2)))),
        "set-pairs" => drop(sys::proxy_set_header_map_pairs(num(1), &pairs(word(2)))),
        "buffer" => show("buffer", sys::proxy_get_buffer_bytes(num(1), 0, u32::MAX)),
        "length" => log(&format!("{:?}", sys::proxy_get_buffer_status(num(1)))),
        "set" => drop(sys::proxy_set_buffer_bytes(num(1), num(2), num(3), bytes(4))),
        "status" => match sys::proxy_get_status() {
            Ok((code, message)) => log(&format!("status {code} {}", message.escape_ascii())),
            Err(status) => log(&format!("status: {status}")),
        },
        "property" => show(word(1), sys::proxy_get_property(word(1).replace('.', "\0").as_bytes())),
        "set-property" => drop(sys::proxy_set_property(bytes(1), bytes(2))),
        "level" => log(&format!("level {:?}", sys::proxy_get_log_level())),
        "time" => log(&format!("time {}", sys::proxy_get_current_time_nanoseconds().is_ok())),
        "share" => {
            log(&format!("{:?}", sys::proxy_set_shared_data(bytes(1), &unescape(word(2)), 0)));
            log(&format!("{:?}", sys::proxy_get_shared_data(bytes(1)).map(|(value, _)| value)));
        }
        "enqueue" => {
            let queue = sys::proxy_register_shared_queue(bytes(1)).unwrap_or_default();
            log(&format!("{:?}", sys::proxy_enqueue_shared_queue(queue, bytes(2))));
        }
        "queue" => {
            let queue = sys::proxy_register_shared_queue(bytes(1)).unwrap_or_default();
            log(&format!("resolved {}", sys::proxy_resolve_shared_queue(b"nobody", bytes(1)).is_ok()));
            log(&format!("{:?}", sys::proxy_enqueue_shared_queue(queue, bytes(2))));
            show("item", sys::proxy_dequeue_shared_queue(queue));
        }
        "gauge" => {
            let gauge = sys::proxy_define_metric(1, bytes(1)).unwrap_or_default();
            log(&format!("{:?}", sys::proxy_record_metric(gauge, u64::from(num(2)))));
            log(&format!("{:?}", sys::proxy_increment_metric(gauge, 1)));
            log(&format!("{:?}", sys::proxy_get_metric(gauge)));
        }
        "root-is-done" => log(&format!("{:?}", sys::proxy_done())),
        "foreign" => log(&format!("{:?}", sys::proxy_call_foreign_function(bytes(1), bytes(2)).is_ok())),
        "tick" => drop(sys::proxy_set_tick_period_milliseconds(num(1))),
        "log" => log(word(1)),
        "trap" => core::arch::wasm32::unreachable(),
        "grpc" => own(
            context,
            sys::proxy_grpc_call(&service(word(1)), b"pkg.Service", bytes(2), &pairs(word(5)), bytes(4), num(3)),
        ),
        "named" => own(context, sys::proxy_grpc_call(bytes(1), b"pkg.Service", bytes(2), b"", bytes(4), num(3))),
        "open" => {
            own(context, sys::proxy_grpc_stream(&service(word(1)), b"pkg.Service", bytes(2), &pairs(word(3))));
        }
        "send" => drop(sys::proxy_grpc_send(num(1), bytes(2), num(3))),
        "cancel" => drop(sys::proxy_grpc_cancel(num(1))),
        "half-close" => drop(sys::proxy_grpc_close(num(1))),
        other => log(&format!("no command {other}")),
    }
    None
}

/// The cluster as an encoded `GrpcService`.
fn service(cluster: &str) -> Vec<u8> {
    let size = u8::try_from(cluster.len()).unwrap_or_default();
    [&[0x0a, size + 2, 0x0a, size], cluster.as_bytes()].concat()
}

/// Does what is listed for a callback of this context.
fn play(context: u32, callback: &str) -> u32 {
    every(context, callback);
    listed(context, callback)
}

/// Does what is listed for this callback of every stream.
fn every(context: u32, callback: &str) {
    if context != ROOT {
        let find = |state: &mut State| state.scripts.get(&ROOT)?.get(&format!("every {callback}")).cloned();
        for command in with(find).unwrap_or_default().split(';') {
            let _ = act(context, command);
        }
    }
}

fn listed(context: u32, callback: &str) -> u32 {
    let find = |state: &mut State| state.scripts.get(&context).and_then(|script| script.get(callback)).cloned();
    let script = with(find).unwrap_or_default();
    let commands = script.split(';').filter(|command| !command.trim().is_empty());
    commands.fold(0, |result, command| act(context, command).unwrap_or(result))
}

/// The same for a callout's token.
fn play_for(token: u32, callback: &str) {
    let owner = with(|state| state.owners.get(&token).copied()).unwrap_or(ROOT);
    with(|state| state.last_token = token);
    play(owner, callback);
}

const LISTS: [&str; 14] = [
    "request-headers",
    "request-body",
    "request-trailers",
    "response-headers",
    "response-body",
    "response-trailers",
    "log",
    "done",
    "delete",
    "answer",
    "initial",
    "message",
    "trailing",
    "close",
];

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// With it the host's log tells that there is a stream.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_context: u32, _parent: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, _size: u32) -> u32 {
    let bytes = sys::proxy_get_buffer_bytes(7, 0, u32::MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lists = text.lines().filter_map(|line| line.split_once(": "));
    let script = lists.map(|(name, list)| (name.to_owned(), list.to_owned())).collect();
    with(|state| state.scripts.insert(root, script));
    play(root, "configure");
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    play(root, "tick");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(stream: u32, _count: u32, _end_of_stream: u32) -> u32 {
    let mut script = HashMap::new();
    for list in LISTS {
        if let Ok(text) = sys::proxy_get_header_map_value(0, format!("x-{list}").as_bytes()) {
            script.insert(list.to_owned(), String::from_utf8_lossy(&text).into_owned());
        }
    }
    with(|state| state.scripts.insert(stream, script));
    play(stream, "request-headers")
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(stream: u32, _size: u32, end_of_stream: u32) -> u32 {
    body(stream, "request-body", end_of_stream)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(stream: u32, _count: u32) -> u32 {
    play(stream, "request-trailers")
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(stream: u32, _count: u32, _end_of_stream: u32) -> u32 {
    play(stream, "response-headers")
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(stream: u32, _size: u32, end_of_stream: u32) -> u32 {
    body(stream, "response-body", end_of_stream)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(stream: u32, _count: u32) -> u32 {
    play(stream, "response-trailers")
}

/// Waits for the whole body before it does something.
fn body(stream: u32, list: &str, end_of_stream: u32) -> u32 {
    every(stream, list);
    let is_listed = with(|state| state.scripts.get(&stream).is_some_and(|script| script.contains_key(list)));
    match (is_listed, end_of_stream) {
        (false, _) => 0,
        (true, 0) => 1,
        (true, _) => listed(stream, list),
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(stream: u32) {
    play(stream, "log");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(stream: u32) -> u32 {
    play(stream, "done");
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(stream: u32) {
    play(stream, "delete");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(_root: u32, token: u32, _headers: u32, _body: u32, _trailers: u32) {
    play_for(token, "answer");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_initial_metadata(_root: u32, token: u32, _count: u32) {
    play_for(token, "initial");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(_root: u32, token: u32, _size: u32) {
    play_for(token, "message");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_trailing_metadata(_root: u32, token: u32, _count: u32) {
    play_for(token, "trailing");
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(_root: u32, token: u32, _status: u32) {
    play_for(token, "close");
}
