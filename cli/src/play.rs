//! Runs a script in the embedded host or in a real Envoy, and checks its expectations.

use crate::output::{Failure, Result};
use crate::script::{Answer, Broken, Cluster, Expect, Expected, Play, Script, Step};
use proxy_filter_host::{Host, NotPlayed, Outcome, Received, Reply};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An exchange that was run.
pub(crate) struct Played {
    pub(crate) name: String,
    /// `None`: the embedded host does not play it, and the failures say why.
    pub(crate) exchange: Option<Outcome>,
    /// The same exchange without the filter.
    pub(crate) plain: Option<Outcome>,
    /// Expectations that are not met.
    pub(crate) failures: Vec<String>,
}

impl Played {
    /// The instructions of the module.
    pub(crate) fn instructions(&self) -> u64 {
        self.exchange.as_ref().map_or(0, |exchange| exchange.spent().instructions)
    }
}

fn reply(answer: &Answer) -> Reply {
    if answer.reset {
        return Reply::reset().after(answer.after.0);
    }
    let mut reply = Reply::new(answer.status).after(answer.after.0);
    for (name, value) in &answer.headers.0 {
        reply = reply.header(name, value);
    }
    if !answer.chunks.is_empty() {
        reply = reply.chunks(&answer.chunks);
    } else if let Some(body) = &answer.body {
        reply = reply.body(body.as_ref());
    }
    answer.trailers.0.iter().fold(reply, |reply, (name, value)| reply.trailer(name, value))
}

/// Returns the differences from the expectation, one in each line.
fn mismatches(message: &Received, expected: &Expected, whose: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in [(":method", &expected.method), (":path", &expected.path)] {
        if value.is_some() {
            found.extend(header_mismatch(message, name, value.as_deref(), whose));
        }
    }
    for (name, value) in &expected.headers {
        found.extend(header_mismatch(message, name, value.as_deref(), whose));
    }
    found.extend(body_mismatch(message, expected.body.as_deref(), expected.body_contains.as_deref(), whose));
    found
}

fn header_mismatch(message: &Received, name: &str, expected: Option<&str>, whose: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let values: Vec<_> = message.headers.iter().filter(|(found, _)| *found == name.as_bytes()).collect();
    let values: Vec<_> = values.into_iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
    match expected {
        None if values.is_empty() => None,
        None => Some(format!("{whose} has `{name}: {}`, which must be absent", values.join("`, `"))),
        Some(expected) if values.iter().any(|value| value == expected) => None,
        Some(expected) if values.is_empty() => Some(format!("{whose} has no `{name}`, expected `{expected}`")),
        Some(expected) => Some(format!("{whose} has `{name}: {}`, expected `{expected}`", values.join("`, `"))),
    }
}

fn body_mismatch(message: &Received, exact: Option<&str>, part: Option<&str>, whose: &str) -> Vec<String> {
    let text = message.text();
    let mut found = Vec::new();
    if let Some(exact) = exact.filter(|exact| *exact != text) {
        found.push(format!("the body of {whose} is {text:?}, expected {exact:?}"));
    }
    if let Some(part) = part.filter(|part| !text.contains(*part)) {
        found.push(format!("the body of {whose} is {text:?}, which does not contain {part:?}"));
    }
    found
}

fn judge(exchange: &Outcome, expect: &Expect) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(status) = expect.status.filter(|status| *status != exchange.status()) {
        found.push(format!("the status is {}, expected {status}", exchange.status()));
    }
    let response = Expected {
        headers: expect.headers.clone(),
        body: expect.body.clone(),
        body_contains: expect.body_contains.clone(),
        ..Expected::default()
    };
    found.extend(mismatches(exchange.response(), &response, "the response"));
    match (expect.reaches_upstream, exchange.upstream()) {
        (Some(true), None) => found.push("the request did not reach the upstream".into()),
        (Some(false), Some(_)) => found.push("the request reached the upstream".into()),
        _ => {}
    }
    match (&expect.upstream, exchange.upstream()) {
        (Some(expected), Some(received)) => found.extend(mismatches(received, expected, "the upstream's request")),
        (Some(_), None) => found.push("the request did not reach the upstream".into()),
        (None, _) => {}
    }
    for (cluster, count) in &expect.calls {
        let received = exchange.calls(cluster).len();
        if received != *count {
            found.push(format!("the cluster `{cluster}` received {received} calls, expected {count}"));
        }
    }
    for wanted in &expect.logs {
        if !exchange.messages_of_all().iter().any(|line| line.contains(wanted.as_str())) {
            found.push(format!("no line of the log contains `{wanted}`"));
        }
    }
    found
}

/// Sets up and starts the plugin of a script.
///
/// # Errors
/// Fails if the plugin refuses its configuration.
pub(crate) fn start(host: &mut Host, script: &Script) -> Result {
    host.root_id(&script.root_id);
    host.allow_on_headers_stop_iteration(script.allow_on_headers_stop_iteration);
    // Envoy refuses a protocol that is listed twice.
    let upgrades: BTreeSet<_> =
        script.exchanges.iter().filter_map(Step::upgrade).map(str::to_ascii_lowercase).collect();
    host.upgrades(&upgrades.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, cluster) in &script.clusters {
        match cluster.clone() {
            Cluster::Broken(Broken::Refuses) => host.cluster_refusing_connections(name),
            Cluster::Broken(Broken::Absent) => host.cluster_without_hosts(name),
            Cluster::Answer(answer) => host.cluster(name, move |_| reply(&answer)),
            Cluster::Rules(rules) => host.cluster(name, move |call| {
                let fits = |rule: &&crate::script::Rule| mismatches(call, &rule.when, "").is_empty();
                rules.iter().find(fits).map_or_else(|| Reply::new(404), |rule| reply(&rule.answer))
            }),
        }
    }
    host.configure(script.configuration()).map_err(|refused| Failure::check(refused.to_string()))
}

/// Runs one exchange.
///
/// # Errors
/// The embedded host does not play it.
pub(crate) fn exchange(host: &mut Host, script: &Script, play: &Play) -> std::result::Result<Outcome, NotPlayed> {
    let answer = Arc::new(play.upstream.clone().unwrap_or_else(|| script.upstream.clone()));
    host.upstream(move |_| reply(&answer));
    let request = &play.request;
    let mut builder = host.request(&request.method, &request.path);
    if let Some(authority) = &request.authority {
        builder = builder.authority(authority);
    }
    for (name, value) in &request.headers.0 {
        builder = builder.header(name, value);
    }
    if !request.chunks.is_empty() {
        builder = builder.chunks(&request.chunks);
    } else if let Some(body) = &request.body {
        builder = builder.body(body.as_ref());
    }
    for (name, value) in &request.trailers.0 {
        builder = builder.trailer(name, value);
    }
    if request.http2 {
        builder = builder.http2();
    } else if let Some(protocol) = &request.upgrade {
        builder = builder.upgrade(protocol);
    }
    builder.try_send()
}

/// Runs a script, and each of its exchanges without the filter.
///
/// # Errors
/// Fails if the plugin refuses its configuration.
pub(crate) fn script(host: &mut Host, script: &Script) -> Result<Vec<Played>> {
    start(host, script)?;
    let mut plain = Host::without_module().without_checks();
    start(&mut plain, &Script { configuration: None, clusters: BTreeMap::new(), ..script.clone() })?;
    let mut played = Vec::new();
    for step in &script.exchanges {
        match step {
            Step::Advance(advance) => {
                let exchange = Some(host.advance(advance.advance.0));
                let name = format!("{} ms pass", advance.advance.0.as_millis());
                played.push(Played { name, exchange, plain: None, failures: Vec::new() });
            }
            Step::Exchange(play) => {
                let request = format!("{} {}", play.request.method, play.request.path);
                let name = play.name.as_ref().map_or_else(|| request.clone(), |name| format!("{name}: {request}"));
                let plain = exchange(&mut plain, script, play).ok();
                played.push(match exchange(host, script, play) {
                    Ok(filtered) => {
                        let failures = judge(&filtered, &play.expect);
                        Played { name, exchange: Some(filtered), plain, failures }
                    }
                    Err(why) => {
                        let failures = vec![format!("the exchange is not played: {why}")];
                        Played { name, exchange: None, plain: None, failures }
                    }
                });
            }
        }
    }
    Ok(played)
}
