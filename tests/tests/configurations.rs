//! A configuration with text that cannot be sent is refused, with the path of the field: for every
//! field of every example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{Host, build_guest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A configuration of each example that contains text for messages, with every such field.
fn configurations() -> BTreeMap<&'static str, Value> {
    let check = json!({ "cluster": "authz", "path": "/check", "headers": ["authorization", "cookie"] });
    BTreeMap::from([
        ("api_keys", json!({ "header": "x-api-key", "keys": { "0".repeat(64): { "name": "a", "per_minute": 5 } } })),
        (
            "aws_sign",
            json!({
                "host": "a.example", "region": "r", "service": "s3", "access_key_id": "a", "secret_access_key": "b",
                "session_token": "c"
            }),
        ),
        ("basic_auth", json!({ "realm": "a", "users": { "alice": "0".repeat(64) } })),
        ("cache_key", json!({ "ignore": [], "codings": ["gzip"] })),
        (
            "cors",
            json!({ "origins": ["https://a.example"], "methods": ["PUT"], "headers": ["x-a"], "expose": ["x-b"] }),
        ),
        ("grpc_auth", json!({ "cluster": "authz" })),
        (
            "hmac_sign",
            json!({ "secrets": ["a secret of at least 32 characters"], "header": "x-a", "headers": ["x-b"] }),
        ),
        ("http_auth", json!({ "realm": "api", "tokens": { "s3cr3t": "alice" } })),
        ("http_auth_async", check.clone()),
        ("http_auth_callout", check),
        ("http_config", json!({ "headers": [{ "name": "x-a", "value": "1" }, { "name": "x-b", "value": "2" }] })),
        (
            "jwt_auth",
            json!({
                "jwks": { "cluster": "idp", "path": "/jwks.json", "authority": "idp.example" },
                "issuer": "https://idp.example",
                "audience": "api"
            }),
        ),
        ("mirror", json!({ "cluster": "shadow", "percent": 1, "remove": ["cookie"] })),
        (
            "model_router",
            json!({ "models": { "fast": [{ "cluster": "a", "authority": "b", "model": "c", "key": "d" }] } }),
        ),
        (
            "oauth2_introspection",
            json!({ "cluster": "idp", "path": "/introspect", "client_id": "a", "client_secret": "b" }),
        ),
        ("opa_authz", json!({ "cluster": "opa", "path": "/v1/data/http/allow" })),
        ("rate_limit", json!({ "limit": 5, "window_seconds": 10, "by": "x-api-key" })),
        ("redirects", json!({ "host": "a.example", "rules": [{ "from": "/a/*", "to": "/b/*" }] })),
        ("retry_and_hedge", json!({ "path": "/locate", "first": "near", "second": "far" })),
        (
            "security_headers",
            json!({
                "policy": { "img-src": ["'self'"] }, "deny_features": ["camera"], "set": { "x-a": "1" },
                "without": ["x-frame-options"]
            }),
        ),
    ])
}

/// The types of `proxy_filter::configured`, with texts that each refuses.
const TYPES: [(&str, &[&str]); 5] = [
    ("HeaderName", &["", "x y", "x:y", "x\r\ny", "x\ty", "é", ":path", "x\0"]),
    ("HeaderText", &["a\r\nb", "a\0b", "a\x7fb", "a\x1bb"]),
    ("RequestPath", &["", "check", "/a b", "/a\r\nb", "/a\tb", "/a\x7f", "http://a/"]),
    ("ClusterName", &["", "a b", "a\nb", "ä", "\t"]),
    ("Authority", &["", "a b", "a\r\nb", "ä"]),
];

/// Fields of configurations with text that is never sent unchanged: it is compared, compiled,
/// encoded, or a key.
const NEVER_SENT: [&str; 25] = [
    "access_logger quiet",
    "aws_sign secret_access_key",
    "body_transform content_type",
    "body_transform remove",
    "cache_key ignore",
    "cel_and_signature public_key",
    "cel_and_signature when",
    "geo_canary networks",
    "hmac_sign secrets",
    "ip_access allow",
    "ip_access deny",
    "jwt_auth audience",
    "jwt_auth issuer",
    "mcp_tools tools",
    "model_router model",
    "oauth2_introspection client_id",
    "oauth2_introspection client_secret",
    "oauth2_introspection scope",
    "prompt_guard deny",
    "prompt_guard mask",
    "rate_limit name",
    "request_check one_of",
    "signed_urls secrets",
    "tcp_echo_guard prefixes",
    "waf_lite deny",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Returns the type that a type of one unnamed field contains, in place of its name.
fn content(kind: &str, text: &str) -> String {
    let wrappers = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub(crate) ").strip_prefix("struct ")?.strip_suffix(");"));
    let wrappers = wrappers.filter_map(|line| line.split_once('('));
    wrappers.fold(kind.to_owned(), |kind, (name, inner)| kind.replace(name, inner))
}

/// Returns the fields of the types for the configuration of an example, with their types.
fn fields(example: &str) -> Vec<(String, String)> {
    let directory = root().join("examples").join(example).join("src");
    let text: String =
        names_in(&directory).iter().map(|name| fs::read_to_string(directory.join(name)).unwrap()).collect();
    let mut fields = Vec::new();
    // Messages of services and clients may have any fields.
    for part in text.split("#[serde(deny_unknown_fields)]\n").skip(1) {
        let (_, part) = part.split_once("struct ").unwrap();
        let (body, _) = part.split_once("\n}").unwrap();
        let lines =
            body.lines().skip(1).map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
        let lines = lines.filter_map(|line| line.trim_start_matches("pub(crate) ").split_once(": "));
        fields.extend(lines.map(|(name, kind)| (name.to_owned(), content(kind.trim_end_matches(','), &text))));
    }
    fields
}

/// Returns the texts of a value, each with its path as in error messages, and the name of its
/// field. The members of a map belong to the field that is the map.
fn texts(
    value: &Value,
    path: &str,
    field: &str,
    fields: &[(String, String)],
    found: &mut Vec<(String, String, String)>,
) {
    match value {
        Value::String(_) => found.push((path.to_owned(), field.to_owned(), String::new())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, &format!("{path}[{index}]"), field, fields, found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let is_field = fields.iter().any(|(known, _)| known == name);
                texts(member, &inner, if is_field { name } else { field }, fields, found);
            }
        }
        _ => {}
    }
    for (path, _, pointer) in found {
        *pointer = format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"));
    }
}

#[test]
fn text_that_cannot_be_sent_is_refused_with_the_path_of_the_field_in_every_example() {
    let mut refused = 0;
    for (example, configuration) in configurations() {
        let module = fs::read(build_guest(&root(), example, None).unwrap()).unwrap();
        let mut host = Host::for_module(&module);
        host.configure(&configuration).unwrap_or_else(|refused| panic!("{example}: {refused}"));
        let fields = fields(example);
        let mut leaves = Vec::new();
        texts(&configuration, "", "", &fields, &mut leaves);
        for (path, field, pointer) in leaves {
            let (_, kind) = fields.iter().find(|(name, _)| *name == field).expect(&field);
            let Some((_, bad)) = TYPES.iter().find(|(name, _)| kind.contains(name)) else { continue };
            for text in *bad {
                let mut configuration = configuration.clone();
                *configuration.pointer_mut(&pointer).unwrap() = json!(text);
                let why = host.configure(&configuration);
                let why = why.expect_err(&format!("{example} takes {path}: {text:?}")).to_string();
                assert!(why.contains(&format!("configuration: {path}: ")), "{example} {path} {text:?}: {why}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn every_text_in_a_configuration_has_a_type_that_determines_whether_it_can_be_sent() {
    let mut never_sent = Vec::new();
    let examples = names_in(&root().join("examples"));
    assert!(examples.len() > 20, "{examples:?}");
    for example in examples {
        // Its configuration consists of patterns in another language.
        let fields = if example == "waf" { Vec::new() } else { fields(&example) };
        let configuration = configurations().remove(example.as_str()).unwrap_or_default();
        let mut leaves = Vec::new();
        texts(&configuration, "", "", &fields, &mut leaves);
        for (name, kind) in fields {
            if TYPES.iter().any(|(known, _)| kind.contains(known)) {
                assert!(leaves.iter().any(|(_, field, _)| *field == name), "{example} {name} is not tested above");
            } else if kind.replace("HashMap<String, ", "").replace("BTreeMap<String, ", "").contains("String") {
                never_sent.push(format!("{example} {name}"));
            }
        }
    }
    never_sent.sort_unstable();
    assert_eq!(never_sent, NEVER_SENT, "use the types of `proxy_filter::configured` for what is sent");
}
