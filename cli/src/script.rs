//! Scripts: the messages of the client, the responses of the upstream and of clusters, and the
//! expectations.
//!
//! A script is YAML that can be read and written without knowing Rust. `run --help` shows an
//! example.

use crate::output::{Failure, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A whole script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    /// The plugin's configuration: a text, or a value that is passed as JSON.
    pub(crate) configuration: Option<Value>,
    pub(crate) root_id: String,
    /// Whether body callbacks run while the headers are paused.
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// The clusters that the plugin may call.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// The upstream's response to exchanges that have none of their own.
    pub(crate) upstream: Answer,
    pub(crate) exchanges: Vec<Step>,
    /// In place of exchanges: the data that a client sends on each connection.
    pub(crate) connections: Vec<Vec<String>>,
}

/// A cluster: servers that respond, or a failure.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cluster {
    /// `refuses` or `absent`.
    Broken(Broken),
    /// The first response whose condition applies.
    Rules(Vec<Rule>),
    /// The same response to every call.
    Answer(Box<Answer>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Broken {
    /// The host refuses connections.
    Refuses,
    /// The cluster has no host.
    Absent,
}

/// A response, and the calls to which it applies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) when: Expected,
    pub(crate) answer: Answer,
}

/// A response of the upstream or of a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: Option<Data>,
    /// The body in chunks.
    pub(crate) chunks: Vec<Data>,
    pub(crate) trailers: Fields,
    /// The delay of the response, as in `300ms` or `2s`.
    pub(crate) after: Span,
    /// The connection ends without a response.
    pub(crate) reset: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Fields::default(),
            body: None,
            chunks: Vec::new(),
            trailers: Fields::default(),
            after: Span::default(),
            reset: false,
        }
    }
}

/// A step of a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// An amount of time that passes between exchanges.
    Advance(Advance),
    Exchange(Box<Play>),
}

impl Step {
    /// The protocol to which the request of an exchange upgrades its connection.
    pub(crate) fn upgrade(&self) -> Option<&str> {
        match self {
            Self::Advance(_) => None,
            Self::Exchange(play) => play.request.upgrade.as_deref(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    pub(crate) advance: Span,
}

/// One exchange.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Play {
    pub(crate) name: Option<String>,
    pub(crate) request: Request,
    pub(crate) upstream: Option<Answer>,
    pub(crate) expect: Expect,
}

/// The request of the client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authority: Option<String>,
    pub(crate) headers: Fields,
    pub(crate) body: Option<Data>,
    pub(crate) chunks: Vec<Data>,
    pub(crate) trailers: Fields,
    pub(crate) http2: bool,
    /// The protocol to which the request upgrades its connection, for example `websocket`.
    pub(crate) upgrade: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            authority: None,
            headers: Fields::default(),
            body: None,
            chunks: Vec::new(),
            trailers: Fields::default(),
            http2: false,
            upgrade: None,
        }
    }
}

/// The expected response, and other expected effects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    pub(crate) headers: BTreeMap<String, Option<String>>,
    pub(crate) body: Option<String>,
    pub(crate) body_contains: Option<String>,
    /// `false`: the request must not reach the upstream.
    pub(crate) reaches_upstream: Option<bool>,
    pub(crate) upstream: Option<Expected>,
    /// The number of calls that each cluster receives.
    pub(crate) calls: BTreeMap<String, usize>,
    /// Texts that lines of the log contain.
    pub(crate) logs: Vec<String>,
}

/// The expected content of a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expected {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    /// A header without a value must be absent.
    pub(crate) headers: BTreeMap<String, Option<String>>,
    pub(crate) body: Option<String>,
    pub(crate) body_contains: Option<String>,
}

/// Fields in their order. In a script they are a map, in which a name has a value or a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of names to a value or a list of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, OneOrMore>()? {
                    let values = match values {
                        OneOrMore::One(value) => vec![value],
                        OneOrMore::More(values) => values,
                    };
                    fields.extend(values.into_iter().map(|value| (name.clone(), value)));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// One value of a header, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The bytes of a body: in a script a text, or `{ base64: … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Data(pub(crate) Vec<u8>);

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Base64 { base64: String },
}

impl TryFrom<Written> for Data {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        match written {
            Written::Text(text) => Ok(Self(text.into())),
            Written::Base64 { base64 } => {
                STANDARD.decode(base64.trim()).map(Self).map_err(|error| format!("`{base64}` is no base64: {error}"))
            }
        }
    }
}

/// A time such as `300ms` or `2s`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match text.get(digits.len()..) {
            Some("ms") => 0.001,
            Some("s") => 1.0,
            Some("m") => 60.0,
            _ => return Err(format!("`{text}` is not a time such as 300ms, 2s or 5m")),
        };
        let seconds = digits.trim().parse::<f64>().ok().map(|number| number * factor);
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        span.map(Self).ok_or_else(|| format!("`{text}` is not a time such as 300ms, 2s or 5m"))
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is not a script: the error has the line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let script = Self::parse(path)?;
        if script.exchanges.is_empty() == script.connections.is_empty() {
            return Err(Failure::check(format!("{}: expected `exchanges`, or `connections`", path.display())));
        }
        Ok(script)
    }

    /// Reads a script that has no exchanges of its own: they come from a recording.
    ///
    /// # Errors
    /// Fails as [`read`](Self::read) does, and if the script has exchanges or connections.
    pub(crate) fn read_services(path: &Path) -> Result<Self> {
        let script = Self::parse(path)?;
        if !script.exchanges.is_empty() || !script.connections.is_empty() {
            let path = path.display();
            return Err(Failure::check(format!("{path}: expected no `exchanges` and no `connections` beside --from")));
        }
        Ok(script)
    }

    fn parse(path: &Path) -> Result<Self> {
        let recorded = ["har", "jsonl", "ndjson", "log"];
        if path.extension().is_some_and(|ending| recorded.iter().any(|recorded| ending.eq_ignore_ascii_case(recorded)))
        {
            let path = path.display();
            return Err(Failure::usage(format!("{path} is no script: read recorded exchanges with --from {path}")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
        serde_saphyr::from_str(&text).map_err(|error| Failure::check(format!("{}: {error}", path.display())))
    }

    /// Returns the configuration as the plugin reads it.
    pub(crate) fn configuration(&self) -> String {
        match &self.configuration {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Script, Span};
    use std::time::Duration;

    #[test]
    fn durations_have_a_unit() {
        let span = |text: &str| Span::try_from(text.to_owned()).map(|span| span.0);
        assert_eq!(span("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(span("300").is_err() && span("-1s").is_err() && span("s").is_err());
    }

    #[test]
    fn misspelt_keys_are_refused_with_their_line() {
        let refused = serde_saphyr::from_str::<Script>("clusters: {}\nexchnages: []\n").unwrap_err();
        assert!(refused.to_string().contains("exchnages"), "{refused}");
    }
}
