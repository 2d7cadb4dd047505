use proxy_filter_host::Host;
use serde_json::json;

fn configure(host: &mut Host) {
    host.tcp();
    host.configure(json!({ "prefixes": ["PING ", "ECHO "] })).unwrap();
}

#[proxy_filter_host::test]
fn an_allowed_client_talks_to_the_upstream(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("PI").send("NG 1\n").send("anything\n").play();
    assert_eq!(connection.upstream().unwrap().text(), "PING 1\nanything\n", "{connection}");
}

#[proxy_filter_host::test]
fn the_upstream_sees_no_byte_of_another_client(mut host: Host) {
    configure(&mut host);
    let connection = host.connect().send("GET / HTTP/1.1\r\n").play();
    assert_eq!(connection.upstream().unwrap().bytes, b"", "{connection}");
}

#[proxy_filter_host::test]
fn a_configuration_without_prefixes_is_refused(mut host: Host) {
    host.tcp();
    assert!(host.configure(json!({ "prefixes": [] })).is_err());
}
