//! Recorded messages as messages that can be played. The framing of a recorded connection is not
//! the framing of the connection on which the message is played.

use crate::script::{Answer, Data, Fields, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Fields that belong to one connection.
const OF_CONNECTION: [&str; 3] = ["connection", "keep-alive", "proxy-connection"];
/// The status with which an upstream agrees to an upgrade.
const SWITCHING_PROTOCOLS: u16 = 101;

/// A recorded message: the fields in their order, pseudo-headers included.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) trailers: Vec<(String, String)>,
}

/// Decodes base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}

/// Splits a URL into its authority and its path with the query. A path has no authority.
///
/// # Errors
/// The URL is not one of HTTP or WebSocket.
pub(super) fn target(url: &str) -> Result<(Option<String>, String), String> {
    let url = url.split('#').next().unwrap_or_default();
    if url.starts_with('/') {
        return Ok((None, url.to_owned()));
    }
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let rest = url.get(scheme.len()..).and_then(|rest| rest.strip_prefix("://"));
    let rest = rest.filter(|_| ["http", "https", "ws", "wss"].contains(&scheme.as_str()));
    let rest = rest.ok_or_else(|| format!("left out: a `{scheme}:` URL is no HTTP request"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority.rsplit('@').next().unwrap_or_default().to_owned();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((Some(authority), path))
}

impl Message {
    /// Returns the first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Removes the fields of a name. Returns the first value.
    fn take(&mut self, name: &str) -> Option<String> {
        let value = self.get(name).map(str::to_owned);
        self.fields.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        value
    }

    /// Removes the framing. Returns the announced length, and whether the body was in chunks.
    fn unframe(&mut self) -> (Option<u64>, bool) {
        let length = self.take("content-length").and_then(|length| length.trim().parse().ok());
        let coding = self.take("transfer-encoding").unwrap_or_default();
        (length, coding.to_ascii_lowercase().contains("chunked"))
    }

    /// The fields that are no pseudo-headers. Browsers write repeated fields as lines of one value.
    fn fields(self, lower_case: bool) -> Fields {
        let named = self.fields.into_iter().filter(|(name, _)| !name.starts_with(':'));
        let lines = named.flat_map(|(name, value)| {
            let name = if lower_case { name.to_ascii_lowercase() } else { name };
            value.lines().map(|line| (name.clone(), line.to_owned())).collect::<Vec<_>>()
        });
        Fields(lines.collect())
    }

    /// The protocol to which a request upgrades its connection.
    fn upgrade(&self) -> Option<String> {
        let connection = self.get("connection")?.to_ascii_lowercase();
        let protocol = self.get("upgrade").filter(|_| connection.contains("upgrade"))?;
        (!protocol.eq_ignore_ascii_case("h2c")).then(|| protocol.to_owned())
    }

    /// Makes the request. `url` is a URL or a path.
    ///
    /// # Errors
    /// The request cannot be played: the statement says why.
    pub(super) fn request(
        mut self,
        method: Option<String>,
        url: &str,
        http2: bool,
        note: &mut dyn FnMut(String),
    ) -> Result<Request, String> {
        let method = method.or_else(|| self.get(":method").map(str::to_owned)).unwrap_or_else(|| "GET".into());
        if method == "CONNECT" {
            return Err("left out: a CONNECT request opens a tunnel".into());
        }
        let (authority, path) = target(url)?;
        let host = self.take("host");
        let authority = self.get(":authority").map(str::to_owned).or(host).or(authority);
        let (length, chunked) = self.unframe();
        if let Some(length) = length.filter(|length| *length > 0 && self.body.is_none()) {
            note(format!("the body of the request is not recorded, {length} bytes: it is played without"));
        }
        let upgrade = self.upgrade().filter(|_| !http2);
        for name in OF_CONNECTION {
            self.take(name);
        }
        if upgrade.is_some() {
            self.take("upgrade");
        }
        let trailers = Fields(std::mem::take(&mut self.trailers));
        let (body, chunks) = framed(self.body.take(), chunked || !trailers.0.is_empty());
        let headers = self.fields(http2);
        Ok(Request { method, path, authority, headers, body, chunks, trailers, http2, upgrade })
    }

    /// Makes the upstream's response to a request with this method.
    pub(super) fn answer(mut self, status: u16, method: &str, http2: bool) -> Answer {
        let announced = self.get("content-length").is_some();
        let bodiless = method == "HEAD" || status == 304;
        let mut chunked = false;
        if bodiless {
            // The length is that of the body which the response to a GET has.
            self.take("transfer-encoding");
            self.body = None;
        } else {
            (_, chunked) = self.unframe();
            chunked |= http2 && !announced;
        }
        if status != SWITCHING_PROTOCOLS {
            for name in OF_CONNECTION {
                self.take(name);
            }
        }
        let trailers = Fields(std::mem::take(&mut self.trailers));
        let (body, chunks) = framed(self.body.take(), chunked || !trailers.0.is_empty());
        Answer { status, headers: self.fields(http2), body, chunks, trailers, ..Answer::default() }
    }
}

/// A body with its length, or in chunks.
fn framed(body: Option<Vec<u8>>, chunked: bool) -> (Option<Data>, Vec<Data>) {
    match body.filter(|body| !body.is_empty()) {
        Some(body) if chunked => (None, vec![Data(body)]),
        body => (body.map(Data), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn urls_are_split_at_the_end_of_the_authority() {
        for (url, authority, path) in [
            ("https://example.com", "example.com", "/"),
            ("HTTP://user:secret@[::1]:8080/a/b?c=d#e", "[::1]:8080", "/a/b?c=d"),
            ("wss://example.com?token=a/b@c", "example.com", "/?token=a/b@c"),
        ] {
            assert_eq!(target(url), Ok((Some(authority.into()), path.into())), "{url}");
        }
        assert_eq!(target("/a?b"), Ok((None, "/a?b".into())));
        for url in ["data:text/plain,a", "blob:https://a/b", "about:blank", "chrome-extension://a/b", "", "a"] {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
