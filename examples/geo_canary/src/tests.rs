//! Networks, percentages and cookies.

use proxy_filter_host::{Host, Outcome};
use serde_json::json;

fn canary(exchange: &Outcome) -> String {
    exchange.upstream().unwrap().header("x-canary").unwrap().to_string()
}

#[proxy_filter_host::test]
fn clients_of_the_networks_get_the_canary(mut host: Host) {
    host.configure(
        json!({ "networks": ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"], "percent": 0, "trusted_hops": 1 }),
    )
    .unwrap();
    for (forwarded, expected) in
        [("10.1.2.3", "1"), ("1.1.1.1, 2001:db8::1", "1"), ("10.1.2.3, 192.0.2.1", "0"), ("192.0.2.1", "0")]
    {
        let exchange = host.get("/").header("x-forwarded-for", forwarded).header("x-canary", "2").send();
        assert_eq!(canary(&exchange), expected, "{forwarded}: {exchange}");
        let cookie = exchange.response().header("set-cookie").unwrap().to_string();
        let expected = format!("__Host-canary={expected}; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(cookie, expected, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn the_cookie_keeps_a_client_where_it_is(mut host: Host) {
    host.configure(json!({ "networks": ["0.0.0.0/0", "::/0"], "percent": 100 })).unwrap();
    for value in ["0", "1"] {
        let exchange = host.get("/").header("cookie", format!("a=b; __Host-canary={value}")).send();
        assert_eq!(canary(&exchange), value, "{exchange}");
        assert!(exchange.response().header("set-cookie").is_none(), "{exchange}");
    }
    let exchange = host.get("/").header("cookie", "__Host-canary=x").send();
    assert_eq!(canary(&exchange), "1", "{exchange}");
}

/// Random numbers differ between hosts.
#[proxy_filter_host::test(embedded)]
fn a_percentage_of_the_other_clients_gets_the_canary(mut host: Host) {
    for (percent, expected) in [(0, 0..=0), (30, 1..=39), (100, 40..=40)] {
        host.configure(json!({ "percent": percent })).unwrap();
        let count = (0..40).filter(|_| canary(&host.get("/").send()) == "1").count();
        assert!(expected.contains(&count), "{percent}: {count}");
    }
}

#[proxy_filter_host::test]
fn malformed_configurations_are_refused(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "percent": 101 }), "101 is more than 100"),
        (json!({ "percent": 1, "networks": ["10.0.0.0/99"] }), "networks: 10.0.0.0/99"),
        (json!({ "networks": [] }), "missing field `percent`"),
    ] {
        let refused = host.configure(configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}
