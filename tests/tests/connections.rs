//! TCP connections through a filter. Each test runs in the embedded host and, with
//! `--include-ignored`, in a real Envoy, with the same result.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Connection, ConnectionBuilder, DirectionState, Host, ReceivedBytes, Reply};

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
    let closes = host.behaves_as().differs_in("when the client resets a connection, the upstream sees it closed");
    let connection = host.connect().send("hello").reset().upstream_sends("late").play();
    let end = if closes { DirectionState::Closed } else { DirectionState::Reset };
    assert_eq!(connection.upstream().unwrap().end, end, "{connection}");
    assert!(connection.messages().contains(&"downstream closed by Remote"), "{connection}");
}

#[proxy_filter_host::test(guest = "connections")]
fn an_upstream_that_resets_resets_the_client(mut host: Host) {
    mode(&mut host, "watch");
    let closes = host.behaves_as().differs_in("when the upstream resets a connection, the client sees it closed");
    let connection = host.connect().send("hello").upstream_sends("partly").upstream_resets().play();
    assert_eq!(connection.client().text(), "partly", "{connection}");
    let end = if closes { DirectionState::Closed } else { DirectionState::Reset };
    assert_eq!(connection.client().end, end, "{connection}");
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

/// A filter of the chain, what it does to each connection, and the filters after it.
fn chain(host: &mut Host, filters: &[(&str, &[&str])]) {
    host.tcp();
    let of = |(name, plans): &(&str, &[&str])| format!("{name} {}", plans.join(" "));
    for filter in &filters[1..] {
        host.plugin("", of(filter));
    }
    host.configure(of(&filters[0])).unwrap();
}

/// The lines about data, without those about the life of a connection.
fn data_lines(connection: &Connection) -> Vec<&str> {
    let is_data = |line: &&str| ["down ", "up ", "resumes "].iter().any(|word| line[2..].starts_with(word));
    connection.messages().into_iter().filter(is_data).collect()
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn data_of_the_client_passes_a_chain_in_order_and_data_of_the_upstream_in_reverse(mut host: Host) {
    chain(&mut host, &[("a", &["/m/m"]), ("b", &["/m/m"]), ("c", &["/m/m"])]);
    let connection = host.connect().send("x").upstream_sends("y").play();
    let life =
        |name: &str| ["downstream closed by Local", "done", "log", "delete"].map(|what| format!("{name} {what}"));
    let expected = [
        ["a new", "b new", "c new", "a down x false", "b down xa false", "c down xab false"]
            .map(str::to_owned)
            .to_vec(),
        ["c up y false", "b up yc false", "a up ycb false"].map(str::to_owned).to_vec(),
        ["a", "b", "c"].map(|name| format!("{name} down  true")).to_vec(),
        ["c", "b", "a"].map(|name| [format!("{name} up  true"), format!("{name} upstream closed by Unknown")]).concat(),
        ["a", "b", "c"].map(life).concat(),
    ];
    assert_eq!(connection.messages(), expected.concat(), "{connection}");
    assert_eq!(connection.upstream().unwrap().text(), "xabc", "{connection}");
    assert_eq!(connection.client().text(), "ycba", "{connection}");
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn data_that_a_filter_pauses_comes_to_the_filters_before_it_again(mut host: Host) {
    chain(&mut host, &[("a", &["/m/", "//m"]), ("b", &["/h/", "//h"])]);
    let connection = host.connect().send("x").send("y").play();
    assert_eq!(
        data_lines(&connection)[..4],
        ["a down x false", "b down xa false", "a down xay false", "b down xay false"],
        "{connection}"
    );
    assert_eq!(connection.upstream().unwrap().text(), "xay", "{connection}");
    let connection = host.connect().upstream_sends("x").upstream_sends("y").play();
    assert_eq!(data_lines(&connection)[..4], ["b up x false", "b up xy false", "a up xy false", "a down  true"]);
    assert_eq!(connection.client().text(), "xya", "{connection}");
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn a_pause_of_the_first_filter_keeps_data_from_the_second(mut host: Host) {
    chain(&mut host, &[("a", &["/h/", "//h"]), ("b", &["//", "//"])]);
    let connection = host.connect().send("x").send("y").play();
    assert_eq!(data_lines(&connection)[..3], ["a down x false", "a down xy false", "b down xy false"], "{connection}");
    let connection = host.connect().upstream_sends("x").upstream_sends("y").play();
    // `b` sees data of the upstream first, and then again.
    assert_eq!(data_lines(&connection)[..4], ["b up x false", "a up x false", "b up xy false", "a up xy false"]);
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn a_paused_connection_reaches_the_later_filters_when_it_is_resumed(mut host: Host) {
    chain(&mut host, &[("a", &["w", "", "w", "h", "r"]), ("b", &["", "w", "w", "", ""])]);
    for lines in [
        &["a new", "a resumes the connection", "b new"][..],
        &["a new", "b new", "b resumes the connection"],
        &["a new", "a resumes the connection", "b new", "b resumes the connection"],
    ] {
        let connection = host.connect().send("x").play();
        assert_eq!(connection.messages()[..lines.len()], *lines, "{connection}");
        assert_eq!(connection.upstream().unwrap().text(), "x", "{connection}");
    }
    let connection = host.connect().send("x").play();
    assert_eq!((connection.messages(), connection.upstream()), (vec!["a new"], None), "{connection}");
    let connection = host.connect().send("x").play();
    assert_eq!(connection.messages()[..3], ["a new", "b new", "a down x false"], "{connection}");
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn either_filter_closes_the_connection_for_both(mut host: Host) {
    let closes = ["c//", "/c/", "//c"];
    chain(&mut host, &[("a", &[closes, [""; 3]].concat()), ("b", &[[""; 3], closes].concat())]);
    for name in ["a", "b"] {
        for (closed, of) in ["new", "down x false", "up y false"].iter().zip(closes) {
            let connection = host.connect().send("x").upstream_sends("y").play();
            assert_eq!(connection.client().end, DirectionState::Closed, "{name} {of}: {connection}");
            let lines = connection.messages();
            let closing = lines.iter().position(|line| *line == format!("{name} {closed}")).unwrap();
            let is_known = |filter: &&str| lines.contains(&&*format!("{filter} new"));
            let ends =
                |name: &str| ["downstream closed by Local", "done", "log", "delete"].map(|end| format!("{name} {end}"));
            let ends: Vec<_> = ["a", "b"].into_iter().filter(is_known).flat_map(ends).collect();
            assert_eq!(lines[closing + 1..], ends, "{name} {of}: {connection}");
        }
    }
}

#[proxy_filter_host::test(guest = "connection_chain")]
fn each_filter_of_a_chain_sees_the_end_of_stream(mut host: Host) {
    chain(&mut host, &[("a", &["", "/h/", "", "//h"]), ("b", &["", "", "/h/", ""])]);
    for (sees_down, sees_up) in [("ab", "ba"), ("a", "ba"), ("ab", "ba"), ("ab", "ba")] {
        let connection = host.connect().play();
        let saw = |end: &str| {
            let lines = connection.messages().into_iter().filter(|line| line[2..] == *end);
            lines.map(|line| &line[..1]).collect::<String>()
        };
        assert_eq!((&*saw("down  true"), &*saw("up  true")), (sees_down, sees_up), "{connection}");
        assert_eq!(connection.client().end, DirectionState::Closed, "{connection}");
    }
}

/// Data that the host cannot read yet waits: while a connection is paused, and while a filter
/// buffers more than the limit.
#[proxy_filter_host::test(guest = "connection_chain")]
fn a_host_reads_on_when_a_filter_resumes(mut host: Host) {
    // The sizes of chunks differ between hosts.
    host.log_level(LogLevel::Warn);
    host.buffer_limit(10_000);
    chain(&mut host, &[("a", &["", "/-l/"]), ("b", &["w", ""])]);
    let connection = host.connect().send("early").play();
    assert_eq!(connection.upstream().unwrap().text(), "early", "{connection}");
    let connection = host.connect().send("x").send("y".repeat(20_000)).send("z").play();
    let received = connection.upstream().unwrap();
    assert_eq!((received.bytes.len(), received.end), (20_002, DirectionState::Closed));
}

#[proxy_filter_host::test(guest = "connections")]
fn a_reset_by_a_side_that_has_finished_is_detected_when_data_is_sent_there(mut host: Host) {
    mode(&mut host, "watch");
    let closed = |connection: &Connection| {
        let by = connection.messages().into_iter().find_map(|line| line.strip_prefix("downstream closed by "));
        by.unwrap().to_owned()
    };
    let connection = host.connect().finish().reset().upstream_sends("x").upstream_sends("y").play();
    assert_eq!(closed(&connection), "Remote", "{connection}");
    assert!(!connection.messages().contains(&"upstream 0 true"), "{connection}");
    let connection = host.connect().upstream_finishes().upstream_resets().send("x").send("y").play();
    assert_eq!(closed(&connection), "Local", "{connection}");
    assert!(!connection.messages().contains(&"downstream 0 true"), "{connection}");
    // Without data, it is as if there was no reset.
    let connection = host.connect().finish().reset().play();
    assert!(connection.messages().contains(&"upstream 0 true"), "{connection}");
    let connection = host.connect().upstream_finishes().upstream_resets().play();
    assert!(connection.messages().contains(&"downstream 0 true"), "{connection}");
}

/// A generator of numbers: the same for a seed on each machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % below as u64).unwrap()
    }

    /// Some of these letters; more often none.
    fn letters(&mut self, of: &[u8], most: usize) -> String {
        let length = self.next(most + 1);
        (0..length).map(|_| char::from(of[self.next(of.len())])).collect()
    }
}

/// Plays this number of generated connections through chains of two or three filters. What the
/// filters forward is asserted; the hosts are compared in everything else.
fn generated(host: &mut Host, seed: u64, connections: usize) {
    let mut random = Random(seed);
    let names = &["a", "b", "c"][..2 + random.next(2)];
    let mut plans = vec![Vec::new(); names.len()];
    for _ in 0..connections {
        for plans in &mut plans {
            let new = random.letters(b"---hwrc", 1);
            plans.push(format!("{new}/{}/{}", random.letters(b"--hmdwrc", 3), random.letters(b"--hmdrc", 3)));
        }
    }
    let filters: Vec<_> = names
        .iter()
        .zip(&plans)
        .map(|(name, plans)| (*name, plans.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    chain(host, &filters.iter().map(|(name, plans)| (*name, plans.as_slice())).collect::<Vec<_>>());
    for number in 0..connections {
        let mut connection = host.connect();
        let mut sent = [String::new(), String::new()];
        for step in ["0", "1", "2", "3"].into_iter().take(2 + random.next(3)) {
            connection = match random.next(6) {
                0 => connection.finish(),
                1 => connection.upstream_finishes(),
                of => {
                    let from_client = of > 3;
                    sent[usize::from(!from_client)] += step;
                    if from_client { connection.send(step) } else { connection.upstream_sends(step) }
                }
            };
        }
        connection = match random.next(8) {
            0 => connection.reset(),
            1 => connection.upstream_resets(),
            _ => connection,
        };
        let connection = connection.play();
        let plan: Vec<_> = plans.iter().map(|plans| plans[number].as_str()).collect();
        let lines = connection.messages();
        // Each filter that saw the beginning sees the end, in the order of the chain.
        let of = |what: &str| lines.iter().filter_map(|line| line.strip_suffix(what)).collect::<Vec<_>>();
        assert!(of(" delete").is_empty() || of(" delete") == of(" new"), "{seed} {plan:?}: {connection}");
        // Unless a filter drops data, what arrives is a beginning of what was sent.
        let received =
            [connection.upstream().map_or_else(String::new, ReceivedBytes::text), connection.client().text()];
        for (sent, received) in sent.iter().zip(received) {
            let arrived: String = received.chars().filter(char::is_ascii_digit).collect();
            let drops = plan.iter().any(|plan| plan.contains('d'));
            assert!(drops || sent.starts_with(&arrived), "{seed} {plan:?}, sent {sent}: {connection}");
        }
    }
}

/// A long run: `PROXY_FILTER_CONNECTIONS=300 PROXY_FILTER_SEED=7 cargo test … generated`.
#[proxy_filter_host::test(guest = "connection_chain")]
fn generated_connections_through_chains_are_equal_in_both_hosts(mut host: Host) {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    generated(
        &mut host,
        number("PROXY_FILTER_SEED", 1),
        usize::try_from(number("PROXY_FILTER_CONNECTIONS", 4)).unwrap(),
    );
}
