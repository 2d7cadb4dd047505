//! One filter in two forms, with callbacks and as one async function. Both behave the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{Host, Received, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

/// Each scenario is a test of both filters, in both hosts.
macro_rules! of_both {
    ($callbacks:literal, $one_function:literal; $(fn $name:ident($host:ident: &mut Host) $body:block)*) => {
        mod scenario {
            use super::*;
            $(pub(crate) fn $name($host: &mut Host) $body)*
        }
        mod callbacks {
            use super::*;
            $(#[proxy_filter_host::test(guest = $callbacks)]
            fn $name(mut host: Host) {
                scenario::$name(&mut host);
            })*
        }
        mod one_function {
            use super::*;
            $(#[proxy_filter_host::test(guest = $one_function)]
            fn $name(mut host: Host) {
                scenario::$name(&mut host);
            })*
        }
    };
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn configure(host: &mut Host, cluster: &str) {
    host.configure(format!(r#"{{ "cluster": "{cluster}", "path": "/check", "timeout_ms": 200 }}"#)).unwrap();
}

/// Returns a host whose service responds with this function.
fn serve(host: &mut Host, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
    host.cluster("authz", answer);
    configure(host, "authz");
}

fn alice(_call: &Received) -> Reply {
    Reply::new(200).header("x-user", "alice")
}

of_both! { "auth_callbacks", "auth_async";
    fn who_is_let_in_has_a_name(host: &mut Host) {
        serve(host, alice);
        let exchange = host.get("/a?b").header("authorization", "Bearer t").header("x-user", "root").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
        let calls = exchange.calls("authz");
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].header(":path"), Some("/check".into()));
        assert_eq!(calls[0].header("authorization"), Some("Bearer t".into()));
        assert_eq!(calls[0].header("x-original-path"), Some("/a?b".into()));
    }

    fn without_a_token_the_service_challenges(host: &mut Host) {
        serve(host, |call| {
            assert_eq!(call.header("authorization"), None);
            Reply::new(401).header("www-authenticate", "Bearer")
        });
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 401, "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()));
        assert!(exchange.upstream().is_none(), "{exchange}");
    }

    fn each_request_in_flight_gets_the_response_to_its_own_call(host: &mut Host) {
        host.cluster("authz", |call| {
            let path = call.header("x-original-path").unwrap_or_default();
            let delay = if path == "/slow" { 1200 } else { 300 };
            Reply::new(200).header("x-user", path).after(ms(delay))
        });
        host.configure(r#"{ "cluster": "authz", "path": "/check", "timeout_ms": 5000 }"#).unwrap();
        host.upstream(|request| Reply::new(200).body(request.body.clone()));
        for (slow, fast) in [("1", "2"), ("3", "4")] {
            let slow = host.post("/slow").http2().chunks([slow, "-"]).start();
            let fast = host.post("/fast").chunks([fast, "+"]).start();
            let fast = fast.finish(host);
            assert!(!slow.has_ended(host), "its call has no response");
            let slow = slow.finish(host);
            for (exchange, path) in [(&slow, "/slow"), (&fast, "/fast")] {
                let upstream = exchange.upstream().unwrap();
                assert_eq!(upstream.header("x-user"), Some(path.into()), "{exchange}");
                assert_eq!(exchange.response().body, upstream.body, "{exchange}");
            }
            assert_eq!((slow.calls("authz").len(), fast.calls("authz").len()), (1, 1), "{slow}{fast}");
        }
    }

    fn each_request_in_flight_has_the_upstream_of_its_start(host: &mut Host) {
        serve(host, alice);
        let mut started = Vec::new();
        for (number, delay) in [(0, 600), (1, 200), (2, 400)] {
            host.upstream(move |_| Reply::new(200).header("x-number", number.to_string()).after(ms(delay)));
            started.push(host.get("/").start());
        }
        let finished: Vec<_> = started.into_iter().map(|exchange| exchange.finish(host)).collect();
        for (number, exchange) in finished.iter().enumerate() {
            let number = Some(number.to_string().as_str().into());
            assert_eq!(exchange.response().header("x-number"), number, "{exchange}");
        }
    }

    fn an_exchange_that_takes_no_time_has_ended_when_it_has_started(host: &mut Host) {
        serve(host, alice);
        host.upstream(|_| Reply::new(200));
        let exchange = host.get("/").start();
        assert!(exchange.has_ended(host));
        let exchange = exchange.finish(host);
        assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()), "{exchange}");
    }

    fn an_exchange_in_flight_is_finished_before_the_plugin_ends(host: &mut Host) {
        serve(host, alice);
        host.upstream(|_| Reply::new(200).after(ms(200)));
        let [first, second] = [(); 2].map(|()| host.get("/").start());
        configure(host, "authz");
        assert!(second.has_ended(host) && first.has_ended(host));
        assert_eq!((second.finish(host).status(), first.finish(host).status()), (200, 200));
    }

    fn a_service_that_is_broken_lets_nobody_in(host: &mut Host) {
        serve(host, |_| Reply::new(500));
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
        assert_eq!(exchange.messages(), ["the authorization service is unavailable: the call failed: the service responded with 500"]);
    }

    fn an_outage_lets_everybody_in_if_the_operator_says_so(host: &mut Host) {
        host.cluster_without_hosts("empty");
        host.configure(r#"{ "cluster": "empty", "on_outage": "allow" }"#).unwrap();
        let exchange = host.get("/").header("x-user", "root").send();
        assert_eq!(exchange.upstream().unwrap().header("x-user"), None, "{exchange}");
    }

    fn a_denial_has_the_words_of_the_service(host: &mut Host) {
        serve(host, |_| Reply::new(403).body("no\n"));
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "no\n"), "{exchange}");
        assert!(exchange.upstream().is_none());
    }

    fn the_body_of_a_request_waits_for_the_answer(host: &mut Host) {
        serve(host, |call| alice(call).after(ms(50)));
        let exchange = host.post("/").header("authorization", "Bearer t").chunks(["one ", "two"]).send();
        assert_eq!(exchange.upstream().unwrap().text(), "one two", "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()), "{exchange}");
    }

    fn the_body_of_a_denied_request_goes_nowhere(host: &mut Host) {
        serve(host, |_| Reply::new(403));
        let exchange = host.post("/").header("authorization", "Bearer t").chunks(["secret"]).trailer("x-end", "1").send();
        assert_eq!(exchange.status(), 403, "{exchange}");
        assert!(exchange.upstream().is_none());
    }

    fn a_service_that_takes_too_long_is_not_available(host: &mut Host) {
        serve(host, |call| alice(call).after(ms(400)));
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!(exchange.status(), 503, "{exchange}");
        assert!(exchange.upstream().is_none());
    }

    fn a_service_that_hangs_up_is_not_available(host: &mut Host) {
        serve(host, |_| Reply::reset());
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!(exchange.status(), 503, "{exchange}");
    }

    fn a_cluster_without_a_host_is_not_available(host: &mut Host) {
        host.cluster_without_hosts("empty");
        configure(host, "empty");
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!(exchange.status(), 503, "{exchange}");
    }

    fn a_cluster_that_is_not_there_is_not_available(host: &mut Host) {
        configure(host, "nowhere");
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!(exchange.status(), 503, "{exchange}");
    }

    fn a_client_that_leaves_is_forgotten(host: &mut Host) {
        serve(host, |call| alice(call).after(ms(150)));
        let exchange = host.get("/").header("authorization", "Bearer t").disconnect_after(ms(50)).send();
        assert_eq!(exchange.status(), 0, "{exchange}");
        assert!(exchange.upstream().is_none());
        assert!(host.advance(ms(300)).messages().is_empty());
        let exchange = host.get("/").header("authorization", "Bearer t").send();
        assert_eq!(exchange.status(), 200, "the next one is served: {exchange}");
    }

    fn the_service_is_asked_over_http2_too(host: &mut Host) {
        serve(host, alice);
        let exchange = host.get("/").header("authorization", "Bearer t").http2().send();
        assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()), "{exchange}");
    }
}

/// The shortest form of the filter, as in the guide.
mod short {
    use super::*;

    of_both! { "authorize_callbacks", "authorize_async";
        fn who_is_let_in_has_a_name(host: &mut Host) {
            host.cluster("authz", alice);
            let exchange = host.get("/").header("authorization", "Bearer t").header("x-user", "root").send();
            assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
            assert_eq!(exchange.calls("authz")[0].header("authorization"), Some("Bearer t".into()));
        }

        fn everybody_else_is_denied(host: &mut Host) {
            host.cluster("authz", |_| Reply::new(401));
            let exchange = host.post("/").chunks(["secret"]).send();
            assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "denied\n"), "{exchange}");
            assert!(exchange.upstream().is_none());
        }

        fn an_outage_lets_nobody_in(host: &mut Host) {
            host.cluster("authz", |_| Reply::reset());
            assert_eq!(host.get("/").header("authorization", "Bearer t").send().status(), 403);
            host.cluster_without_hosts("authz");
            assert_eq!(host.get("/").header("authorization", "Bearer t").send().status(), 403);
        }

        fn the_body_of_a_request_waits_for_the_answer(host: &mut Host) {
            host.cluster("authz", |call| alice(call).after(ms(50)));
            let exchange = host.post("/").chunks(["one ", "two"]).send();
            assert_eq!(exchange.upstream().unwrap().text(), "one two", "{exchange}");
        }

        fn a_client_that_leaves_is_forgotten(host: &mut Host) {
            host.cluster("authz", |call| alice(call).after(ms(150)));
            let exchange = host.get("/").disconnect_after(ms(50)).send();
            assert_eq!((exchange.status(), exchange.upstream()), (0, None), "{exchange}");
            assert!(host.advance(ms(300)).messages().is_empty());
        }
    }
}

#[test]
fn the_filter_as_one_function_has_at_most_twenty_lines() {
    let text = include_str!("../../bench/filters/ours/examples/auth_async.rs");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    assert!(lines <= 20, "{lines} lines");
}

/// The functions that a module exports.
fn exports(guest: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = std::fs::read(build_guest(directory, "proxy-filter-guests", Some(guest)).unwrap()).unwrap();
    let names = ["proxy_on_tick", "proxy_on_http_call_response", "proxy_on_response_headers", "proxy_on_log"];
    let exported = |name: &&str| module.windows(name.len()).any(|window| window == name.as_bytes());
    names.into_iter().filter(exported).map(str::to_owned).collect()
}

#[test]
fn the_time_limit_of_a_call_is_no_timer_of_the_filter() {
    // An async filter without a configuration. With one, a tick could wake it through the
    // configuration.
    let both = ["auth_callbacks", "time_limit"].map(exports);
    assert_eq!(both[0], ["proxy_on_http_call_response"]);
    assert_eq!(both[0], both[1]);
}
