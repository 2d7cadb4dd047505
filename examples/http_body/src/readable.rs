//! The bodies that may contain numbers, and those of them in which numbers cannot be found.

use proxy_filter::fields::MediaType;
use proxy_filter::prelude::*;

/// Types whose bodies are not text. All others are inspected.
const BINARY: [&str; 4] = ["image/", "audio/", "video/", "font/"];
const BINARY_APPLICATIONS: [&str; 11] =
    ["octet-stream", "pdf", "zip", "gzip", "x-gzip", "x-tar", "wasm", "protobuf", "x-protobuf", "cbor", "msgpack"];
/// The encodings of text in which a digit is the same byte as in ASCII.
const CHARSETS: [&str; 11] =
    ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "latin", "windows-", "koi8-", "euc-", "gb", "shift_jis"];

/// Whether a client may read the body as text. Without a type, or with several, it may.
pub(crate) fn may_be_text(media: Option<&MediaType>) -> bool {
    let Some(media) = media else { return true };
    let essence = media.essence();
    let application = essence.strip_prefix("application/");
    let binary = BINARY.iter().any(|kind| essence.starts_with(kind))
        || application.is_some_and(|kind| BINARY_APPLICATIONS.contains(&kind) || kind.starts_with("grpc"));
    // For example `image/svg+xml`.
    !binary || matches!(media.suffix(), Some("xml" | "json"))
}

/// Returns the reason why numbers cannot be found in this body.
pub(crate) fn obstacle(
    response: &ResponseHeaders,
    status: u16,
    media: Option<&MediaType>,
) -> Result<Option<&'static str>> {
    let ranges = media.is_some_and(|media| media.essence() == "multipart/byteranges");
    // A 416 has a `content-range` but no part of the resource.
    let part = matches!(status, 206 | 226) || status != 416 && response.get("content-range")?.is_some();
    let charset = media.and_then(|media| media.parameter("charset")).unwrap_or("utf-8").to_ascii_lowercase();
    Ok(if !response.content_codings()?.is_empty() {
        Some("response_is_encoded")
    } else if part || ranges {
        Some("response_is_a_range")
    } else if !CHARSETS.iter().any(|known| charset.starts_with(known)) {
        Some("response_has_another_charset")
    } else {
        None
    })
}
