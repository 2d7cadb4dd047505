//! Signatures: foreign functions `sign` and `verify_signature`.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::Host;

#[path = "../guests/examples/signatures.rs"]
mod filter;

#[proxy_filter_host::test(guest = "signatures")]
fn signatures_are_made_and_checked(mut host: Host) {
    // The keys were made for this test and protect nothing.
    let configured = host.configure(serde_json::json!({
        "private": include_str!("keys/private.pem"),
        "private_der": include_bytes!("keys/private.der").as_slice(),
        "private_rsa": include_str!("keys/private_rsa.pem"),
        "public": include_str!("keys/public.pem"),
        "public_der": include_bytes!("keys/public.der").as_slice(),
    }));
    if host.behaves_as().differs_in("has no function `sign`") {
        let refused = configured.unwrap_err().to_string();
        assert!(refused.contains("proxy_call_foreign_function returned NotFound"), "{refused}");
        return;
    }
    configured.unwrap();
    let lines: Vec<_> = host.start_logs().into_iter().map(|line| line.message).collect();
    let invalid = r#"Invalid("Failed to verify digest. Error code: 0")"#;
    let no_key = r#"Invalid("Failed to initialize digest verify.")"#;
    let cannot_sign = "InvalidInput: sign: Invalid key type: private key required for signing operation.";
    let no_message = "WrongPhase: proxy_call_foreign_function returned BadArgument: \
        not available in this phase, or a bad argument";
    assert_eq!(
        lines,
        [
            "sha1: 256 bytes, Some([13, 98, 240, 184])",
            "sha1: Valid",
            "sha224: 256 bytes, Some([89, 227, 192, 5])",
            "sha224: Valid",
            "sha256: 256 bytes, Some([62, 253, 208, 181])",
            "sha256: Valid",
            "sha384: 256 bytes, Some([78, 133, 207, 98])",
            "sha384: Valid",
            "sha512: 256 bytes, Some([44, 69, 37, 13])",
            "sha512: Valid",
            "SHA256: 256 bytes, Some([62, 253, 208, 181])",
            "SHA256: Valid",
            "the same with DER: true",
            "and PKCS #1: true",
            "the text: Valid",
            &format!("another text: {invalid}"),
            &format!("another hash: {invalid}"),
            r#"no hash: Invalid("sha0 is not supported.")"#,
            r#"no hash, no key: Invalid("sha0 is not supported.")"#,
            &format!("no signature: {invalid}"),
            &format!("no key: {no_key}"),
            &format!("no PEM: {no_key}"),
            "an empty key: InvalidInput: proxy_call_foreign_function returned BadArgument",
            &format!("the private key: {no_key}"),
            r#"an empty hash: Invalid(" is not supported.")"#,
            &format!("an empty text: {invalid}"),
            "sign with an empty hash: InvalidInput: sign:  is not supported.",
            "sign an empty text: 256",
            "sign without a hash: InvalidInput: sign: sha0 is not supported.",
            "sign without both: InvalidInput: sign: sha0 is not supported.",
            &format!("sign without a key: {cannot_sign}"),
            &format!("sign without DER: {cannot_sign}"),
            &format!("sign with the public key: {cannot_sign}"),
            &format!("no message to sign: {no_message}"),
            &format!("no message to verify: {no_message}"),
            &format!("nothing to sign: {no_message}"),
        ]
    );
    assert_eq!(host.get("/").send().messages(), [format!("in a stream: {no_key}")]);
}
