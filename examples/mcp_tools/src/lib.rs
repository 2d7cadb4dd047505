//! Forwards only calls of listed tools to a server of the Model Context Protocol.
//!
//! ```json
//! {"tools": ["search", "read_file"]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The names of the tools.
    tools: HashSet<String>,
    /// The maximum number of bytes of a request's body.
    #[serde(default = "max_body")]
    max_body: usize,
}

const fn max_body() -> usize {
    1024 * 1024
}

/// A request, a notification or a response of JSON-RPC. A repeated member is an error, because the
/// server might use any of its values.
#[derive(Deserialize)]
struct Message {
    method: Option<String>,
    params: Option<Params>,
    id: Option<Value>,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

/// The parameters of a message. A repeated member of a call makes them others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Params {
    Call(Call),
    Other(IgnoredAny),
}

/// The parameters of `tools/call`.
#[derive(Deserialize)]
struct Call {
    name: String,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Batch(Vec<Message>),
    One(Message),
}

#[proxy_filter::filter]
async fn mcp_tools(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    // Nothing of a refused request is forwarded.
    let (request, body) = exchange.request_headers_with_body(config.max_body).await?;
    if !request.content_codings()?.is_empty() {
        return exchange.reply(LocalReply::new(415).details("mcp_tools_coding"));
    }
    // `GET` opens a stream of the server, and `DELETE` ends a session.
    let is_post = request.method()?.is_some_and(|method| method == "POST");
    let body = body.to_bytes()?;
    if body.is_empty() && !is_post {
        return Ok(());
    }
    match config.check(&body) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            log::info!("refused: {}", escaped(refusal.why.as_bytes()));
            exchange.reply(refusal.into_reply())
        }
    }
}

/// The reason why a request is refused, and the `id` of the message.
struct Refusal {
    id: Value,
    code: i32,
    why: String,
}

impl Refusal {
    fn new(id: Option<Value>, code: i32, why: impl Into<String>) -> Self {
        Self { id: id.unwrap_or_default(), code, why: why.into() }
    }

    fn into_reply(self) -> LocalReply {
        let (status, details) =
            if self.code == FORBIDDEN { (403, "mcp_tools_denied") } else { (400, "mcp_tools_malformed") };
        let error = json!({ "jsonrpc": "2.0", "id": self.id, "error": { "code": self.code, "message": self.why } });
        let reply = LocalReply::new(status).header("content-type", "application/json").details(details);
        reply.body(error.to_string())
    }
}

/// Codes of JSON-RPC.
const MALFORMED: i32 = -32600;
const FORBIDDEN: i32 = -32602;

impl Config {
    fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        match serde_json::from_slice(body) {
            Err(_) => Err(Refusal::new(None, MALFORMED, "the body is no JSON-RPC message")),
            Ok(Body::One(message)) => self.check_one(message),
            Ok(Body::Batch(messages)) => messages.into_iter().try_for_each(|message| self.check_one(message)),
        }
    }

    fn check_one(&self, message: Message) -> Result<(), Refusal> {
        let Message { method, params, id, others } = message;
        if has_variant(&others, &["method", "params", "id"]) {
            return Err(Refusal::new(id, MALFORMED, "the name of a member differs only in its case"));
        }
        if method.as_deref() != Some("tools/call") {
            return Ok(());
        }
        let Some(Params::Call(call)) = params else {
            return Err(Refusal::new(id, MALFORMED, "the call has no tool, or more than one"));
        };
        if has_variant(&call.others, &["name"]) {
            return Err(Refusal::new(id, MALFORMED, "the name of a member differs only in its case"));
        }
        if self.tools.contains(&call.name) {
            return Ok(());
        }
        Err(Refusal::new(id, FORBIDDEN, format!("the tool is not allowed: {}", call.name)))
    }
}

/// Whether a server that ignores case would read another member as one of these names.
fn has_variant(others: &HashMap<String, Value>, names: &[&str]) -> bool {
    others.keys().any(|name| names.iter().any(|known| known.to_uppercase() == name.to_uppercase()))
}
