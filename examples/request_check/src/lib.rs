//! Validates JSON bodies of requests, and describes all faults in one problem document.
//!
//! ```json
//! {"fields": {"/email": {"kind": "text", "required": true, "max": 100}, "/items/*/count": {"kind": "number", "min": 1}}}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter_kit::json::{Extractor, Value};
use proxy_filter_kit::problem::{CONTENT_TYPE, Problem};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    fields: BTreeMap<String, Field>,
    extractor: Extractor,
    max_body: usize,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The fields of bodies, by their JSON pointers. `*` stands for all elements of an array.
    fields: BTreeMap<String, Field>,
    /// The maximum number of bytes of a body.
    #[serde(default = "max_body")]
    max_body: usize,
}

/// The rules for a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    kind: Kind,
    #[serde(default)]
    required: bool,
    /// The minimum of a number, or of the number of characters of a text.
    min: Option<f64>,
    /// The maximum of the same.
    max: Option<f64>,
    /// The texts that are allowed; all if empty.
    #[serde(default)]
    one_of: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Number,
    Boolean,
}

const fn max_body() -> usize {
    1024 * 1024
}

/// The maximum number of bytes of a text that is checked. A longer one is refused.
const MAX_TEXT: usize = 4096;
/// The maximum number of faults in a reply.
const MAX_FAULTS: usize = 20;

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(Written { fields, max_body }: Written) -> Result<Self, String> {
        for (pointer, field) in &fields {
            if field.required && pointer.split('/').any(|name| name == "*") {
                return Err(format!("fields.{pointer}.required: an array may be empty, so `*` cannot be required"));
            }
            if field.kind != Kind::Text && !field.one_of.is_empty() {
                return Err(format!("fields.{pointer}.one_of: only a text can be one of several"));
            }
        }
        let extractor =
            Extractor::new(fields.keys().map(String::as_str), MAX_TEXT).map_err(|why| format!("fields: {why}"))?;
        Ok(Self { fields, extractor, max_body })
    }
}

#[proxy_filter::filter]
async fn request_check(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    // Nothing of a refused request is forwarded.
    let (request, body) = exchange.request_headers_with_body(config.max_body).await?;
    if request.get("upgrade")?.is_some() || request.method()?.is_some_and(|method| method == "CONNECT") {
        return exchange.reply(refusal(&Problem::new(403, "an upgrade has no body to check")));
    }
    let is_json = request.media_type()?.is_some_and(|media| media.essence() == "application/json");
    let is_readable = is_json && request.content_codings()?.is_empty();
    let may_lack_body = matches!(request.method()?.as_deref(), Some(b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS"));
    let body = body.to_bytes()?;
    if body.is_empty() && may_lack_body {
        return Ok(());
    }
    if !is_readable {
        let problem = Problem::new(415, "Unsupported media type").detail("send `application/json` without a coding");
        return exchange.reply(refusal(&problem));
    }
    match config.check(&body) {
        Err(why) => exchange.reply(refusal(&Problem::new(400, "The body is not JSON").detail(why))),
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => {
            let errors: Vec<_> =
                faults.iter().map(|(pointer, why)| json!({ "pointer": pointer, "detail": why })).collect();
            let problem = Problem::new(422, "The body is not valid").member("errors", errors);
            exchange.reply(refusal(&problem))
        }
    }
}

/// Faults, with the pointers of their fields.
type Faults<'c> = Vec<(&'c str, String)>;

impl Config {
    fn check(&self, body: &[u8]) -> Result<Faults<'_>, String> {
        let fields: Vec<(&String, &Field)> = self.fields.iter().collect();
        let mut faults = Faults::new();
        let counts = self.extractor.read(body, |index, value| {
            if let Some((pointer, field)) = fields.get(index).filter(|_| faults.len() < MAX_FAULTS) {
                faults.extend(field.fault(value).map(|why| (pointer.as_str(), why)));
            }
        });
        for ((pointer, field), count) in fields.iter().zip(counts.map_err(|why| why.to_string())?) {
            match count {
                0 if field.required => faults.push((pointer, format!("{} is required", field.kind.name()))),
                // The upstream might use any of them.
                2.. if !pointer.split('/').any(|name| name == "*") => faults.push((pointer, "is repeated".to_owned())),
                _ => {}
            }
        }
        Ok(faults)
    }
}

impl Field {
    /// Returns the fault of a value.
    fn fault(&self, value: Value<'_>) -> Option<String> {
        let (size, what) = match (self.kind, value) {
            (Kind::Boolean, Value::Boolean(_)) => return None,
            (Kind::Text, Value::Text(text)) if !text.is_whole => return Some("the text is too long".to_owned()),
            (Kind::Text, Value::Text(text)) => {
                if !self.one_of.is_empty() && !self.one_of.iter().any(|known| known == text.value) {
                    return Some(format!("must be one of: {}", self.one_of.join(", ")));
                }
                (f64::from(u32::try_from(text.value.chars().count()).unwrap_or(u32::MAX)), "the number of characters")
            }
            (Kind::Number, Value::Number(number)) => (number.parse().unwrap_or(f64::INFINITY), "the number"),
            _ => return Some(format!("{} is required", self.kind.name())),
        };
        match (self.min, self.max) {
            (Some(min), _) if size < min => Some(format!("{what} is less than {min}")),
            (_, Some(max)) if size > max => Some(format!("{what} is more than {max}")),
            _ => None,
        }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
        }
    }
}

fn refusal(problem: &Problem) -> LocalReply {
    let reply = LocalReply::new(problem.status()).header("content-type", CONTENT_TYPE).details("request_check");
    reply.body(problem.to_json())
}
