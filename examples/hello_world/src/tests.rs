//! The filter as a user of it sees it.

use proxy_filter_host::{Host, Reply};

#[proxy_filter_host::test]
fn the_start_of_the_plugin_is_logged(mut host: Host) {
    host.vm_configuration("four");
    host.configure("").unwrap();
    let logs = host.start_logs();
    assert_eq!(logs[0].message, "hello, world: 4 bytes of VM configuration");
}

#[proxy_filter_host::test]
fn the_beginning_and_the_end_of_each_request_are_logged(mut host: Host) {
    host.upstream(|_| Reply::new(204));
    let exchange = host.get("/path?query").send();
    assert_eq!(exchange.status(), 204, "{exchange}");
    assert_eq!(exchange.messages(), ["hello, /path?query", "goodbye: 204"]);
}

#[proxy_filter_host::test]
fn a_request_that_is_refused_early_is_logged_and_nothing_else(mut host: Host) {
    let exchange = host.get("/").without_authority().send();
    assert_eq!(exchange.status(), 400, "{exchange}");
    assert_eq!(
        exchange.callbacks(),
        ["proxy_on_context_create", "proxy_on_log", "proxy_on_delete"],
        "no request headers callback"
    );
}
