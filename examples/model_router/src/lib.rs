//! Routes requests for language models to the provider of the model. If the provider fails, the
//! client gets the response of the next one.
//!
//! ```json
//! {"models": {"fast": [
//!   {"cluster": "one", "authority": "api.one.example", "model": "one-small", "key": "k1"},
//!   {"cluster": "two", "authority": "api.two.example", "model": "two-mini", "key": "k2"}
//! ]}}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{Authority, ClusterName, HeaderText};
use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter_kit::problem::{CONTENT_TYPE, Problem};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The providers of each model, the preferred one first.
    models: HashMap<String, Vec<Provider>>,
    /// The maximum number of bytes of a request's body.
    #[serde(default = "max_body")]
    max_body: usize,
}

/// A provider of a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    cluster: ClusterName,
    authority: Authority,
    /// The name of the model at the provider.
    model: String,
    /// The key of the provider, if it has one.
    key: Option<HeaderText>,
}

const fn max_body() -> usize {
    1024 * 1024
}

/// The header by which Envoy chooses the cluster.
const CLUSTER: &str = "x-model-cluster";

/// The time for a response of another provider.
const TIMEOUT: Duration = Duration::from_secs(60);

#[proxy_filter::filter]
async fn model_router(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    // The headers depend on the body.
    let (request, mut body) = exchange.request_headers_with_body(config.max_body).await?;
    request.remove(CLUSTER)?;
    if !request.content_codings()?.is_empty() {
        return exchange.reply(refusal(415, "the body has a content coding"));
    }
    let mut content: Value = serde_json::from_slice(&body.to_bytes()?).unwrap_or_default();
    let name = content.get("model").and_then(Value::as_str).unwrap_or_default();
    let Some((first, others)) = config.models.get(name).and_then(|providers| providers.split_first()) else {
        return exchange.reply(refusal(404, "the model is unknown"));
    };
    request.allow_body_edits()?;
    body.replace(first.content(&mut content))?;
    request.replace(CLUSTER, &first.cluster)?;
    request.replace(":authority", &first.authority)?;
    // A key of the client is not that of the provider.
    match &first.key {
        Some(key) => request.replace("authorization", bearer(key))?,
        None => request.remove("authorization")?,
    }
    let path = request.path()?.unwrap_or_default();
    let response = exchange.response_headers().await?;
    if !has_failed(response.status()?.unwrap_or_default()) {
        return Ok(());
    }
    for provider in others {
        match provider.call(&path, &mut content).await {
            Ok(response) if !has_failed(response.status()) => {
                let reply = LocalReply::new(response.status()).details("model_router_fallback");
                let kind = response.header("content-type")?.unwrap_or_default();
                return exchange.reply(reply.header("content-type", kind).body(response.into_body()?));
            }
            Ok(response) => log::info!("{}: status {}", provider.cluster, response.status()),
            Err(why) => log::info!("{}: {why}", provider.cluster),
        }
    }
    // The response of the first provider is forwarded.
    Ok(())
}

/// Whether another provider may have a response.
const fn has_failed(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

impl Provider {
    /// Returns the body of the request, with the provider's name of the model.
    fn content(&self, content: &mut Value) -> String {
        if let Some(model) = content.get_mut("model") {
            *model = Value::from(self.model.as_str());
        }
        content.to_string()
    }

    fn call(&self, path: &HeaderValue, content: &mut Value) -> HttpCall {
        let call = HttpCall::post(&self.cluster, path).authority(&self.authority).timeout(TIMEOUT);
        let call = call.header("content-type", "application/json").body(self.content(content));
        self.key.iter().fold(call, |call, key| call.header("authorization", bearer(key)))
    }
}

fn bearer(key: &HeaderText) -> String {
    format!("Bearer {key}")
}

fn refusal(status: u16, why: &str) -> LocalReply {
    let problem = Problem::new(status, why).to_json();
    LocalReply::new(status).header("content-type", CONTENT_TYPE).details("model_router").body(problem)
}
