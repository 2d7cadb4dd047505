//! Signs requests to a service of AWS, so that clients need no credentials of AWS.
//!
//! ```json
//! {
//!   "host": "bucket.s3.eu-central-1.amazonaws.com", "region": "eu-central-1", "service": "s3",
//!   "access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
//!   "unsigned_body": true
//! }
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::configured::{Authority, HeaderText};
use proxy_filter::prelude::*;
use proxy_filter_kit::signature::aws::{self, Credentials, Payload, Signer};
use serde::Deserialize;
use std::time::SystemTime;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(from = "Written")]
struct Config {
    signer: Signer,
    host: Authority,
    unsigned_body: bool,
    max_body: usize,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The host of the service.
    host: Authority,
    region: HeaderText,
    service: HeaderText,
    access_key_id: HeaderText,
    secret_access_key: String,
    /// The token of temporary credentials.
    session_token: Option<HeaderText>,
    /// Whether bodies are forwarded while they arrive, and are not signed.
    #[serde(default)]
    unsigned_body: bool,
    /// The maximum number of bytes of a body that is signed.
    #[serde(default = "max_body")]
    max_body: usize,
}

const fn max_body() -> usize {
    1024 * 1024
}

impl From<Written> for Config {
    fn from(written: Written) -> Self {
        let credentials = Credentials::new(&*written.access_key_id, written.secret_access_key);
        let tokens = written.session_token.into_iter();
        let credentials = tokens.fold(credentials, |credentials, token| credentials.session_token(&*token));
        let signer = Signer::new(credentials, &*written.region, &*written.service);
        Self { signer, host: written.host, unsigned_body: written.unsigned_body, max_body: written.max_body }
    }
}

#[proxy_filter::filter]
async fn aws_sign(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    if !request.path()?.is_some_and(|path| path.starts_with(b"/")) {
        return exchange.reply(LocalReply::new(400).details("aws_sign_path").body("a path is required\n"));
    }
    if config.unsigned_body {
        return config.sign(request, Payload::Unsigned);
    }
    // The signature is in the headers, and depends on the body.
    let (request, body) = exchange.request_headers_with_body(config.max_body).await?;
    config.sign(request, Payload::Bytes(&body.to_bytes()?))
}

impl Config {
    fn sign(&self, request: &mut RequestHeaders, payload: Payload<'_>) -> Result<()> {
        // The client's own signature, if there is one, is of other credentials.
        for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
            request.remove(name)?;
        }
        request.replace(":authority", &self.host)?;
        let (method, target) = (request.method()?.unwrap_or_default(), request.path()?.unwrap_or_default());
        let pairs = request.pairs()?;
        // Services refuse headers of theirs that are not signed.
        let signed = pairs.iter().filter(|(name, _)| *name == b"content-type" || name.starts_with(b"x-amz-"));
        let mut headers = vec![(&b"host"[..], self.host.as_bytes())];
        headers.extend(signed);
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let to_sign = aws::Request { method: &method, target: &target, headers: &headers, payload };
        for (name, value) in self.signer.sign(&to_sign, now).map_err(Error::other)? {
            request.replace(name, value)?;
        }
        Ok(())
    }
}
