//! Serves signed URLs. A CEL expression selects the requests that need a signature, and Envoy's
//! cryptography verifies it.
//!
//! ```json
//! {"when": "request.path.startsWith('/files/')", "public_key": "-----BEGIN PUBLIC KEY-----…"}
//! ```
//!
//! A signed URL ends in `expires=<seconds since 1970>&signature=<hex>`. The path before
//! `&signature=` is signed.

#[cfg(test)]
mod tests;

use proxy_filter::foreign::{self, Expression, Key, Match, Verdict};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::Deserialize;
use std::rc::Rc;
use std::time::SystemTime;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The requests that need a signature, in CEL.
    when: String,
    /// The public key in PEM.
    public_key: String,
}

/// The configuration in the form that streams use.
#[derive(Debug)]
struct Guard {
    /// `None` if the host has no expressions.
    when: Option<Expression>,
    public_key: String,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Root {
    /// `None` only before `on_configure`: a refused plugin has no streams.
    guard: Option<Rc<Guard>>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let Config { when, public_key } = configuration.json()?;
        let when = match Expression::new(&when) {
            Ok(when) => Some(when),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                log::warn!("this host has no CEL expressions: every request needs a signature");
                None
            }
            Err(error) => return Err(error),
        };
        // Logged here, once, because clients choose how many signatures are checked.
        let probe = foreign::verify_signature("sha256", Key::Pem(&public_key), "", []);
        if probe.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            log::error!("this host cannot verify signatures: it has no function `verify_signature`");
        }
        self.guard = Some(Rc::new(Guard { when, public_key }));
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { guard: self.guard.clone() }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    guard: Option<Rc<Guard>>,
}

/// The reason why a request is refused.
enum Refusal {
    Unsigned,
    Expired,
    Forged(String),
    /// The host has no signatures, so the signature cannot be verified.
    Unknown,
}

impl Guard {
    /// Whether the request of this callback needs a signature. If the expression fails, for example
    /// because an attribute is missing, the request needs a signature.
    fn applies(&self) -> bool {
        self.when.as_ref().is_none_or(|when| when.matches().map_or(true, Match::is_true))
    }

    /// Checks the signature of a path.
    fn check(&self, path: &[u8]) -> Result<Option<Refusal>> {
        let Some(Signed { text, expires, signature }) = Signed::read(path) else { return Ok(Some(Refusal::Unsigned)) };
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if expires <= now {
            return Ok(Some(Refusal::Expired));
        }
        match foreign::verify_signature("sha256", Key::Pem(&self.public_key), text, signature) {
            Ok(Verdict::Valid) => Ok(None),
            Ok(Verdict::Invalid(why)) => Ok(Some(Refusal::Forged(why))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Refusal::Unknown)),
            Err(error) => Err(error),
        }
    }
}

/// The parts of a signed path.
struct Signed<'a> {
    text: &'a str,
    expires: u64,
    signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    fn read(path: &'a [u8]) -> Option<Self> {
        let (text, signature) = std::str::from_utf8(path).ok()?.rsplit_once("&signature=")?;
        let (_, expires) = text.rsplit_once("expires=")?;
        Some(Self { text, expires: expires.parse().ok()?, signature: hex(signature)? })
    }
}

/// Decodes hexadecimal digits.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let byte = |pair: &[u32]| match *pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let Some(guard) = &self.guard else { return Err(Error::other("not configured")) };
        if !guard.applies() {
            return Ok(FilterHeadersStatus::Continue);
        }
        let (status, body, details) = match guard.check(&request.path()?.unwrap_or_default())? {
            None => return Ok(FilterHeadersStatus::Continue),
            Some(Refusal::Unsigned) => (403, "this needs a signature\n", "unsigned"),
            Some(Refusal::Expired) => (403, "this link has expired\n", "expired"),
            Some(Refusal::Forged(why)) => {
                log::info!("a bad signature: {why}");
                (403, "this signature is not valid\n", "bad_signature")
            }
            Some(Refusal::Unknown) => (503, "signatures cannot be verified\n", "no_signatures"),
        };
        request.reply(LocalReply::new(status).details(details).body(body))
    }
}
