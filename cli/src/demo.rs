//! `demo`: an example of this repository, built and run on an exchange that shows what it does.

use super::play::{self, Result, Script};
use proxy_filter_host::{Colour, build_guest};
use std::path::Path;

/// The exchanges that show what an example does.
fn scripts(example: &str) -> Vec<Script> {
    let script = Script::default;
    let text = |text: &str| text.to_owned();
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    match example {
        "http_headers" => vec![
            Script { headers: header("user-agent", "demo"), ..script() },
            Script { path: text("/hello"), ..script() },
        ],
        "http_config" => {
            let configuration = text(r#"{"headers": [{"name": "x-team", "value": "edge"}]}"#);
            vec![Script { configuration, ..script() }]
        }
        "http_auth" => {
            let configuration = text(r#"{"realm": "demo", "tokens": {"s3cr3t": "alice"}}"#);
            let denied = Script { configuration, ..script() };
            vec![Script { headers: header("authorization", "Bearer s3cr3t"), ..denied.clone() }, denied]
        }
        // The demo has no clusters to call: it shows what these do then.
        "grpc_auth" | "http_auth_async" => {
            vec![Script { configuration: text(r#"{"cluster": "authz"}"#), ..script() }]
        }
        "http_auth_callout" => {
            vec![Script { configuration: text(r#"{"cluster": "authz", "on_outage": "deny"}"#), ..script() }]
        }
        "vm_sharing" => {
            vec![Script { root_id: text("stamp"), configuration: text("x-refused"), ..script() }]
        }
        "queue_aggregator" => vec![Script { root_id: text("reporter"), ..script() }],
        "rate_limit" => {
            let configuration = text(r#"{"limit": 1, "window_seconds": 60, "announce": true}"#);
            vec![Script { configuration, ..script() }]
        }
        "cel_and_signature" => {
            vec![Script { configuration: text(r#"{"when": "true", "public_key": ""}"#), ..script() }]
        }
        "http_body" => vec![Script { reply_body: text("card 1234567890123456, thanks\n"), ..script() }],
        "tcp_echo_guard" => {
            let configuration = text(r#"{"prefixes": ["PING ", "ECHO "]}"#);
            let sends = |sends: &[&str]| sends.iter().map(|send| text(send)).collect();
            let denied = Script { configuration, sends: sends(&["GET / HTTP/1.1\r\n"]), ..script() };
            vec![Script { sends: sends(&["PI", "NG 1\n", "2\n"]), ..denied.clone() }, denied]
        }
        "jwt_auth" => {
            let jwks =
                r#"{"jwks": {"cluster": "idp", "path": "/"}, "issuer": "https://idp.example", "audience": "api"}"#;
            let bare = Script { configuration: text(jwks), ..script() };
            vec![Script { headers: header("authorization", "Bearer x.y.z"), ..bare.clone() }, bare]
        }
        "oauth2_introspection" => {
            let client = r#"{"cluster": "idp", "path": "/", "client_id": "demo", "client_secret": "s3cr3t"}"#;
            let bare = Script { configuration: text(client), ..script() };
            vec![Script { headers: header("authorization", "Bearer t"), ..bare.clone() }, bare]
        }
        "opa_authz" => vec![Script { configuration: text(r#"{"cluster": "opa", "path": "/v1/data"}"#), ..script() }],
        "retry_and_hedge" => {
            let configuration = text(r#"{"path": "/locate", "first": "near", "second": "far"}"#);
            vec![Script { configuration, ..script() }]
        }
        "body_transform" => vec![Script {
            configuration: text(r#"{"remove": ["email"]}"#),
            reply_headers: header("content-type", "application/x-ndjson"),
            reply_body: text("{\"name\": \"alice\", \"email\": \"a@example\"}\n"),
            ..script()
        }],
        "waf" => {
            let configuration = text(r#"{"request": {"sql-injection": "union select"}}"#);
            let clean = Script { configuration, ..script() };
            vec![Script { path: text("/?q=%2575nion/**/select"), ..clean.clone() }, clean]
        }
        _ => vec![script()],
    }
}

/// Builds an example and plays its exchanges, or the one the command line describes.
pub(super) fn run(example: &str, own: Option<Script>, colour: Colour) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    let directory = root.join("examples").join(example);
    if !directory.join("Cargo.toml").is_file() {
        let mut names: Vec<String> = std::fs::read_dir(root.join("examples"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        return Err(format!("there is no example '{example}'; there are: {}", names.join(", ")).into());
    }
    eprintln!("building {example} for wasm32-unknown-unknown …");
    let path = build_guest(&directory, example, None)?;
    let module = std::fs::read(&path)?;
    println!("{} ({} bytes)", path.strip_prefix(root).unwrap_or(&path).display(), module.len());
    let mut scripts = scripts(example);
    if let Some(mut own) = own {
        if own.configuration.is_empty()
            && let Some(first) = scripts.first()
        {
            own.configuration.clone_from(&first.configuration);
        }
        scripts = vec![own];
    }
    for script in scripts {
        println!();
        play::run(&module, &script, colour)?;
    }
    Ok(())
}
