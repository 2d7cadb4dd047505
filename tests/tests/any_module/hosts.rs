//! Profiles of other hosts: what they refuse, what fails there, and what they do differently. One
//! module is made for each row of the profiles.

use crate::guest::{CALLBACKS, FUNCTIONS, Guest, pairs};
use proxy_filter::__private::Module;
use proxy_filter::{Status, sys};
use proxy_filter_host::__private::native as run_natively;
use proxy_filter_host::{
    DirectionState, Event, ForeignReply, Host, HostProfile, ModuleReport, Outcome, Reply, Route, Subject,
};
use std::collections::BTreeSet;
use std::time::Duration;

const UNIMPLEMENTED: u32 = 12;
const REQUEST_HEADERS: &str = "proxy_on_request_headers";
const RESPONSE_HEADERS: &str = "proxy_on_response_headers";
const REQUEST_BODY: &str = "proxy_on_request_body";
const RESPONSE_BODY: &str = "proxy_on_response_body";

/// The hosts that are not Envoy.
fn others() -> impl Iterator<Item = HostProfile> {
    HostProfile::ALL.into_iter().filter(|host| !host.is_envoy())
}

fn host(profile: HostProfile, guest: &Guest) -> Host {
    let mut host = Host::for_module(&guest.build());
    host.behave_as(profile);
    host
}

/// The results of the calls of a function.
fn statuses(exchange: &Outcome, function: &str) -> Vec<u32> {
    let result = |event: &Event| match event {
        Event::HostCall { name, status } if name == function => Some(*status),
        _ => None,
    };
    exchange.record().events.iter().filter_map(result).collect()
}

/// The result of the first call of a function.
fn status(exchange: &Outcome, function: &str) -> Option<u32> {
    statuses(exchange, function).first().copied()
}

/// The callbacks in order.
fn callbacks(exchange: &Outcome) -> Vec<String> {
    let name = |event: &Event| match event {
        Event::Callback { name, .. } => Some(name.clone()),
        _ => None,
    };
    exchange.record().events.iter().filter_map(name).collect()
}

/// The arguments of the first call of a callback, without its context.
fn arguments(exchange: &Outcome, callback: &str) -> Vec<Vec<u64>> {
    let found = exchange.record().events.iter().filter_map(|event| match event {
        Event::Callback { name, arguments } if name == callback => Some(arguments[1..].to_vec()),
        _ => None,
    });
    found.collect()
}

#[test]
fn every_function_that_does_not_work_fails_as_the_profile_says() {
    for profile in others() {
        for failing in profile.failing() {
            for function in failing.names {
                let guest = Guest::new().call(REQUEST_HEADERS, function, "");
                // A response that does not exist yet cannot be continued in Envoy either.
                let mut envoy = host(HostProfile::default(), &guest).without_checks();
                let exchange = envoy.get("/").send();
                let works = status(&exchange, function).unwrap_or_else(|| panic!("{function}: {exchange}"));
                assert_ne!(works, UNIMPLEMENTED, "{function}: {exchange}");

                let mut host = host(profile, &guest);
                let exchange = host.get("/").send();
                if failing.effect.contains("traps the VM") {
                    assert_eq!(exchange.status(), 503, "{profile}, {function}: {exchange}");
                    exchange.expect_error("the VM trapped in proxy_on_request_headers");
                    exchange.expect_error(profile.name());
                } else {
                    assert_eq!(status(&exchange, function), Some(UNIMPLEMENTED), "{profile}, {function}: {exchange}");
                    assert_eq!(exchange.status(), 200, "{profile}, {function}: {exchange}");
                }
            }
        }
    }
}

#[test]
fn every_function_that_works_in_a_host_returns_there() {
    for profile in others() {
        for (function, _) in FUNCTIONS {
            let imported = format!("env.{function}");
            if profile.failure_of(function).is_some() || profile.not_offered().contains(&imported.as_str()) {
                continue;
            }
            let callback = if *function == "proxy_get_metric" { "proxy_on_tick" } else { REQUEST_HEADERS };
            let guest = Guest::new().call(callback, function, "");
            let mut host = host(profile, &guest);
            host.configure("").unwrap_or_else(|refused| panic!("{profile}, {function}: {refused}"));
        }
    }
}

#[test]
fn a_module_that_imports_a_function_which_a_host_does_not_offer_does_not_load() {
    for profile in others() {
        for name in profile.not_offered() {
            let function = name.strip_prefix("env.").unwrap();
            let guest = Guest::new().import(function);
            let refused = host(profile, &guest).configure("").unwrap_err().to_string();
            let reason = format!("{profile} does not load the module:\n- the host does not offer {name}");
            assert!(refused.contains(&reason), "{refused}");
            if FUNCTIONS.iter().any(|(known, _)| *known == function) {
                host(HostProfile::default(), &guest).configure("").unwrap();
            }
        }
    }
}

#[test]
fn a_module_that_imports_a_function_which_an_older_envoy_does_not_have_does_not_load() {
    for profile in HostProfile::ALL.into_iter().filter(|host| host.is_envoy()) {
        for function in profile.not_offered() {
            let (module, name) = function.split_once('.').unwrap();
            let text = format!(
                r#"(module (import "{module}" "{name}" (func)) (memory (export "memory") 1)
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) (i32.const 4096)))"#
            );
            let bytes = wat::parse_str(text).unwrap();
            let refused = |host| {
                let mut host_of = Host::for_module(&bytes);
                host_of.behave_as(host);
                host_of.configure("").unwrap_err().to_string()
            };
            let missing = format!("due to a missing import: {function}");
            assert!(refused(profile).contains(&missing), "{profile}");
            // The newest Envoy has it, with another type.
            assert!(refused(HostProfile::default()).contains("type mismatch"), "{function}");
            let report = ModuleReport::read(&bytes).unwrap();
            assert!(report.refusals_in(profile).iter().any(|reason| reason.contains(&missing)), "{report}");
        }
    }
}

#[test]
fn a_module_without_a_callback_that_a_host_requires_does_not_load() {
    for profile in HostProfile::ALL {
        let names: Vec<_> = CALLBACKS.iter().map(|(name, ..)| *name).collect();
        for required in profile.required() {
            let others: Vec<_> = names.iter().copied().filter(|name| name != required).collect();
            let refused = host(profile, &Guest::new().only(&others)).configure("").unwrap_err().to_string();
            assert!(refused.contains(&format!("does not export {required}")), "{refused}");
        }
        host(profile, &Guest::new().only(profile.required())).configure("").unwrap();
    }
}

#[test]
fn a_refusal_has_all_reasons() {
    let guest = Guest::new().only(&["proxy_on_vm_start"]);
    let guest = guest.import("proxy_get_buffer_status").import("proxy_get_header_map_size");
    let refused = host(HostProfile::NGINX, &guest).configure("").unwrap_err().to_string();
    let reasons: Vec<_> = refused.lines().filter(|line| line.starts_with("- ")).collect();
    assert_eq!(reasons.len(), 4, "{refused}");
}

/// The foreign function that nginx has.
const FOREIGN: &str = "resolve_lua";

/// A module that makes the host enter every callback of plugins and streams, as far as the
/// functions work in a host.
fn busy(profile: HostProfile) -> Guest {
    let works = |function: &str| profile.failure_of(function).is_none_or(|effect| effect.contains(FOREIGN));
    let mut guest = Guest::new();
    let [authz, greeter, chat, path, back, queue] =
        ["authz", "greeter", "chat", "Hello", FOREIGN, "q"].map(|text| guest.bytes(text.as_bytes()));
    let headers = guest.bytes(&pairs(&[(":method", "GET"), (":path", "/"), (":authority", "authz")]));
    let call = format!("{authz} {headers} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000)");
    let none = "(i32.const 0) (i32.const 0)";
    let unary = format!("{greeter} {path} {path} {none} {none} (i32.const 1000)");
    for (callback, function, arguments) in [
        ("proxy_on_configure", "proxy_set_tick_period_milliseconds", "(i32.const 1000)".to_owned()),
        ("proxy_on_configure", "proxy_register_shared_queue", queue),
        (REQUEST_HEADERS, "proxy_enqueue_shared_queue", "(i32.const 1)".into()),
        (REQUEST_HEADERS, "proxy_http_call", call),
        (REQUEST_HEADERS, "proxy_grpc_call", unary),
        (REQUEST_HEADERS, "proxy_grpc_stream", format!("{chat} {path} {path}")),
        (REQUEST_HEADERS, "proxy_grpc_send", format!("(i32.load (i32.const 64)) {path} (i32.const 1)")),
        (REQUEST_HEADERS, "proxy_call_foreign_function", back),
    ] {
        if works(function) {
            guest = guest.call(callback, function, &arguments);
        }
    }
    guest
}

/// The callbacks that a host enters while it plays everything.
fn entered(profile: HostProfile) -> BTreeSet<String> {
    let mut host = host(profile, &busy(profile));
    host.allow_metadata();
    host.cluster("authz", |_| Reply::new(200).body("yes"));
    host.grpc_cluster("greeter", |_| Reply::grpc(b"hello"));
    host.grpc_stream_cluster("chat", |message| vec![message.to_vec()]);
    host.foreign_function(FOREIGN, |_| ForeignReply::new("").calls_back(1, ""));
    host.upstream(|_| Reply::new(200).metadata("a", "b").after(Duration::from_millis(500)).body("b").trailer("x", "y"));
    host.configure("").unwrap_or_else(|refused| panic!("{profile}: {refused}"));
    let request = host.post("/").http2().metadata("a", "b").chunks(["a", "b"]).trailer("x", "y");
    let exchange = request.send();
    let mut names: BTreeSet<_> = callbacks(&exchange).into_iter().collect();
    names.extend(callbacks(&host.advance(Duration::from_secs(2))));
    names
}

#[test]
fn a_callback_that_a_host_never_calls_is_not_entered() {
    let in_envoy = entered(HostProfile::default());
    for profile in others() {
        let names = entered(profile);
        for callback in profile.never_called() {
            assert!(!names.contains(callback), "{profile} enters {callback}");
            let is_of_connections = callback.contains("stream_") || callback == "proxy_on_new_connection";
            let is_called = is_of_connections || in_envoy.contains(callback);
            assert!(is_called, "the module does not make Envoy enter {callback}: {in_envoy:?}");
        }
        let lost: Vec<_> = in_envoy.difference(&names).filter(|name| !profile.never_calls(name)).collect();
        assert!(lost.is_empty(), "{profile} does not enter {lost:?}");
    }
}

#[test]
fn hosts_without_filters_of_connections_refuse_them() {
    for profile in HostProfile::ALL {
        let mut host = host(profile, &Guest::new());
        host.tcp();
        let refused = host.configure("").err().map(|refused| refused.to_string());
        let has_them = !profile.never_calls("proxy_on_new_connection");
        assert_eq!(refused.is_none(), has_them, "{profile}: {refused:?}");
        assert!(refused.is_none_or(|refused| refused.contains("has no filters of TCP connections")));
    }
}

/// A difference that the embedded host plays: its subject, the beginning of its text, and a test
/// that runs with each host that differs so (`true`) and with the newest Envoy (`false`).
type Row = (&'static str, &'static str, fn(HostProfile, bool));

const ROWS: &[Row] = &[
    ("env.proxy_http_call", "traps the VM in", |host, differs| {
        for callback in [RESPONSE_HEADERS, RESPONSE_BODY, "proxy_on_log", "proxy_on_done", "proxy_on_delete"] {
            traps(host, differs, &Guest::new().call(callback, "proxy_http_call", ""), "a callout can be made in");
        }
        for callback in ["proxy_on_vm_start", "proxy_on_configure"] {
            let mut host = self::host(host, &Guest::new().call(callback, "proxy_http_call", ""));
            let refused = host.configure("").err().map(|refused| refused.to_string());
            assert_eq!(refused.is_some_and(|why| why.contains("a callout can be made in")), differs, "{callback}");
        }
        for callback in [REQUEST_HEADERS, REQUEST_BODY] {
            traps(host, false, &Guest::new().call(callback, "proxy_http_call", ""), "");
        }
    }),
    ("proxy_on_http_call_response", "a failed callout has no headers", |host, differs| {
        for (cluster, why) in [("slow", "timeout"), ("down", "broken connection"), ("resets", "broken connection")] {
            let mut guest = Guest::new();
            let (call, name) = (call_of(&mut guest, cluster, &[]), guest.bytes(b":dispatch_status"));
            let answered = "proxy_on_http_call_response";
            let guest = guest
                .call(REQUEST_HEADERS, "proxy_http_call", &call)
                .call(answered, "proxy_get_header_map_value", &format!("(i32.const 6) {name}"))
                .log(answered);
            let mut host = self::host(host, &guest);
            host.cluster("slow", |_| Reply::new(200).after(Duration::from_secs(2)));
            host.cluster("resets", |_| Reply::reset());
            host.cluster_refusing_connections("down");
            host.upstream(|_| Reply::new(200).after(Duration::from_secs(3)));
            let exchange = host.get("/").send();
            let sizes = &arguments(&exchange, answered)[0][1..];
            assert_eq!(sizes == [0, 0, 0], differs, "{exchange}");
            assert_eq!(exchange.messages()[0] == why, differs, "{exchange}");
        }
    }),
    (REQUEST_HEADERS, "`end_of_stream` is always false", |host, differs| {
        let exchange = self::host(host, &Guest::new()).get("/").send();
        assert_eq!(arguments(&exchange, REQUEST_HEADERS)[0][1], u64::from(!differs), "{exchange}");
    }),
    (REQUEST_BODY, "the body of a request is one chunk", |host, differs| {
        let mut host = self::host(host, &Guest::new());
        let exchange = host.post("/").chunks(["ab", "cd"]).trailer("x", "y").send();
        let chunks = arguments(&exchange, REQUEST_BODY);
        assert_eq!(chunks == [[4, 1]], differs, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().text(), "abcd");
    }),
    ("proxy_on_log", "comes after `on_done`", log_after_done),
    ("env.proxy_set_effective_context", "has no effect", |host, differs| {
        // A context that does not exist is refused by Envoy.
        let guest = Guest::new().call(REQUEST_HEADERS, "proxy_set_effective_context", "(i32.const 99)");
        let exchange = self::host(host, &guest).get("/").send();
        assert_eq!(status(&exchange, "proxy_set_effective_context"), Some(if differs { 0 } else { 2 }));
        // The completion of a callout acts on the stream that made it.
        let mut guest = Guest::new();
        let (authz, name) = (guest.bytes(b"authz"), guest.bytes(b"x-added"));
        let headers = guest.bytes(&pairs(&[(":method", "GET"), (":path", "/"), (":authority", "authz")]));
        let none = "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
        let guest = guest
            .call(REQUEST_HEADERS, "proxy_http_call", &format!("{authz} {headers} {none} (i32.const 1000)"))
            .code(REQUEST_HEADERS, "(return (i32.const 1))")
            .call("proxy_on_http_call_response", "proxy_add_header_map_value", &format!("(i32.const 0) {name} {name}"))
            .call("proxy_on_http_call_response", "proxy_continue_stream", "(i32.const 0)");
        let mut host = self::host(host, &guest);
        host.cluster("authz", |_| Reply::new(200));
        let exchange = host.get("/").send();
        let added = exchange.upstream().and_then(|upstream| upstream.header("x-added")).is_some();
        assert_eq!(added, differs, "{exchange}");
    }),
    ("env.proxy_set_buffer_bytes", "traps the VM outside", |host, differs| {
        body_outside(host, differs, "proxy_set_buffer_bytes");
    }),
    ("env.proxy_get_buffer_bytes", "traps the VM outside", |host, differs| {
        body_outside(host, differs, "proxy_get_buffer_bytes");
    }),
    ("env.proxy_get_buffer_bytes", "ignores the start", |host, differs| {
        read_of_two_bytes(host, if differs { "ab" } else { "bc" });
    }),
    ("env.proxy_add_header_map_value", "traps the VM for request headers", |host, differs| {
        let edits = ["proxy_add_header_map_value", "proxy_replace_header_map_value", "proxy_remove_header_map_value"];
        for (callback, map) in [(RESPONSE_HEADERS, 0), (RESPONSE_BODY, 0), (RESPONSE_BODY, 2), ("proxy_on_log", 2)] {
            for function in edits.into_iter().chain(["proxy_set_header_map_pairs"]) {
                let guest = Guest::new().call(callback, function, &format!("(i32.const {map})"));
                traps(host, differs, &guest, "headers can be edited before");
            }
        }
        for (callback, map) in [(REQUEST_HEADERS, 0), (RESPONSE_HEADERS, 2)] {
            let mut guest = Guest::new();
            let name = guest.bytes(b"x-a");
            let guest = guest.call(callback, edits[0], &format!("(i32.const {map}) {name} {name}"));
            traps(host, false, &guest, "");
        }
    }),
    ("env.proxy_send_local_response", "traps the VM if there is", |host, differs| {
        let reply = "(i32.const 403)";
        let guest = Guest::new().call(REQUEST_HEADERS, "proxy_send_local_response", reply).call(
            REQUEST_HEADERS,
            "proxy_send_local_response",
            reply,
        );
        let mut host = self::host(host, &guest);
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), if differs { 503 } else { 403 }, "{exchange}");
        if differs {
            exchange.expect_error("there is a local reply already");
        } else {
            host.expect_violation("Envoy 1.40 returns Ok and sends the first");
        }
    }),
    ("env.proxy_set_tick_period_milliseconds", "traps the VM in contexts", |host, differs| {
        let tick = "proxy_set_tick_period_milliseconds";
        let of_stream = Guest::new().call(REQUEST_HEADERS, tick, "(i32.const 1000)");
        traps(host, differs, &of_stream, "a context of a stream cannot set a tick period");
        let mut twice = Guest::new();
        for _ in 0..2 {
            twice = twice.call("proxy_on_configure", tick, "(i32.const 1000)");
        }
        let refused = self::host(host, &twice).configure("").err().map(|refused| refused.to_string());
        assert_eq!(refused.is_some_and(|why| why.contains("the tick period is set already")), differs);
        let stopped = Guest::new()
            .call("proxy_on_configure", tick, "(i32.const 1000)")
            .call("proxy_on_configure", tick, "(i32.const 0)")
            .call("proxy_on_configure", tick, "(i32.const 1000)");
        self::host(host, &stopped).configure("").unwrap();
    }),
    ("env.proxy_get_metric", "traps the VM for a metric", |host, differs| {
        for function in ["proxy_get_metric", "proxy_record_metric", "proxy_increment_metric"] {
            let guest = Guest::new().call(REQUEST_HEADERS, function, "(i32.const 400)");
            traps(host, differs, &guest, "there is no such metric, or it is a histogram");
        }
    }),
    ("env.proxy_add_header_map_value", "overwrites a header", |host, differs| {
        let values = edited(host, "proxy_add_header_map_value", "x-a");
        assert_eq!(values, if differs { vec!["new", "2"] } else { vec!["1", "2", "new"] });
        assert_eq!(edited(host, "proxy_add_header_map_value", "x-none"), ["new"]);
    }),
    ("env.proxy_replace_header_map_value", "does nothing if the header", |host, differs| {
        let missing = edited(host, "proxy_replace_header_map_value", "x-none");
        assert_eq!(missing, if differs { vec![] } else { vec!["new"] });
        assert_eq!(edited(host, "proxy_replace_header_map_value", "x-a"), ["new"]);
    }),
    ("env.proxy_set_header_map_pairs", "merges the headers", |host, differs| {
        let mut guest = Guest::new();
        let all = [(":method", "GET"), (":path", "/set"), (":authority", "a"), (":scheme", "http")];
        let all = [&all[..], &[("x-forwarded-proto", "http"), ("x-b", "2")]].concat();
        let map = guest.bytes(&pairs(&all));
        let guest = guest.call(REQUEST_HEADERS, "proxy_set_header_map_pairs", &format!("(i32.const 0) {map}"));
        let mut host = self::host(host, &guest);
        let exchange = host.get("/").header("x-a", "1").header("x-b", "1").header("x-b", "3").send();
        let upstream = exchange.upstream().unwrap();
        assert_eq!(upstream.header("x-a").is_some(), differs, "{exchange}");
        assert_eq!(upstream.header_values("x-b"), ["2"], "{exchange}");
        assert_eq!(upstream.header(":path"), Some("/set".into()), "{exchange}");
    }),
    ("env.proxy_get_header_map_value", "returns an empty value", |host, differs| {
        let mut guest = Guest::new();
        let name = guest.bytes(b"x-none");
        let guest = guest.call(REQUEST_HEADERS, "proxy_get_header_map_value", &format!("(i32.const 0) {name}"));
        let exchange = self::host(host, &guest).get("/").send();
        assert_eq!(status(&exchange, "proxy_get_header_map_value"), Some(u32::from(!differs)), "{exchange}");
    }),
    ("env.proxy_http_call", "ignores the cluster and the timeout", |host, differs| {
        let mut guest = Guest::new();
        let cluster = guest.bytes(b"other");
        let headers = guest.bytes(&pairs(&[(":method", "GET"), (":path", "/"), (":authority", "authz")]));
        let none = "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
        let guest =
            guest.call(REQUEST_HEADERS, "proxy_http_call", &format!("{cluster} {headers} {none} (i32.const 50)"));
        let mut host = self::host(host, &guest);
        for name in ["authz", "other"] {
            host.cluster(name, |_| Reply::new(200).after(Duration::from_millis(100)).body("yes"));
        }
        host.upstream(|_| Reply::new(200).after(Duration::from_millis(500)));
        let exchange = host.get("/").send();
        let called = if differs { "authz" } else { "other" };
        assert_eq!(exchange.calls(called).len(), 1, "{exchange}");
        let sizes = arguments(&exchange, "proxy_on_http_call_response");
        assert_eq!(sizes[0][2], if differs { 3 } else { "upstream request timeout".len() as u64 }, "{exchange}");
    }),
    ("env.proxy_set_buffer_bytes", "ignores the range", |host, differs| {
        let mut guest = Guest::new();
        let new = guest.bytes(b"new");
        let range = format!("(i32.const 0) (i32.const 0) (i32.const 1) {new}");
        let guest = guest.call(REQUEST_BODY, "proxy_set_buffer_bytes", &range);
        let exchange = self::host(host, &guest).post("/").chunks(["abc"]).send();
        // The end is a chunk without bytes.
        let body = exchange.upstream().unwrap().text();
        assert_eq!(body, if differs { "newnew" } else { "newbcnew" }, "{exchange}");
    }),
    ("env.proxy_get_buffer_bytes", "ignores the range", |host, differs| {
        read_of_two_bytes(host, if differs { "abcd" } else { "bc" });
    }),
    ("env.proxy_get_property", "returns an empty value", |host, differs| {
        let mut guest = Guest::new();
        let path = guest.bytes(b"no\0such");
        let guest = guest.call(REQUEST_HEADERS, "proxy_get_property", &path);
        let exchange = self::host(host, &guest).get("/").send();
        assert_eq!(status(&exchange, "proxy_get_property"), Some(u32::from(!differs)), "{exchange}");
    }),
    ("env.proxy_send_local_response", "a second call replaces the first", |host, differs| {
        let mut guest = Guest::new();
        for code in [403, 418] {
            guest = guest.call(REQUEST_HEADERS, "proxy_send_local_response", &format!("(i32.const {code})"));
        }
        let mut host = self::host(host, &guest).without_checks();
        assert_eq!(host.get("/").send().status(), if differs { 418 } else { 403 });
    }),
    ("env.proxy_get_current_time_nanoseconds", "the clock does not advance", |host, differs| {
        let mut guest = Guest::new();
        for callback in [REQUEST_HEADERS, RESPONSE_HEADERS] {
            guest = guest.call(callback, "proxy_get_current_time_nanoseconds", "").log_number(callback);
        }
        let mut host = self::host(host, &guest);
        host.upstream(|_| Reply::new(200).after(Duration::from_secs(1)));
        let first = host.get("/").send();
        let [request, response] = first.messages()[..] else { panic!("{first}") };
        assert_eq!(request == response, differs, "{first}");
        let second = host.get("/").send();
        assert_ne!(second.messages()[0], request, "another stream has another time");
    }),
    ("proxy_on_http_call_response", "the body of a callout that could not connect", |host, differs| {
        let mut guest = Guest::new();
        let call = call_of(&mut guest, "down", &[]);
        let guest = guest.call(REQUEST_HEADERS, "proxy_http_call", &call);
        let mut host = self::host(host, &guest);
        host.cluster_refusing_connections("down");
        let exchange = host.get("/").send();
        let size = arguments(&exchange, "proxy_on_http_call_response")[0][2];
        assert_eq!(size, if differs { 167 } else { 98 }, "{exchange}");
    }),
    ("env.proxy_http_call", "returns InternalFailure for a header that is not valid", |host, differs| {
        let mut guest = Guest::new();
        let [valid, invalid] = [("x-a", "a\tb"), ("x a", "a")].map(|header| call_of(&mut guest, "authz", &[header]));
        // A refused callout leaves a connection unused, and the next callout takes it.
        for call in [&invalid, &invalid, &invalid, &valid, &invalid] {
            guest = guest.call(REQUEST_HEADERS, "proxy_http_call", call);
        }
        let mut host = self::host(host, &guest);
        host.cluster("authz", |_| Reply::new(200));
        let exchange = host.get("/").send();
        let second = if differs { 10 } else { 0 };
        assert_eq!(statuses(&exchange, "proxy_http_call"), [0, second, 0, 0, 0], "{exchange}");
    }),
    (REQUEST_HEADERS, "a route compares the values of a repeated header as one", |host, differs| {
        let mut host = self::host(host, &Guest::new());
        host.route(Route::new("second").header("x-a", "2").cluster("second"));
        host.route(Route::new("joined").header("x-a", "1,2").cluster("joined"));
        let exchange = host.get("/").header("x-a", "1").header("x-a", "2").send();
        let cluster = &exchange.upstream().unwrap().cluster;
        assert_eq!(cluster, if differs { "joined" } else { "second" }, "{exchange}");
    }),
    (RESPONSE_HEADERS, "over HTTP/2, fields of one name are sent together", |host, differs| {
        let mut host = self::host(host, &Guest::new());
        let fields = [("x-a", "1"), ("x-b", "2"), ("x-a", "3")];
        host.upstream(move |_| fields.iter().fold(Reply::new(200), |reply, (name, value)| reply.header(name, value)));
        for http2 in [false, true] {
            let request = fields.iter().fold(host.get("/"), |request, (name, value)| request.header(name, value));
            let exchange = if http2 { request.http2() } else { request }.send();
            for message in [exchange.upstream().unwrap(), exchange.response()] {
                let own = message.headers.iter().filter(|(name, _)| name == b"x-a" || name == b"x-b");
                let values: Vec<_> = own.map(|(_, value)| &value[..]).collect();
                let order: [&[u8]; 3] = if differs && http2 { [b"1", b"3", b"2"] } else { [b"1", b"2", b"3"] };
                assert_eq!(values, order, "{exchange}");
            }
        }
    }),
    ("proxy_on_downstream_connection_close", "when the client resets a connection", |host, differs| {
        let connection = self::host(host, &Guest::new()).connect().send("a").reset().play();
        let end = if differs { DirectionState::Closed } else { DirectionState::Reset };
        assert_eq!(connection.upstream().unwrap().end, end, "{connection}");
    }),
    ("proxy_on_upstream_connection_close", "when the upstream resets a connection", |host, differs| {
        let connection = self::host(host, &Guest::new()).connect().send("a").upstream_resets().play();
        let end = if differs { DirectionState::Closed } else { DirectionState::Reset };
        assert_eq!(connection.client().end, end, "{connection}");
    }),
    ("env.proxy_call_foreign_function", "has no function `sign`", |host, differs| {
        let mut guest = Guest::new();
        let sign = guest.bytes(b"sign");
        let guest = guest.call(REQUEST_HEADERS, "proxy_call_foreign_function", &sign);
        let exchange = self::host(host, &guest).get("/").send();
        let is_missing = status(&exchange, "proxy_call_foreign_function") == Some(1);
        assert_eq!(is_missing, differs || cfg!(not(feature = "signatures")), "{exchange}");
    }),
    ("__main_void", "does not run after `_initialize`", |host, differs| {
        let text = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 4096)) (func (export "_initialize"))
            (func (export "__main_void") (result i32) unreachable))"#;
        let mut host_of = Host::for_module(&wat::parse_str(text).unwrap());
        host_of.behave_as(host);
        assert_eq!(host_of.configure("").is_ok(), differs);
    }),
    ("wasi_snapshot_preview1.poll_oneoff", "returns `nosys` (52)", |host, differs| {
        let text = r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 4096))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512))) (i32.const 0)))"#;
        let mut host_of = Host::for_module(&wat::parse_str(text).unwrap());
        host_of.behave_as(host);
        let exchange = host_of.get("/").send();
        assert_eq!(status(&exchange, "poll_oneoff"), Some(if differs { 52 } else { 0 }), "{exchange}");
    }),
];

/// The arguments of a callout to a cluster, with these headers besides the necessary ones.
fn call_of(guest: &mut Guest, cluster: &str, headers: &[(&str, &str)]) -> String {
    let all = [&[(":method", "GET"), (":path", "/"), (":authority", cluster)], headers].concat();
    let (name, map) = (guest.bytes(cluster.as_bytes()), guest.bytes(&pairs(&all)));
    format!("{name} {map} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000)")
}

/// Asserts that a module traps in an exchange if the host differs, and that it does not otherwise.
fn traps(profile: HostProfile, differs: bool, guest: &Guest, why: &str) {
    let mut host = host(profile, guest);
    let exchange = host.post("/").body("abcd").send();
    assert_eq!(!exchange.errors().is_empty(), differs, "{profile}: {exchange}");
    if differs {
        exchange.expect_error(why);
    } else {
        assert_eq!(exchange.status(), 200, "{profile}: {exchange}");
    }
}

fn body_outside(host: HostProfile, differs: bool, function: &str) {
    for (callback, buffer) in [(REQUEST_HEADERS, 0), (RESPONSE_HEADERS, 1), (RESPONSE_BODY, 0), ("proxy_on_log", 1)] {
        let guest = Guest::new().call(callback, function, &format!("(i32.const {buffer})"));
        traps(host, differs, &guest, "a body can be read and edited in its own callback");
    }
    for (callback, buffer) in [(REQUEST_BODY, 0), (RESPONSE_BODY, 1)] {
        traps(host, false, &Guest::new().call(callback, function, &format!("(i32.const {buffer})")), "");
    }
}

fn log_after_done(host: HostProfile, differs: bool) {
    let exchange = self::host(host, &Guest::new()).get("/").send();
    let names = callbacks(&exchange);
    let order = if differs { ["proxy_on_done", "proxy_on_log"] } else { ["proxy_on_log", "proxy_on_done"] };
    assert!(names.windows(2).any(|two| two == order), "{exchange}");
    assert_eq!(names.last().map(String::as_str), Some("proxy_on_delete"), "{exchange}");
}

/// Two bytes of `abcd`, from the second on.
fn read_of_two_bytes(host: HostProfile, expected: &str) {
    let range = "(i32.const 0) (i32.const 1) (i32.const 2)";
    let guest = Guest::new().call(REQUEST_BODY, "proxy_get_buffer_bytes", range).log(REQUEST_BODY);
    let exchange = self::host(host, &guest).post("/").body("abcd").send();
    assert_eq!(exchange.messages()[0], expected, "{exchange}");
}

/// The values of a field after a call that gives it the value `new`. The request has `x-a: 1` and
/// `x-a: 2`.
fn edited(host: HostProfile, function: &str, name: &str) -> Vec<String> {
    let mut guest = Guest::new();
    let (field, value) = (guest.bytes(name.as_bytes()), guest.bytes(b"new"));
    let guest = guest.call(REQUEST_HEADERS, function, &format!("(i32.const 0) {field} {value}"));
    let exchange = self::host(host, &guest).get("/").header("x-a", "1").header("x-a", "2").send();
    let values = exchange.upstream().unwrap().header_values(name);
    values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

#[test]
fn every_difference_that_is_played_differs_from_envoy() {
    let mut unused: Vec<_> = ROWS.iter().map(|(subject, text, _)| (*subject, *text)).collect();
    for profile in HostProfile::ALL {
        for difference in profile.differences().iter().filter(|difference| difference.is_played()) {
            let (subject, text) = (difference.subject, difference.text);
            let mut rows = ROWS.iter().filter(|row| row.0 == subject && text.starts_with(row.1));
            let (Some(row), None) = (rows.next(), rows.next()) else { panic!("{profile}: {subject}: {text}") };
            row.2(profile, true);
            row.2(HostProfile::default(), false);
            unused.retain(|known| *known != (row.0, row.1));
        }
    }
    assert!(unused.is_empty(), "no host has {unused:?}");
}

fn yes(_: [u32; 5]) -> u32 {
    1
}

/// A filter that runs natively, and calls a host function for each request.
const fn native_filter(module: fn() -> Module) -> Subject {
    Subject { package: "", manifest_dir: "", guest: None, module: Some(module) }
}

macro_rules! native_exports {
    ($body:expr) => {{
        const EXPORTS: &[(&str, fn([u32; 5]) -> u32)] = &[
            ("proxy_on_context_create", yes),
            ("proxy_on_vm_start", yes),
            ("proxy_on_configure", yes),
            (REQUEST_HEADERS, $body),
        ];
        native_filter(|| Module { exports: EXPORTS })
    }};
}

#[test]
fn functions_fail_in_the_same_way_natively() {
    let reads_size = native_exports!(|_| u32::from(sys::proxy_get_header_map_size(0).is_err()));
    run_natively(&reads_size, |mut host| {
        assert_eq!(host.get("/").send().status(), 200);
    });
    run_natively(&reads_size, |mut host| {
        host.behave_as(HostProfile::NGINX);
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 503, "{exchange}");
        exchange.expect_error("does not offer proxy_get_header_map_size: as wasm, the module does not load");
    });
    let is_done = native_exports!(|_| u32::from(sys::proxy_done() == Err(Status::UNIMPLEMENTED)));
    run_natively(&is_done, |mut host| {
        host.behave_as(HostProfile::NGINX);
        let exchange = host.get("/").send();
        exchange.expect_error("nginx (ngx_wasm_module) does not implement proxy_done, and a call traps the VM");
    });
    let replies_twice = native_exports!(|_| {
        let twice = [1, 2].map(|_| sys::proxy_send_local_response(403, b"", b"", b"", -1).is_err());
        u32::from(twice[0])
    });
    run_natively(&replies_twice, |mut host| {
        host.behave_as(HostProfile::NGINX);
        host.get("/").send().expect_error("there is a local reply already");
    });
    let reads_level = native_exports!(|_| u32::from(sys::proxy_get_log_level() != Err(Status::UNIMPLEMENTED)));
    run_natively(&reads_level, |mut host| {
        host.behave_as(HostProfile::ATS);
        assert_eq!(host.get("/").send().status(), 200, "the request is not paused");
    });
    let nothing = native_filter(|| Module { exports: &[(REQUEST_HEADERS, |_| 0)] });
    run_natively(&nothing, |mut host| {
        host.behave_as(HostProfile::NGINX);
        let refused = host.configure("").unwrap_err().to_string();
        assert!(refused.contains("does not export proxy_on_vm_start"), "{refused}");
    });
}

const PAGE: &str = "docs/limits.md";
const HEADING: &str = "| Host | Where | Difference | Played |\n|---|---|---|---|\n";

#[test]
fn the_page_of_limits_lists_every_difference() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(HEADING).unwrap_or_else(|| panic!("{PAGE} has no table of differences"));
    let (found, after) = rest.split_once("\n\n").unwrap();
    let mut table = Vec::new();
    for host in HostProfile::ALL {
        for difference in host.differences() {
            let played = if difference.is_played() { "yes" } else { "no" };
            let subject = difference.subject.strip_prefix("env.").unwrap_or(difference.subject);
            table.push(format!("| {host} | `{subject}` | {} | {played} |", difference.text));
        }
    }
    let table = table.join("\n");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{HEADING}{table}\n\n{after}")).unwrap();
    } else {
        assert_eq!(found, table, "BLESS=1 cargo test --package proxy-filter-host --test any_module limits");
    }
}

#[test]
fn memory_beyond_a_hosts_limit_is_refused_at_the_start_and_later() {
    let most = usize::try_from(HostProfile::GOOGLE.memory() / 65_536).unwrap();
    let large = Guest::new().pages(most + 1);
    host(HostProfile::default(), &large).configure("").unwrap();
    let refused = host(HostProfile::GOOGLE, &large).configure("").unwrap_err().to_string();
    assert!(refused.contains("the memory begins with 16 MiB, and the host has 16 MiB for a VM"), "{refused}");

    let grow = format!("(if (i32.eq (memory.grow (i32.const {most})) (i32.const -1)) (then (unreachable)))");
    let growing = Guest::new().code(REQUEST_HEADERS, &grow);
    assert_eq!(host(HostProfile::default(), &growing).get("/").send().status(), 200);
    let mut host = host(HostProfile::GOOGLE, &growing);
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    exchange.expect_error("16 MiB in Google Service Extensions");
}

#[test]
fn a_callback_that_takes_too_long_traps_the_vm() {
    let most = HostProfile::GOOGLE.instructions().unwrap();
    let code = format!(
        "(loop $again (global.set $next (i32.add (global.get $next) (i32.const 1)))
         (br_if $again (i32.lt_u (global.get $next) (i32.const {}))))",
        most / 2
    );
    let slow = |callback| Guest::new().code(callback, &code);
    assert_eq!(host(HostProfile::default(), &slow(REQUEST_HEADERS)).get("/").send().status(), 200);
    host(HostProfile::GOOGLE, &slow("proxy_on_configure")).configure("").unwrap();
    let mut fast = host(HostProfile::GOOGLE, &Guest::new());
    let first = fast.get("/").send().spent().instructions;
    assert!(first > 0, "callbacks with a limit are counted");
    assert_eq!(fast.get("/").send().spent().instructions, first);

    let mut host = host(HostProfile::GOOGLE, &slow(REQUEST_HEADERS));
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    exchange.expect_error("takes longer than Google Service Extensions allows");
}
