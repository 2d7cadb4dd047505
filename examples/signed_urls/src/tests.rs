//! Signed URLs and cookies.

use proxy_filter_host::{Host, Outcome};
use proxy_filter_kit::signature::{Secret, UrlSigner};
use serde_json::json;
use std::time::Duration;

const SECRET: &str = "a secret of at least 32 characters";
const OLD: &str = "an old secret of at least 32 characters";
/// Signatures that are valid in every test, and in none.
const LATER: Duration = Duration::from_secs(100_000_000_000);
const EARLIER: Duration = Duration::from_secs(1_000_000_000);

fn configure(host: &mut Host) {
    host.configure(json!({ "secrets": [SECRET, OLD] })).unwrap();
}

fn sign(secret: &str, target: &str, expires: Duration) -> String {
    let signer = UrlSigner::new(Secret::new(secret).unwrap());
    String::from_utf8(signer.sign(target.as_bytes(), expires).unwrap()).unwrap()
}

fn path(exchange: &Outcome) -> Option<String> {
    assert_eq!(exchange.upstream().is_some(), exchange.status() == 200, "{exchange}");
    exchange.upstream().map(|received| received.header(":path").unwrap().to_string())
}

#[proxy_filter_host::test]
fn signed_urls_are_forwarded_without_their_signature(mut host: Host) {
    configure(&mut host);
    for secret in [SECRET, OLD] {
        let exchange = host.get(&sign(secret, "/a/b?c=d", LATER)).send();
        assert_eq!(path(&exchange).unwrap(), "/a/b?c=d", "{exchange}");
    }
    for target in [
        "/a".to_owned(),
        sign("another secret of at least 32 bytes", "/a", LATER),
        sign(SECRET, "/a", EARLIER),
        sign(SECRET, "/a", LATER).replace("/a", "/b"),
        sign(SECRET, "/a", LATER) + "&b",
        // The value of a cookie.
        sign(SECRET, "/a/*", LATER),
    ] {
        let exchange = host.get(&target).send();
        assert_eq!((exchange.status(), path(&exchange)), (403, None), "{exchange}");
    }
    let exchange = host.post(&sign(SECRET, "/a", LATER)).body("x").send();
    assert_eq!((exchange.status(), path(&exchange)), (403, None), "{exchange}");
}

#[proxy_filter_host::test]
fn a_cookie_is_valid_for_the_paths_below_its_directory(mut host: Host) {
    configure(&mut host);
    let cookie = format!("a=b; __Secure-signed={}; c=d", sign(SECRET, "/mine/*", LATER));
    for (target, expected) in [
        ("/mine/a?b=c", Some("/mine/a?b=c")),
        ("/mine/./x/../%61", Some("/mine/a")),
        ("/mine", None),
        ("/mineral", None),
        ("/mine/../yours", None),
        ("/mine/..%2fyours", None),
        ("/mine/%2e%2e/yours", None),
        ("/mine/..\\yours", None),
    ] {
        let exchange = host.get(target).header("cookie", &cookie).send();
        assert_eq!(path(&exchange).as_deref(), expected, "{exchange}");
        let sent = exchange.upstream().map(|received| received.header("cookie").unwrap().to_string());
        assert_eq!(sent.as_deref(), expected.map(|_| "a=b; c=d"), "{exchange}");
    }
    for value in [
        sign(SECRET, "/mine/*", EARLIER),
        // Neither a URL nor a prefix without a slash is valid for a directory.
        sign(SECRET, "/mine/", LATER),
        sign(SECRET, "/mi*", LATER),
        sign(SECRET, "*", LATER),
        "/mine/*".to_owned(),
    ] {
        let exchange = host.get("/mine/a").header("cookie", format!("__Secure-signed={value}")).send();
        assert_eq!(path(&exchange), None, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn short_and_missing_secrets_are_refused_with_the_field(mut host: Host) {
    for (secrets, expected) in [(json!([]), "secrets: "), (json!([SECRET, "short"]), "secrets[1]: ")] {
        let refused = host.configure(json!({ "secrets": secrets })).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}
