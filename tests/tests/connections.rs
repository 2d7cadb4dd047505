//! TCP connections through a filter. Each test runs in the embedded host and, with
//! `--include-ignored`, in a real Envoy, with the same result.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Connection, ConnectionBuilder, DirectionState, Host, Reply};

fn mode(host: &mut Host, mode: &str) {
    host.tcp();
    host.configure(mode).unwrap();
}

/// What the upstream received in each step.
fn upstream_by_step(connection: &Connection) -> Vec<String> {
    connection.steps().iter().filter_map(|moment| Some(moment.upstream.as_ref()?.text())).collect()
}

/// What the client received in each step.
fn client_by_step(connection: &Connection) -> Vec<String> {
    connection.steps().iter().map(|moment| moment.client.text()).collect()
}

#[proxy_filter_host::test(guest = "connections")]
fn data_is_forwarded_unchanged_in_both_directions(mut host: Host) {
    mode(&mut host, "");
    let connection =
        host.connect().send("hello").upstream_sends("welcome").send("\0\x7f").upstream_sends([0xff]).play();
    assert_eq!(connection.upstream().unwrap().bytes, b"hello\0\x7f", "{connection}");
    assert_eq!(connection.client().bytes, b"welcome\xff", "{connection}");
    assert_eq!(connection.client().end, DirectionState::Closed);
    assert_eq!(connection.upstream().unwrap().end, DirectionState::Closed);
}

#[proxy_filter_host::test(guest = "connections")]
fn the_callbacks_run_in_the_order_of_the_connection(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().send("hello").upstream_answers(<[u8]>::to_ascii_uppercase).play();
    assert_eq!(connection.client().text(), "HELLO", "{connection}");
    assert_eq!(
        connection.messages(),
        [
            "new: Some(127.0.0.1) None None None Some(\"chain\"), None None Some(0) true None, \
             Some(0) Some(0) Some(ResponseFlags(0x0 )) None, None Some(\"\")",
            "downstream 5 false",
            "upstream 5 false",
            "downstream 0 true",
            "upstream 0 true",
            "upstream closed by Unknown",
            "downstream closed by Local",
            "done",
            "log: Some(127.0.0.1) Some(127.0.0.1) Some(\"upstream\") None Some(\"chain\"), None None Some(0) true None, \
             Some(5) Some(5) Some(ResponseFlags(0x0 )) None, None Some(\"\")",
            "delete",
        ],
        "{connection}"
    );
}

#[proxy_filter_host::test(guest = "connections")]
fn a_client_may_send_after_the_upstream_has_finished(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().upstream_finishes().send("more").play();
    assert_eq!(connection.upstream().unwrap().text(), "more", "{connection}");
    assert_eq!(connection.steps()[1].client.end, DirectionState::Closed, "{connection}");
    assert_eq!(connection.steps()[1].upstream.as_ref().unwrap().end, DirectionState::Open, "{connection}");
    assert!(connection.messages().contains(&"downstream closed by Remote"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_upstream_may_send_after_the_client_has_finished(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().send("what?").finish().upstream_sends("this").play();
    assert_eq!(connection.client().text(), "this", "{connection}");
    assert_eq!(connection.steps()[2].upstream.as_ref().unwrap().end, DirectionState::Closed, "{connection}");
    assert_eq!(connection.steps()[2].client.end, DirectionState::Open, "{connection}");
    assert!(connection.messages().contains(&"downstream closed by Local"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_upstream_may_send_first(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().upstream_sends("220 ready\n").send("QUIT\n").upstream_finishes().play();
    assert_eq!(connection.client().text(), "220 ready\n", "{connection}");
    assert_eq!(connection.upstream().unwrap().text(), "QUIT\n", "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_connection_without_data_only_ends(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().play();
    assert!(connection.client().bytes.is_empty() && connection.upstream().unwrap().bytes.is_empty(), "{connection}");
    assert!(connection.messages().contains(&"downstream 0 true"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_is_edited_in_both_directions(mut host: Host) {
    mode(&mut host, "edit");
    let words = ["replace", "prepend", "append", "drop", "drain", "drain all", "several", "other"];
    let edited = ["something else", "before prepend", "append after", "", "ain", "", "Several!", "other"];
    let script = words.iter().fold(host.connect(), ConnectionBuilder::send);
    let script = words.iter().fold(script, ConnectionBuilder::upstream_sends);
    let connection = script.play();
    assert_eq!(upstream_by_step(&connection)[1..=8], edited, "{connection}");
    assert_eq!(client_by_step(&connection)[9..=16], edited, "{connection}");
    assert_eq!(connection.messages(), ["8 bytes: ever"; 2]);
}

#[proxy_filter_host::test(guest = "connections")]
fn data_can_be_added_at_the_end_of_stream(mut host: Host) {
    mode(&mut host, "end");
    let connection = host.connect().send("1 ").upstream_sends("2 ").play();
    assert_eq!(connection.upstream().unwrap().text(), "1 the end", "{connection}");
    assert_eq!(connection.client().text(), "2 the end", "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_is_buffered_until_a_line_is_complete(mut host: Host) {
    mode(&mut host, "lines");
    let connection = host.connect().send("he").send("llo").send("!\n").send("bye").play();
    assert_eq!(upstream_by_step(&connection), ["", "", "", "hello!\n", "", "bye", ""], "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_of_the_upstream_is_buffered_as_well(mut host: Host) {
    mode(&mut host, "lines");
    let connection = host.connect().upstream_sends("he").upstream_sends("llo\n").upstream_sends("x").play();
    assert_eq!(client_by_step(&connection), ["", "", "hello\n", "", "", "x"], "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_that_is_buffered_at_the_end_of_stream_is_lost(mut host: Host) {
    mode(&mut host, "never");
    let connection = host.connect().send("a").upstream_sends("b").play();
    assert!(connection.client().bytes.is_empty() && connection.upstream().unwrap().bytes.is_empty(), "{connection}");
    let connection = host.connect().send("a").upstream_sends("b").upstream_finishes().finish().play();
    assert!(connection.client().bytes.is_empty() && connection.upstream().unwrap().bytes.is_empty(), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_direction_paused_until_its_end_does_not_keep_the_connection_open(mut host: Host) {
    mode(&mut host, "never downstream");
    let connection = host.connect().send("a").upstream_sends("b").play();
    assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
    let connection = host.connect().send("a").upstream_sends("b").upstream_finishes().finish().play();
    assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
    mode(&mut host, "never upstream");
    let connection = host.connect().send("a").upstream_sends("b").play();
    assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
    let connection = host.connect().send("a").upstream_sends("b").upstream_finishes().finish().play();
    assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
}

/// The sizes of chunks differ between hosts, so only the whole data is compared.
#[proxy_filter_host::test(guest = "connections")]
fn a_host_stops_reading_when_a_filter_buffers_more_than_the_limit(mut host: Host) {
    host.log_level(LogLevel::Info);
    host.buffer_limit(10_000);
    mode(&mut host, "lines");
    let connection = host.connect().send(vec![b'x'; 300_000]).send("\n").play();
    assert_eq!(connection.upstream().unwrap().bytes.len(), 0);
    let connection = host.connect().upstream_sends(vec![b'x'; 300_000]).upstream_sends("\n").play();
    assert_eq!(connection.client().bytes.len(), 0);
    let connection = host.connect().send([b'x'; 9_000]).send("\n").play();
    assert_eq!(connection.upstream().unwrap().bytes.len(), 9_001);
}

#[proxy_filter_host::test(guest = "connections")]
fn a_guard_closes_a_connection_with_a_wrong_prefix(mut host: Host) {
    mode(&mut host, "guard");
    let connection = host.connect().send("bad start").send("more").upstream_sends("what?").play();
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
    assert_eq!(connection.steps()[1].client.end, DirectionState::Closed, "{connection}");
    assert_eq!(connection.steps()[1].upstream.as_ref().unwrap().end, DirectionState::Closed, "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_guard_closes_a_connection_after_a_wrong_response_of_the_upstream(mut host: Host) {
    mode(&mut host, "guard");
    let connection = host.connect().send("hello").upstream_sends("good").upstream_sends("bad").play();
    assert_eq!(connection.client().text(), "good", "{connection}");
    assert_eq!(connection.steps()[3].client.end, DirectionState::Closed, "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_guard_closes_a_connection_at_an_end_of_stream(mut host: Host) {
    mode(&mut host, "guard the end");
    let _ = host.connect().send("hello").play();
    let _ = host.connect().send("hello").upstream_finishes().play();
}

#[proxy_filter_host::test(guest = "connections")]
fn a_connection_that_is_denied_reaches_no_upstream(mut host: Host) {
    mode(&mut host, "deny");
    let connection = host.connect().send("hello").play();
    assert_eq!(connection.upstream(), None, "{connection}");
    assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_paused_connection_has_no_data_callbacks(mut host: Host) {
    mode(&mut host, "hold");
    let connection = host.connect().send("hello").play();
    assert_eq!((connection.upstream(), connection.client().end), (None, DirectionState::Open), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_client_that_resets_resets_the_upstream(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().send("hello").reset().upstream_sends("late").play();
    assert_eq!(connection.upstream().unwrap().end, DirectionState::Reset, "{connection}");
    assert!(connection.messages().contains(&"downstream closed by Remote"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_upstream_that_resets_resets_the_client(mut host: Host) {
    mode(&mut host, "watch");
    let connection = host.connect().send("hello").upstream_sends("partly").upstream_resets().play();
    assert_eq!(connection.client().text(), "partly", "{connection}");
    assert_eq!(connection.client().end, DirectionState::Reset, "{connection}");
    assert!(!connection.messages().contains(&"upstream closed by Unknown"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn buffered_data_is_lost_at_a_reset(mut host: Host) {
    mode(&mut host, "never");
    let connection = host.connect().send("hello").reset().play();
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
    let connection = host.connect().upstream_sends("hello").upstream_resets().play();
    assert_eq!(connection.client().bytes, b"", "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_error_closes_the_connection_and_no_other(mut host: Host) {
    mode(&mut host, "fail");
    let connection = host.connect().send("good").send("bad").play();
    assert_eq!(connection.upstream().unwrap().text(), "good", "{connection}");
    assert_eq!(connection.steps()[2].client.end, DirectionState::Closed, "{connection}");
    let message = "on_downstream_data of context 2 failed: bad data; the connection is closed";
    assert_eq!(connection.messages(), [message]);
    connection.expect_error(message);
    let connection = host.connect().send("good").upstream_sends("bad").play();
    connection.expect_error("on_upstream_data of context 3 failed: bad data");
    assert_eq!(connection.messages(), ["on_upstream_data of context 3 failed: bad data; the connection is closed"]);
    let connection = host.connect().send("good").play();
    assert_eq!(connection.upstream().unwrap().text(), "good", "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_filter_that_fails_open_forwards_the_connection(mut host: Host) {
    mode(&mut host, "fail open");
    let connection = host.connect().send("bad").upstream_sends("bad too").play();
    assert_eq!(connection.upstream().unwrap().text(), "bad", "{connection}");
    assert_eq!(connection.client().text(), "bad too", "{connection}");
    assert_eq!(connection.messages()[0], "on_downstream_data of context 2 failed: bad data; the connection continues");
    connection.expect_error("bad data; the connection continues");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_context_that_fails_in_on_create_is_refused_at_the_next_callback(mut host: Host) {
    mode(&mut host, "create");
    let connection = host.connect().send("hello").play();
    assert_eq!(connection.upstream(), None, "{connection}");
    assert_eq!(
        connection.messages(),
        [
            "on_create of context 2 failed: no",
            "on_new_connection of context 2 failed: on_create failed; the connection is closed"
        ]
    );
    connection.expect_error("on_create of context 2 failed: no").expect_error("on_new_connection of context 2 failed");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_error_in_a_callback_that_only_observes_is_only_logged(mut host: Host) {
    mode(&mut host, "fail close");
    let connection = host.connect().send("hello").upstream_sends("hi").play();
    assert_eq!(connection.client().text(), "hi", "{connection}");
    assert_eq!(connection.messages(), ["on_downstream_close of context 2 failed: closing"]);
    connection.expect_error("on_downstream_close of context 2 failed: closing");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_panic_ends_the_vm_and_the_connection(mut host: Host) {
    mode(&mut host, "panic");
    let connection = host.connect().send("good").send("bad").play();
    assert_eq!(connection.upstream().unwrap().text(), "good", "{connection}");
    connection.expect_error("on_downstream_data of context 2 panicked at ");
    let connection = host.connect().send("good").play();
    assert_eq!(connection.upstream(), None, "{connection}");
}

/// The sizes of chunks differ between hosts, so only the whole data is compared.
#[proxy_filter_host::test(guest = "connections")]
fn a_mebibyte_is_forwarded_in_both_directions(mut host: Host) {
    host.log_level(LogLevel::Info);
    mode(&mut host, "");
    let data: Vec<u8> = (0..1_u32 << 20).map(|number| number.to_le_bytes()[usize::from(number % 3 == 0)]).collect();
    let connection = host.connect().send(&data).upstream_answers(<[u8]>::to_vec).play();
    assert!(connection.upstream().unwrap().bytes == data, "what the upstream received is not what was sent");
    assert!(connection.client().bytes == data, "what the client received is not what was sent");
}

#[proxy_filter_host::test(guest = "connections")]
fn host_functions_for_requests_do_not_affect_a_connection(mut host: Host) {
    mode(&mut host, "raw");
    host.expect_violation("proxy_send_local_response for what is no HTTP stream");
    let connection = host.connect().send("raw data").play();
    assert_eq!(connection.upstream().unwrap().text(), "raw data", "{connection}");
    let answers = "BadArgument [\"Ok\", \"Ok\"] Ok 0 BadArgument Unimplemented";
    assert_eq!(connection.messages(), [answers, "Ok"]);
}

#[proxy_filter_host::test(guest = "connections")]
fn buffered_data_of_the_client_can_be_resumed_from_another_callback(mut host: Host) {
    mode(&mut host, "raw");
    let connection = host.connect().send("wait").upstream_sends("go").play();
    assert_eq!(upstream_by_step(&connection), ["", "", "wait", "", ""], "{connection}");
    let connection = host.connect().send("wait").finish().upstream_sends("go").play();
    assert_eq!(upstream_by_step(&connection), ["", "", "", "wait", ""], "{connection}");
    let connection = host.connect().send("wait").upstream_sends("wait").upstream_sends("go").play();
    assert_eq!(connection.client().text(), "", "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn connections_are_served_one_after_the_other(mut host: Host) {
    mode(&mut host, "watch");
    for text in ["one", "two", "three"] {
        let connection = host.connect().send(text).upstream_answers(<[u8]>::to_vec).play();
        assert_eq!(connection.client().text(), text, "{connection}");
    }
}

#[proxy_filter_host::test(guest = "two_kinds")]
fn a_module_filters_connections_beside_requests(mut host: Host) {
    host.root_id("shout");
    let connection = host.connect().send("quiet").upstream_sends("loud").play();
    assert_eq!(connection.upstream().unwrap().text(), "quiet", "{connection}");
    assert_eq!(connection.client().text(), "LOUD", "{connection}");
    assert_eq!(connection.messages(), ["a connection is over"]);
}

#[proxy_filter_host::test(guest = "two_kinds")]
fn a_module_filters_requests_beside_connections(mut host: Host) {
    host.root_id("stamp");
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-stamp").unwrap(), "1", "{exchange}");
    assert_eq!(exchange.messages(), ["a request is over"]);
}

#[proxy_filter_host::test(guest = "two_kinds")]
fn a_filter_of_requests_refuses_connections_and_names_its_filter_chain(mut host: Host) {
    host.root_id("stamp");
    let connection = host.connect().send("quiet").upstream_sends("quiet").play();
    assert_eq!(connection.client().text(), "", "{connection}");
    connection.expect_error("move it to the `http_filters`");
}

/// A module without filters of connections pauses them, and logs one line.
macro_rules! http_only {
    ($($name:ident: $guest:literal $root_id:literal)*) => {
        mod a_module_of_requests_only_forwards_no_byte_of_a_connection {
            use super::pauses;
            use proxy_filter_host::Host;

            $(
                #[proxy_filter_host::test(guest = $guest)]
                fn $name(host: Host) {
                    pauses(host, $root_id);
                }
            )*
        }
    };
}

http_only! {
    without_state: "one_type_stateless" ""
    without_state_and_with_bodies: "stateless_body" ""
    with_state: "streams" ""
    with_async_functions: "exchanges" ""
    with_several_filters: "two_roots" "stamp"
    that_sees_only_responses: "add_header" ""
    under_the_open_policy: "add_header_open" ""
}

fn pauses(mut host: Host, root_id: &str) {
    host.root_id(root_id);
    host.tcp();
    let connections =
        [host.connect().send("GET /secret").upstream_sends("banner").play(), host.connect().send("x").play()];
    for connection in &connections {
        assert_eq!(connection.upstream(), None, "{connection}");
        assert_eq!(connection.client().text(), "", "{connection}");
    }
    let lines: Vec<_> = connections.iter().flat_map(Connection::messages).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| line.contains("http_filters")).collect();
    assert_eq!(lines, ["filters HTTP, not TCP: list it in http_filters"]);
}

#[proxy_filter_host::test(guest = "two_kinds")]
fn a_filter_of_connections_refuses_requests_and_names_its_filter_chain(mut host: Host) {
    host.root_id("shout");
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.response().header("x-stamp")), (500, None), "{exchange}");
    exchange.expect_error("before `envoy.filters.network.tcp_proxy`");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_module_of_connections_only_refuses_requests_and_names_its_filter_chain(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.upstream().is_none()), (500, true), "{exchange}");
    exchange.expect_error("before `envoy.filters.network.tcp_proxy`");
}

/// The other filter of the module sees only the end of a connection.
#[proxy_filter_host::test(guest = "two_kinds_late")]
fn a_connection_is_refused_even_if_no_filter_sees_its_data(mut host: Host) {
    host.root_id("requests");
    let connection = host.connect().send("quiet").upstream_sends("quiet").play();
    assert_eq!((connection.upstream(), connection.client().text()), (None, String::new()), "{connection}");
    connection.expect_error("move it to the `http_filters`");
}

#[proxy_filter_host::test(guest = "two_kinds_late")]
fn a_request_is_refused_even_if_no_filter_sees_its_headers(mut host: Host) {
    host.root_id("connections");
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.upstream().is_none()), (500, true), "{exchange}");
    exchange.expect_error("before `envoy.filters.network.tcp_proxy`");
}

#[proxy_filter_host::test(guest = "two_kinds_late")]
fn filters_with_only_on_done_forward_their_own_streams(mut host: Host) {
    host.root_id("requests");
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["a request is over"]), "{exchange}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_can_be_paused_until_a_timer_completes(mut host: Host) {
    host.log_level(LogLevel::Info);
    mode(&mut host, "later");
    let connection = host.connect().send("wait").finish().play();
    assert_eq!(upstream_by_step(&connection), ["", "wait later", " later", ""], "{connection}");
    let connection = host.connect().send("bad").play();
    assert_eq!(connection.upstream().unwrap().text(), "", "{connection}");
    assert_eq!(connection.steps()[1].client.end, DirectionState::Closed, "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn data_can_be_paused_until_a_call_completes(mut host: Host) {
    host.cluster("authz", |call| Reply::new(if call.header("x-client") == Some("alice".into()) { 200 } else { 403 }));
    mode(&mut host, "ask");
    let connection = host.connect().send("alice").upstream_sends("welcome").play();
    assert_eq!(connection.upstream().unwrap().text(), "alice", "{connection}");
    assert_eq!(connection.client().text(), "welcome", "{connection}");
    let connection = host.connect().send("mallory").upstream_sends("welcome").play();
    assert_eq!(connection.upstream().unwrap().text(), "", "{connection}");
    assert_eq!(connection.steps()[1].client.end, DirectionState::Closed, "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn a_call_that_fails_closes_the_connection_with_paused_data(mut host: Host) {
    host.cluster_without_hosts("authz");
    mode(&mut host, "ask");
    let connection = host.connect().send("alice").play();
    assert_eq!(connection.upstream().unwrap().text(), "", "{connection}");
    connection.expect_error("the call failed: no healthy upstream; the connection is closed");
}
