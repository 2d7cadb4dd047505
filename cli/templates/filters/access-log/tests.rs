use proxy_filter_host::{Host, Reply};
use serde_json::json;

fn start(host: &mut Host) {
    host.access_logger();
    host.configure(json!({ "quiet": ["/healthz"] })).unwrap();
}

#[proxy_filter_host::test]
fn a_request_is_a_line_of_json(mut host: Host) {
    start(&mut host);
    let exchange = host.post("/a?b=\"c\"").body("data").send();
    assert_eq!(exchange.messages(), [r#"{"method":"POST","path":"/a?b=\"c\"","status":200}"#], "{exchange}");
}

#[proxy_filter_host::test]
fn quiet_paths_are_logged_if_they_fail(mut host: Host) {
    start(&mut host);
    assert!(host.get("/healthz").send().messages().is_empty());
    host.upstream(|_| Reply::new(503));
    assert_eq!(host.get("/healthz").send().messages().len(), 1);
}
