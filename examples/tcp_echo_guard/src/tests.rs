//! The connections that are forwarded, and the data that the upstream receives of the others.

use crate::Prefixes;
use crate::Verdict::{Allowed, Refused, Undecided};
use proxy_filter_host::{Connection, DirectionState, Host};
use serde_json::json;

fn configure(host: &mut Host) {
    host.tcp();
    host.configure(json!({ "prefixes": ["PING ", "ECHO "] })).unwrap();
}

/// What the upstream received in each step.
fn upstream_by_step(connection: &Connection) -> Vec<String> {
    connection.steps().iter().filter_map(|moment| Some(moment.upstream.as_ref()?.text())).collect()
}

#[proxy_filter_host::test]
fn a_client_with_an_allowed_prefix_talks_to_the_upstream(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("PING 1\n").upstream_answers(<[u8]>::to_vec).send("anything\n").play();
    assert_eq!(connection.client().text(), "PING 1\n", "{connection}");
    assert_eq!(connection.upstream().unwrap().text(), "PING 1\nanything\n", "{connection}");
}

#[proxy_filter_host::test]
fn data_is_forwarded_once_the_prefix_is_complete_in_any_chunks(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("EC").send("HO").send(" hello").play();
    assert_eq!(upstream_by_step(&connection)[..4], ["", "", "", "ECHO hello"], "{connection}");
}

#[proxy_filter_host::test]
fn a_wrong_prefix_closes_the_connection_before_the_upstream_receives_it(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("GET / HTTP/1.1\r\n").send("host: a\r\n\r\n").play();
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
    assert_eq!(connection.steps()[1].client.end, DirectionState::Closed, "{connection}");
    assert_eq!(connection.messages(), ["127.0.0.1 began with GET /"]);
}

#[proxy_filter_host::test]
fn data_that_stops_matching_late_is_refused(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("PIN").send("T\n").play();
    assert_eq!(connection.steps()[2].client.end, DirectionState::Closed, "{connection}");
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
}

#[proxy_filter_host::test]
fn a_client_that_ends_within_a_prefix_is_refused(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("PING").finish().play();
    assert_eq!(connection.messages(), ["127.0.0.1 began with PING"]);
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
}

#[proxy_filter_host::test]
fn a_connection_without_client_data_is_forwarded(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().upstream_sends("bye\n").play();
    assert_eq!(connection.client().text(), "bye\n", "{connection}");
    assert!(connection.messages().is_empty(), "{connection}");
}

#[proxy_filter_host::test]
fn a_configuration_that_allows_nothing_or_everything_is_refused(mut host: Host) {
    host.tcp();
    for prefixes in [json!([]), json!(["PING", ""])] {
        let refused = host.configure(json!({ "prefixes": prefixes })).unwrap_err();
        assert!(refused.to_string().contains("at least one prefix is required"), "{refused}");
    }
}

#[test]
fn the_start_of_a_prefix_is_undecided() {
    let prefixes = Prefixes(vec!["AB".into(), "ACD".into()]);
    let verdicts = ["", "A", "AB", "ABx", "AC", "ACD", "ACx", "x"].map(|start| prefixes.judge(start.as_bytes()));
    assert_eq!(verdicts, [Undecided, Undecided, Allowed, Allowed, Undecided, Allowed, Refused, Refused]);
}
