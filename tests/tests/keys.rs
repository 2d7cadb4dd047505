//! Public keys of every format and kind: the embedded host accepts the same keys as Envoy's
//! `verify_signature`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::Host;
use serde_json::{Value, json};

/// A key of the directory `keys`, made by `openssl`, and the signature of `hello` with SHA-256.
/// They protect nothing.
macro_rules! key {
    ($name:literal) => {
        (include_str!(concat!("keys/", $name, ".pem")), include_bytes!(concat!("keys/", $name, ".sig")).as_slice())
    };
}

/// The bytes in a PEM block.
fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let word =
        |chunk: &[u8]| chunk.iter().fold(0_u32, |word, digit| word << 6 | u32::from(*digit)) << (6 * (4 - chunk.len()));
    digits.chunks(4).flat_map(|chunk| word(chunk).to_be_bytes()[1..chunk.len()].to_vec()).collect()
}

fn case(name: &str, key: impl AsRef<[u8]>, is_der: bool, signature: &[u8]) -> Value {
    json!({ "name": name, "is_der": is_der, "key": key.as_ref(), "text": "hello", "signature": signature, "hash": "sha256" })
}

/// Returns the guest's log lines about these keys.
fn verdicts(host: &mut Host, cases: Vec<Value>) -> Vec<String> {
    host.configure(Value::Array(cases)).unwrap();
    host.start_logs().into_iter().map(|line| line.message).collect()
}

const NO_KEY: &str = r#"Ok(Invalid("Failed to initialize digest verify."))"#;
const WRONG: &str = r#"Ok(Invalid("Failed to verify digest. Error code: 0"))"#;
const VALID: &str = "Ok(Valid)";

#[proxy_filter_host::test(guest = "keys")]
fn a_key_is_read_in_every_form(mut host: Host) {
    let (pem, signature) = key!("rsa2048");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let (begin, end) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");
    let wrapped = |width: usize| {
        let lines: Vec<&str> = body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{begin}\n{}\n{end}\n", lines.join("\n"))
    };
    let pems = [
        ("as it is", pem.to_owned(), VALID),
        ("carriage returns", pem.replace('\n', "\r\n"), VALID),
        ("no last end of line", pem.trim_end().to_owned(), VALID),
        ("text before", format!("Bag Attributes\n  friendlyName: x\n{pem}"), VALID),
        ("empty lines before", format!("\n  \n{pem}"), VALID),
        ("text after", format!("{pem}garbage"), VALID),
        ("one line", wrapped(10_000), VALID),
        ("lines of 76", wrapped(76), VALID),
        ("lines of 10", wrapped(10), VALID),
        ("two keys", format!("{pem}{pem}"), VALID),
        ("two keys, another first", format!("{}{pem}", key!("rsa1024").0), WRONG),
        ("another block first", format!("{}{pem}", include_str!("keys/cert.pem")), VALID),
        ("spaces at the ends of lines", pem.replace('\n', "  \n"), VALID),
        ("escaped ends of lines", pem.replace('\n', "\\n"), NO_KEY),
        ("all in one line", format!("{begin}{body}{end}"), NO_KEY),
        ("no frame", body.clone(), NO_KEY),
        ("no end", format!("{begin}\n{body}\n"), NO_KEY),
        ("another label", pem.replace("PUBLIC KEY", "RSA PUBLIC KEY"), NO_KEY),
        ("PKCS #1", include_str!("keys/pkcs1.pem").to_owned(), NO_KEY),
        ("a certificate", include_str!("keys/cert.pem").to_owned(), NO_KEY),
        ("garbage in base64", format!("{begin}\nAAAA\n{end}\n"), NO_KEY),
        ("no base64", format!("{begin}\n*{body}\n{end}\n"), NO_KEY),
        ("cut base64", format!("{begin}\n{}\n{end}\n", body.get(..body.len() - 3).unwrap()), NO_KEY),
    ];
    let spki = der(pem);
    let ders = [
        ("DER", spki.clone(), VALID),
        ("DER and zeros", [&spki[..], &[0, 0]].concat(), VALID),
        ("DER twice", [&spki[..], &spki].concat(), VALID),
        ("DER cut", spki[..spki.len() - 1].to_vec(), NO_KEY),
        ("DER after a byte", [&[0], &spki[..]].concat(), NO_KEY),
        ("PKCS #1 in DER", der(include_str!("keys/pkcs1.pem")), NO_KEY),
        ("PEM as DER", pem.into(), NO_KEY),
    ];
    let mut cases: Vec<Value> = pems.iter().map(|(name, key, _)| case(name, key, false, signature)).collect();
    cases.extend(ders.iter().map(|(name, key, _)| case(name, key, true, signature)));
    let expected = pems
        .iter()
        .map(|(name, _, verdict)| (name, verdict))
        .chain(ders.iter().map(|(name, _, verdict)| (name, verdict)));
    let expected: Vec<String> = expected.map(|(name, verdict)| format!("{name}: {verdict}")).collect();
    assert_eq!(verdicts(&mut host, cases), expected);
}

#[proxy_filter_host::test(guest = "keys")]
fn keys_of_these_kinds_are_taken(mut host: Host) {
    let keys = [
        ("RSA 512", key!("rsa512"), VALID),
        ("RSA 1024", key!("rsa1024"), VALID),
        ("RSA 2048", key!("rsa2048"), VALID),
        ("RSA 8192", key!("rsa8192"), VALID),
        ("P-256", key!("prime256v1"), VALID),
        ("P-384", key!("secp384r1"), VALID),
        ("secp256k1", key!("secp256k1"), NO_KEY),
        ("Ed25519", key!("ed"), NO_KEY),
    ];
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (name, (pem, signature), verdict) in keys {
        let other = [&signature[..signature.len() - 1], &[signature[signature.len() - 1] ^ 1]].concat();
        let changed = if verdict == VALID { WRONG } else { verdict };
        let forms = [
            ("", signature.to_vec(), verdict),
            (" another signature", other, changed),
            (" and a byte", [signature, &[0]].concat(), changed),
            (" after a byte", [&[0], signature].concat(), changed),
            (" cut", signature[..signature.len() - 1].to_vec(), changed),
            (" no signature", Vec::new(), changed),
        ];
        for (form, signature, verdict) in forms {
            cases.push(case(&format!("{name}{form}"), pem, false, &signature));
            expected.push(format!("{name}{form}: {verdict}"));
        }
        cases.push(case(&format!("{name} in DER"), der(pem), true, signature));
        expected.push(format!("{name} in DER: {verdict}"));
    }
    assert_eq!(verdicts(&mut host, cases), expected);
}
