//! The access log: the line that Envoy writes when a stream ends.

use super::fields::Map;
use super::flags;
use super::start_time;
use super::stream::Stream;
use crate::backend::Settings;
use crate::base64;
use crate::fixture::MetadataSource;
use crate::message::Protocol;
use serde_json::Value;
use std::time::Duration;

/// The command operators that the embedded host formats.
const OPERATORS: [&str; 23] = [
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DURATION",
    "DYNAMIC_METADATA",
    "FILTER_STATE",
    "METADATA",
    "PROTOCOL",
    "REQ",
    "REQUEST_DURATION",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_HEADER",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "TRAILER",
    "RESPONSE_TRAILER",
    "UPSTREAM_CLUSTER",
];
/// What Envoy writes for a value that does not exist.
const ABSENT: &str = "-";
/// The names of the flags, by their bits.
const FLAGS: [(u64, &str); 7] = [
    (flags::UPSTREAM_REMOTE_RESET, "UR"),
    (flags::UPSTREAM_CONNECTION_TERMINATION, "UC"),
    (flags::NO_ROUTE_FOUND, "NR"),
    (flags::DOWNSTREAM_CONNECTION_TERMINATION, "DC"),
    (flags::DOWNSTREAM_PROTOCOL_ERROR, "DPE"),
    (flags::UPSTREAM_PROTOCOL_ERROR, "UPE"),
    (flags::DOWNSTREAM_REMOTE_RESET, "DR"),
];

/// A part of a format.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// `%NAME(argument):limit%`.
    Command {
        name: &'a str,
        argument: &'a str,
        limit: Option<usize>,
    },
}

/// Reads a format; an error says what is wrong with it.
fn parse(format: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, after)) = rest.split_once('%') {
        pieces.push(Piece::Text(text));
        if let Some(after) = after.strip_prefix('%') {
            pieces.push(Piece::Text("%"));
            rest = after;
            continue;
        }
        let unfinished = || format!("the command operator `%{after}` has no end");
        let length = after.find(|letter: char| !matches!(letter, 'A'..='Z' | '0'..='9' | '_'));
        let (name, after_name) = after.split_at_checked(length.unwrap_or(after.len())).unwrap_or_default();
        let (argument, after_argument) = match after_name.strip_prefix('(') {
            Some(inside) => inside.split_once(')').ok_or_else(unfinished)?,
            None => ("", after_name),
        };
        let (limit, after_all) = after_argument.split_once('%').ok_or_else(unfinished)?;
        let limit = match limit.strip_prefix(':') {
            Some(digits) => {
                Some(digits.parse().map_err(|_| format!("the length of `%{name}%` is no number: {digits}"))?)
            }
            None if limit.is_empty() => None,
            None => return Err(format!("the command operator `%{name}%` continues with `{limit}`")),
        };
        if !OPERATORS.contains(&name) {
            return Err(format!(
                "the embedded host does not format `%{name}%`, only {}: `Host::in_envoy` is a host that does",
                OPERATORS.join(", ")
            ));
        }
        if name == "START_TIME" {
            start_time::format(argument, Duration::ZERO)?;
        }
        pieces.push(Piece::Command { name, argument, limit });
        rest = after_all;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Why the host does not write this format.
pub(super) fn refusal(settings: &Settings) -> Option<String> {
    let format = settings.access_log.as_ref()?;
    parse(format).err().map(|why| format!("the access log: {why}"))
}

/// The line of a stream that ends now, if the test wants one.
pub(super) fn line(settings: &Settings, stream: &Stream, now: Duration) -> Option<String> {
    let pieces = parse(settings.access_log.as_ref()?).ok()?;
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Command { name, argument, limit } => {
            let text = value(settings, stream, name, argument, now).unwrap_or_else(|| ABSENT.to_owned());
            let limit = limit.unwrap_or(text.len());
            String::from_utf8_lossy(text.as_bytes().get(..limit).unwrap_or(text.as_bytes())).into_owned()
        }
    });
    Some(texts.collect())
}

/// The value of a command operator.
fn value(settings: &Settings, stream: &Stream, name: &str, argument: &str, now: Duration) -> Option<String> {
    let info = &stream.info;
    let times = &info.times;
    let span = |from: Duration, to: Duration| to.saturating_sub(from).as_millis().to_string();
    let (request, response, trailers) = &stream.logged;
    match name {
        "BYTES_RECEIVED" => Some(info.received.to_string()),
        "BYTES_SENT" => Some(info.sent.to_string()),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Some(match info.source {
            Some(source) => source.ip().to_string(),
            None => if info.ipv6 { "::1" } else { "127.0.0.1" }.to_owned(),
        }),
        "DURATION" => Some(span(times.began, now)),
        "REQUEST_DURATION" => times.request_ended.map(|end| span(times.began, end)),
        "RESPONSE_DURATION" => times.response_began.map(|began| span(times.began, began)),
        "RESPONSE_TX_DURATION" => times.response_began.map(|began| span(began, now)),
        "START_TIME" => start_time::format(argument, Duration::from_nanos(info.started)).ok(),
        "DYNAMIC_METADATA" => inside(settings.metadata.get(MetadataSource::Request), argument),
        "METADATA" => metadata(settings, stream, argument),
        "FILTER_STATE" => filter_state(stream, argument),
        "PROTOCOL" => Some(if info.protocol == Protocol::Http2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned()),
        "REQ" | "REQUEST_HEADER" => header(request.as_ref(), argument),
        "RESP" | "RESPONSE_HEADER" => header(response.as_ref(), argument),
        "TRAILER" | "RESPONSE_TRAILER" => header(trailers.as_ref(), argument),
        "RESPONSE_CODE" => Some(info.code.as_ref().map_or(0, |(code, _)| *code).to_string()),
        "RESPONSE_CODE_DETAILS" => {
            let (_, details) = info.code.as_ref()?;
            let text = String::from_utf8_lossy(details);
            Some(text.replace(|letter: char| letter.is_ascii_whitespace(), "_"))
        }
        "RESPONSE_FLAGS" => {
            let names = FLAGS.iter().filter(|(bit, _)| info.flags & bit != 0).map(|(_, name)| *name);
            Some(names.collect::<Vec<_>>().join(",")).filter(|names| !names.is_empty())
        }
        "ROUTE_NAME" => info.route.is_route().then(|| info.route.name().to_owned()),
        "UPSTREAM_CLUSTER" => info.route.is_route().then(|| info.route.cluster().to_owned()),
        _ => None,
    }
}

/// The value of `NAME?OTHER`: the first of two fields that exists.
fn header(map: Option<&Map>, argument: &str) -> Option<String> {
    let mut names = argument.splitn(2, '?');
    let value = names.find_map(|name| map?.get(name.to_ascii_lowercase().as_bytes()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The value of `NAMESPACE:KEY:KEY`: text as it is, and anything else as JSON.
fn inside(namespaces: &serde_json::Map<String, Value>, argument: &str) -> Option<String> {
    let mut parts = argument.split(':');
    let mut value = namespaces.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value of `SOURCE:NAMESPACE:KEY`.
fn metadata(settings: &Settings, stream: &Stream, argument: &str) -> Option<String> {
    let (source, rest) = argument.split_once(':')?;
    let route = &stream.info.route;
    let of_route = |of| inside(route.metadata(of, &settings.routes, &settings.metadata), rest);
    match source {
        "DYNAMIC" => inside(settings.metadata.get(MetadataSource::Request), rest),
        "LISTENER" => inside(settings.metadata.get(MetadataSource::Listener), rest),
        "ROUTE" if route.is_route() => of_route(MetadataSource::Route),
        "CLUSTER" if route.is_route() => of_route(MetadataSource::Cluster),
        "UPSTREAM_HOST" if stream.info.upstream => of_route(MetadataSource::UpstreamHost),
        "VIRTUAL_HOST" if route.virtual_host().is_some() => of_route(MetadataSource::VirtualHost),
        _ => None,
    }
}

/// The value of `KEY:PLAIN`, or as JSON.
fn filter_state(stream: &Stream, argument: &str) -> Option<String> {
    let (key, form) = match argument.rsplit_once(':') {
        Some((key, form @ ("PLAIN" | "TYPED"))) => (key, form),
        _ => (argument, "TYPED"),
    };
    let own = key.strip_prefix("wasm.").and_then(|name| stream.filter_state.get(name.as_bytes()));
    match (own, stream.objects.get(key.as_bytes()), form) {
        (Some(value), _, "PLAIN") | (None, Some(value), "PLAIN") => Some(String::from_utf8_lossy(value).into_owned()),
        (Some(value), ..) => Some(format!(
            r#"{{"@type":"type.googleapis.com/google.protobuf.BytesValue","value":"{}"}}"#,
            base64::encode(value)
        )),
        (None, Some(value), _) => Some(Value::from(String::from_utf8_lossy(value)).to_string()),
        (None, None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_text_and_command_operators() {
        let command = |name, argument, limit| Piece::Command { name, argument, limit };
        let pieces = [
            Piece::Text("a "),
            command("REQ", "x-a?x-b", Some(3)),
            Piece::Text(""),
            command("PROTOCOL", "", None),
            Piece::Text(" 100"),
            Piece::Text("%"),
            Piece::Text("."),
        ];
        assert_eq!(parse("a %REQ(x-a?x-b):3%%PROTOCOL% 100%%."), Ok(pieces.into_iter().collect()));
    }

    #[test]
    fn a_format_with_a_fault_is_refused() {
        for (format, error) in [
            ("%REQ(x", "`%REQ(x` has no end"),
            ("%PROTOCOL", "`%PROTOCOL` has no end"),
            ("%REQ(x):many%", "the length of `%REQ%` is no number: many"),
            ("%REQ(x)x%", "`%REQ%` continues with `x`"),
            ("%UPSTREAM_HOST%", "does not format `%UPSTREAM_HOST%`, only BYTES_RECEIVED, "),
            ("%START_TIME(%Q)%", "does not format `%Q` of a time, only %Y, "),
        ] {
            let found = parse(format).unwrap_err();
            assert!(found.contains(error), "{format}: {found}");
        }
    }
}
