//! The test cases of RFC 9421, and messages that differ from them.

use super::*;
use crate::signature::ClockWindow;
use crate::tests::Generator;
use core::time::Duration;
use std::cell::Cell;

/// RFC 9421, appendix B.1.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----";
/// The private key of B.1.3, as PKCS #8.
const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUpuF81l+kOxbjf7T
4mNSv0r5tN67Gim7rnf6EFpcYDuhRANCAASohVhlUsKs9kcYeM/XsJNbT/4P0t/D
QSSOoXvEHgWK8DHOJzfS0wzgYX6FHoPGHvVnnRUYZ2V2SQNdkKdM2ehd
-----END PRIVATE KEY-----";
const SECRET: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

/// RFC 9421, appendix B.2: the label and the key, `signature-input` after the label, `signature`.
const VECTORS: [(&str, &str, &str); 6] = [
    (
        "sig-b21",
        r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
    ),
    (
        "sig-b22",
        r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
    ),
    (
        "sig-b23",
        r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
    ),
    (
        "sig-b24",
        r#"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#,
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    ),
    (
        "sig-b25",
        r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
    ),
    (
        "sig-b26",
        r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    ),
];

type Headers = Vec<(&'static str, &'static str)>;

const NOW: Duration = Duration::from_secs(1_618_884_473);

/// The request of appendix B.2.
fn request_headers() -> Headers {
    vec![
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
        ("Content-Length", "18"),
    ]
}

/// The response of appendix B.2.
fn response_headers() -> Headers {
    vec![
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        ),
        ("Content-Length", "23"),
    ]
}

fn request(headers: &Headers) -> Message<'_, &'static str, &'static str> {
    Message::request("POST", "https", "example.com", "/foo?param=Value&Pet=dog", headers)
}

fn secret() -> Vec<u8> {
    use base64ct::{Base64, Encoding};
    Base64::decode_vec(SECRET).unwrap()
}

fn keys() -> [(&'static str, VerifyingKey); 4] {
    [
        ("test-key-rsa-pss", VerifyingKey::rsa_pss_sha512(RSA).unwrap()),
        ("test-key-ecc-p256", VerifyingKey::ecdsa_p256_sha256(P256).unwrap()),
        ("test-key-ed25519", VerifyingKey::ed25519(ED25519).unwrap()),
        ("test-shared-secret", VerifyingKey::hmac_sha256(secret()).unwrap()),
    ]
}

fn verify(
    verifier: &Verifier,
    message: &Message<'_, &'static str, &'static str>,
    input: &str,
    signature: &str,
    now: Duration,
) -> Result<Verified, MessageError> {
    let keys = keys();
    verifier.verify(message, input.as_bytes(), signature.as_bytes(), now, |id| {
        keys.iter().find(|(name, _)| Some(*name) == id).map(|(_, key)| key)
    })
}

fn any() -> Verifier {
    Verifier::new([])
}

fn component(text: &str) -> Component {
    Component::parse(text).unwrap()
}

#[test]
fn the_signatures_of_the_rfc_are_accepted() {
    let (of_request, of_response) = (request_headers(), response_headers());
    for (label, input, signature) in VECTORS {
        let message = if label == "sig-b24" { Message::response(200, &of_response) } else { request(&of_request) };
        let (input, signature) = (format!("{label}={input}"), format!("{label}=:{signature}:"));
        let verified = verify(&any(), &message, &input, &signature, NOW).unwrap();
        assert_eq!((verified.label.as_str(), verified.created), (label, Some(NOW)));
        assert_eq!(verified.tag.is_some(), label == "sig-b22");
        assert_eq!(verified.nonce.as_deref(), (label == "sig-b21").then_some("b3k2pp5k7z-50gnwp.yemd"));
    }
}

#[test]
fn a_signature_is_refused_for_any_other_message_time_or_key() {
    let headers = request_headers();
    let wrong = Err(MessageError::Signature(SignatureError::Wrong));
    for (label, input, signature) in VECTORS.into_iter().filter(|(label, ..)| !["sig-b21", "sig-b24"].contains(label)) {
        let (input, signature) = (format!("{label}={input}"), format!("{label}=:{signature}:"));
        let verify =
            |message: &Message<'_, _, _>, input: &str, now| verify(&any(), message, input, &signature, now).map(drop);
        assert_eq!(verify(&request(&headers), &input, NOW), Ok(()));
        let other_host = Message::request("POST", "https", "example.org", "/foo?param=Value&Pet=dog", &headers);
        assert_eq!(verify(&other_host, &input, NOW), wrong);
        for without in ["Date", "Content-Type", "Content-Digest", "Content-Length"] {
            let fewer: Headers = headers.iter().copied().filter(|(name, _)| *name != without).collect();
            let is_covered = input.contains(&format!("\"{}\"", without.to_lowercase()));
            let expected = if is_covered { Err(MessageError::MissingComponent) } else { Ok(()) };
            assert_eq!(verify(&request(&fewer), &input, NOW), expected, "{label} {without}");
            let more: Headers = headers.iter().copied().chain([(without, "x")]).collect();
            assert_eq!(
                verify(&request(&more), &input, NOW),
                if is_covered { wrong } else { Ok(()) },
                "{label} {without}"
            );
        }
        let later = NOW + Duration::from_secs(361);
        assert_eq!(verify(&request(&headers), &input, later), Err(SignatureError::Expired.into()));
        let earlier = NOW.checked_sub(Duration::from_secs(61)).unwrap();
        assert_eq!(verify(&request(&headers), &input, earlier), Err(SignatureError::NotYetValid.into()));
        assert_eq!(
            verify(&request(&headers), &input.replace("keyid=\"test", "keyid=\"x"), NOW),
            Err(MessageError::Key)
        );
        assert_eq!(verify(&request(&headers), &format!("{input};alg=\"hmac-sha512\""), NOW), Err(MessageError::Key));
        assert_eq!(verify(&request(&headers), &format!("{input};x=1"), NOW), wrong);
        assert_eq!(
            verify(&request(&headers), &input.replace(";created=1618884473", ""), NOW),
            Err(MessageError::NotCovered)
        );
        assert_eq!(
            verify(&request(&headers), &format!("{input};expires=1618884400"), NOW),
            Err(SignatureError::Expired.into())
        );
        assert_eq!(
            verify(&request(&headers), &input.replace("created=1618884473", "created=\"1\""), NOW),
            Err(MessageError::Malformed)
        );
    }
}

#[test]
fn deterministic_signatures_are_created_as_in_the_rfc() {
    let headers = request_headers();
    for (label, key, id) in [
        ("sig-b25", SigningKey::hmac_sha256(secret()).unwrap(), "test-shared-secret"),
        ("sig-b26", SigningKey::ed25519(ED25519_PRIVATE).unwrap(), "test-key-ed25519"),
    ] {
        let (_, input, signature) = VECTORS.into_iter().find(|(found, ..)| *found == label).unwrap();
        let listed = input.split_once(')').unwrap().0.trim_start_matches('(');
        let components = listed.split(' ').map(|name| component(name.trim_matches('"')));
        let signed = Signer::new(key, id, components).label(label).sign(&request(&headers), None, NOW).unwrap();
        assert_eq!(signed.input, format!("{label}={input}"));
        assert_eq!(signed.signature, format!("{label}=:{signature}:"));
    }
}

#[test]
fn created_signatures_are_accepted_with_every_algorithm_and_component() {
    let headers: Headers = vec![("x-a", "1"), ("X-A", " 2 "), ("x-d", "a=1, b=(1  2);c"), ("x-empty", "")];
    let request = Message::request("GET", "HTTPS", "Example.com:443", "/p/?a=b+c&d", &headers);
    let response = Message::response(404, &headers).to(&request);
    let names = [
        "@method;req",
        "@target-uri;req",
        "@authority;req",
        "@scheme;req",
        "@request-target;req",
        "@path;req",
        "@query;req",
        "@query-param;name=\"a\";req",
        "@query-param;req;name=\"d\"",
        "@status",
        "x-a",
        "x-a;bs",
        "x-d;key=\"b\"",
        "x-empty",
        "x-a;req",
    ];
    let components: Vec<Component> = names.iter().map(|name| component(name)).collect();
    for (key, id) in [
        (SigningKey::hmac_sha256(secret()).unwrap(), "test-shared-secret"),
        (SigningKey::ed25519(ED25519_PRIVATE).unwrap(), "test-key-ed25519"),
        (SigningKey::ecdsa_p256_sha256(P256_PRIVATE).unwrap(), "test-key-ecc-p256"),
    ] {
        let signer = Signer::new(key, id, components.clone()).lifetime(Duration::from_secs(60)).tag("t");
        let made = signer.sign(&response, Some("n"), NOW).unwrap();
        let verifier = Verifier::new(components.clone()).label("sig1").tag("t");
        let accepted = verify(&verifier, &response, &made.input, &made.signature, NOW).unwrap();
        assert_eq!((accepted.components, accepted.nonce.as_deref()), (components.clone(), Some("n")));
        let alone = Message::response(404, &headers);
        let refused = verify(&verifier, &alone, &made.input, &made.signature, NOW);
        assert_eq!(refused, Err(MessageError::MissingComponent));
        let late = NOW + Duration::from_secs(121);
        let refused = verify(&verifier, &response, &made.input, &made.signature, late);
        assert_eq!(refused, Err(SignatureError::Expired.into()));
        let other = Verifier::new([]).tag("other");
        assert_eq!(verify(&other, &response, &made.input, &made.signature, NOW), Err(MessageError::Malformed));
        let more = Verifier::new([component("date")]);
        assert_eq!(verify(&more, &response, &made.input, &made.signature, NOW), Err(MessageError::NotCovered));
    }
}

/// Examples of RFC 9421, sections 2.1 and 2.2.
#[test]
fn components_have_the_values_of_the_rfc() {
    let headers: Headers = vec![
        ("X-OWS-Header", "   Leading and trailing whitespace.   "),
        ("Cache-Control", "max-age=60"),
        ("Cache-Control", "   must-revalidate"),
        ("Example-Dict", " a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("Example-Header", "value, with, lots"),
        ("Example-Header", "of, commas"),
        ("X-Empty-Header", ""),
    ];
    let message = Message::request(
        "POST",
        "https",
        "www.example.com",
        "/path?param=value&foo=bar&baz=bat%2Dman&var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&qux=",
        &headers,
    );
    for (name, expected) in [
        ("@method", "POST"),
        ("@authority", "www.example.com"),
        ("@scheme", "https"),
        ("@path", "/path"),
        ("@query-param;name=\"baz\"", "bat-man"),
        ("@query-param;name=\"qux\"", ""),
        ("@query-param;name=\"param\"", "value"),
        ("@query-param;name=\"var\"", "this%20is%20a%20big%0Amultiline%20value"),
        ("@query-param;name=\"bar\"", "with%20plus%20whitespace"),
        ("@query-param;name=\"fa%C3%A7ade%22%3A%20\"", "something"),
        ("x-ows-header", "Leading and trailing whitespace."),
        ("cache-control", "max-age=60, must-revalidate"),
        ("example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("example-dict;key=\"a\"", "1"),
        ("example-dict;key=\"b\"", "2;x=1;y=2"),
        ("example-dict;key=\"c\"", "(a b c)"),
        ("example-header;bs", ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"),
        ("x-empty-header", ""),
    ] {
        let (base, _) = base::signature_base(&message, &[component(name)], &Vec::new()).unwrap();
        let base = String::from_utf8(base).unwrap();
        let value = base.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(value, expected, "{name}");
    }
    let root = Message::request("OPTIONS", "http", "a:80", "", &headers);
    let all = ["@authority", "@path", "@query", "@target-uri"].map(component);
    let (base, _) = base::signature_base(&root, &all, &Vec::new()).unwrap();
    let expected = "\"@authority\": a\n\"@path\": /\n\"@query\": ?\n\"@target-uri\": http://a\n\"@signature-params\": (\"@authority\" \"@path\" \"@query\" \"@target-uri\")";
    assert_eq!(String::from_utf8(base).unwrap(), expected);
}

#[test]
fn components_that_are_unknown_repeated_or_ambiguous_are_refused() {
    for text in [
        "",
        "Date",
        "@unknown",
        "@query-param",
        "@query-param;name=a",
        "date;sf",
        "date;tr",
        "date;key",
        "date;bs;key=\"a\"",
        "@method;bs",
        "@status;req",
        "date;req=?0",
        "da te",
        "date\"",
        "@signature-params",
        ":path",
        "date;x=1",
        "date;;",
    ] {
        assert_eq!(Component::parse(text), Err(MessageError::Component), "{text}");
    }
    let headers: Headers = vec![("x-a", "1\n\"@method\": GET"), ("x-b", "not a dictionary,,")];
    let message = Message::request("GET", "https", "a", "/?a=1&a=2", &headers);
    let signer = |names: &[&str]| {
        let components: Vec<Component> = names.iter().map(|name| component(name)).collect();
        Signer::new(SigningKey::hmac_sha256(secret()).unwrap(), "k", components).sign(&message, None, NOW).map(drop)
    };
    assert_eq!(signer(&["@method", "@method"]), Err(MessageError::Component));
    assert_eq!(signer(&["@query-param;name=\"a\""]), Err(MessageError::Component), "which of the two?");
    assert_eq!(signer(&["x-a"]), Err(MessageError::Component), "a line feed");
    assert_eq!(signer(&["x-b;key=\"a\""]), Err(MessageError::MissingComponent));
    assert_eq!(signer(&["@status"]), Err(MessageError::MissingComponent));
    assert_eq!(signer(&["x-c"]), Err(MessageError::MissingComponent));
    let key = || SigningKey::hmac_sha256(secret()).unwrap();
    assert_eq!(Signer::new(key(), "\u{e9}", []).sign(&message, None, NOW), Err(MessageError::Malformed));
    for label in ["", "A", "1", "a b", "a="] {
        assert_eq!(Signer::new(key(), "k", []).label(label).sign(&message, None, NOW), Err(MessageError::Malformed));
    }
}

#[test]
fn keys_of_another_kind_or_strength_are_refused() {
    for pem in ["", "x", RSA, ED25519, &P256.replace('A', "B")] {
        assert!(VerifyingKey::ecdsa_p256_sha256(pem).is_err(), "{pem}");
    }
    assert!(VerifyingKey::ed25519(P256).is_err() && VerifyingKey::rsa_pss_sha512(P256).is_err());
    assert!(SigningKey::ed25519(P256_PRIVATE).is_err() && SigningKey::ecdsa_p256_sha256(ED25519_PRIVATE).is_err());
    assert!(SigningKey::hmac_sha256([0; 31]).is_err() && VerifyingKey::hmac_sha256([0; 31]).is_err());
    // The point of order 1.
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    assert!(VerifyingKey::ed25519(weak).is_err());
}

#[test]
fn a_bounded_number_of_signatures_is_verified() {
    let headers = request_headers();
    let (_, input, signature) = VECTORS[4];
    let message = request(&headers);
    let tried = Cell::new(0);
    let keys = keys();
    let count = |wrong: usize| {
        tried.set(0);
        let bad: Vec<String> = (0..wrong).map(|number| format!("w{number}={input}, ")).collect();
        let bad_signatures: Vec<String> = (0..wrong).map(|number| format!("w{number}=:AAAA:, ")).collect();
        let (inputs, signatures) =
            (format!("{}good={input}", bad.concat()), format!("{}good=:{signature}:", bad_signatures.concat()));
        any().verify(&message, inputs.as_bytes(), signatures.as_bytes(), NOW, |_| {
            tried.set(tried.get() + 1);
            Some(&keys[3].1)
        })
    };
    assert_eq!(count(3).unwrap().label, "good");
    assert_eq!(count(4), Err(MessageError::Signature(SignatureError::Wrong)));
    assert_eq!(count(20), Err(MessageError::Signature(SignatureError::Wrong)));
    assert_eq!(tried.get(), 4);
}

#[test]
fn no_bytes_of_the_headers_make_the_verifier_panic() {
    let mut generator = Generator::new(6);
    let headers = request_headers();
    let message = request(&headers);
    let parts = [
        "a",
        "=",
        "(",
        ")",
        "\"@method\"",
        "\"date\"",
        ";",
        "created",
        "1",
        ":",
        "AAAA",
        ",",
        " ",
        "\"",
        "\\",
        ".",
        "-",
        "?1",
        "req",
        "key",
    ];
    let verifier = any().without_time().window(ClockWindow::default());
    for _ in 0..20_000 {
        let length = generator.below(24);
        let input: String = (0..length).map(|_| generator.pick(&parts)).collect();
        let _ = verify(&verifier, &message, &input, "a=:AAAA:", NOW);
        let bytes = generator.bytes(12);
        assert!(verifier.verify(&message, &bytes, &bytes, NOW, |_| None).is_err());
    }
}
