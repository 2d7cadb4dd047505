use proxy_filter_host::Host;
use serde_json::json;

fn configure(host: &mut Host) {
    host.configure(json!({ "realm": "api", "tokens": { "s3cr3t": "alice" } })).unwrap();
}

#[proxy_filter_host::test]
fn a_request_with_a_known_token_is_forwarded_with_the_name_of_the_user(mut host: Host) {
    configure(&mut host);
    let exchange = host.get("/").header("authorization", "Bearer s3cr3t").header("x-user", "root").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
}

#[proxy_filter_host::test]
fn other_requests_are_refused_and_never_reach_the_upstream(mut host: Host) {
    configure(&mut host);
    for authorization in ["", "Bearer", "Bearer s3cr3", "Basic s3cr3t", "bearer s3cr3t "] {
        let exchange = host.get("/").header("authorization", authorization).send();
        assert_eq!(exchange.status(), 401, "{authorization}: {exchange}");
        assert!(exchange.upstream().is_none(), "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate").unwrap(), "Bearer realm=\"api\"");
    }
}
