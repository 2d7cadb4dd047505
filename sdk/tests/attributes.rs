//! Attributes, metadata, filter state and foreign functions on other hosts and other versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::stream_info::{self, Address, Direction, Protocol, ResponseFlags};
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{ErrorKind, Result, Status, filter_state, foreign, metadata};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

/// A host that has these properties and these foreign functions.
#[derive(Default)]
struct Fake {
    properties: BTreeMap<&'static str, Result<Vec<u8>, Status>>,
    functions: BTreeMap<&'static str, Result<Vec<u8>, Status>>,
    asked: RefCell<Vec<String>>,
}

impl HostFunctions for Fake {
    fn proxy_get_property(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        let path = String::from_utf8(path.to_vec()).unwrap().replace('\0', ".");
        self.asked.borrow_mut().push(path.clone());
        self.properties.get(path.as_str()).cloned().unwrap_or(Err(Status::NOT_FOUND))
    }

    fn proxy_call_foreign_function(&self, name: &[u8], argument: &[u8]) -> Result<Vec<u8>, Status> {
        let name = String::from_utf8(name.to_vec()).unwrap();
        self.asked.borrow_mut().push(format!("{name} {}", argument.escape_ascii()));
        self.functions.get(name.as_str()).cloned().unwrap_or(Err(Status::NOT_FOUND))
    }
}

/// Runs a test with these properties. Returns the requests that the host received.
fn with(properties: &[(&'static str, &[u8])], body: impl FnOnce()) -> Vec<String> {
    let properties = properties.iter().map(|(name, value)| (*name, Ok(value.to_vec()))).collect();
    run(Fake { properties, ..Fake::default() }, body)
}

fn run(fake: Fake, body: impl FnOnce()) -> Vec<String> {
    let fake = Rc::new(fake);
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    body();
    sys::install(None);
    fake.asked.take()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn attributes_of_an_envoy_before_1_33_are_read_by_their_older_names() {
    let one = 1_i64.to_le_bytes();
    let old: [(&str, &[u8]); 7] = [
        ("route_name", b"r"),
        ("cluster_name", b"c"),
        ("node.id", b"n"),
        ("listener_direction", &one),
        ("route_metadata.filter_metadata.ns.key", b"v"),
        ("node.metadata.key", b"w"),
        ("upstream_host_metadata", b"\x0a\x02\x0a\x00"),
    ];
    let asked = with(&old, || {
        let xds = stream_info::xds();
        assert_eq!(xds.route_name().unwrap().unwrap(), "r");
        assert_eq!(xds.cluster_name().unwrap().unwrap(), "c");
        assert_eq!(xds.node_id().unwrap().unwrap(), "n");
        assert_eq!(xds.listener_direction().unwrap(), Some(Direction::Inbound));
        assert_eq!(metadata::route().string("ns", "key").unwrap().unwrap(), "v");
        assert_eq!(metadata::node().string("key").unwrap().unwrap(), "w");
        assert!(metadata::upstream_host().namespace("").unwrap().unwrap().is_empty());
    });
    assert_eq!(asked[..2], ["xds.route_name", "route_name"], "the new name first");
    let asked = with(&[("xds.route_name", b"")], || {
        assert_eq!(stream_info::xds().route_name().unwrap().unwrap(), "", "a route without a name");
    });
    assert_eq!(asked, ["xds.route_name"]);
}

/// What an accessor found, whatever its type.
type Found = Result<Option<String>>;

/// An older name, an accessor as text, and the accessor.
type Accessor = (&'static str, &'static str, fn() -> Found);

/// Every accessor of an attribute that has had two names, with the older one.
fn accessors_with_an_older_name() -> Vec<Accessor> {
    fn text<T: std::fmt::Debug>(found: Result<Option<T>>) -> Found {
        Ok(found?.map(|found| format!("{found:?}")))
    }
    macro_rules! of {
        ($older:literal: $($accessor:expr),* $(,)?) => {
            [$(($older, stringify!($accessor), (|| text($accessor)) as fn() -> Found)),*]
        };
    }
    macro_rules! metadata {
        ($older:literal: $of:ident) => {
            of![$older: metadata::$of().string("ns", "k"), metadata::$of().number("ns", "k"), metadata::$of().boolean("ns", "k"),
                metadata::$of().get("ns", "k"), metadata::$of().namespace("ns"), metadata::$of().to_bytes()]
        };
    }
    [
        &of!["node": stream_info::xds().node_id(), stream_info::xds().node_cluster(), metadata::node().string("k"),
            metadata::node().number("k"), metadata::node().boolean("k"), metadata::node().fields()][..],
        &of!["cluster_name": stream_info::xds().cluster_name()],
        &of!["route_name": stream_info::xds().route_name()],
        &of!["listener_direction": stream_info::xds().listener_direction()],
        &metadata!["route_metadata": route],
        &metadata!["listener_metadata": listener],
        &metadata!["cluster_metadata": cluster],
        &metadata!["upstream_host_metadata": upstream_host],
    ]
    .concat()
}

/// The names in the sources, to check that the list is complete.
#[test]
fn the_list_of_older_names_is_complete() {
    let sources =
        [include_str!("../src/host/stream_info/mod.rs"), include_str!("../src/host/metadata/mod.rs")].concat();
    let mut named: Vec<&str> = Vec::new();
    for separator in [".or(\"", "\" or \""] {
        named.extend(sources.split(separator).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    let mut named: Vec<&str> = named.into_iter().filter_map(|name| name.split("\\0").next()).collect();
    let mut listed: Vec<&str> = accessors_with_an_older_name().iter().map(|(older, ..)| *older).collect();
    for names in [&mut named, &mut listed] {
        names.sort_unstable();
        names.dedup();
    }
    assert_eq!(named, listed);
}

/// A current Envoy: it has none of these attributes, and a filter has stored a value under each
/// older name. Every read succeeds, including reads of a part of a value, as for a declared
/// message.
struct Stored {
    value: Result<Vec<u8>, Status>,
    place: &'static str,
}

impl HostFunctions for Stored {
    fn proxy_get_property(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        let path = String::from_utf8(path.to_vec()).unwrap().replace('\0', ".");
        let name = path.split('.').next().unwrap();
        match name {
            "xds" => Err(Status::NOT_FOUND),
            "filter_state" | "upstream_filter_state" if name != self.place || !path.contains(".wasm.") => {
                Err(Status::NOT_FOUND)
            }
            _ => self.value.clone(),
        }
    }
}

#[test]
fn no_accessor_returns_what_a_filter_stored_under_an_older_name() {
    let one = 1_i64.to_le_bytes().to_vec();
    let values = [Ok(vec![]), Ok(vec![1]), Ok(b"forged".to_vec()), Ok(one), Err(Status::SERIALIZATION_FAILURE)];
    for (_, name, accessor) in accessors_with_an_older_name() {
        for place in ["filter_state", "upstream_filter_state"] {
            for value in &values {
                sys::install(Some(Rc::new(Stored { value: value.clone(), place })));
                assert_eq!(accessor().unwrap(), None, "{name} with {value:?} in {place}");
            }
        }
        // The values are found where no filter stored them.
        sys::install(Some(Rc::new(Stored { value: values[4].clone(), place: "" })));
        assert_eq!(kind(accessor()), ErrorKind::Refused(Status::SERIALIZATION_FAILURE), "{name}");
    }
    sys::install(None);
}

#[test]
fn absent_malformed_and_refused_are_three_things() {
    let nothing = with(&[], || assert_eq!(stream_info::response().code().unwrap(), None));
    assert_eq!(nothing, ["response.code"]);
    let large = 70_000_i64.to_le_bytes();
    let negative = (-1_i64).to_le_bytes();
    let bad: [(&str, &[u8]); 8] = [
        ("response.code", b"200"),
        ("source.port", &large),
        ("request.time", &negative),
        ("request.duration", &negative),
        ("connection.mtls", b"true"),
        ("request.headers", b"\xff"),
        ("xds.listener_direction", &large),
        ("upstream.locality", b"\xff"),
    ];
    with(&bad, || {
        let error = stream_info::response().code().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert_eq!(error.to_string(), "the host's value of response.code is not encoded as Envoy encodes it");
        assert_eq!(kind(stream_info::source().port()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::request().time()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::request().duration()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::connection().mtls()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::request().headers()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::xds().listener_direction()), ErrorKind::Malformed);
        assert_eq!(kind(stream_info::upstream().locality()), ErrorKind::Malformed);
    });
    let refused = [("request.path", Err(Status::INTERNAL_FAILURE))].into();
    run(Fake { properties: refused, ..Fake::default() }, || {
        assert_eq!(kind(stream_info::request().path()), ErrorKind::Refused(Status::INTERNAL_FAILURE));
    });
}

#[test]
fn values_arrive_with_their_types() {
    let nanoseconds = 1_600_000_000_123_456_789_i64.to_le_bytes();
    let flags = (1_i64 << 5 | 1 << 15).to_le_bytes();
    let port = 443_i64.to_le_bytes();
    let good: [(&str, &[u8]); 9] = [
        ("source.address", b"[2001:db8::1]:443"),
        ("source.port", &port),
        ("destination.address", b"/run/envoy.sock"),
        ("request.time", &nanoseconds),
        ("request.duration", &nanoseconds),
        ("request.protocol", b"HTTP/3"),
        ("response.flags", &flags),
        ("upstream.uri_san_peer_certificate", b"spiffe://a/b"),
        ("upstream.locality", b"\x0a\x01r\x12\x01z"),
    ];
    with(&good, || {
        assert_eq!(stream_info::source().address().unwrap().unwrap().socket_addr(), "[2001:db8::1]:443".parse().ok());
        assert_eq!(stream_info::source().port().unwrap(), Some(443));
        assert_eq!(stream_info::destination().address().unwrap(), Some(Address::Other("/run/envoy.sock".into())));
        let duration = Duration::new(1_600_000_000, 123_456_789);
        assert_eq!(stream_info::request().time().unwrap(), Some(UNIX_EPOCH + duration));
        assert_eq!(stream_info::request().duration().unwrap(), Some(duration));
        assert_eq!(stream_info::request().protocol().unwrap(), Some(Protocol::Http3));
        let flags = ResponseFlags::UPSTREAM_CONNECTION_FAILURE | ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
        assert_eq!(stream_info::response().flags().unwrap(), Some(flags));
        assert_eq!(stream_info::upstream().uri_san_peer_certificate().unwrap().unwrap(), "spiffe://a/b");
        let locality = stream_info::upstream().locality().unwrap().unwrap();
        assert_eq!((locality.region, locality.zone, locality.sub_zone), ("r".into(), "z".into(), "".into()));
    });
}

#[test]
fn metadata_that_is_no_message_is_malformed() {
    with(&[("xds.route_metadata", b"\xff\xff"), ("xds.node", b"\x1a\x7f")], || {
        assert_eq!(kind(metadata::route().get("ns", "key")), ErrorKind::Malformed);
        assert_eq!(kind(metadata::node().fields()), ErrorKind::Malformed);
        assert_eq!(metadata::cluster().get("ns", "key").unwrap(), None);
    });
}

#[test]
fn functions_a_host_does_not_have_are_not_found() {
    run(Fake::default(), || {
        assert_eq!(kind(foreign::compress("x")), ErrorKind::NotFound);
        assert_eq!(kind(foreign::clear_route_cache()), ErrorKind::NotFound);
        assert_eq!(kind(foreign::Expression::new("true")), ErrorKind::NotFound);
        assert_eq!(kind(foreign::sign("sha256", foreign::Key::Der(b"k"), "t")), ErrorKind::NotFound);
        assert_eq!(kind(filter_state::set_envoy("a", "b", filter_state::Span::default())), ErrorKind::NotFound);
    });
}

#[test]
fn an_expression_is_given_back_when_it_is_dropped() {
    let functions =
        [("expr_create", Ok(vec![7, 0, 0, 0])), ("expr_evaluate", Ok(vec![1])), ("expr_delete", Ok(Vec::new()))];
    let asked = run(Fake { functions: functions.into(), ..Fake::default() }, || {
        let expression = foreign::Expression::new("true").unwrap();
        assert_eq!(expression.matches().unwrap(), foreign::Match::True);
    });
    assert_eq!(asked, ["expr_create true", "expr_evaluate \\x07\\x00\\x00\\x00", "expr_delete \\x07\\x00\\x00\\x00"]);
}

#[test]
fn arguments_are_the_messages_envoy_reads() {
    let asked = run(Fake::default(), || {
        let _ = filter_state::set_envoy("key", "value", filter_state::Span::DownstreamConnection);
        let _ = foreign::verify_signature("h", foreign::Key::Pem("k"), "t", "s");
        let _ = foreign::sign("h", foreign::Key::Der(b"k"), "t");
    });
    assert_eq!(
        asked,
        [
            r"set_envoy_filter_state \n\x03key\x12\x05value\x18\x02",
            r#"verify_signature \n\x01h\x1a\x01s\"\x01t*\x01k"#,
            r"sign \n\x01h\x1a\x01t\x12\x01k",
        ]
    );
    let garbled = [("sign", Ok(vec![0xff])), ("verify_signature", Ok(vec![0xff]))];
    run(Fake { functions: garbled.into(), ..Fake::default() }, || {
        assert_eq!(kind(foreign::sign("h", foreign::Key::Der(b"k"), "t")), ErrorKind::Malformed);
        assert_eq!(kind(foreign::verify_signature("h", foreign::Key::Der(b"k"), "t", "s")), ErrorKind::Malformed);
    });
}
