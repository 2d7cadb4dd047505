//! Networks, and addresses behind proxies.

use proxy_filter_host::Host;
use serde_json::json;

fn status(host: &mut Host, forwarded: &[&str]) -> u16 {
    let request = host.get("/");
    let exchange = forwarded.iter().fold(request, |request, value| request.header("x-forwarded-for", value)).send();
    assert_eq!(exchange.upstream().is_some(), exchange.status() == 200, "{exchange}");
    exchange.status()
}

#[proxy_filter_host::test]
fn the_most_specific_network_decides(mut host: Host) {
    let networks = json!({
        "otherwise": "deny", "trusted_hops": 1, "allow": ["10.0.0.0/8", "10.66.7.7", "2001:db8::/32"],
        "deny": ["10.66.0.0/16", "2001:db8:bad::/48"],
    });
    host.configure(networks).unwrap();
    for (client, expected) in [
        ("10.1.2.3", 200),
        ("10.66.1.1", 403),
        ("10.66.7.7", 200),
        ("::ffff:10.66.1.1", 403),
        ("[2001:db8::1]:443", 200),
        ("2001:db8:bad::1", 403),
        ("192.0.2.1", 403),
    ] {
        assert_eq!(status(&mut host, &[client]), expected, "{client}");
    }
}

#[proxy_filter_host::test]
fn without_trusted_hops_the_address_of_the_connection_decides(mut host: Host) {
    // The peer of the tests is 127.0.0.1.
    host.configure(json!({ "otherwise": "allow", "deny": ["127.0.0.0/8", "203.0.113.0/24"] })).unwrap();
    for forwarded in [&["unknown"][..], &[""], &[]] {
        assert_eq!(status(&mut host, forwarded), 403, "{forwarded:?}");
    }
    for (address, expected) in [("203.0.113.7:4711", 403), ("198.51.100.7:4711", 200)] {
        let exchange = host.get("/").source_address(address.parse().unwrap()).send();
        assert_eq!(exchange.status(), expected, "{address}: {exchange}");
    }
}

/// Envoy's own address of a client, if `use_remote_address` is off: README.md requires it.
#[proxy_filter_host::test]
fn without_use_remote_address_the_proxy_takes_the_address_from_x_forwarded_for(mut host: Host) {
    host.configure(json!({ "otherwise": "allow", "deny": ["127.0.0.0/8"] })).unwrap();
    assert_eq!(status(&mut host, &["10.1.2.3"]), 200);
}

#[proxy_filter_host::test]
fn the_last_addresses_are_those_of_trusted_proxies(mut host: Host) {
    host.configure(json!({ "otherwise": "deny", "allow": ["10.0.0.0/8"], "trusted_hops": 1 })).unwrap();
    for (forwarded, expected) in [
        (&["10.1.2.3"][..], 200),
        (&["192.0.2.1, 10.1.2.3"], 200),
        (&["10.1.2.3, 192.0.2.1"], 403),
        (&["10.1.2.3", "192.0.2.1"], 403),
        (&["10.1.2.3, unknown"], 403),
        (&["10.1.2.3,"], 403),
        (&[], 403),
    ] {
        assert_eq!(status(&mut host, forwarded), expected, "{forwarded:?}");
    }
}

#[proxy_filter_host::test]
fn malformed_networks_are_refused_with_the_field(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "otherwise": "deny", "allow": ["10.0.0.0/8", "localhost"] }), "allow[1]: localhost"),
        (json!({ "otherwise": "deny", "deny": ["10.0.0.0/33"] }), "deny[0]: 10.0.0.0/33"),
        (
            json!({ "otherwise": "deny", "allow": ["10.0.0.1/8"], "deny": ["10.0.0.0/8"] }),
            "deny[0]: 10.0.0.0/8 is also",
        ),
        (json!({ "otherwise": "maybe" }), "otherwise"),
        (json!({ "allow": ["10.0.0.0/8"] }), "otherwise"),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
