//! Refuses prompts with listed texts, and masks listed texts in the responses of language models
//! while they are streamed.
//!
//! ```json
//! {"deny": ["project falcon"], "mask": ["falcon", "ACME-4711"]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter_kit::edit::{Action, Editor, Found, Literals, Pattern};
use proxy_filter_kit::llm_text::{StreamEditor, edit_strings, for_each_string};
use serde::Deserialize;
use serde_json::Value;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    deny: Literals,
    mask: Literals,
    max_body: usize,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Texts that no prompt may have, in any case.
    deny: Vec<String>,
    /// Texts that are masked in responses, in any case.
    mask: Vec<String>,
    /// The maximum number of bytes of a prompt, and of a response that is not streamed.
    #[serde(default = "max_body")]
    max_body: usize,
}

const MASK: Action = Action::Mask { with: b'*', keep_last: 0 };

const fn max_body() -> usize {
    1024 * 1024
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let literals =
            |field, texts: &[String]| Literals::ignoring_case(texts).map_err(|why| format!("{field}: {why}"));
        let (deny, mask) = (literals("deny", &written.deny)?, literals("mask", &written.mask)?);
        Ok(Self { deny, mask, max_body: written.max_body })
    }
}

#[proxy_filter::filter]
async fn prompt_guard(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    if !request.content_codings()?.is_empty() {
        return exchange.reply(refusal(415, "send the prompt without a content coding\n"));
    }
    request.replace("accept-encoding", "identity")?;
    match exchange.request_body(config.max_body).await {
        Ok(prompt) if config.denies(&prompt.to_bytes()?) => {
            return exchange.reply(refusal(403, "the prompt is refused\n"));
        }
        Ok(_) => {}
        // A response that begins before the end of the prompt is masked too.
        Err(error) if error.kind() == ErrorKind::EarlyResponse => {}
        Err(error) => return Err(error),
    }
    let response = exchange.response_headers().await?;
    if !response.content_codings()?.is_empty() {
        return exchange.reply(refusal(502, "the response cannot be read\n"));
    }
    response.allow_body_edits()?;
    let media = response.media_type()?;
    let is = |name: &str| media.as_ref().is_some_and(|media| media.essence() == name);
    if is("text/event-stream") {
        let mut editor = StreamEditor::new(config.mask.clone(), MASK);
        while let Some(chunk) = exchange.response_chunk().await? {
            let edited = editor.push(&chunk.to_bytes()?).map_err(Error::other)?;
            chunk.replace(edited)?;
        }
        append(exchange, editor.finish().map_err(Error::other)?)
    } else {
        let is_json = is("application/json");
        let body = exchange.response_body(config.max_body).await?;
        let bytes = body.to_bytes()?;
        match serde_json::from_slice(&bytes) {
            _ if bytes.is_empty() => Ok(()),
            Ok(mut value) if is_json => {
                edit_strings(&mut value, &config.mask, &MASK);
                body.replace(value.to_string())
            }
            Err(_) if is_json => exchange.reply(refusal(502, "the response is malformed\n")),
            _ => body.replace(Editor::new(config.mask.clone(), MASK).push(&bytes, true)),
        }
    }
}

/// Appends the rest of a response.
fn append(mut exchange: Exchange<Config>, rest: Vec<u8>) -> Result<()> {
    if rest.is_empty() { Ok(()) } else { exchange.response_body_end()?.append(rest) }
}

impl Config {
    /// Whether a prompt has a denied text: as it is, or in a string of its JSON.
    fn denies(&self, prompt: &[u8]) -> bool {
        let has = |text: &[u8]| matches!(self.deny.find(text, None, true), Found::Match(_));
        let mut is_denied = has(prompt);
        if let Ok(mut value) = serde_json::from_slice::<Value>(prompt) {
            for_each_string(&mut value, &mut |text| is_denied |= has(text.as_bytes()));
        }
        is_denied
    }
}

fn refusal(status: u16, why: &'static str) -> LocalReply {
    LocalReply::new(status).details("prompt_guard").body(why)
}
