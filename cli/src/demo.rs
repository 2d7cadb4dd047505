//! `demo`: builds an example of this repository, and runs it on exchanges that show its effect.

use crate::module::PluginArguments;
use crate::module::{Module, build};
use crate::output::{self, Failure, Result};
use crate::play;
use crate::run::{self, Flags};
use crate::script::{Answer, OneOrMore, Play, Request, Script, Step};
use clap::Args;
use proxy_filter_host::Host;
use serde_json::Value;
use std::path::Path;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples, in a clone of the repository:
  cargo demo
  cargo demo http_auth
  cargo demo http_headers --path /hello --header 'a: b'")]
pub(crate) struct Arguments {
    /// The name of the example.
    #[arg(default_value = "http_headers")]
    example: String,
    #[command(flatten)]
    plugin: PluginArguments,
    #[command(flatten)]
    flags: Flags,
}

/// The input of a demo: exchanges, or the data that a client sends on each of several connections.
#[derive(Default)]
struct Show {
    script: Script,
    connections: Vec<Vec<&'static str>>,
}

fn request(path: &str, headers: &[(&str, &str)]) -> Step {
    let one = |(name, value): &(&str, &str)| ((*name).to_owned(), OneOrMore::One((*value).to_owned()));
    let headers = headers.iter().map(one).collect();
    let request = Request { path: path.into(), headers, ..Request::default() };
    Step::Exchange(Box::new(Play { request, ..Play::default() }))
}

/// Returns the exchanges that show the effect of an example.
fn show(example: &str) -> Show {
    let (mut show, plain) = (Show::default(), request("/", &[]));
    let mut set = |configuration: &str, exchanges: Vec<Step>| {
        if !configuration.is_empty() {
            show.script.configuration = Some(Value::String(configuration.to_owned()));
        }
        show.script.exchanges = exchanges;
    };
    match example {
        "http_headers" => set("", vec![request("/", &[("user-agent", "demo")]), request("/hello", &[])]),
        "http_config" => set(r#"{"headers": [{"name": "x-team", "value": "edge"}]}"#, vec![plain]),
        "http_auth" => set(
            r#"{"realm": "demo", "tokens": {"s3cr3t": "alice"}}"#,
            vec![request("/", &[("authorization", "Bearer s3cr3t")]), plain],
        ),
        // The demo has no clusters to call, so it shows the outage.
        "grpc_auth" | "http_auth_async" => set(r#"{"cluster": "authz"}"#, vec![plain]),
        "http_auth_callout" => set(r#"{"cluster": "authz", "on_outage": "deny"}"#, vec![plain]),
        "vm_sharing" => set("x-refused", vec![plain]),
        "rate_limit" => set(r#"{"limit": 1, "window_seconds": 60, "announce": true}"#, vec![plain.clone(), plain]),
        "cel_and_signature" => set(r#"{"when": "true", "public_key": ""}"#, vec![plain]),
        "tcp_echo_guard" => set(r#"{"prefixes": ["PING ", "ECHO "]}"#, Vec::new()),
        "jwt_auth" => set(
            r#"{"jwks": {"cluster": "idp", "path": "/"}, "issuer": "https://idp.example", "audience": "api"}"#,
            vec![request("/", &[("authorization", "Bearer x.y.z")]), plain],
        ),
        "oauth2_introspection" => set(
            r#"{"cluster": "idp", "path": "/", "client_id": "demo", "client_secret": "s3cr3t"}"#,
            vec![request("/", &[("authorization", "Bearer t")]), plain],
        ),
        "opa_authz" => set(r#"{"cluster": "opa", "path": "/v1/data"}"#, vec![plain]),
        "retry_and_hedge" => set(r#"{"path": "/locate", "first": "near", "second": "far"}"#, vec![plain]),
        "body_transform" => set(r#"{"remove": ["email"]}"#, vec![plain]),
        "waf" => set(
            r#"{"request": {"sql-injection": "union select"}}"#,
            vec![request("/?q=%2575nion/**/select", &[]), plain],
        ),
        _ => set("", vec![plain]),
    }
    show.script.upstream = Answer {
        headers: [("content-type".to_owned(), OneOrMore::One("text/plain".into()))].into(),
        body: Some("hello from the upstream\n".into()),
        ..Answer::default()
    };
    match example {
        "vm_sharing" => show.script.root_id = "stamp".into(),
        "queue_aggregator" => show.script.root_id = "reporter".into(),
        "http_body" => show.script.upstream.body = Some("card 1234567890123456, thanks\n".into()),
        "tcp_echo_guard" => show.connections = vec![vec!["PI", "NG 1\n", "2\n"], vec!["GET / HTTP/1.1\r\n"]],
        "body_transform" => {
            let lines = OneOrMore::One("application/x-ndjson".into());
            show.script.upstream.headers = [("content-type".to_owned(), lines)].into();
            show.script.upstream.body = Some("{\"name\": \"alice\", \"email\": \"a@example\"}\n".into());
        }
        _ => {}
    }
    show
}

/// Builds the example, and runs its exchanges, or the exchange that the flags describe.
pub(crate) fn run(arguments: &Arguments) -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    let example = &arguments.example;
    let directory = root.join("examples").join(example);
    if !directory.join("Cargo.toml").is_file() {
        let mut names: Vec<String> = std::fs::read_dir(root.join("examples"))
            .map_err(|_| Failure::work("`demo` needs a clone of the repository, with its directory examples"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        return Err(Failure::work(format!("there is no example '{example}'; the examples are: {}", names.join(", "))));
    }
    let module = Module::read(build(&directory)?)?;
    let path = module.path.strip_prefix(root).unwrap_or(&module.path).display();
    anstream::println!("{path} ({} bytes)\n", output::grouped(module.bytes.len()));
    let Show { mut script, connections } = show(example);
    if let Some(configuration) = arguments.plugin.read()? {
        script.configuration = Some(Value::String(configuration));
    }
    if !arguments.plugin.root_id.is_empty() {
        script.root_id.clone_from(&arguments.plugin.root_id);
    }
    let flags = &arguments.flags;
    if !flags.sends().is_empty() {
        return run::connect(&module, &script, flags.sends());
    }
    if flags.are_given() {
        let own = flags.script();
        (script.exchanges, script.clusters) = (own.exchanges, own.clusters);
        script.upstream = own.upstream;
    } else if !connections.is_empty() {
        for sends in &connections {
            run::connect(&module, &script, &sends.iter().map(|send| (*send).to_owned()).collect::<Vec<_>>())?;
        }
        return Ok(());
    }
    let mut host = Host::for_module(&module.bytes).without_checks();
    let played = play::script(&mut host, &script)?;
    run::show(&played, &host.finish());
    Ok(())
}
