//! What an operator reads after some requests.

use proxy_filter_host::{Host, Reply};

#[proxy_filter_host::test]
fn responses_are_counted_by_method_and_status(mut host: Host) {
    host.upstream(|request| Reply::new(if request.header("x-fail").is_some() { 503 } else { 200 }));
    for _ in 0..2 {
        assert_eq!(host.get("/").send().status(), 200);
    }
    let exchange = host.post("/").header("x-fail", "1").body("data").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert_eq!(host.metric("metrics_responses.method.GET.status.200"), Some(2));
    assert_eq!(host.metric("metrics_responses.method.POST.status.503"), Some(1));
    assert_eq!(host.metric("metrics_in_flight"), Some(0));
}

#[proxy_filter_host::test]
fn the_gauge_exists_before_the_first_request(mut host: Host) {
    host.configure("").unwrap();
    assert_eq!(host.metric("metrics_in_flight"), Some(0));
    assert_eq!(host.metric("metrics_responses.method.GET.status.200"), None);
}

#[proxy_filter_host::test]
fn a_request_refused_before_the_filters_is_not_counted(mut host: Host) {
    let exchange = host.get("/").without_authority().send();
    assert_eq!(exchange.status(), 400, "{exchange}");
    let _ = host.get("/").send();
    assert_eq!(host.metric("metrics_in_flight"), Some(0), "and the gauge did not go below 0");
}

#[proxy_filter_host::test]
fn methods_that_clients_make_up_are_counted_as_other(mut host: Host) {
    host.configure("").unwrap();
    for number in 0..52 {
        let exchange = host.request(&format!("M{number}"), "/").http2().send();
        assert_eq!(exchange.status(), 200, "{exchange}");
    }
    assert_eq!(host.metric("metrics_responses.method.M0.status.200"), Some(1));
    assert_eq!(host.metric("metrics_responses.method.M50.status.200"), None);
    assert_eq!(host.metric("metrics_responses.method.other.status.other"), Some(2));
}
