//! The cases of the test suite that AWS publishes.

use super::*;
use crate::tests::Generator;

/// The test suite of Signature Version 4, `tests/aws-signing-test-suite/v4` of
/// `awslabs/aws-c-auth`: a name, flags, the session token, the request, and the signatures in a
/// header and in a URL. The flag `n` normalises the path, `b` sends the hash of the body, `o` omits
/// the session token.
const SUITE: &str = include_str!("suite.txt");

/// 2015-08-30T12:36:00Z
const NOW: Duration = Duration::from_secs(1_440_938_160);

struct Case<'a> {
    name: &'a str,
    flags: &'a str,
    token: &'a str,
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, String)>,
    body: String,
    in_header: &'a str,
    in_url: &'a str,
}

fn cases() -> Vec<Case<'static>> {
    SUITE
        .lines()
        .map(|line| {
            let columns: Vec<&str> = line.split('|').collect();
            let [name, flags, token, method, target, rest, in_header, in_url] = columns[..] else { panic!("{line}") };
            let rest = rest.replace("\\n", "\n");
            let (head, body) = rest.split_once("\n\n").unwrap_or((&rest, ""));
            let mut headers: Vec<(String, String)> = Vec::new();
            for line in head.lines() {
                match line.split_once(':') {
                    Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                    None => headers.last_mut().unwrap().1.push_str(line),
                }
            }
            Case { name, flags, token, method, target, headers, body: body.to_owned(), in_header, in_url }
        })
        .collect()
}

fn signer(case: &Case<'_>) -> Signer {
    let mut credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    if !case.token.is_empty() && !case.flags.contains('o') {
        credentials = credentials.session_token(case.token);
    }
    let signer = Signer::new(credentials, "us-east-1", "service");
    signer.normalise(case.flags.contains('n')).content_sha256(case.flags.contains('b'))
}

#[test]
fn signatures_are_those_of_the_test_suite() {
    let cases = cases();
    assert_eq!(cases.len(), 38);
    for case in cases {
        let headers: Vec<(&[u8], &[u8])> =
            case.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let payload = if case.body.is_empty() { Payload::Empty } else { Payload::Bytes(case.body.as_bytes()) };
        let request =
            Request { method: case.method.as_bytes(), target: case.target.as_bytes(), headers: &headers, payload };
        let signed = signer(&case).sign(&request, NOW).unwrap();
        let authorization = &signed.last().unwrap().1;
        assert!(authorization.ends_with(&format!("Signature={}", case.in_header)), "{}: {authorization}", case.name);
        let url = signer(&case).presign(&request, Duration::from_secs(3600), NOW).unwrap();
        assert!(url.ends_with(&format!("&X-Amz-Signature={}", case.in_url)), "{}: {url}", case.name);
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
    }
}

#[test]
fn the_canonical_request_of_the_simplest_case_is_that_of_the_suite() {
    let mut canonical = Canonical::new(&[(b"Host", b"example.amazonaws.com")]).unwrap();
    canonical.add("x-amz-date", b"20150830T123600Z");
    let hash = payload_hash(Payload::Empty);
    assert_eq!(
        canonical.request(b"GET", &canonical_uri(b"/", true, true), "", &hash),
        "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

/// The four examples of "Authenticating Requests: Using the Authorization Header" and "Using Query
/// Parameters" in the API reference of S3.
#[test]
fn signatures_for_s3_are_those_of_its_reference() {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let signer = Signer::new(credentials, "us-east-1", "s3");
    let now = Duration::from_secs(1_369_353_600); // 2013-05-24T00:00:00Z
    let host: (&[u8], &[u8]) = (b"host", b"examplebucket.s3.amazonaws.com");
    let range: (&[u8], &[u8]) = (b"range", b"bytes=0-9");
    let date: (&[u8], &[u8]) = (b"date", b"Fri, 24 May 2013 00:00:00 GMT");
    let class: (&[u8], &[u8]) = (b"x-amz-storage-class", b"REDUCED_REDUNDANCY");
    for (method, target, headers, payload, expected) in [
        (
            "GET",
            "/test.txt",
            &[host, range][..],
            Payload::Empty,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            &[date, host, class],
            Payload::Bytes(b"Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            &[host],
            Payload::Empty,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            &[host],
            Payload::Empty,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let request = Request { method: method.as_bytes(), target: target.as_bytes(), headers, payload };
        let headers = signer.sign(&request, now).unwrap();
        let authorization = &headers.last().unwrap().1;
        assert!(authorization.ends_with(expected), "{method} {target}: {authorization}");
    }
    let request = Request { method: b"GET", target: b"/test.txt", headers: &[host], payload: Payload::Unsigned };
    let url = signer.presign(&request, Duration::from_secs(86_400), now).unwrap();
    assert!(url.ends_with("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"), "{url}");
}

#[test]
fn requests_that_cannot_be_signed_are_refused() {
    let signer = Signer::new(Credentials::new("a", "b"), "r", "s").content_sha256(true);
    let host: (&[u8], &[u8]) = (b"host", b"h");
    let sign = |headers: &[(&[u8], &[u8])], now| {
        signer.sign(&Request { method: b"GET", target: b"/", headers, payload: Payload::Unsigned }, now).map(drop)
    };
    assert_eq!(sign(&[], NOW), Err(SignError::NoHost));
    for name in [
        &b"X-Amz-Date"[..],
        b"authorization",
        b"x-amz-security-token",
        b"x-amz-content-sha256",
        b"",
        b"a:b",
        b"\xff",
        b":path",
    ] {
        assert_eq!(sign(&[host, (name, b"v")], NOW), Err(SignError::Header));
    }
    assert_eq!(sign(&[host], Duration::MAX), Err(SignError::Time));
    let request = Request { method: b"GET", target: b"/", headers: &[host], payload: Payload::Empty };
    assert_eq!(signer.presign(&request, Duration::from_secs(604_801), NOW), Err(SignError::Expiry));
}

#[test]
fn no_bytes_of_a_request_make_the_signer_panic() {
    let mut generator = Generator::new(5);
    let signers = ["s3", "service"].map(|service| Signer::new(Credentials::new("a", "b"), "r", service));
    for _ in 0..500 {
        let lengths = [(); 4].map(|()| generator.below(30));
        let [method, target, name, value] = lengths.map(|length| generator.bytes(length));
        let headers: [(&[u8], &[u8]); 2] = [(b"host", &value), (&name, &value)];
        let request = Request { method: &method, target: &target, headers: &headers, payload: Payload::Unsigned };
        for signer in &signers {
            let _ = signer.sign(&request, NOW);
            let request = Request { headers: &headers[..1], ..request };
            let url = signer.presign(&request, Duration::from_secs(1), NOW).unwrap();
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
        }
    }
}
