//! The host's data about a stream, read and stored with types: the same in the embedded host and in
//! Envoy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter::HeaderValue;
use proxy_filter_host::{
    Certificate, Host, MetadataSource, ModuleReport, Outcome, Reply, Route, StringMatch, Tls, build_guest,
};
use serde_json::json;
use std::path::Path;
use std::time::SystemTime;

/// Fails unless the guest logged all these lines.
#[track_caller]
fn expect(exchange: &Outcome, lines: &[&str]) {
    for line in lines {
        assert!(exchange.messages().contains(line), "{line}: {exchange}");
    }
}

/// Metadata at every place that can have it, and each kind of value at the route.
fn with_metadata(mut host: Host) -> Host {
    let route = json!({
        "example.route": {
            "text": "text of the route", "eight": "12345678", "empty": "",
            "number": 42, "ratio": 1.5, "flag": true, "off": false,
            "list": [1, "two", false, null],
            "nested": { "inner": { "deep": "x" }, "n": -7 },
            "empty_list": [], "empty_map": {},
        },
        "example.null": { "nothing": null, "text": "t" },
    });
    host.metadata(MetadataSource::Route, route);
    host.metadata(
        MetadataSource::VirtualHost,
        json!({ "example.virtual_host": { "text": "text of the virtual host" } }),
    );
    host.metadata(MetadataSource::Listener, json!({ "example.listener": { "text": "text of the listener" } }));
    host.metadata(MetadataSource::Cluster, json!({ "example.cluster": { "text": "text of the cluster" } }));
    let endpoint = json!({ "example.endpoint": { "text": "text of the endpoint", "weight": 3 } });
    host.metadata(MetadataSource::UpstreamHost, endpoint);
    host.metadata(
        MetadataSource::Request,
        json!({ "example.request": { "text": "text of the request", "number": 7 } }),
    );
    host.metadata(MetadataSource::Node, json!({ "stage": "test", "shard": 3, "canary": false }));
    host
}

/// Returns the guest's log lines of one phase.
fn phase<'a>(exchange: &'a Outcome, name: &str) -> Vec<&'a str> {
    let title = format!("--- {name}");
    let lines = exchange.messages().into_iter();
    lines.skip_while(|line| **line != title).skip(1).take_while(|line| !line.starts_with("---")).collect()
}

#[track_caller]
fn expect_in(exchange: &Outcome, name: &str, lines: &[&str]) {
    for line in lines {
        assert!(phase(exchange, name).contains(line), "{line} in {name}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_root_context_sees_the_plugin_and_the_node_only(host: Host) {
    let mut host = with_metadata(host);
    host.root_id("the root");
    host.configure("").unwrap();
    let lines: Vec<_> = host.start_logs().into_iter().map(|line| line.message).collect();
    assert_eq!(
        lines,
        [
            "declared again: InvalidInput",
            r#"plugin.name: Some("plugin")"#,
            r#"plugin.root_id: Some("the root")"#,
            r#"plugin.vm_id: Some("vm")"#,
            r#"xds.node_id: Some("node")"#,
            r#"xds.node_cluster: Some("fleet")"#,
            "request.path: None",
            "xds.route_name: None",
            r#"node: Some("test")"#,
            "state: NotFound",
            "envoy state: NotFound",
            "route cache: ()",
        ]
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn an_attribute_that_is_absent_is_not_what_a_filter_stored_under_its_older_name(host: Host) {
    let mut host = with_metadata(host);
    host.configure("").unwrap();
    let exchange = host.get("/stored").send();
    assert_eq!(exchange.status(), 404, "{exchange}");
    expect(&exchange, &["upstream host: None", "upstream host bytes: None", r#"stored: Some("forged")"#]);
    let lines = [
        "xds.cluster_name: None",
        "xds.route_name: None",
        "route: None",
        "route bytes: false",
        "cluster: None",
        "cluster bytes: None",
        "upstream host: None",
        "upstream host bytes: None",
        r#"stored: Some("forged")"#,
        r#"xds.node_id: Some("node")"#,
    ];
    expect_in(&exchange, "no route", &lines);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn the_attributes_of_a_request_have_types(mut host: Host) {
    for http2 in [false, true] {
        let request = host.get("/request?a=b&c").header("x-a", "1").header("x-a", "2").header("referer", "r");
        let request = request.header("user-agent", b"\xff").header("x-request-id", "7");
        let exchange = if http2 { request.http2() } else { request }.send();
        expect(
            &exchange,
            &[
                r#"request.path: Some("/request?a=b&c")"#,
                r#"request.url_path: Some("/request")"#,
                r#"request.query: Some("a=b&c")"#,
                r#"request.host: Some("example.com")"#,
                r#"request.scheme: Some("http")"#,
                r#"request.method: Some("GET")"#,
                r#"request.referer: Some("r")"#,
                r#"request.user_agent: Some("\xff")"#,
                r#"request.id: Some("7")"#,
                "request.size: Some(0)",
                "ip: Some(127.0.0.1)",
                "source port: true",
                "destination port: true",
                "after 2020: true",
                "xds.listener_direction: Some(Inbound)",
                "connection.id: true",
                if http2 { "request.protocol: Some(Http2)" } else { "request.protocol: Some(Http11)" },
            ],
        );
        assert!(exchange.messages().iter().any(|line| line.contains(r#""x-a=1,2""#)), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_client_may_have_an_address_of_ipv6(mut host: Host) {
    host.ipv6();
    let exchange = host.get("/request").send();
    expect(&exchange, &["ip: Some(::1)", "source port: true", "destination port: true"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_request_comes_from_the_address_that_the_test_sets(mut host: Host) {
    for (address, ip) in [("203.0.113.7:4711", "203.0.113.7"), ("[2001:db8::7]:4712", "2001:db8::7")] {
        let exchange = host.get("/request").source_address(address.parse().unwrap()).send();
        expect(&exchange, &[format!("ip: Some({ip})").as_str(), "source port: true"]);
        let exchange = host.post("/property/source/address").http2().source_address(address.parse().unwrap());
        expect(&exchange.body("b").send(), &[format!("property: Some({address:?})").as_str()]);
    }
    let exchange = host.get("/request").send();
    expect(&exchange, &["ip: Some(127.0.0.1)", "source port: true"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn filters_before_the_plugin_may_have_set_filter_state(mut host: Host) {
    for (key, value) in [("example.tenant", "acme"), ("example.odd", "100% %REQ(:path)%, \u{e9}")] {
        host.filter_state(key, value);
    }
    host.configure("").unwrap();
    let exchange = host.get("/property/filter_state/example.tenant").send();
    expect(&exchange, &[r#"property: Some("acme")"#]);
    let exchange = host.get("/property/filter_state/example.odd").send();
    assert!(exchange.messages().iter().any(|line| line.contains("100% %REQ(:path)%, ")), "{exchange}");
    let exchange = host.get("/property/filter_state/example.none").send();
    expect(&exchange, &["property: None"]);
}

#[proxy_filter_host::test(guest = "stream_info", embedded)]
fn a_property_of_the_test_is_in_place_of_the_hosts_own(mut host: Host) {
    host.property(&["connection", "tls_version"], "TLSv1.3");
    host.property(&["connection", "subject_peer_certificate"], "CN=client");
    host.property(&["request", "protocol"], "HTTP/3");
    for (path, value) in [
        ("connection/tls_version", "TLSv1.3"),
        ("connection/subject_peer_certificate", "CN=client"),
        ("request/protocol", "HTTP/3"),
    ] {
        let exchange = host.get(&format!("/property/{path}")).send();
        expect(&exchange, &[format!("property: Some({value:?})").as_str()]);
    }
    let exchange = host.get("/property/connection/sha256_peer_certificate_digest").send();
    expect(&exchange, &["property: None"]);
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn envoy_refuses_a_property_of_a_test() {
    let module =
        build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("stream_info")).unwrap();
    let mut host = Host::in_envoy(&module).unwrap();
    host.property(&["connection", "mtls"], [1]);
    let refused = host.configure("").unwrap_err().to_string();
    assert!(refused.contains("Envoy computes the property connection.mtls itself"), "{refused}");
}

#[proxy_filter_host::test(guest = "stream_info")]
fn each_phase_has_its_attributes(host: Host) {
    let mut host = with_metadata(host);
    host.upstream(|_| Reply::new(200).header("x-upstream", "1").chunks(["one", "two"]).trailer("x-t", "2"));
    let exchange = host.post("/phases").header("x-client", "1").chunks(["ab", "c"]).send();
    expect_in(
        &exchange,
        "request headers",
        &[r#"request header: Some("1")"#, "response.code: None", "state: None", r#"xds.route_name: Some("route")"#],
    );
    expect_in(&exchange, "request body", &["request.path: None", "request.size: Some(2)", "state: Some([120])"]);
    expect_in(
        &exchange,
        "response headers",
        &[
            "request header: None",
            "response.code: Some(200)",
            r#"response header: Some("1")"#,
            "response.size: Some(0)",
            "upstream address: Some(127.0.0.1)",
            r#"upstream.locality: Some(Locality { region: "region", zone: "zone", sub_zone: "rack" })"#,
            r#"host metadata: Some("text of the endpoint")"#,
            "request.duration: false",
        ],
    );
    expect_in(
        &exchange,
        "log",
        &[
            r#"request.path: Some("/phases")"#,
            r#"request header: Some("1")"#,
            "request.size: Some(3)",
            "request.duration: true",
            "response.backend_latency: true",
            "response.size: Some(6)",
            r#"response trailer: Some("2")"#,
            "upstream.request_attempt_count: Some(1)",
        ],
    );
    expect_in(&exchange, "done", &["request.path: None", "response.code: Some(200)", "state: Some([120])"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn the_phases_of_other_messages_have_the_same_attributes(mut host: Host) {
    host.upstream(|_| Reply::new(404).header("grpc-status", "5").body("four"));
    let exchange = host.get("/phases").send();
    expect_in(&exchange, "response headers", &["response.grpc_status: Some(5)", "response.backend_latency: false"]);
    expect_in(&exchange, "response body", &["response.grpc_status: Some(12)"]);
    expect_in(&exchange, "log", &["response.grpc_status: Some(5)", "response.size: Some(4)"]);
    host.upstream(|_| Reply::new(200).chunks(["a"]).trailer("grpc-status", "none"));
    let exchange = host.post("/phases").body("abc").http2().send();
    expect_in(&exchange, "request headers", &["request.size: Some(3)"]);
    expect_in(&exchange, "log", &["response.grpc_status: Some(-1)"]);
    host.upstream(|_| Reply::new(204));
    let exchange = host.get("/phases").send();
    expect_in(&exchange, "response headers", &["response.code: Some(204)", "response.backend_latency: true"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_response_that_is_not_the_upstreams_has_no_upstream(mut host: Host) {
    let exchange = host.get("/phases-reply").send();
    for phase in ["response headers", "log"] {
        expect_in(&exchange, phase, &["response.code: Some(403)", "upstream address: None", "upstream.port: false"]);
    }
    expect_in(&exchange, "log", &[r#"xds.cluster_name: Some("upstream")"#, "upstream.request_attempt_count: Some(0)"]);
    let exchange = host.get("/phases-no-route").send();
    expect_in(
        &exchange,
        "log",
        &["response.code: Some(404)", "xds.route_name: None", r#"xds.virtual_host_name: Some("all")"#],
    );
    let exchange = host.get("/phases-fail").send();
    expect_in(&exchange, "log", &["response.code: Some(500)"]);
    exchange.expect_error("failed as asked; the client gets a 500");
}

#[proxy_filter_host::test(guest = "stream_info")]
fn the_address_of_an_upstream_that_resets_is_available(mut host: Host) {
    host.upstream(|_| Reply::reset());
    let exchange = host.get("/phases").send();
    expect_in(&exchange, "log", &["response.code: Some(503)", "upstream address: Some(127.0.0.1)"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_body_beyond_the_limit_has_a_reason(mut host: Host) {
    host.buffer_limit(1024);
    let exchange = host.post("/phases-buffer").chunks(["x".repeat(700), "y".repeat(700)]).send();
    expect_in(
        &exchange,
        "log",
        &["response.code: Some(413)", r#"response.code_details: Some("request_payload_too_large")"#],
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn the_reason_of_a_response_can_be_read(mut host: Host) {
    let exchange = host.get("/").send();
    expect(&exchange, &[r#"response.code_details: Some("via_upstream")"#, "response.flags: Some(ResponseFlags(0x0 ))"]);
    let exchange = host.get("/reply").send();
    expect(&exchange, &["response.code: Some(403)", r#"response.code_details: Some("no_entry")"#]);
    let exchange = host.get("/no-route").send();
    expect(
        &exchange,
        &[
            "response.code: Some(404)",
            r#"response.code_details: Some("route_not_found")"#,
            "response.flags: Some(ResponseFlags(0x100 NR))",
        ],
    );
    let exchange = host.get("/").without_authority().send();
    expect(&exchange, &["response.code: Some(400)", r#"response.code_details: Some("missing_host_header")"#]);
    host.upstream(|_| Reply::reset());
    let exchange = host.get("/").send();
    expect(&exchange, &["response.code: Some(503)", "response.flags: Some(ResponseFlags(0x40 UC))"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn one_value_of_metadata_is_read_as_the_type_it_has(host: Host) {
    let mut host = with_metadata(host);
    let exchange = host.get("/metadata").send();
    expect(
        &exchange,
        &[
            r#"text: Some("text of the route")"#,
            r#"empty: Some("")"#,
            "missing: None",
            "number number: Some(42.0)",
            "number ratio: Some(1.5)",
            "number text: Malformed",
            "number missing: None",
            "boolean flag: Some(true)",
            "boolean off: Some(false)",
            "boolean number: Malformed",
            r#"virtual host: Some("text of the virtual host")"#,
            r#"listener: Some("text of the listener")"#,
            r#"cluster: Some("text of the cluster")"#,
            r#"request: Some("text of the request")"#,
            "node: Some(3.0)",
            "node: Some(false)",
        ],
    );
    let endpoint: Vec<_> = exchange.messages().into_iter().filter(|line| line.starts_with("endpoint")).collect();
    assert_eq!(
        endpoint,
        [
            "endpoint: None",
            "endpoint: None",
            r#"endpoint: Some(String("text of the endpoint"))"#,
            "endpoint: Some(3.0)"
        ],
        "there is no upstream host before the response"
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_value_from_the_whole_metadata_keeps_its_type(host: Host) {
    let mut host = with_metadata(host);
    let exchange = host.get("/metadata").send();
    expect(
        &exchange,
        &[
            r#"value text: Some(String("text of the route"))"#,
            "value number: Some(Number(42.0))",
            "value flag: Some(Boolean(true))",
            r#"value list: Some(List([Number(1.0), String("two"), Boolean(false), Null]))"#,
            r#"value empty: Some(String(""))"#,
            "value empty_list: Some(List([]))",
            "value empty_map: Some(Struct(Struct { fields: [] }))",
            "value missing: None",
            "node: Some(Number(3.0))",
        ],
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_null_is_refused_alone_and_read_from_whole_metadata(host: Host) {
    let mut host = with_metadata(host);
    let exchange = host.get("/metadata").send();
    expect(
        &exchange,
        &[
            "null: Refused(SerializationFailure (3))",
            "value null: Some(Null)",
            r#"namespace: Some(Struct { fields: [("nothing", Null), ("text", String("t"))] })"#,
            "no namespace: None",
        ],
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn a_namespace_is_read_as_the_filters_own_type(host: Host) {
    let mut host = with_metadata(host);
    let exchange = host.get("/json").send();
    expect(
        &exchange,
        &[
            "route: Some(Route { number: 42, ratio: 1.5, flag: true, text: \"text of the route\", list: (1, \"two\", false, None), \
             nested: Nested { inner: {\"deep\": \"x\"}, n: -7 }, missing: None })",
            "missing: None",
            "metadata: missing field `number`",
        ],
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn absent_metadata_reads_as_none(mut host: Host) {
    let exchange = host.get("/metadata").send();
    let values: Vec<_> = exchange.messages().into_iter().filter(|line| line.contains("Some")).collect();
    assert_eq!(values[0], "node: Some(0)", "the node has an empty set of keys: {exchange}");
    assert!(values[1..].iter().all(|line| line.starts_with("response.") || line.starts_with("xds.")), "{exchange}");
}

#[proxy_filter_host::test(guest = "stream_info")]
fn filter_state_is_stored_with_the_stream(mut host: Host) {
    let exchange = host.get("/state").send();
    expect(
        &exchange,
        &[
            "before: None",
            r#"get: Some("one")"#,
            "get: Some([255, 0])",
            "empty: Some([])",
            "a built-in name: Some([109, 105, 110, 101])",
            "read-only: ()",
            "read-only again: WrongPhase",
            r#"read-only: Some("first")"#,
        ],
    );
    expect(&host.get("/state").send(), &["before: None"]);
}

#[proxy_filter_host::test(guest = "stream_info")]
fn objects_of_envoy_are_set_from_text(mut host: Host) {
    let exchange = host.get("/state").send();
    expect(
        &exchange,
        &[
            "envoy before: None",
            "envoy set: ()",
            r#"envoy: Some("example.com")"#,
            "envoy with a bad value: InvalidInput",
            "envoy unknown: NotFound",
        ],
    );
}

#[proxy_filter_host::test(guest = "stream_info")]
fn foreign_functions_return_a_result_or_a_reason(mut host: Host) {
    let exchange = host.get("/foreign").send();
    expect(
        &exchange,
        &[
            "smaller: true",
            "uncompress: true",
            "empty: []",
            "garbage: Malformed",
            "nothing: Malformed",
            "cut: Malformed",
            "route cache: ()",
            "unknown: NotFound",
            "a message that is none: WrongPhase",
        ],
    );
}

#[test]
fn attributes_and_metadata_take_one_host_function() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = std::fs::read(build_guest(root, "proxy-filter-guests", Some("one_attribute")).unwrap()).unwrap();
    let report = ModuleReport::read(&module).unwrap();
    let imports = ["env.proxy_add_header_map_value", "env.proxy_get_property", "env.proxy_log"];
    assert_eq!(report.imports, imports, "{report}");
}

/// What the guest `script` logs about the route.
const PLACE: &str = "property xds.virtual_host_name; property xds.route_name; property xds.cluster_name; \
                     property xds.route_metadata.filter_metadata.limits.n; \
                     property xds.cluster_metadata.filter_metadata.limits.n; \
                     property xds.virtual_host_metadata.filter_metadata.limits.n; \
                     property xds.upstream_host_metadata.filter_metadata.limits.n";

/// Routes to three clusters, in two virtual hosts, with metadata.
fn with_routes(mut host: Host, filters: &[&str]) -> Host {
    let limit = |text: &str| json!({ "limits": { "n": text } });
    host.metadata(MetadataSource::Cluster, limit("any cluster"));
    host.metadata(MetadataSource::Route, limit("any route"));
    host.route(Route::new("exact").path("/exact"));
    let beta = Route::new("beta").prefix("/api/").header("x-version", "2").cluster("beta");
    host.route(beta.metadata(MetadataSource::Route, limit("beta")).metadata(MetadataSource::Cluster, limit("of beta")));
    host.route(Route::new("debug").prefix("/api/").has_header("x-debug").cluster("debug"));
    host.route(Route::new("api").prefix("/api/").metadata(MetadataSource::VirtualHost, limit("all")));
    let own = Route::new("own").domain("own.example").prefix("/own").cluster("beta");
    host.route(own.metadata(MetadataSource::UpstreamHost, limit("host of beta")));
    host.upstream(|request| Reply::new(200).body(format!("from {}", request.cluster)));
    host.root_id("");
    for filter in filters.iter().skip(1) {
        host.plugin("", filter);
    }
    host.configure(filters.first().unwrap_or(&"")).unwrap();
    host
}

#[proxy_filter_host::test(guest = "script")]
fn a_request_goes_to_the_cluster_of_its_route(host: Host) {
    let every = ["request-headers", "response-headers", "log"].map(|callback| format!("every {callback}: {PLACE}"));
    let mut host = with_routes(host, &[&every.join("\n")]);
    let joins = host.behaves_as().differs_in("a route compares the values of a repeated header as one");
    let repeated = if joins { ("api", "upstream") } else { ("beta", "beta") };
    let long = "/api/users?x=/exact#f";
    for (authority, path, headers, expected) in [
        ("example.com", "/exact", &[][..], Some(("exact", "upstream"))),
        ("example.com", "/exact?a=b", &[], Some(("exact", "upstream"))),
        ("example.com", "/exact/", &[], None),
        ("example.com", "/Exact", &[], None),
        ("example.com", "/api/", &[("x-version", "2")], Some(("beta", "beta"))),
        ("example.com", "/api/", &[("X-Version", "2"), ("x-debug", "")], Some(("beta", "beta"))),
        ("example.com", "/api/", &[("x-version", "1"), ("x-version", "2")], Some(repeated)),
        ("example.com", "/api/", &[("x-version", "1,2")], Some(("api", "upstream"))),
        ("example.com", "/api/", &[("x-debug", "")], Some(("debug", "debug"))),
        ("example.com", "/api/?x=/exact", &[("x-version", "")], Some(("api", "upstream"))),
        ("example.com", "/api", &[], None),
        ("example.com", "/", &[], None),
        ("own.example", "/own/a", &[], Some(("own", "beta"))),
        ("OWN.Example", "/own", &[], Some(("own", "beta"))),
        ("own.example", "/api/", &[], None),
        ("own.example:80", "/api/", &[], Some(("api", "upstream"))),
        ("example.com", long, &[], None),
        ("own.example", "/own#f", &[], None),
        ("example.com", "/exact", &[("x name", "1")], None),
    ] {
        for http2 in [false, true] {
            let mut request = host.get(path).authority(authority);
            for (name, value) in headers {
                // Names of HTTP/2 are in lower case.
                request = request.header(name.to_ascii_lowercase(), value);
            }
            let exchange = if http2 { request.http2() } else { request }.send();
            let Some((route, cluster)) = expected else {
                assert!([404, 400, 0].contains(&exchange.status()), "{authority}{path}: {exchange}");
                continue;
            };
            assert_eq!(exchange.response().text(), format!("from {cluster}"), "{authority}{path}: {exchange}");
            assert_eq!(exchange.upstream().unwrap().cluster, cluster);
            let named = format!("xds.route_name = {route}");
            assert!(exchange.messages().iter().any(|line| line.contains(route)), "{named}: {exchange}");
        }
    }
}

/// A route for each kind of match, and requests that match it or no route.
#[proxy_filter_host::test(guest = "script")]
fn routes_match_by_regular_expression_header_and_query(mut host: Host) {
    let part = |name: &str, of: StringMatch| Route::new(name).prefix(&format!("/{name}")).header("x-v", of);
    for route in [
        Route::new("user").regex("/users/[0-9]+(/(photos|albums))?"),
        Route::new("either").regex("/one|/two"),
        Route::new("caseless").regex("(?i)/Case\\.(html?|\\d+)"),
        Route::new("any").regex("/any/.*"),
        part("exact", StringMatch::exact("b")),
        part("prefix", StringMatch::prefix("b")),
        part("suffix", StringMatch::suffix("b")),
        part("contains", StringMatch::contains("b")),
        part("regex", StringMatch::regex("b+")),
        Route::new("not").prefix("/not").header_not("x-v", "b"),
        Route::new("not-regex").prefix("/inverted").header_not("x-v", StringMatch::regex("b+")),
        Route::new("without").prefix("/without").without_header("x-v"),
        Route::new("query").prefix("/query").query("v", "b"),
        Route::new("query-regex").prefix("/numbers").query("v", StringMatch::regex("[0-9]+")),
        Route::new("has-query").prefix("/has").has_query("v"),
        Route::new("both").prefix("/both").header("x-v", StringMatch::prefix("b")).query("v", "b").has_query("w"),
    ] {
        host.route(route);
    }
    host.configure("").unwrap();
    let mut cases: Vec<(String, &[&str], bool)> = Vec::new();
    for (paths, matches) in [
        ("/users/42 /users/42/photos /users/42?/x /one /two /CASE.HTM /case.html /case.7 /any/ /any/a%20b?c", true),
        ("/users/42/ /users/42/photosx /users/x /v1/users/42 /onex /xtwo /casexhtml /any", false),
        ("/query?v=b /query?v=b&v=c /query?a=1&v=b /numbers?v=12 /has?v /has?v=1 /has?v&v", true),
        ("/query /query?v=c&v=b /query?V=b /query?v=%62 /query?v=b=c /query?v /numbers?v=12a /numbers?v=", false),
        ("/has?w /has?%76=1 /has", false),
    ] {
        cases.extend(paths.split(' ').map(|path| (path.to_owned(), &[][..], matches)));
    }
    let values: [&[&str]; 8] = [&[], &[""], &["b"], &["B"], &["ab"], &["bc"], &["abc"], &["a", "b"]];
    let joins = host.behaves_as().differs_in("a route compares the values of a repeated header as one");
    // The last column is that of `a,b`.
    for (name, matching, joined) in [
        ("exact", "..b....b", "."),
        ("prefix", "..b..b.b", "."),
        ("suffix", "..b.b..b", "b"),
        ("contains", "..b.bbbb", "b"),
        ("regex", "..b....b", "."),
        ("not", ".b.bbbb.", "b"),
        ("inverted", ".b.bbbb.", "b"),
        ("without", "b.......", "."),
    ] {
        let matching = if joins { format!("{}{joined}", &matching[..7]) } else { matching.to_owned() };
        let matching = values.iter().zip(matching.chars());
        cases.extend(matching.map(|(values, matches)| (format!("/{name}"), *values, matches == 'b')));
    }
    for (path, values, matches) in [
        ("/both?v=b&w", &["bb"], true),
        ("/both?v=b&w", &["c"], false),
        ("/both?v=b", &["b"], false),
        ("/both?w&v=b", &["b"], true),
    ] {
        cases.push((path.to_owned(), values, matches));
    }
    for (path, values, matches) in cases {
        let request = values.iter().fold(host.get(&path), |request, value| request.header("x-v", value));
        let exchange = request.send();
        assert_eq!(exchange.status(), if matches { 200 } else { 404 }, "{path} {values:?}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_route_is_selected_again_after_an_edit_of_the_request_headers(mut host: Host) {
    host.allow_on_headers_stop_iteration(true);
    let second = format!("every request-headers: {PLACE}\nevery response-headers: {PLACE}");
    let mut host = with_routes(host, &["", &second]);
    for (edit, expected) in [
        ("replace 0 :path /exact", "from upstream"),
        ("replace 0 x-version 2", "from beta"),
        ("replace 0 x-other 2", "from upstream"),
        ("replace 0 :authority own.example; replace 0 :path /own", "from beta"),
        ("remove 0 x-debug", "from upstream"),
        (
            "set-pairs 0 :method=GET,:path=/api/,:authority=a,:scheme=http,x-forwarded-proto=http,x-debug=1",
            "from debug",
        ),
        ("replace 0 x-version 2; foreign clear_route_cache", "from beta"),
        ("foreign clear_route_cache", "from upstream"),
        ("replace 0 :path /nowhere", ""),
    ] {
        let first = format!("{edit}; {PLACE}");
        let exchange = host.get("/api/").header("x-request-headers", first).header("x-log", PLACE).send();
        assert_eq!(exchange.response().text(), expected, "{edit}: {exchange}");
        assert_eq!(exchange.status(), if expected.is_empty() { 404 } else { 200 });
    }
    // An edit while the request waits for a body.
    let body = "replace 0 :path /exact";
    let exchange = host.post("/api/").body("x").header("x-request-headers", "return 1").header("x-request-body", body);
    assert_eq!(exchange.send().response().text(), "from upstream");
}

/// Each command operator that the embedded host formats, about what the tests below do.
const FORMAT: &str = "%REQ(:METHOD)% %REQ(X-Envoy-Original-Path?:PATH)% %REQ(x-a)%|%REQ(x-none)%|%REQ(x-empty)%|\
                      %REQ(x-a):2%|%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% \
                      %BYTES_RECEIVED% %BYTES_SENT% %RESP(content-type)% %RESP(x-none?:status)% %TRAILER(x-t)% \
                      %ROUTE_NAME% %UPSTREAM_CLUSTER% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% 100%%";

#[proxy_filter_host::test(guest = "script")]
fn the_access_log_has_the_values_of_command_operators(mut host: Host) {
    host.access_log(FORMAT);
    host.route(Route::new("a").prefix("/a"));
    host.route(Route::new("b").prefix("/b").cluster("b"));
    host.upstream(|request| match request.header(":path").as_ref().map(HeaderValue::as_bytes) {
        Some(b"/a/trailers") => Reply::new(200).chunks(["a", "bc"]).trailer("x-t", "1"),
        Some(b"/a/reset") => Reply::reset(),
        _ => Reply::new(200).header("content-type", "text/plain").body("hello"),
    });
    for http2 in [false, true] {
        for (path, commands) in [
            ("/a", ""),
            ("/b?q", ""),
            ("/c", ""),
            ("/a/trailers", ""),
            ("/a/reset", ""),
            ("/a", "reply 403 denied content-type=a/b"),
            ("/a", "replace 0 :path /b; replace 0 x-a edited"),
            ("/a", "close 0; return 1"),
        ] {
            let request = host.post(path).body("body").header("x-a", "value").header("x-a", "2").header("x-empty", "");
            let request =
                request.header("x-request-headers", commands).source_address("192.0.2.7:1234".parse().unwrap());
            let exchange = if http2 { request.http2() } else { request }.send();
            assert!(exchange.access_log().is_some_and(|line| line.ends_with(" 100%")), "{path} {commands}: {exchange}");
        }
    }
    let exchange = host.get("/b").source_address("192.0.2.7:1234".parse().unwrap()).send();
    let line = "GET /b -|-|-|-|HTTP/1.1 200 via_upstream - 0 5 text/plain 200 - b b 192.0.2.7 100%";
    assert_eq!(exchange.access_log(), Some(line), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn the_access_log_shows_filter_state_and_metadata(host: Host) {
    let mut host = with_metadata(host);
    let state = "%FILTER_STATE(wasm.a:PLAIN)% %FILTER_STATE(wasm.a:TYPED)% %FILTER_STATE(wasm.a)% \
                 %FILTER_STATE(wasm.none:PLAIN)% %FILTER_STATE(tenant:PLAIN)% %FILTER_STATE(tenant)% \
                 %FILTER_STATE(wasm.late:PLAIN)% ";
    let metadata = "%DYNAMIC_METADATA(example.request:text)% %DYNAMIC_METADATA(example.request:number)% \
                    %DYNAMIC_METADATA(example.request:none)% %METADATA(DYNAMIC:example.request:text)% \
                    %METADATA(ROUTE:example.route:text)% %METADATA(ROUTE:example.route:nested:n)% \
                    %METADATA(ROUTE:example.route:flag)% %METADATA(ROUTE:example.route:ratio)% \
                    %METADATA(ROUTE:example.route:list)% %METADATA(ROUTE:example.route:empty)%| \
                    %METADATA(CLUSTER:example.cluster:text)% %METADATA(LISTENER:example.listener:text)% \
                    %METADATA(UPSTREAM_HOST:example.endpoint:weight)% \
                    %METADATA(VIRTUAL_HOST:example.virtual_host:text):4%";
    host.access_log(&format!("{state}{metadata}"));
    host.filter_state("tenant", "acme");
    host.configure("every log: set-property late l").unwrap();
    let exchange = host.get("/").header("x-request-headers", "set-property a value").send();
    assert!(exchange.access_log().unwrap().starts_with("value "), "{exchange}");
    assert!(exchange.access_log().unwrap().contains(" acme "), "{exchange}");
    let early = host.get("/").header("x-request-headers", "set-property a %ff; reply 403; return 1").send();
    assert!(early.access_log().is_some(), "{early}");
}

/// Times and durations, which differ between hosts, by their names.
const TIMES: &str = "start=%START_TIME% at=\"%START_TIME(%Y/%m/%d %H:%M:%S %z %Z %s.%6f)%\" all=%DURATION% \
                     request=%REQUEST_DURATION% response=%RESPONSE_DURATION% sent=%RESPONSE_TX_DURATION% %RESPONSE_CODE%";

#[proxy_filter_host::test(guest = "script")]
fn the_access_log_has_times_and_durations(mut host: Host) {
    host.access_log(TIMES);
    for name in ["start", "at", "all", "request", "response", "sent"] {
        host.ignore_value_of(name);
    }
    host.upstream(|_| Reply::new(200).chunks(["a", "bc"]).after(std::time::Duration::from_millis(200)));
    for (commands, replies) in [("", false), ("reply 403; return 1", true)] {
        let now = host.now();
        let exchange = host.post("/").header("x-request-headers", commands).chunks(["a", "b"]).send();
        let line = exchange.access_log().unwrap();
        let value = |name: &str| {
            let after = line.split_once(&format!("{name}=")).unwrap().1;
            after.trim_start_matches('"').split([' ', '"']).next().unwrap()
        };
        let number = |name: &str| value(name).parse::<u64>().ok();
        // Envoy's clock is the machine's: the line has the second of the request, or a later one.
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let at: u64 = line.split_once(" UTC ").unwrap().1.split('.').next().unwrap().parse().unwrap();
        assert!((seconds..seconds + 10).contains(&at), "{exchange}");
        assert_eq!(value("start").len(), "2025-06-15T15:06:40.000Z".len(), "{exchange}");
        let all = number("all").unwrap();
        if replies {
            assert_eq!((value("response"), value("sent")), ("-", "-"), "{exchange}");
            continue;
        }
        let (request, response, sent) =
            (number("request").unwrap(), number("response").unwrap(), number("sent").unwrap());
        assert!(request + 190 <= response && response + sent <= all + 1 && sent > 0, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script", embedded)]
fn times_of_the_access_log_are_those_of_the_fixed_clock(mut host: Host) {
    host.access_log(TIMES);
    host.upstream(|_| Reply::new(200).chunks(["a", "bc"]).after(std::time::Duration::from_millis(200)));
    // A pause of 50 ms comes before each part but the first.
    let exchange = host.post("/").chunks(["a", "b"]).send();
    let line = "start=2025-06-15T15:06:40.000Z at=\"2025/06/15 15:06:40 +0000 UTC 1750000000.000000\" \
                all=500 request=150 response=350 sent=150 200";
    assert_eq!(exchange.access_log(), Some(line), "{exchange}");
    // The wall clock has nothing to do with durations.
    host.clock(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400));
    let exchange = host.get("/").send();
    let line = "start=1970-01-02T00:00:00.000Z at=\"1970/01/02 00:00:00 +0000 UTC 86400.000000\" \
                all=350 request=0 response=200 sent=150 200";
    assert_eq!(exchange.access_log(), Some(line), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn each_exchange_in_flight_has_its_line_of_the_access_log(mut host: Host) {
    host.access_log("%REQ(:PATH)% %RESPONSE_CODE%");
    host.upstream(|request| match request.header(":path").as_ref().map(HeaderValue::as_bytes) {
        Some(b"/slow") => Reply::new(201).after(std::time::Duration::from_secs(1)),
        _ => Reply::new(202),
    });
    let slow = host.get("/slow").start();
    assert_eq!(host.get("/fast").send().access_log(), Some("/fast 202"));
    assert_eq!(slow.finish(&mut host).access_log(), Some("/slow 201"));
}

#[proxy_filter_host::test(guest = "script", embedded)]
fn a_format_that_the_embedded_host_cannot_write_is_refused(mut host: Host) {
    host.access_log("%UPSTREAM_HOST%");
    let refused = host.configure("").unwrap_err().to_string();
    assert!(refused.contains("the embedded host does not format `%UPSTREAM_HOST%`"), "{refused}");
}

#[proxy_filter_host::test(guest = "script")]
fn shared_data_and_queues_can_be_read_by_a_test(mut host: Host) {
    host.configure("").unwrap();
    assert_eq!((host.shared_data("key"), host.queue("events")), (None, None));
    let share = |host: &mut Host, commands: &str| {
        let exchange = host.get("/").header("x-request-headers", commands).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
    };
    share(&mut host, "share key value; share empty ; enqueue events one; enqueue events two");
    for _ in 0..2 {
        assert_eq!(host.shared_data("key"), Some(b"value".to_vec()));
        assert_eq!(host.shared_data("other"), None);
        assert_eq!(host.queue("events"), Some(vec![b"one".to_vec(), b"two".to_vec()]), "reading takes nothing out");
        assert_eq!(host.queue("key"), None);
    }
    share(&mut host, "share key %00%ff; queue events three");
    assert_eq!(host.shared_data("key"), Some(b"\x00\xff".to_vec()));
    assert_eq!(host.queue("events"), Some(vec![b"two".to_vec(), b"three".to_vec()]), "in their order");
}

/// The values need more memory than a module begins with.
#[proxy_filter_host::test(guest = "script")]
fn large_shared_data_and_long_queues_can_be_read_by_a_test(mut host: Host) {
    host.configure("").unwrap();
    let long = "x".repeat(40_000);
    for command in ["share large"].into_iter().chain(["enqueue many"; 4]) {
        let exchange = host.get("/").header("x-request-headers", format!("{command} {long}")).send();
        assert_eq!(exchange.status(), 200, "{command}");
    }
    assert_eq!(host.shared_data("large").map(|value| value.len()), Some(40_000));
    assert_eq!(host.queue("many").map(|items| items.iter().map(Vec::len).collect()), Some(vec![40_000; 4]));
}

#[proxy_filter_host::test(guest = "script")]
fn shared_data_is_read_between_configurations_and_exchanges(mut host: Host) {
    host.configure("").unwrap();
    assert_eq!(host.shared_data("key"), None);
    let exchange = host.get("/").header("x-request-headers", "share key before").before_response(|host| {
        assert_eq!(host.shared_data("key"), Some(b"before".to_vec()));
    });
    assert_eq!(exchange.send().status(), 200);
    let _ = host.reconfigure("every log: get 0 :path").unwrap();
    assert_eq!(host.shared_data("key"), Some(b"before".to_vec()));
    assert_eq!(host.get("/").header("x-request-headers", "share key after").send().status(), 200);
    assert_eq!(host.shared_data("key"), Some(b"after".to_vec()));
    host.configure("").unwrap();
    assert_eq!(host.shared_data("key"), None, "a new process");
    // Beside other listeners.
    host.tls(Tls::new());
    host.ipv6();
    host.configure("").unwrap();
    assert_eq!(host.get("/").header("x-request-headers", "share key secure").send().status(), 200);
    assert_eq!(host.shared_data("key"), Some(b"secure".to_vec()));
}

/// What the guest `script` logs about TLS.
const SECURE: &str = "property connection.mtls; property connection.tls_version; \
                      property connection.requested_server_name; property connection.subject_local_certificate; \
                      property connection.subject_peer_certificate; property connection.uri_san_local_certificate; \
                      property connection.uri_san_peer_certificate; property connection.dns_san_local_certificate; \
                      property connection.dns_san_peer_certificate; \
                      property connection.sha256_peer_certificate_digest; property request.scheme; \
                      property source.address; get 0 x-forwarded-proto";

fn over_tls(mut host: Host, tls: Option<Tls>, lines: &[&str]) {
    if let Some(tls) = tls {
        host.tls(tls);
    }
    host.access_log("%REQ(:SCHEME)% %PROTOCOL% %RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%");
    host.configure("").unwrap();
    for http2 in [false, true] {
        for headers in [&[][..], &[("x-forwarded-proto", "http")]] {
            let request = host.post("/").body("hello").source_address("192.0.2.7:1234".parse().unwrap());
            let request = request.header("x-request-headers", SECURE).header("x-log", SECURE);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let exchange = if http2 { request.http2() } else { request }.send();
            assert_eq!(exchange.upstream().unwrap().text(), "hello");
            expect(&exchange, lines);
            assert!(exchange.access_log().unwrap().ends_with(" 200 192.0.2.7"), "{exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_client_shows_its_certificate(host: Host) {
    let client = Certificate::new("CN=client,OU=a team,O=Example,L=Bern,ST=BE,C=CH");
    let client =
        client.uri("spiffe://example.com/client").uri("spiffe://other").domain("a.example").domain("b.example");
    let lines = [
        "connection.tls_version: 7 bytes: TLSv1.3",
        "connection.requested_server_name: 15 bytes: api.example.com",
        "connection.subject_peer_certificate: 47 bytes: CN=client,OU=a team,O=Example,L=Bern,ST=BE,C=CH",
        "connection.uri_san_peer_certificate: 27 bytes: spiffe://example.com/client",
        "connection.dns_san_peer_certificate: 9 bytes: a.example",
    ];
    over_tls(host, Some(Tls::new().server_name("api.example.com").certificate(client)), &lines);
}

#[proxy_filter_host::test(guest = "script")]
fn a_client_with_tls_may_show_no_certificate(host: Host) {
    over_tls(host, Some(Tls::new()), &["connection.tls_version: 7 bytes: TLSv1.3"]);
}

#[proxy_filter_host::test(guest = "script")]
fn a_certificate_may_have_a_subject_only(host: Host) {
    let lines = ["connection.subject_peer_certificate: 9 bytes: CN=client"];
    over_tls(host, Some(Tls::new().certificate(Certificate::new("CN=client"))), &lines);
}

#[proxy_filter_host::test(guest = "script")]
fn attributes_of_tls_are_absent_without_it(host: Host) {
    over_tls(host, None, &["connection.tls_version: NotFound (1)", "request.scheme: 4 bytes: http"]);
}
