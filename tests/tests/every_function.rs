//! Every host function of ABI 0.2.1 is called by a module that runs in both hosts, with the same
//! results.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Event, Host, Outcome, Reply};
use std::collections::BTreeSet;

macro_rules! names {
    ($($name:ident($($parameters:tt)*) -> ($($results:tt)*);)*) => {
        /// Generated from the list that the SDK and the embedded host use.
        const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];
    };
}
proxy_filter::__for_each_host_function!(names);

/// The host functions that were called during an exchange. The hosts' records show a call of
/// `proxy_log` as the line that was logged.
fn called(exchange: &Outcome) -> BTreeSet<String> {
    let name = |event: &Event| match event {
        Event::HostCall { name, .. } => Some(name.clone()),
        Event::Log(_) => Some("proxy_log".to_owned()),
        _ => None,
    };
    exchange.record().events.iter().filter_map(name).collect()
}

#[proxy_filter_host::test(guest = "script")]
fn every_host_function_is_called_in_both_hosts(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).body("yes"));
    host.grpc_cluster("greeter", |_call| Reply::grpc(b"hello"));
    for cluster in ["chat", "silent"] {
        host.grpc_stream_cluster(cluster, |message| vec![message.to_vec()]);
    }
    host.configure("").unwrap();
    let mut all = BTreeSet::new();
    for (headers, more) in [
        ("level; time; share key value; queue letters a; gauge size 7; root-is-done; foreign compress aaa", None),
        ("get 0 :path; pairs 0; size 0; add 0 x-a 1; replace 0 x-b 2; remove 0 x-a; property request.path", None),
        ("set-property key value; tick 0; context 0", Some(("x-response-headers", "set-pairs 2 :status=203,x-set=1"))),
        ("call authz /check 1000; return 1", Some(("x-answer", "status; buffer 4; stream; continue 0"))),
        ("reply 418 teapot", None),
        ("close 0", None),
        ("grpc greeter Hello 1000 me; return 1", Some(("x-message", "buffer 5; stream; continue 0"))),
        ("open chat Talk; send last a 0; half-close last; return 1", Some(("x-close", "stream; continue 0"))),
        ("open silent Talk; cancel last", None),
    ] {
        let (name, list) = more.unwrap_or(("x-none", ""));
        let exchange = host.get("/").header("x-request-headers", headers).header(name, list).send();
        assert!(!exchange.messages().iter().any(|line| line.starts_with("no command")), "{exchange}");
        all.extend(called(&exchange));
    }
    let body = host.post("/").header("x-request-body", "length 0; buffer 0; set 0 0 0 more").chunks(["a", "b"]).send();
    assert_eq!(body.upstream().unwrap().text(), "moreab", "{body}");
    all.extend(called(&body));
    let missing: Vec<_> = FUNCTIONS.iter().filter(|name| !all.contains(**name)).collect();
    assert!(missing.is_empty(), "nobody calls {missing:?}");
}
