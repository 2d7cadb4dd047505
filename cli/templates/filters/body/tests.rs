use proxy_filter_host::{Host, Reply};
use serde_json::json;

fn configure(host: &mut Host) {
    host.configure(json!({ "find": "secret", "replace": "******" })).unwrap();
}

#[proxy_filter_host::test]
fn the_text_is_replaced_wherever_chunks_end(mut host: Host) {
    configure(&mut host);
    let body = "a secret, and a secret";
    for cut in 1..body.len() {
        host.upstream(move |_| Reply::new(200).chunks([&body[..cut], &body[cut..]]));
        let exchange = host.get("/").send();
        assert_eq!(exchange.response().text(), "a ******, and a ******", "{exchange}");
    }
}

#[proxy_filter_host::test]
fn the_content_length_of_an_edited_body_is_right_or_absent(mut host: Host) {
    host.configure(json!({ "find": "secret", "replace": "" })).unwrap();
    host.upstream(|_| Reply::new(200).body("a secret"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "a ", "{exchange}");
    assert!(exchange.response().complete, "{exchange}");
}

#[proxy_filter_host::test]
fn bytes_that_are_not_text_are_forwarded_unchanged(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(200).body(b"\xffsecret".to_vec()));
    assert_eq!(host.get("/").send().response().body, b"\xffsecret");
}

#[proxy_filter_host::test]
fn an_empty_text_to_find_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "find": "", "replace": "x" })).unwrap_err();
    assert!(refused.to_string().contains("find: must not be empty"), "{refused}");
}
