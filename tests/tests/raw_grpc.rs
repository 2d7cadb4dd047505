//! gRPC of the host, from a module that can make any host call: the foundation of an SDK.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{__private, GrpcStreamReply, Host, Outcome, Reply, Subject};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Pauses the request, makes this call, and resumes the request when a call or stream has ended.
fn ask(host: &mut Host, script: &str) -> Outcome {
    host.get("/")
        .header("x-request-headers", format!("{script}; return 1"))
        .header("x-initial", "pairs 4; pairs 5; size 4; get 4 x-initial; get 4 x-none; length 5")
        .header("x-message", "buffer 5; length 5; pairs 4; status; stream; continue 0")
        .header("x-trailing", "pairs 5; pairs 4; get 5 grpc-status; get 5 x-none; length 5; status")
        .header("x-close", "pairs 5; length 5; status; stream; continue 0; status")
        .disconnect_after(ms(600))
        .send()
}

/// The callbacks about gRPC, without their prefix.
fn told(exchange: &Outcome) -> Vec<&str> {
    exchange.callbacks().iter().filter_map(|name| name.strip_prefix("proxy_on_grpc_")).collect()
}

const INITIAL: &str = "receive_initial_metadata";
const MESSAGE: &str = "receive";
const TRAILING: &str = "receive_trailing_metadata";
const CLOSE: &str = "close";

#[proxy_filter_host::test(guest = "script")]
fn a_unary_call_completes_with_one_message_callback(mut host: Host) {
    let echo = |call: &proxy_filter_host::Received| Reply::grpc(call.grpc_messages().concat());
    host.grpc_cluster("echo", move |call| echo(call).header("x-initial", "1").trailer("x-t", "1"));
    host.configure("").unwrap();
    let exchange = ask(&mut host, "grpc echo Check 1000 hello x-a=1,x-some-bin=raw,X-B=2");
    assert_eq!((exchange.status(), told(&exchange)), (200, vec![MESSAGE]), "{exchange}");
    let calls = exchange.calls("echo");
    assert_eq!(calls[0].grpc_messages(), [b"hello"]);
    assert_eq!(calls[0].header("x-some-bin"), Some("cmF3".into()));
    assert_eq!(told(&ask(&mut host, "grpc echo Check 0 hello")), [MESSAGE]);
    let exchange = ask(&mut host, "grpc echo Check 1000");
    assert!(exchange.messages().contains(&"buffer: 0 bytes: "), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_unary_call_that_fails_completes_with_one_status_callback(mut host: Host) {
    host.grpc_cluster("fails", |_call| Reply::grpc_status(7, "not you: 50% über"));
    host.grpc_cluster("slow", |_call| Reply::grpc("x").after(ms(1000)));
    host.grpc_cluster("never", |_call| Reply::reset());
    host.grpc_cluster("none", |_call| Reply::grpc_messages::<&str>([]));
    host.grpc_cluster("cut", |_call| Reply::grpc("x").cut_off());
    host.grpc_cluster("plain", |_call| Reply::new(200).body("hello"));
    host.grpc_cluster("http503", |_call| Reply::new(503).body("hello"));
    host.grpc_cluster("http404", |_call| Reply::new(404));
    host.grpc_cluster("no_status", |_call| {
        Reply::new(200).header("content-type", "application/grpc").chunks(["\0\0\0\0\x01x"])
    });
    host.grpc_cluster("bare", |_call| Reply::new(200).header("content-type", "application/grpc"));
    host.cluster("http1", |_call| Reply::new(200).body("hello"));
    host.cluster_refusing_connections("down");
    host.configure("").unwrap();
    let has_reason = host.behaves_as().differs_in("ends with the reason of the transport");
    let reason = if has_reason { ", transport failure reason: delayed connect error: Connection refused" } else { "" };
    let down = format!(
        "14 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure{reason}\
         {{upstream_reset_before_response_started{{remote_connection_failure|delayed_connect_error:_Connection_refused}}}}"
    );
    for (cluster, status) in [
        ("fails", "7 not you: 50%25 %C3%BCber{via_upstream}"),
        ("slow", "14 upstream request timeout{response_timeout}"),
        (
            "never",
            "14 upstream connect error or disconnect/reset before headers. reset reason: connection termination{upstream_reset_before_response_started{connection_termination}}",
        ),
        ("none", "13 "),
        ("cut", "13 upstream_reset_after_response_started{connection_termination}"),
        ("plain", "13 via_upstream"),
        ("http503", "14 via_upstream"),
        ("http404", "12 via_upstream"),
        ("no_status", "2 via_upstream"),
        ("bare", "2 via_upstream"),
        ("http1", "13 via_upstream"),
        ("down", &down),
    ] {
        let exchange = ask(&mut host, &format!("grpc {cluster} Check 200 x"));
        assert_eq!(told(&exchange), [CLOSE], "{exchange}");
        assert!(exchange.messages().contains(&format!("status {status}").as_str()), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn the_last_of_several_messages_is_the_response_of_a_call(mut host: Host) {
    host.grpc_cluster("two", |_call| Reply::grpc_messages(["one", "two"]));
    host.configure("").unwrap();
    let exchange = ask(&mut host, "grpc two Check 1000 x");
    assert!(exchange.messages().contains(&"buffer: 3 bytes: two"), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn the_service_is_a_message_or_the_name_of_a_cluster(mut host: Host) {
    host.grpc_cluster("echo", |_call| Reply::grpc("x"));
    host.cluster_without_hosts("empty");
    host.configure("close: status\ntrailing: pairs 5").unwrap();
    assert_eq!(told(&ask(&mut host, "named echo Check 1000 x")), [MESSAGE]);
    let exchange = ask(&mut host, "named nowhere Check 1000 x");
    assert!(told(&exchange).is_empty(), "{exchange}");
    // After the callback, the host reports the end of the failed call with an unknown token.
    for script in ["grpc nowhere Check 1000 x", "grpc empty Check 1000 x", "open nowhere Talk"] {
        let exchange = ask(&mut host, script);
        assert_eq!(told(&exchange), [CLOSE], "{exchange}");
    }
    let exchange = ask(&mut host, "open empty Talk; log after");
    assert_eq!(told(&exchange), [INITIAL, TRAILING, CLOSE], "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn each_message_of_a_stream_gets_its_response_at_once(mut host: Host) {
    let answer = |message: &[u8]| match message {
        b"end" => GrpcStreamReply::from(vec![b"bye".to_vec()]).end(5, "gone"),
        b"two" => vec![b"a".to_vec(), b"b".to_vec()].into(),
        message => vec![message.to_vec()].into(),
    };
    host.grpc_stream_cluster("talk", answer);
    host.configure("").unwrap();
    let exchange = ask(&mut host, "open talk Talk x-a=1; send last one 0; send last two 0; send last end 0");
    assert_eq!(told(&exchange), [INITIAL, MESSAGE, MESSAGE, MESSAGE, MESSAGE, TRAILING, CLOSE], "{exchange}");
    assert_eq!(exchange.calls("talk")[0].grpc_messages(), [&b"one"[..], b"two", b"end"]);
    assert!(exchange.messages().contains(&"status 5 gone{via_upstream}"), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_ends_when_both_halves_have(mut host: Host) {
    host.grpc_stream_cluster("talk", |message| vec![message.to_vec()]);
    host.configure("").unwrap();
    for (script, answers) in [
        ("open talk Talk; send last one 1; send last late 0", 1),
        ("open talk Talk; half-close last", 0),
        ("open talk Talk; send last one 0; half-close last; send last late 0", 1),
    ] {
        let exchange = ask(&mut host, script);
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.calls("talk")[0].grpc_messages().len(), answers, "{exchange}");
        assert!(exchange.calls("talk")[0].complete);
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_gets_its_response_after_its_last_message(mut host: Host) {
    let echo = |call: &proxy_filter_host::Received| Reply::grpc(call.grpc_messages().concat());
    host.grpc_cluster("echo", move |call| echo(call).header("x-initial", "1").trailer("x-t", "1"));
    host.grpc_cluster("two", |_call| Reply::grpc_messages(["one", "two"]));
    host.grpc_cluster("fails", |_call| Reply::grpc_status(7, "not you"));
    host.grpc_cluster("late", |_call| {
        let reply = Reply::new(200).header("content-type", "application/grpc").chunks(["\0\0\0\0\x01x"]);
        reply.trailer("grpc-status", "9").trailer("grpc-message", "late")
    });
    host.grpc_cluster("cut", |_call| Reply::grpc("x").cut_off());
    host.grpc_cluster("never", |_call| Reply::reset());
    host.grpc_cluster("plain", |_call| Reply::new(200).body("hello"));
    host.grpc_cluster("http503", |_call| Reply::new(503).body("hello"));
    host.grpc_cluster("http404", |_call| Reply::new(404));
    host.grpc_cluster("no_status", |_call| {
        Reply::new(200).header("content-type", "application/grpc").chunks(["\0\0\0\0\x01x"])
    });
    host.grpc_cluster("bare", |_call| Reply::new(200).header("content-type", "application/grpc"));
    host.cluster_refusing_connections("down");
    host.configure("").unwrap();
    for (cluster, messages) in [
        ("echo", 1),
        ("two", 2),
        ("fails", 0),
        ("late", 1),
        ("cut", 1),
        ("never", 0),
        ("plain", 0),
        ("http503", 0),
        ("http404", 0),
        ("no_status", 1),
        ("bare", 0),
        ("down", 0),
    ] {
        let exchange = ask(&mut host, &format!("open {cluster} Talk; send last m1 0; send last m2 0; half-close last"));
        let told = told(&exchange);
        assert_eq!((told.len(), told[0], told[told.len() - 1]), (messages + 3, INITIAL, CLOSE), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn cancelled_calls_and_streams_have_no_callbacks(mut host: Host) {
    // Each calls its own cluster: a connection from a cancelled call would serve the next call at
    // once.
    for cluster in ["cancelled", "closed"] {
        host.grpc_cluster(cluster, |_call| Reply::grpc("x").after(ms(200)));
    }
    host.grpc_stream_cluster("talk", |message| vec![message.to_vec()]);
    host.configure("").unwrap();
    for script in [
        "grpc cancelled Check 1000 x; cancel last; cancel last",
        "grpc closed Check 1000 x; half-close last; half-close last; send last x 0",
        "open talk Talk; cancel last; cancel last; send last x 0; half-close last",
        "cancel 4; cancel 3; cancel 9; cancel 10; half-close 4; half-close 3; half-close 9; half-close 10; send 3 x 0; send 9 x 0; send 10 x 0",
    ] {
        let exchange = ask(&mut host, script);
        assert!(told(&exchange).is_empty(), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_token_is_valid_until_both_halves_have_ended(mut host: Host) {
    host.grpc_stream_cluster("talk", |_message| GrpcStreamReply::default().end(0, ""));
    host.configure("").unwrap();
    for (script, close) in [
        ("open talk Talk; send last x 0", "send last y 0; half-close last; half-close last"),
        ("open talk Talk; send last x 1", "send last y 0; half-close last; half-close last"),
        ("open talk Talk; send last x 0; half-close last", "send last y 0; half-close last; half-close last"),
        ("open talk Talk; send last x 0", "cancel last; cancel last"),
        ("grpc talk Check 0 x", "cancel last; cancel last"),
    ] {
        let exchange = host
            .get("/")
            .header("x-request-headers", format!("{script}; return 1"))
            .header("x-message", "cancel last; cancel last; stream; continue 0")
            .header("x-close", format!("{close}; stream; continue 0"))
            .header("x-log", "send last z 0; half-close last; cancel last")
            .disconnect_after(ms(600))
            .send();
        assert_eq!(exchange.status(), 200, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_that_outlasts_the_pause_of_its_request_is_one_call(mut host: Host) {
    host.grpc_stream_cluster("talk", |message| vec![message.to_vec()]);
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).after(ms(200)));
    let script = "send last one 0; half-close last; stream; continue 0";
    let exchange =
        host.get("/").header("x-request-headers", "open talk Talk; return 1").header("x-initial", script).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let calls = exchange.calls("talk");
    assert_eq!((calls.len(), calls[0].grpc_messages()), (1, vec![b"one".to_vec()]), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_outlives_the_request_that_opened_it(mut host: Host) {
    host.grpc_stream_cluster("talk", |message| vec![message.to_vec()]);
    host.configure("message: buffer 5").unwrap();
    host.upstream(|_request| Reply::new(200).after(ms(100)));
    let exchange = host.get("/").header("x-request-headers", "open talk Talk").send();
    assert_eq!((exchange.status(), told(&exchange)), (200, vec![INITIAL]), "{exchange}");
    let exchange = host.get("/").header("x-request-headers", "send 6 later 0").send();
    assert_eq!(told(&exchange), [MESSAGE], "{exchange}");
    let exchange = host.get("/").header("x-request-headers", "half-close 6").send();
    assert_eq!(told(&exchange), [TRAILING, CLOSE], "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn responses_of_calls_arrive_in_the_order_of_their_times(mut host: Host) {
    let slow = |call: &proxy_filter_host::Received| match call.header(":path") {
        Some(path) if path == "/pkg.Service/First" => Reply::grpc("first").after(ms(100)),
        _ => Reply::grpc("second").after(ms(250)),
    };
    host.grpc_cluster("slow", slow);
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-request-headers", "grpc slow Second 1000 x; grpc slow First 1000 x; return 1")
        .header("x-message", "buffer 5")
        .disconnect_after(ms(500))
        .send();
    assert_eq!(exchange.messages(), ["buffer: 5 bytes: first", "buffer: 6 bytes: second"], "{exchange}");
}

/// A module of plain functions, as the SDK generates them from a filter.
mod plain {
    use proxy_filter::__private::Module;
    use proxy_filter::sys;

    /// `GrpcService` with the cluster `empty`.
    const EMPTY: &[u8] = b"\x0a\x07\x0a\x05empty";

    fn on_request_headers(_arguments: [u32; 5]) -> u32 {
        sys::proxy_set_effective_context(1).unwrap();
        let opened = sys::proxy_grpc_stream(EMPTY, b"pkg.Service", b"Talk", b"");
        // The inner callbacks had their own contexts. The context of this one is unchanged: the
        // root, which has no headers.
        let path = sys::proxy_get_header_map_value(0, b":path");
        sys::proxy_log(2, format!("opened: {opened:?}, path: {path:?}").as_bytes()).unwrap();
        0
    }

    fn on_initial(arguments: [u32; 5]) -> u32 {
        sys::proxy_log(2, format!("initial {:?}", &arguments[..3]).as_bytes()).unwrap();
        0
    }

    fn on_close(arguments: [u32; 5]) -> u32 {
        let status = sys::proxy_get_status().unwrap();
        sys::proxy_log(2, format!("close {:?} {}", &arguments[..3], String::from_utf8_lossy(&status.1)).as_bytes())
            .unwrap();
        0
    }

    pub(super) fn module() -> Module {
        Module {
            exports: &[
                ("proxy_on_request_headers", on_request_headers),
                ("proxy_on_grpc_receive_initial_metadata", on_initial),
                ("proxy_on_grpc_close", on_close),
            ],
        }
    }
}

#[test]
fn callbacks_run_inside_of_a_host_function_of_a_native_module_too() {
    let subject = Subject { package: "", manifest_dir: "", guest: None, module: Some(plain::module) };
    __private::native(&subject, |mut host| {
        host.cluster_without_hosts("empty");
        host.configure("").unwrap();
        let exchange = host.get("/").send();
        assert_eq!(
            exchange.messages(),
            [
                "initial [1, 6, 0]",
                "opened: Err(InternalFailure (10)), path: Err(BadArgument (2))",
                "close [1, 6, 14] no healthy upstream{no_healthy_upstream}"
            ],
            "{exchange}"
        );
    });
}
