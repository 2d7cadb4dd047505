//! Every public function that takes a field, with every byte in every place of a name and a value.
//!
//! A new function that takes bytes fails `every_function_that_takes_bytes_is_known` until it has a
//! row in [`ROWS`]. If its bytes are not a field, list it in [`NO_FIELDS`].

use crate::abi::map_type::MapType;
use crate::abi::pairs;
use crate::abi::status::Status;
use crate::callout::error::CalloutError;
use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcBytes;
use crate::callout::grpc::stream::GrpcStream;
use crate::callout::http::HttpCall;
use crate::error::Error;
use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::fields::header_map::HeaderMap;
use crate::sys::{self, HostFunctions};
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// A host that accepts every call and records it.
#[derive(Default)]
struct Recorder {
    calls: RefCell<Vec<Fields>>,
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Recorder {
    fn note(&self, fields: &[(&[u8], &[u8])]) {
        let fields = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        self.calls.borrow_mut().push(fields.collect());
    }

    fn note_map(&self, map: &[u8]) {
        self.note(&pairs::walk(map).collect::<Vec<_>>());
    }
}

type Done<T = ()> = Result<T, Status>;

impl HostFunctions for Recorder {
    fn proxy_add_header_map_value(&self, _map: u32, name: &[u8], value: &[u8]) -> Done {
        self.note(&[(name, value)]);
        Ok(())
    }

    fn proxy_replace_header_map_value(&self, _map: u32, name: &[u8], value: &[u8]) -> Done {
        self.note(&[(name, value)]);
        Ok(())
    }

    fn proxy_remove_header_map_value(&self, _map: u32, name: &[u8]) -> Done {
        self.note(&[(name, b"")]);
        Ok(())
    }

    fn proxy_set_header_map_pairs(&self, _map: u32, map: &[u8]) -> Done {
        self.note_map(map);
        Ok(())
    }

    fn proxy_send_local_response(&self, _: u32, _: &[u8], _: &[u8], headers: &[u8], _: i32) -> Done {
        self.note_map(headers);
        Ok(())
    }

    fn proxy_http_call(&self, _: &[u8], headers: &[u8], _: &[u8], _: &[u8], _: u32) -> Done<u32> {
        self.note_map(headers);
        Ok(4)
    }

    fn proxy_grpc_call(&self, _: &[u8], service: &[u8], method: &[u8], map: &[u8], _: &[u8], _: u32) -> Done<u32> {
        self.note(&pairs::walk(map).chain([(service, method)]).collect::<Vec<_>>());
        Ok(5)
    }

    fn proxy_grpc_stream(&self, _: &[u8], service: &[u8], method: &[u8], map: &[u8]) -> Done<u32> {
        self.note(&pairs::walk(map).chain([(service, method)]).collect::<Vec<_>>());
        Ok(6)
    }
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    Value,
    Method,
    Path,
    Authority,
    /// The service of a gRPC call, a part of the path.
    Service,
    /// Its method, the last part.
    ServiceMethod,
}

impl Place {
    /// Whether the text may be there, by the rules of RFC 9110 and RFC 9112.
    fn takes(self, text: &[u8]) -> bool {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        match self {
            Self::Name | Self::Method => !text.is_empty() && text.iter().all(is_token),
            Self::Value => text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)),
            Self::Path => {
                let is_fit = |byte: &u8| matches!(byte, b'!'..=b'~' | 0x80..);
                text == b"*" || (text.first() == Some(&b'/') && text.iter().all(is_fit))
            }
            Self::Authority => text.iter().all(|byte| matches!(byte, b'!'..=b'~')),
            Self::Service => {
                !text.is_empty() && text.iter().all(|byte| matches!(byte, b'!'..=b'~') && !b"?#".contains(byte))
            }
            Self::ServiceMethod => Self::Service.takes(text) && !text.contains(&b'/'),
        }
    }
}

/// What becomes of a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// `InvalidInput`, and the host is not called.
    IsRefused,
    /// The field is not sent: a reply denies without it.
    IsLeftOut,
}

/// A function, and what it does with a text.
struct Row {
    /// The file and the function.
    function: &'static str,
    place: Place,
    mistake: Mistake,
    call: fn(&[u8]) -> Result<(), ErrorKind>,
}

const fn row(function: &'static str, place: Place, call: fn(&[u8]) -> Result<(), ErrorKind>) -> Row {
    Row { function, place, mistake: Mistake::IsRefused, call }
}

const MAPS: [MapType; 4] =
    [MapType::REQUEST_HEADERS, MapType::REQUEST_TRAILERS, MapType::RESPONSE_HEADERS, MapType::RESPONSE_TRAILERS];

/// Applies an edit to each map of a stream; all must have the same result.
fn in_maps(edit: impl Fn(&mut HeaderMap) -> Result<(), Error>) -> Result<(), ErrorKind> {
    let results: Vec<_> =
        MAPS.into_iter().map(|map| edit(&mut HeaderMap::new(map)).map_err(|error| error.kind())).collect();
    assert!(results.windows(2).all(|two| two[0] == two[1]), "{results:?}");
    results[0]
}

fn in_request(edit: impl Fn(&mut HeaderMap) -> Result<(), Error>) -> Result<(), ErrorKind> {
    edit(&mut HeaderMap::new(MapType::REQUEST_HEADERS)).map_err(|error| error.kind())
}

fn start(call: HttpCall) -> Result<(), ErrorKind> {
    match call.start() {
        Ok(_) => Ok(()),
        Err(CalloutError::Refused(error)) => Err(error.kind()),
        Err(other) => panic!("{other}"),
    }
}

fn get() -> HttpCall {
    HttpCall::get("c", "/")
}

fn grpc<T>(started: Result<T, GrpcError>) -> Result<(), ErrorKind> {
    match started {
        Ok(_) => Ok(()),
        Err(GrpcError::Refused(error)) => Err(error.kind()),
        Err(other) => panic!("{other}"),
    }
}

fn call() -> GrpcCall<GrpcBytes> {
    GrpcCall::new("c", "pkg.Service", "Method", &GrpcBytes::default())
}

fn stream() -> GrpcStream<GrpcBytes, GrpcBytes> {
    GrpcStream::new("c", "pkg.Service", "Method")
}

fn send(reply: LocalReply) -> Result<(), ErrorKind> {
    reply.send().map_err(ErrorKind::Refused)
}

/// Every function that takes a field, or a part of a request line.
const ROWS: &[Row] = &[
    row("fields/header_map.rs: add", Place::Name, |text| in_maps(|map| map.add(text, "1"))),
    row("fields/header_map.rs: add", Place::Value, |text| in_maps(|map| map.add("x", text))),
    row("fields/header_map.rs: add", Place::Path, |text| in_request(|map| map.add(":path", text))),
    row("fields/header_map.rs: replace", Place::Name, |text| in_maps(|map| map.replace(text, "1"))),
    row("fields/header_map.rs: replace", Place::Value, |text| in_maps(|map| map.replace("x", text))),
    row("fields/header_map.rs: replace", Place::Method, |text| in_request(|map| map.replace(":method", text))),
    row("fields/header_map.rs: replace", Place::Path, |text| in_request(|map| map.replace(":path", text))),
    row("fields/header_map.rs: replace", Place::Authority, |text| in_request(|map| map.replace("host", text))),
    row("fields/header_map.rs: remove", Place::Name, |text| in_maps(|map| map.remove(text))),
    row("fields/header_map.rs: set_pairs", Place::Name, |text| in_maps(|map| map.set_pairs([(text, "1")]))),
    row("fields/header_map.rs: set_pairs", Place::Value, |text| in_maps(|map| map.set_pairs([("x", text)]))),
    row("fields/header_map.rs: set_pairs", Place::Path, |text| in_request(|map| map.set_pairs([(":path", text)]))),
    Row {
        function: "error/local_reply.rs: header",
        place: Place::Name,
        mistake: Mistake::IsLeftOut,
        call: |text| send(LocalReply::new(403).header(text, "1")),
    },
    Row {
        function: "error/local_reply.rs: header",
        place: Place::Value,
        mistake: Mistake::IsLeftOut,
        call: |text| send(LocalReply::new(403).header("x", text)),
    },
    row("callout/http/mod.rs: get", Place::Path, |text| start(HttpCall::get("c", text))),
    row("callout/http/mod.rs: get", Place::Authority, |text| start(HttpCall::get(text, "/"))),
    row("callout/http/mod.rs: post", Place::Path, |text| start(HttpCall::post("c", text))),
    row("callout/http/mod.rs: new", Place::Method, |text| start(HttpCall::new("c", text, "/"))),
    row("callout/http/mod.rs: new", Place::Path, |text| start(HttpCall::new("c", "PUT", text))),
    row("callout/http/mod.rs: authority", Place::Authority, |text| start(get().authority(text))),
    row("callout/http/mod.rs: header", Place::Name, |text| start(get().header(text, "1"))),
    row("callout/http/mod.rs: header", Place::Value, |text| start(get().header("x", text))),
    row("callout/http/mod.rs: headers_from", Place::Name, |text| start(get().headers_from([(text, &b"1"[..])]))),
    row("callout/http/mod.rs: headers_from", Place::Value, |text| start(get().headers_from([(&b"x"[..], text)]))),
    row("callout/grpc/call.rs: metadata", Place::Name, |text| grpc(call().metadata(text, "1").start())),
    row("callout/grpc/call.rs: metadata", Place::Value, |text| grpc(call().metadata("x", text).start())),
    row("callout/grpc/stream.rs: metadata", Place::Name, |text| grpc(stream().metadata(text, "1").start())),
    row("callout/grpc/call.rs: new", Place::Service, |text| {
        grpc(GrpcCall::<GrpcBytes>::new("c", text, "Method", &GrpcBytes::default()).start())
    }),
    row("callout/grpc/call.rs: new", Place::ServiceMethod, |text| {
        grpc(GrpcCall::<GrpcBytes>::new("c", "pkg.Service", text, &GrpcBytes::default()).start())
    }),
    row("callout/grpc/stream.rs: new", Place::Service, |text| {
        grpc(GrpcStream::<GrpcBytes, GrpcBytes>::new("c", text, "Method").start())
    }),
    row("callout/grpc/stream.rs: new", Place::ServiceMethod, |text| {
        grpc(GrpcStream::<GrpcBytes, GrpcBytes>::new("c", "pkg.Service", text).start())
    }),
    row("callout/grpc/stream.rs: metadata", Place::Value, |text| grpc(stream().metadata("x", text).start())),
];

/// Functions whose bytes do not become a field: bodies, keys, and data that the host stores.
const NO_FIELDS: &[&str] = &[
    "http/body.rs: append",
    "http/body.rs: prepend",
    "http/body.rs: replace",
    "exchange/held.rs: append",
    "exchange/held.rs: prepend",
    "exchange/held.rs: replace",
    "host/filter_state.rs: set",
    "host/filter_state.rs: set_envoy",
    "host/foreign/mod.rs: call",
    "host/foreign/mod.rs: compress",
    "host/foreign/mod.rs: uncompress",
    "host/foreign/signature.rs: sign",
    "host/foreign/signature.rs: verify_signature",
    "callout/grpc/metadata.rs: get_binary",
    "fields/header_value.rs: get",
    "log/escaped.rs: escaped",
    "fields/header_map.rs: get",
    "fields/header_map.rs: get_all",
    "fields/header_map.rs: get_single",
    "callout/http/mod.rs: body",
    "callout/http/response.rs: header",
    "error/local_reply.rs: body",
    "log/mod.rs: critical",
    "host/metadata/value/mod.rs: get",
    "host/metric/labels.rs: get",
    "host/metric/labels.rs: increment",
    "host/metric/labels.rs: record",
    "host/property.rs: set",
    "host/shared_data/cell.rs: named",
    "host/shared_data/mod.rs: compare_and_set",
    "host/shared_data/mod.rs: get",
    "host/shared_data/mod.rs: insert_if_absent",
    "host/shared_data/mod.rs: set",
    "callout/queue/shared_queue.rs: enqueue",
    "callout/queue/shared_queue.rs: register",
    "callout/queue/shared_queue.rs: resolve",
    "tcp/data.rs: append",
    "tcp/data.rs: prepend",
    "tcp/data.rs: replace",
];

#[test]
fn every_function_refuses_invalid_fields_with_every_byte_at_every_position() {
    let host = Rc::new(Recorder::default());
    sys::install(Some(host.clone()));
    for row in ROWS {
        for byte in 0..=u8::MAX {
            let texts: [&[u8]; 5] = [
                &[byte],
                &[b'/', byte],
                &[byte, b'a', b'b'],
                &[b'/', b'a', b'b', byte, b'c', b'd', b'e', b'f', b'g'],
                &[
                    b'a', byte, b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'i', b'j', b'k', b'l', b'm', b'n', b'o',
                    b'p', byte,
                ],
            ];
            for text in texts {
                host.calls.borrow_mut().clear();
                let result = (row.call)(text);
                let calls = host.calls.take();
                let takes = row.place.takes(text);
                let what = format!("{} with {:?} \"{}\"", row.function, row.place, text.escape_ascii());
                // `headers_from` copies no pseudo-headers.
                if row.function.ends_with("headers_from") && row.place == Place::Name && text.first() == Some(&b':') {
                    assert_eq!(result, Ok(()), "{what}");
                    assert_eq!(calls[0].len(), 3, "{what}");
                    continue;
                }
                let is_sent =
                    calls.iter().all(|fields| fields.iter().any(|(name, value)| name == text || value == text));
                match row.mistake {
                    _ if takes => assert!(result == Ok(()) && is_sent && !calls.is_empty(), "{what}: {result:?}"),
                    Mistake::IsRefused => {
                        assert_eq!(result, Err(ErrorKind::InvalidInput), "{what}");
                        assert!(calls.is_empty(), "{what}: the host was called");
                    }
                    Mistake::IsLeftOut => {
                        assert_eq!(result, Ok(()), "{what}");
                        assert_eq!(calls, [vec![]], "{what}");
                    }
                }
            }
        }
    }
    sys::install(None);
}

/// Returns the public functions in the SDK's source whose signature takes bytes or pairs, as
/// `file: function`.
fn functions_that_take_bytes() -> Vec<String> {
    fn walk(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&source, &mut files);
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let file = path.strip_prefix(&source).unwrap().display().to_string();
        for signature in code.split("pub fn ").skip(1) {
            let signature = signature.split(" {\n").next().unwrap();
            let name: String =
                signature.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
            let takes_bytes = ["AsRef<[u8]>", "Into<Vec<u8>>", "&[u8], &[u8])", "(&'a [u8], &'a [u8])"];
            let parameters = signature.split(") ->").next().unwrap_or(signature);
            let bounds = signature.split("where").nth(1).unwrap_or_default();
            if takes_bytes.iter().any(|bytes| parameters.contains(bytes) || bounds.contains(bytes)) {
                found.push(format!("{file}: {name}"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_function_that_takes_bytes_is_known() {
    let found = functions_that_take_bytes();
    let known = |function: &str| ROWS.iter().any(|row| row.function == function) || NO_FIELDS.contains(&function);
    let unknown: Vec<_> = found.iter().filter(|function| !known(function)).collect();
    assert!(unknown.is_empty(), "functions without a row in ROWS or NO_FIELDS: {unknown:#?}");
    let listed = ROWS.iter().map(|row| row.function).chain(NO_FIELDS.iter().copied());
    let gone: Vec<_> = listed.filter(|function| !found.iter().any(|found| found == function)).collect();
    assert!(gone.is_empty(), "rows of functions that are not there: {gone:#?}");
}
