//! A small web application firewall: refuses requests whose target, headers or body have a listed
//! text, in any case and encoding.
//!
//! ```json
//! {"deny": ["union select", "../", "<script"], "max_body": 1048576}
//! ```
//!
//! The body is scanned while it passes, and no listed text reaches the upstream whole. The example
//! `waf` has named rules, rules for responses, and more encodings.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter_kit::edit::{Found, Literals, Pattern};
use proxy_filter_kit::request::percent_decode;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    deny: Literals,
    max_body: usize,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The texts.
    deny: Vec<String>,
    /// The maximum number of bytes of a request's body.
    max_body: usize,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let deny = Literals::ignoring_case(&written.deny).map_err(|why| format!("deny: {why}"))?;
        Ok(Self { deny, max_body: written.max_body })
    }
}

impl Config {
    /// Whether a text has a listed one, as it is, or decoded once or twice.
    fn denies(&self, text: &[u8]) -> bool {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let once = percent_decode(&spaced).bytes;
        let twice = percent_decode(&once).bytes;
        [text, &spaced, &once, &twice].iter().any(|text| self.has(text))
    }

    /// Whether a text has a listed one as it is.
    fn has(&self, text: &[u8]) -> bool {
        matches!(self.deny.find(text, None, true), Found::Match(_))
    }
}

/// One request.
struct Waf {
    config: Rc<Config>,
    /// The last bytes of the body so far, which may begin a listed text.
    tail: Vec<u8>,
    length: usize,
}

impl From<&Rc<Config>> for Waf {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), tail: Vec::new(), length: 0 }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Waf {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if !request.content_codings()?.is_empty() {
            // The upstream would see another body than this filter.
            return request
                .reply(LocalReply::new(415).details("waf_lite_coding").body("send the body without a coding\n"));
        }
        for (name, value) in &request.pairs()? {
            if self.config.denies(name) || self.config.denies(value) {
                return request.reply(refusal());
            }
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, _: bool) -> Result<FilterDataStatus> {
        let chunk = body.to_bytes()?;
        self.length = self.length.saturating_add(chunk.len());
        if self.length > self.config.max_body {
            return body.reply(LocalReply::new(413).details("waf_lite_too_large").body("too large\n"));
        }
        self.tail.extend_from_slice(&chunk);
        if self.config.has(&self.tail) {
            return body.reply(refusal());
        }
        let start = self.tail.len().saturating_sub(self.config.deny.longest().saturating_sub(1));
        self.tail.drain(..start);
        Ok(FilterDataStatus::Continue)
    }
}

fn refusal() -> LocalReply {
    LocalReply::new(403).details("waf_lite").body("refused\n")
}
