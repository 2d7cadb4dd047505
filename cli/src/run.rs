//! `run`: runs exchanges through a module, and shows their changes.

use crate::host_argument::host_names;
use crate::module::{Module, ModuleArgument, PluginArguments};
use crate::output::{self, BAD, Failure, GOOD, Result, TITLE, paint};
use crate::play::{self, Played};
use crate::profile::Profile;
use crate::recorded::Recording;
use crate::script::{Answer, Cluster, Data, Fields, Play, Request, Script, Step};
use crate::view;
use clap::{Args, ValueHint};
use proxy_filter_host::{Colour, Connection, Host, HostProfile, Violation, changes, differences};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
    /// A YAML file with exchanges and their expected results; see below.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "send")]
    script: Option<PathBuf>,
    /// Recorded exchanges: a HAR file, or lines of JSON; `-` is the standard input.
    ///
    /// A HAR is what browsers and mitmproxy write. Its responses are those of the upstream. Lines
    /// of JSON are requests, an access log of Envoy with JSON, or messages of Envoy's tap filter;
    /// see below. The services that the filter calls are those of --script or --cluster.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["method", "path", "header", "body", "http2", "send"])]
    from: Option<PathBuf>,
    /// Write a page for the browser, in one file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,
    /// Count the module's instructions, and write a flame graph: a page for the browser (.html), or
    /// stacks for other tools (.folded).
    ///
    /// The functions and source lines with most instructions are printed. A package is built with
    /// names and source lines, beside the usual build.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
    /// Run the same exchanges in the Envoy that the environment variable ENVOY names, and print the
    /// differences.
    #[arg(long)]
    envoy: bool,
    /// Let the embedded host behave as this one: it refuses what that host refuses, and functions
    /// fail as they do there. Defaults to the newest Envoy, and with --envoy to its version.
    #[arg(long, value_name = "HOST", value_parser = host_names(), conflicts_with = "envoy")]
    host: Option<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// One exchange, as flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "One exchange")]
pub(crate) struct Flags {
    /// The request's method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request's path.
    #[arg(long, default_value = "/")]
    path: String,
    /// A request header; may be repeated.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    header: Vec<(String, String)>,
    /// The request's body.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    http2: bool,
    /// The status of the upstream's response.
    #[arg(long, value_name = "CODE", default_value_t = 200)]
    status: u16,
    /// A header of the upstream's response; may be repeated.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    reply_header: Vec<(String, String)>,
    /// The body of the upstream's response.
    #[arg(long, value_name = "TEXT", default_value = HELLO, hide_default_value = true)]
    reply_body: String,
    /// A cluster that the plugin may call, and the status of its responses; may be repeated.
    #[arg(long, value_name = "NAME=STATUS", value_parser = cluster)]
    cluster: Vec<(String, u16)>,
    /// Data that a client sends on a TCP connection to an upstream that echoes; may be repeated.
    #[arg(long, value_name = "TEXT")]
    send: Vec<String>,
}

const HELLO: &str = "hello from the upstream\n";

const EXAMPLES: &str = r#"Examples:
  proxy-filter run guard.wasm --config plugin.json --header 'authorization: Bearer t'
  proxy-filter run guard.wasm --script guard.yaml
  proxy-filter run guard.wasm --script guard.yaml --html guard.html
  proxy-filter run guard.wasm --script guard.yaml --host nginx
  proxy-filter run guard --script guard.yaml --profile flame.html
  ENVOY=$(which envoy) proxy-filter run guard.wasm --script guard.yaml --envoy
  proxy-filter run guard.wasm --from shop.har --html shop.html
  kubectl logs deploy/gateway | proxy-filter run guard.wasm --from - --cluster authz=200
  proxy-filter run tcp.wasm --send 'PING 1'

A script:
  configuration: { cluster: authz }      # a text, or a value that is passed as JSON
  clusters:
    authz:                               # the first answer whose condition holds
      - when: { headers: { authorization: Bearer ok } }
        answer: { status: 200, headers: { x-user: alice }, after: 50ms }
      - answer: { status: 403 }
    down: refuses                        # or absent; or one answer for every call
  upstream: { status: 200, body: hello }
  exchanges:
    - name: a caller with a token
      request: { path: /orders, headers: { authorization: Bearer ok } }
      expect:
        status: 200
        upstream: { headers: { x-user: alice, x-forged: null } }   # null: must be absent
        calls: { authz: 1 }
    - advance: 5s                        # time passes, and ticks with it
    - name: a caller without one
      expect: { status: 403, reaches_upstream: false, logs: [denied] }

A plugin for connections has, in place of exchanges, the data that a client sends on each connection:
  connections: [["PING 1", "PING 2"], ["GET /"]]

A request has method, path, authority, headers, body, chunks, trailers, http2 and upgrade; an answer has
status, headers, body, chunks, trailers, after and reset; expect has status, headers, body, body_contains,
reaches_upstream, upstream, calls and logs. A body is a text, or { base64: aGVsbG8= }. The exit code is 1 if
an expectation does not hold.

Requests as lines of JSON, for --from:
  {"method": "POST", "url": "https://shop.example/orders", "headers": {"x-user": "alice"}, "body": "hello"}
  {"path": "/a", "authority": "shop.example", "body_base64": "aGVsbG8=", "http2": true, "response": {"status": 404}}

A line has name, method, path or url, authority, headers, body or body_base64, trailers, http2 and response; a
response has status, headers, body or body_base64, and trailers. What is not played as it was recorded is said
on the standard error, with its entries."#;

fn field(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn cluster(text: &str) -> std::result::Result<(String, u16), String> {
    let (name, status) = text.split_once('=').ok_or("a cluster is written NAME=STATUS")?;
    let status = status.parse().map_err(|_| format!("`{status}` is not a status"))?;
    Ok((name.to_owned(), status))
}

impl Flags {
    /// Returns the script with the exchange of the flags.
    pub(crate) fn script(&self) -> Script {
        let mut headers = self.reply_header.clone();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".into(), "text/plain".into()));
        }
        let request = Request {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: Fields(self.header.clone()),
            body: self.body.as_deref().map(Data::from),
            http2: self.http2,
            ..Request::default()
        };
        let answers = |(name, status): &(String, u16)| {
            (name.clone(), Cluster::Answer(Box::new(Answer { status: *status, ..Answer::default() })))
        };
        Script {
            clusters: self.cluster.iter().map(answers).collect(),
            upstream: Answer {
                status: self.status,
                headers: Fields(headers),
                body: Some(Data::from(self.reply_body.as_str())),
                ..Answer::default()
            },
            exchanges: vec![Step::Exchange(Box::new(Play { request, ..Play::default() }))],
            connections: if self.send.is_empty() { Vec::new() } else { vec![self.send.clone()] },
            ..Script::default()
        }
    }

    /// Whether any of them describes an exchange or a connection.
    pub(crate) fn are_given(&self) -> bool {
        self.method != "GET"
            || self.path != "/"
            || !self.header.is_empty()
            || self.body.is_some()
            || self.http2
            || self.status != 200
            || !self.reply_header.is_empty()
            || !self.cluster.is_empty()
            || self.reply_body != HELLO
            || !self.send.is_empty()
    }
}

/// Colours the text. The output removes the colours where they are not wanted.
const COLOUR: Colour = Colour::Always;

/// Runs the exchanges and prints them.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let module = match arguments.profile {
        Some(_) => arguments.module.load_with_lines()?,
        None => arguments.module.load()?,
    };
    let mut script = match (&arguments.script, &arguments.from) {
        (Some(path), None) => Script::read(path)?,
        (Some(path), Some(_)) => Script::read_services(path)?,
        (None, _) => arguments.flags.script(),
    };
    let mut notes = Vec::new();
    if let Some(path) = &arguments.from {
        let recording = Recording::read(path)?;
        script.exchanges = recording.exchanges;
        notes = recording.notes;
    }
    for note in &notes {
        output::progress("Recording", note);
    }
    if let Some(configuration) = arguments.plugin.read()? {
        script.configuration = Some(Value::String(configuration));
    }
    if !arguments.plugin.root_id.is_empty() {
        script.root_id.clone_from(&arguments.plugin.root_id);
    }
    if !script.connections.is_empty() && (arguments.html.is_some() || arguments.envoy) {
        return Err(Failure::usage("--html and --envoy are for exchanges, and the script has connections"));
    }
    let envoy = if arguments.envoy { Some(in_envoy(&module)?) } else { None };
    let behaves_as = match (&arguments.host, &envoy) {
        (Some(id), _) => HostProfile::find(id).unwrap_or_default(),
        (None, Some(envoy)) => envoy.behaves_as(),
        (None, None) => HostProfile::default(),
    };
    let (mut host, profiler) = match arguments.profile {
        Some(_) => {
            Host::profiled(&module.bytes).map(|(host, profiler)| (host, Some(profiler))).map_err(Failure::check)?
        }
        None => (Host::for_module(&module.bytes), None),
    };
    host.behave_as(behaves_as);
    let done = Done::of(host, &script)?;
    let profile = profiler.map(|profiler| Profile::new(&module.bytes, &profiler));
    let spent: Vec<_> = done.played.iter().map(|played| (played.name.as_str(), played.instructions())).collect();
    if json {
        output::json(&json!({
            "exchanges": done.played.iter().map(view::played).collect::<Vec<_>>(),
            "connections": done.connections.iter().map(view::connection).collect::<Vec<_>>(),
            "violations": done.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "notes": notes,
            "profile": profile.as_ref().map(|profile| profile.json(&spent)),
        }));
    } else {
        done.show();
        if let Some(profile) = &profile {
            profile.show(&spent);
        }
    }
    if let (Some(profile), Some(path)) = (&profile, &arguments.profile) {
        profile.write(path, &module.name())?;
        output::progress("Wrote", path.display());
    }
    if let Some(path) = &arguments.html {
        let exchanges: Vec<_> = done.played.iter().map(view::played).collect();
        output::write(path, view::page(&module.name(), &exchanges))?;
        output::progress("Wrote", path.display());
    }
    let differences = envoy.map_or(Ok(0), |envoy| compare(envoy, &script, &done.played))?;
    expectations(&done.played)?;
    if differences > 0 {
        return Err(Failure::check(format!("{differences} exchanges differ in Envoy")));
    }
    Ok(())
}

/// Runs a script and prints it.
pub(crate) fn play(module: &Module, script: &Script) -> Result {
    let done = Done::of(Host::for_module(&module.bytes), script)?;
    done.show();
    expectations(&done.played)
}

/// A script that was run: its exchanges or its connections.
struct Done {
    played: Vec<Played>,
    connections: Vec<Connection>,
    violations: Vec<Violation>,
}

impl Done {
    /// Runs a script.
    fn of(host: Host, script: &Script) -> Result<Self> {
        let mut host = host.without_checks();
        let (mut played, mut connections) = (Vec::new(), Vec::new());
        if script.connections.is_empty() {
            played = play::script(&mut host, script)?;
        } else {
            connections = connect(&mut host, script)?;
        }
        Ok(Self { played, connections, violations: host.finish() })
    }

    /// Prints all for people.
    fn show(&self) {
        for connection in &self.connections {
            anstream::println!("{}", paint(TITLE, "a connection"));
            anstream::println!("{}", connection.trace(COLOUR));
        }
        show(&self.played, &self.violations);
    }
}

fn expectations(played: &[Played]) -> Result {
    match played.iter().filter(|played| !played.failures.is_empty()).count() {
        0 => Ok(()),
        failed => Err(Failure::check(format!("{failed} of {} exchanges failed", played.len()))),
    }
}

/// Prints exchanges for people.
fn show(played: &[Played], violations: &[Violation]) {
    for (index, Played { name, exchange, plain, failures }) in played.iter().enumerate() {
        if index > 0 {
            anstream::println!();
        }
        anstream::println!("{}", paint(TITLE, name));
        if let Some(exchange) = exchange {
            anstream::print!("{}", exchange.trace(COLOUR));
        }
        if let (Some(plain), Some(exchange)) = (plain, exchange) {
            anstream::println!("{}", paint(TITLE, "changes of the request"));
            match (plain.upstream(), exchange.upstream()) {
                (Some(before), Some(after)) => anstream::print!("{}", changes(before, after, COLOUR)),
                (_, None) => anstream::println!("  it did not reach the upstream"),
                (None, Some(_)) => anstream::println!("  it reached the upstream"),
            }
            anstream::println!("{}", paint(TITLE, "changes of the response"));
            anstream::print!("{}", changes(plain.response(), exchange.response(), COLOUR));
        }
        for failure in failures {
            anstream::println!("{} {failure}", paint(BAD, "✗"));
        }
    }
    for violation in violations {
        anstream::println!("{} a rule of the host was broken: {violation}", paint(BAD, "✗"));
    }
    if played.len() > 1 {
        let failed = played.iter().filter(|played| !played.failures.is_empty()).count();
        let style = if failed == 0 { GOOD } else { BAD };
        let summary = format!("{} exchanges, {failed} failed", played.len());
        anstream::println!("\n{}", paint(style, summary));
    }
}

/// Runs connections to an upstream that echoes.
fn connect(host: &mut Host, script: &Script) -> Result<Vec<Connection>> {
    host.root_id(&script.root_id);
    host.tcp();
    host.configure(script.configuration()).map_err(|refused| Failure::check(refused.to_string()))?;
    let mut connections = Vec::new();
    for sends in &script.connections {
        let echoed = Arc::new(AtomicUsize::new(0));
        let mut connection = host.connect();
        for text in sends {
            let echoed = Arc::clone(&echoed);
            connection = connection.send(text).upstream_answers(move |received| {
                let before = echoed.swap(received.len(), Ordering::Relaxed);
                received.get(before..).unwrap_or_default().to_vec()
            });
        }
        connections.push(connection.play());
    }
    Ok(connections)
}

/// Returns a real Envoy with the module, which has not started.
fn in_envoy(module: &Module) -> Result<Host> {
    let host = Host::in_envoy(&module.path).map_err(|error| {
        Failure::work(format!(
            "{error}: set ENVOY to the path of an Envoy; `proxy-filter envoy --help` explains how to get one"
        ))
    })?;
    Ok(host.without_checks())
}

/// Runs the script in a real Envoy. Returns the number of exchanges that differ.
fn compare(mut host: Host, script: &Script, played: &[Played]) -> Result<usize> {
    output::progress("Running", "the same exchanges in Envoy");
    play::start(&mut host, script)?;
    let mut differing = 0;
    for (step, played) in script.exchanges.iter().zip(played) {
        let theirs = match step {
            Step::Advance(advance) => Ok(host.advance(advance.advance.0)),
            Step::Exchange(play) => play::exchange(&mut host, script, play),
        };
        let (Some(ours), Ok(theirs)) = (&played.exchange, &theirs) else {
            anstream::println!(
                "{} {}: not compared, because one of the hosts does not play it",
                paint(BAD, "✗"),
                played.name
            );
            continue;
        };
        let found = differences(ours.record(), theirs.record());
        if found.is_empty() {
            anstream::println!("{} {}: the same in Envoy", paint(GOOD, "✓"), played.name);
        } else {
            differing += 1;
            anstream::println!(
                "{} {}: Envoy differs (first the embedded host, then Envoy)",
                paint(BAD, "✗"),
                played.name
            );
            anstream::print!("{found}");
        }
    }
    Ok(differing)
}
