//! What a client sees of two filters that share a VM.

use proxy_filter_host::Host;

/// Both filters, in the order of envoy.yaml.
fn start(host: &mut Host) {
    host.root_id("stamp");
    host.plugin("guard", "/admin\n/private");
    host.configure("x-refused").unwrap();
}

#[proxy_filter_host::test]
fn one_filter_counts_and_the_other_reports_the_number(mut host: Host) {
    start(&mut host);
    assert_eq!(host.get("/").send().response().header("x-refused"), Some("0".into()));
    for path in ["/admin", "/private/x"] {
        assert_eq!(host.get(path).send().status(), 403);
    }
    let exchange = host.get("/public").send();
    assert_eq!((exchange.status(), exchange.response().header("x-refused")), (200, Some("2".into())), "{exchange}");
}

#[proxy_filter_host::test]
fn a_refused_request_is_stamped_too(mut host: Host) {
    start(&mut host);
    let exchange = host.get("/admin").send();
    assert_eq!(exchange.response().header("x-refused"), Some("1".into()), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn each_filter_has_its_own_configuration(mut host: Host) {
    host.root_id("stamp");
    host.plugin("guard", "");
    host.configure("x-other").unwrap();
    let exchange = host.get("/admin").send();
    assert_eq!((exchange.status(), exchange.response().header("x-other")), (200, Some("0".into())), "{exchange}");
}

#[proxy_filter_host::test]
fn the_number_outlives_a_new_configuration(mut host: Host) {
    start(&mut host);
    let _ = host.get("/admin").send();
    let _ = host.reconfigure("x-new").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-new"), Some("1".into()), "the VM is the same: {exchange}");
}

#[proxy_filter_host::test]
fn a_name_that_no_header_and_a_prefix_that_no_path_has_are_refused(mut host: Host) {
    for (root_id, configuration, why) in [
        ("stamp", "x refused", "a header name has letters"),
        ("stamp", "", "a header needs a name"),
        (
            "guard",
            "/admin\nprivate",
            "a path begins with `/` and has no spaces and no control bytes: percent-encode them: \"private\"",
        ),
    ] {
        host.root_id(root_id);
        let refused = host.configure(configuration).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[proxy_filter_host::test]
fn a_root_id_that_the_module_does_not_have_is_refused(mut host: Host) {
    host.root_id("nobody");
    let refused = host.configure("x-refused").unwrap_err();
    assert!(
        refused.to_string().contains(r#"no root context with the root_id "nobody"; it has "guard", "stamp""#),
        "{refused}"
    );
}
