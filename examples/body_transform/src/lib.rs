//! Removes fields from each line of a JSON Lines response (`application/x-ndjson`) while the lines
//! are forwarded.
//!
//! ```json
//! {"remove": ["email", "phone"], "longest_line": 65536}
//! ```
//!
//! A chunk of the body may end within a line. The filter stores the bytes after the last line end
//! until the rest of that line arrives. So at most a line and a chunk are in memory, for a body of
//! any length.

#[cfg(test)]
mod tests;

use proxy_filter::fields::MediaType;
use proxy_filter::prelude::*;
use proxy_filter_kit::json_lines::{LineEditor, LineError};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The fields that are removed.
    remove: Vec<String>,
    /// The media type of the responses that are edited.
    #[serde(default)]
    content_type: ContentType,
    /// The maximum length of a line, in bytes. A response ends before a longer line.
    #[serde(default = "sixty_four_kilobytes")]
    longest_line: usize,
}

const fn sixty_four_kilobytes() -> usize {
    65536
}

/// The names of JSON Lines.
const JSON_LINES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
];

/// A media type of the configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct ContentType(String);

impl Default for ContentType {
    fn default() -> Self {
        Self("application/x-ndjson".to_owned())
    }
}

impl TryFrom<String> for ContentType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let media = MediaType::parse(text.as_bytes()).ok_or("a media type, for example application/x-ndjson")?;
        Ok(Self(media.essence().to_owned()))
    }
}

impl ContentType {
    /// Whether a response is of this type. If `content-type` is repeated, one such value suffices.
    fn is_of(&self, response: &ResponseHeaders) -> Result<bool> {
        let value = response.get("content-type")?.unwrap_or_default();
        Ok(value.split(|byte| *byte == b',').filter_map(MediaType::parse).any(|media| match self.0.as_str() {
            "application/json" => media.is_json(),
            lines if JSON_LINES.contains(&lines) => JSON_LINES.contains(&media.essence()),
            other => media.essence() == other,
        }))
    }
}

#[proxy_filter::filter]
async fn body_transform(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let mut head = false;
    // Fails if an earlier filter has replied. Then there is no request, and the reply is edited.
    if let Ok(request) = exchange.request_headers().await {
        ask_for_whole_lines(request)?;
        head = request.method()?.is_some_and(|method| method == "HEAD");
    }
    let response = exchange.response_headers().await?;
    let status = response.status()?.unwrap_or_default();
    // A 304 has no content type. Its `etag` is that of an edited response.
    if status != 304 && !config.content_type.is_of(response)? {
        return Ok(());
    }
    let has_body = !head && !matches!(status, 204 | 304);
    if has_body && is_unreadable(response, status)? {
        let refusal = LocalReply::new(502).details("response_cannot_be_edited");
        return exchange.reply(refusal.body("the response cannot be edited\n"));
    }
    response.allow_body_edits()?;
    response.remove("accept-ranges")?;
    if !has_body {
        return Ok(());
    }
    let edit = |line: &[u8]| without(line, &config.remove);
    let mut lines = LineEditor::new(config.longest_line);
    while let Some(chunk) = exchange.response_chunk().await? {
        let edited = lines.push(&chunk.to_bytes()?, edit).map_err(|error| match error {
            LineError::Edit(error) => error,
            too_long => Error::other(too_long),
        })?;
        chunk.replace(edited)?;
    }
    let rest = lines.finish(edit)?;
    if !rest.is_empty() {
        exchange.response_body_end()?.append(rest)?;
    }
    if let Some(trailers) = exchange.response_trailers().await? {
        // Trailers may contain digests as well.
        trailers.allow_body_edits()?;
    }
    Ok(())
}

/// Requests a whole body without compression, because only such lines can be edited.
fn ask_for_whole_lines(request: &mut RequestHeaders) -> Result<()> {
    request.replace("accept-encoding", "identity")?;
    for name in ["range", "if-range", "a-im"] {
        request.remove(name)?;
    }
    Ok(())
}

/// Whether the body is compressed, or is only a part.
fn is_unreadable(response: &ResponseHeaders, status: u16) -> Result<bool> {
    let part = matches!(status, 206 | 226) || response.get("content-range")?.is_some();
    Ok(part || !response.content_codings()?.is_empty())
}

/// Returns a line without the fields. A line that is not a JSON object is an error, because it may
/// contain the fields.
fn without(line: &[u8], fields: &[String]) -> Result<Vec<u8>> {
    if line.trim_ascii().is_empty() {
        return Ok(line.to_vec());
    }
    // The remaining values are unchanged: a number of twenty digits, for example.
    let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line)?;
    for field in fields {
        object.remove(field);
    }
    Ok(serde_json::to_vec(&object)?)
}
