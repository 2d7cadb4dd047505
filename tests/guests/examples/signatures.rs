//! Makes and checks signatures with Envoy's own functions: a guest for scenarios.

use proxy_filter::foreign::{self, Key};
use proxy_filter::prelude::*;
use std::fmt::Debug;

/// A pair of keys, both halves in both forms.
#[derive(serde::Deserialize)]
struct Keys {
    private: String,
    private_der: Vec<u8>,
    /// PKCS #1 instead of PKCS #8.
    private_rsa: String,
    public: String,
    public_der: Vec<u8>,
}

fn show<T: Debug>(what: &str, result: Result<T>) {
    match result {
        Ok(value) => log::info!("{what}: {value:?}"),
        Err(error) => log::info!("{what}: {:?}: {error}", error.kind()),
    }
}

const HASHES: [&str; 6] = ["sha1", "sha224", "sha256", "sha384", "sha512", "SHA256"];

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let keys: Keys = configuration.json()?;
        let (private, public) = (Key::Pem(&keys.private), Key::Pem(&keys.public));
        for hash in HASHES {
            let signature = foreign::sign(hash, private, "text")?;
            // The first bytes tell it from another one: it is the same in every run.
            log::info!("{hash}: {} bytes, {:?}", signature.len(), signature.first_chunk::<4>());
            show(hash, foreign::verify_signature(hash, Key::Der(&keys.public_der), "text", &signature));
        }
        let signature = foreign::sign("sha256", private, "text")?;
        log::info!("the same with DER: {}", foreign::sign("sha256", Key::Der(&keys.private_der), "text")? == signature);
        log::info!("and PKCS #1: {}", foreign::sign("sha256", Key::Pem(&keys.private_rsa), "text")? == signature);
        show("the text", foreign::verify_signature("sha256", public, "text", &signature));
        show("another text", foreign::verify_signature("sha256", public, "texts", &signature));
        show("another hash", foreign::verify_signature("sha1", public, "text", &signature));
        show("no hash", foreign::verify_signature("sha0", public, "text", &signature));
        show("no hash, no key", foreign::verify_signature("sha0", Key::Pem("no key"), "text", &signature));
        show("no signature", foreign::verify_signature("sha256", public, "text", ""));
        show("no key", foreign::verify_signature("sha256", Key::Der(b"no key"), "text", &signature));
        show("no PEM", foreign::verify_signature("sha256", Key::Pem("no key"), "text", &signature));
        show("an empty key", foreign::verify_signature("sha256", Key::Pem(""), "text", &signature));
        show("the private key", foreign::verify_signature("sha256", private, "text", &signature));
        show("an empty hash", foreign::verify_signature("", public, "text", &signature));
        show("an empty text", foreign::verify_signature("sha256", public, "", &signature));
        show("sign with an empty hash", foreign::sign("", private, "text"));
        show("sign an empty text", foreign::sign("sha256", private, "").map(|signature| signature.len()));
        show("sign without a hash", foreign::sign("sha0", private, "text"));
        show("sign without both", foreign::sign("sha0", Key::Pem("no key"), "text"));
        show("sign without a key", foreign::sign("sha256", Key::Pem("no key"), "text"));
        show("sign without DER", foreign::sign("sha256", Key::Der(b"no key"), "text"));
        show("sign with the public key", foreign::sign("sha256", public, "text"));
        show("no message to sign", foreign::call("sign", b"\xff").map(|answer| answer.len()));
        show("no message to verify", foreign::call("verify_signature", b"\xff").map(|answer| answer.len()));
        show("nothing to sign", foreign::call("sign", b"").map(|answer| String::from_utf8_lossy(&answer).into_owned()));
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        _request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        show("in a stream", foreign::verify_signature("sha256", Key::Pem("no key"), "text", ""));
        Ok(FilterHeadersStatus::Continue)
    }
}
