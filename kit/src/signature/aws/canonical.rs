//! The canonical form of a request.

use super::SignError;
use crate::request::{percent_decode, percent_encode};

/// Headers that the signer adds.
const ADDED: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// The headers of a request, by their lower-case names.
pub(super) struct Canonical {
    headers: Vec<(String, Vec<u8>)>,
}

impl Canonical {
    pub(super) fn new(headers: &[(&[u8], &[u8])]) -> Result<Self, SignError> {
        let mut canonical = Self { headers: Vec::with_capacity(headers.len().saturating_add(3)) };
        for (name, value) in headers {
            let name = core::str::from_utf8(name).map_err(|_| SignError::Header)?.to_ascii_lowercase();
            let is_token = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if !is_token || ADDED.contains(&name.as_str()) {
                return Err(SignError::Header);
            }
            canonical.add(&name, value);
        }
        canonical.headers.iter().any(|(name, _)| name == "host").then_some(canonical).ok_or(SignError::NoHost)
    }

    /// Adds a value: to those of the same name, if there are any.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        let value = trimmed(value);
        match self.headers.binary_search_by(|(found, _)| found.as_str().cmp(name)) {
            Ok(at) => {
                if let Some((_, values)) = self.headers.get_mut(at) {
                    values.push(b',');
                    values.extend(value);
                }
            }
            Err(at) => self.headers.insert(at, (name.to_owned(), value)),
        }
    }

    /// Returns the names, separated by semicolons.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.join(";")
    }

    /// Returns the canonical request. A value that is not UTF-8 is hashed as its bytes would be
    /// shown: services refuse such requests.
    pub(super) fn request(&self, method: &[u8], uri: &str, query: &str, hash: &str) -> String {
        let mut text = format!("{}\n{uri}\n{query}\n", String::from_utf8_lossy(method));
        for (name, value) in &self.headers {
            text.extend([name, ":", &String::from_utf8_lossy(value), "\n"]);
        }
        text.extend(["\n", &self.names(), "\n", hash]);
        text
    }
}

/// Removes white space at both ends, and replaces runs of it with one space.
fn trimmed(value: &[u8]) -> Vec<u8> {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

/// The path. A service that encodes twice hashes the path as it is sent, encoded once more.
pub(super) fn canonical_uri(path: &[u8], normalise: bool, encode_twice: bool) -> String {
    let path = if normalise { normalised(path) } else { path.to_vec() };
    let encoded: Vec<String> = path
        .split(|byte| *byte == b'/')
        .map(
            |segment| {
                if encode_twice { percent_encode(segment) } else { percent_encode(&percent_decode(segment).bytes) }
            },
        )
        .collect();
    match encoded.join("/") {
        path if path.starts_with('/') => path,
        path => format!("/{path}"),
    }
}

/// Removes dot segments and repeated slashes. A slash at the end is kept.
fn normalised(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut path_only = vec![b'/'];
    path_only.extend(kept.join(&b'/'));
    let is_directory = path.ends_with(b"/") || path.ends_with(b"/.") || path.ends_with(b"/..");
    if is_directory && !kept.is_empty() {
        path_only.push(b'/');
    }
    path_only
}

/// The parameters, decoded, encoded in one form, and sorted.
pub(super) fn canonical_query(query: &[u8], added: &[(&str, &str)]) -> String {
    let encode = |text: &[u8]| percent_encode(&percent_decode(text).bytes);
    let mut pairs: Vec<(String, String)> = query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            (encode(parts.next().unwrap_or_default()), encode(parts.next().unwrap_or_default()))
        })
        .collect();
    pairs.extend(added.iter().map(|(name, value)| (percent_encode(name.as_bytes()), percent_encode(value.as_bytes()))));
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}
