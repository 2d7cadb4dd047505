//! The requests that need a signature, the valid signatures, and the behaviour in a host without
//! CEL and signatures.

use proxy_filter::Status;
use proxy_filter_host::{ForeignReply, Host};
use serde_json::json;

/// The public half of a key that was made for tests and protects nothing.
const PUBLIC_KEY: &str = include_str!("../public.pem");
/// It is good until the year 2100.
const PATH: &str = "/files/report?expires=4102444800";
const SIGNATURE: &str = "\
    1a592f8a3cde00b2753333b5e998ee48666c09c298ed41c104fa7b1222ddba30050dccd71fc725717b1e8357f2174edf\
    aa8f5b600b9368a109d495ef8aaaa3c9f48cbc7127532905f39b60ca9fec0c97a3142e4713d7619e6258a7654943efc7\
    0cb4a3ee35e6d949eb7aadc716225510febe84b569489460d8bbd1d7e24c1c172d0e021273c8151f9a1c3cbc359adc0d\
    5eb174745f6b57e07056c45017c9ef420caf9ff69dc9b119177fe4bc1d92561d6c7c885fbea13583d776ba7e76243655\
    10cd1d133a1cc8fecf2bc4ce55c0b30974eb0155163a09d31597f3c912b82e02b10e8e495e5b0e75347a9cfa1e240278\
    36a4d8a8d16fca6bc045bb4707d1176f";
/// It was good until 2020.
const OLD_PATH: &str = "/files/report?expires=1600000000";
const OLD_SIGNATURE: &str = "\
    67ecac16195923d0b1469a25bdd6d6dddbea935eec61ae1dfa161a30077b65950a823e56760e44b9b39fd02133f8cc8f\
    7d78c601b44b453d2eb55b6c86f2781042e6f23ebe1ff746590ae7773a0e926002db4e14ab5eb0d975780f364dfebf00\
    434dc1ebe570a59e119904f9332605a9d61ad3905edb29e729797a1e502b1bec59db5938be287713410a9bb6904b15f6\
    56c0c1fbed711b2d3c578cd8d445c610bcbd266b17a7983b62e5775407ead2cdba58294ff44fc76f75a15da2e31aebbb\
    d0937400a7c1a75b251af252a61fb1bf568ab574cc45d18f97daf6412a5ba67bbfa1c7fb0db1ea9494c1701297d35187\
    cc5c3d44f4a28f119c9451f136bfddb7";

#[proxy_filter_host::test]
fn a_configuration_without_a_key_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "when": "true" })).unwrap_err();
    assert!(refused.to_string().contains("missing field `public_key`"), "{refused}");
}

fn configure(host: &mut Host, when: &str) {
    host.configure(json!({ "when": when, "public_key": PUBLIC_KEY })).unwrap();
}

fn signed(path: &str, signature: &str) -> String {
    format!("{path}&signature={signature}")
}

#[proxy_filter_host::test]
fn signed_requests_are_forwarded_and_others_refused(mut host: Host) {
    configure(&mut host, "request.path.startsWith('/files/')");
    for (path, status, body) in [
        ("/public".to_owned(), 200, None),
        (signed(PATH, SIGNATURE), 200, None),
        (PATH.to_owned(), 403, Some("this needs a signature\n")),
        (signed(PATH, ""), 403, Some("this signature is not valid\n")),
        (signed(PATH, "0g"), 403, Some("this needs a signature\n")),
        (signed(PATH, "012"), 403, Some("this needs a signature\n")),
        (signed(PATH, &"0".repeat(20_000)), 403, Some("this signature is not valid\n")),
        (signed("/files/report?expires=-1", SIGNATURE), 403, Some("this needs a signature\n")),
        (signed("/files/report?expires=99999999999999999999", SIGNATURE), 403, Some("this needs a signature\n")),
        (signed(&format!("{PATH}&signature=00"), SIGNATURE), 403, Some("this needs a signature\n")),
        (format!("{PATH}&Signature={SIGNATURE}"), 403, Some("this needs a signature\n")),
        (signed(PATH, OLD_SIGNATURE), 403, Some("this signature is not valid\n")),
        (signed(&PATH.replace("report", "secret"), SIGNATURE), 403, Some("this signature is not valid\n")),
        (signed(OLD_PATH, OLD_SIGNATURE), 403, Some("this link has expired\n")),
    ] {
        let exchange = host.get(&path).send();
        assert_eq!(exchange.status(), status, "{path}: {exchange}");
        if let Some(body) = body {
            assert_eq!(exchange.response().text(), body, "{path}");
        }
        assert_eq!(exchange.upstream().is_some(), status == 200);
    }
}

#[proxy_filter_host::test]
fn an_expression_that_fails_requires_a_signature(mut host: Host) {
    configure(&mut host, "request.headers['x-internal'] != '1'");
    assert_eq!(host.get("/").header("x-internal", "1").send().status(), 200);
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 403, "there is no such header: {exchange}");
}

#[proxy_filter_host::test]
fn a_text_that_is_no_expression_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "when": "request.path ==", "public_key": PUBLIC_KEY })).unwrap_err();
    assert!(refused.to_string().contains("expr_create") || refused.to_string().contains("foreign"), "{refused}");
}

#[proxy_filter_host::test(embedded)]
fn a_host_without_expressions_and_signatures_forwards_no_request_and_logs_the_reason(mut host: Host) {
    for function in ["expr_create", "verify_signature"] {
        host.foreign_function(function, |_| ForeignReply::refused(Status::NOT_FOUND));
    }
    configure(&mut host, "false");
    let start = host.start_logs();
    for expected in ["this host has no CEL expressions", "this host cannot verify signatures"] {
        assert!(start.iter().any(|line| line.message.contains(expected)), "{start:?}");
    }
    assert_eq!(host.get("/public").send().status(), 403);
    assert_eq!(host.get(&signed(OLD_PATH, OLD_SIGNATURE)).send().response().text(), "this link has expired\n");
    let exchange = host.get(&signed(PATH, SIGNATURE)).send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (503, "signatures cannot be verified\n"));
    assert!(exchange.messages().is_empty(), "a client chooses how often: {exchange}");
}
