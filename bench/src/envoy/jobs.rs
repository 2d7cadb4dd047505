//! Jobs of real filters, beside what a user would take instead: Envoy's own filter, and Lua.
//!
//! One Envoy serves every way to do every job, each on a listener of its own. The load goes to one
//! way of a job after the other in short bursts, as in the measurement of the bench filters. A
//! figure is what a way adds to the bursts without a filter.

use super::bootstrap::{self, SERVICE, type_url, wasm};
use super::burst::{Load, Protocol};
use super::proxy::Proxy;
use super::series::{Estimate, UNDISTURBED, difference, quantile};
use super::vectors::{ES256, JWKS, RS256};
use crate::Failure;
use proxy_filter_host::__private::{build_modules, module_in};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One way to do a job: the filter that does it.
struct Way {
    name: &'static str,
    filter: Filter,
}

enum Filter {
    None,
    /// A filter of Envoy: its name, its type and its settings.
    Envoy(&'static str, &'static str, Value),
    Lua(&'static str),
    /// An example of this repository with a configuration.
    Example(&'static str, Value),
    /// A bench filter without a configuration.
    Bench(&'static str),
}

struct Job {
    name: &'static str,
    /// The value of the request's `authorization`.
    authorization: &'static str,
    /// The body of the response, if the job is about bodies.
    body: Option<&'static Body>,
    ways: Vec<Way>,
}

/// A body that the service sends.
struct Body {
    path: &'static str,
    bytes: u32,
    /// Responses in a burst.
    burst: u32,
}

const BODIES: [Body; 3] = [
    Body { path: "/64-kib", bytes: 64 << 10, burst: 800 },
    Body { path: "/1-mib", bytes: 1 << 20, burst: 64 },
    Body { path: "/100-mib", bytes: 100 << 20, burst: 1 },
];

impl Job {
    fn new(name: &'static str, authorization: &'static str) -> Self {
        Self { name, authorization, body: None, ways: vec![Way { name: "no filter", filter: Filter::None }] }
    }

    fn envoy(mut self, name: &'static str, type_name: &'static str, settings: Value) -> Self {
        self.ways.push(Way { name, filter: Filter::Envoy(name, type_name, settings) });
        self
    }

    fn lua(mut self, script: &'static str) -> Self {
        self.ways.push(Way { name: "Lua", filter: Filter::Lua(script) });
        self
    }

    fn example(self, example: &'static str, configuration: Value) -> Self {
        self.configured(example, example, configuration)
    }

    /// An example that does the job in several ways.
    fn configured(mut self, name: &'static str, example: &'static str, configuration: Value) -> Self {
        self.ways.push(Way { name, filter: Filter::Example(example, configuration) });
        self
    }

    fn bench(mut self, name: &'static str) -> Self {
        self.ways.push(Way { name, filter: Filter::Bench(name) });
        self
    }

    /// Searches and edits a body, beside the same in Lua.
    fn body(name: &'static str, body: &'static Body) -> Self {
        let mut job = Self::new(name, OPAQUE);
        job.body = Some(body);
        job.ways.push(Way { name: "Lua, searched", filter: Filter::Lua(LUA_SCAN) });
        let mut job = job.bench("ours_body_scan");
        job.ways.push(Way { name: "Lua, edited", filter: Filter::Lua(LUA_EDIT) });
        job.bench("ours_body_edit")
    }

    fn listener(&self, way: &Way) -> String {
        format!("{}/{}", self.name, way.name).replace(' ', "_")
    }
}

const OPAQUE: &str = "Bearer 0123456789abcdef";

fn jobs() -> Vec<Job> {
    let authz = json!({ "cluster": SERVICE, "path": "/check", "timeout_ms": 1000 });
    vec![
        Job::new("set a response header", OPAQUE)
            .envoy(
                "header_mutation",
                "header_mutation.v3.HeaderMutation",
                json!({ "mutations": { "response_mutations": [{ "append": {
                    "header": { "key": "x-team", "value": "edge" },
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                } }] } }),
            )
            .lua("function envoy_on_response(handle) handle:headers():replace('x-team', 'edge') end")
            .example("http_config", json!({ "headers": [{ "name": "x-team", "value": "edge" }], "mode": "replace" })),
        Job::new("limit the rate, over workers", OPAQUE)
            .envoy(
                "local_ratelimit",
                "local_ratelimit.v3.LocalRateLimit",
                json!({
                    "stat_prefix": "limit",
                    "token_bucket": { "max_tokens": PLENTY, "tokens_per_fill": PLENTY, "fill_interval": "1s" },
                    "filter_enabled": { "default_value": { "numerator": 100 } },
                    "filter_enforced": { "default_value": { "numerator": 100 } },
                }),
            )
            .example("rate_limit", json!({ "limit": PLENTY, "window_seconds": 1 }))
            .configured(
                "rate_limit in batches",
                "rate_limit",
                json!({ "limit": PLENTY, "window_seconds": 1, "batch": 1000 }),
            ),
        Job::new("ask an authorization service", OPAQUE)
            .envoy(
                "ext_authz",
                "ext_authz.v3.ExtAuthz",
                json!({ "http_service": {
                    "server_uri": { "uri": "http://authz", "cluster": SERVICE, "timeout": "1s" },
                    "path_prefix": "/check",
                    "authorization_response": { "allowed_upstream_headers": { "patterns": [{ "exact": "x-user" }] } },
                } }),
            )
            .lua(LUA_CALL)
            .example("http_auth_callout", authz.clone())
            .example("http_auth_async", authz),
        jwt("JWT RS256, verified", RS256, false),
        jwt("JWT ES256, verified", ES256, false),
        jwt("JWT RS256, repeated", RS256, true),
        Job::body("body of 64 KiB", &BODIES[0]),
        Job::body("body of 1 MiB", &BODIES[1]),
        Job::body("body of 100 MiB", &BODIES[2]),
    ]
}

const PLENTY: u32 = 1_000_000_000;

const LUA_CALL: &str = "
function envoy_on_request(handle)
  local call = { [':method'] = 'GET', [':path'] = '/check', [':authority'] = 'authz',
    ['authorization'] = handle:headers():get('authorization') }
  local headers = handle:httpCall('authz', call, '', 1000)
  if headers[':status'] ~= '200' then
    handle:respond({ [':status'] = '403' }, '')
  else
    handle:headers():replace('x-user', headers['x-user'] or '')
  end
end";

const LUA_SCAN: &str = "
function envoy_on_response(handle)
  for chunk in handle:bodyChunks() do
    if chunk:getBytes(0, chunk:length()):find('forbidden', 1, true) then
      handle:logInfo('a forbidden word')
    end
  end
end";

const LUA_EDIT: &str = "
function envoy_on_response(handle)
  for chunk in handle:bodyChunks() do
    local edited = chunk:getBytes(0, chunk:length()):gsub('secret', '******')
    chunk:setBytes(edited)
  end
end";

/// Both filters with their caches of verified tokens, or without them.
fn jwt(name: &'static str, token: &'static str, is_cached: bool) -> Job {
    let mut provider = json!({
        "issuer": "https://idp.example",
        "audiences": ["api"],
        "local_jwks": { "inline_string": JWKS },
        "claim_to_headers": [{ "header_name": "x-subject", "claim_name": "sub" }],
    });
    if let (true, Some(provider)) = (is_cached, provider.as_object_mut()) {
        provider.insert("jwt_cache_config".to_owned(), json!({ "jwt_cache_size": 100 }));
    }
    let settings = json!({
        "providers": { "idp": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "idp" } }],
    });
    let configuration = json!({
        "jwks": { "cluster": SERVICE, "path": "/jwks.json" }, "issuer": "https://idp.example", "audience": "api",
        "cached_tokens": if is_cached { 1000 } else { 0 },
    });
    Job::new(name, token)
        .envoy("jwt_authn", "jwt_authn.v3.JwtAuthentication", settings)
        .example("jwt_auth", configuration)
}

/// Builds the examples that do the jobs.
fn build(jobs: &[Job]) -> Result<BTreeMap<&'static str, PathBuf>, Failure> {
    let mut arguments: Vec<String> =
        ["--profile", "release", "--lib", "--examples", "--package", "proxy-filter-bench-ours"]
            .map(str::to_owned)
            .into();
    let mut names = Vec::new();
    for way in jobs.iter().flat_map(|job| &job.ways) {
        match &way.filter {
            Filter::Example(name, _) => {
                arguments.extend(["--package".to_owned(), (*name).to_owned()]);
                names.push(*name);
            }
            Filter::Bench(name) => names.push(*name),
            Filter::None | Filter::Envoy(..) | Filter::Lua(_) => {}
        }
    }
    let artifacts = build_modules(Path::new(env!("CARGO_MANIFEST_DIR")), &arguments, &[]).map_err(Failure::new)?;
    let find = |name: &'static str| {
        let path = artifacts.iter().find_map(|artifact| module_in(artifact, name));
        Ok((name, path.ok_or_else(|| Failure::new(format!("the example {name} made no module")))?))
    };
    names.into_iter().map(find).collect()
}

fn filters(way: &Way, listener: &str, modules: &BTreeMap<&str, PathBuf>) -> Result<Vec<Value>, Failure> {
    Ok(match &way.filter {
        Filter::None => Vec::new(),
        Filter::Envoy(name, type_name, settings) => {
            let mut settings = settings.clone();
            if let Some(settings) = settings.as_object_mut() {
                settings.insert("@type".to_owned(), type_url(&format!("filters.http.{type_name}")).into());
            }
            vec![json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": settings })]
        }
        Filter::Lua(script) => vec![json!({
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": type_url("filters.http.lua.v3.Lua"),
                "default_source_code": { "inline_string": script },
            },
        })],
        Filter::Example(name, configuration) => {
            vec![wasm(listener, module(modules, name)?, &configuration.to_string())]
        }
        Filter::Bench(name) => vec![wasm(listener, module(modules, name)?, "")],
    })
}

fn module<'a>(modules: &'a BTreeMap<&str, PathBuf>, name: &str) -> Result<&'a Path, Failure> {
    modules.get(name).map(PathBuf::as_path).ok_or_else(|| Failure::new(format!("no module {name}")))
}

/// Writes the bodies of the service into files: lines of text, a few of which have the word that is
/// replaced.
fn write_bodies(directory: &Path) -> Result<Vec<Value>, Failure> {
    let mut lines = "the quick brown fox jumps over the lazy dog, and no word of it matters\n".repeat(900);
    lines.push_str("a secret\n");
    BODIES
        .iter()
        .map(|body| {
            let file = directory.join(body.path.trim_start_matches('/'));
            let bytes: Vec<u8> = lines.bytes().cycle().take(body.bytes as usize).collect();
            std::fs::write(&file, bytes)?;
            Ok(bootstrap::body_route(body.path, &file))
        })
        .collect()
}

fn configuration(
    jobs: &[Job],
    modules: &BTreeMap<&str, PathBuf>,
    bodies: &[Value],
    socket: &Path,
) -> Result<Value, Failure> {
    let keys = json!({ "match": { "path": "/jwks.json" }, "direct_response": {
        "status": 200, "body": { "inline_string": JWKS },
    } });
    let routes = [&[keys, bootstrap::authorization_route("/check")], bodies].concat();
    let mut listeners = vec![bootstrap::service(socket, &routes)];
    for job in jobs {
        for way in &job.ways {
            let name = job.listener(way);
            let filters = filters(way, &name, modules)?;
            listeners.push(match job.body {
                Some(_) => bootstrap::proxied(&name, filters),
                None => bootstrap::measured(&name, filters),
            });
        }
    }
    Ok(bootstrap::bootstrap(&listeners, socket))
}

/// What the ways of the jobs cost.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By the place of the job and of the way among all.
    rows: BTreeMap<(usize, Protocol, usize), Row>,
    plugins: Vec<Plugins>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    job: &'static str,
    way: &'static str,
    /// The length of the response's body, if the job is about bodies.
    bytes: Option<u32>,
    /// Microseconds of CPU time for a request, a figure each round.
    cpu: Vec<f64>,
    /// Requests a second, a figure each round.
    rate: Vec<f64>,
}

/// What many plugins cost, each in a VM of its own.
#[derive(Clone, Debug)]
struct Plugins {
    number: usize,
    /// Bytes that a plugin adds to the process.
    memory: u64,
    /// The time until Envoy serves, more than without a plugin.
    start: Duration,
}

/// Measures for about this time: all jobs and the cost of plugins, or only the jobs whose names
/// contain a text. Progress goes to standard error.
///
/// # Errors
/// An example cannot be built, there is no Envoy (`ENVOY`) or no `h2load`, or one of them fails. No
/// job has such a name.
pub fn measure(time: Duration, only: Option<&str>) -> Result<Report, Failure> {
    let mut jobs = jobs();
    jobs.retain(|job| only.is_none_or(|text| job.name.contains(text)));
    if jobs.is_empty() {
        return Err(Failure::new("no job has this name"));
    }
    let modules = build(&jobs)?;
    let mut report = Report::default();
    let mut loads = Vec::new();
    for job in &jobs {
        loads.push(match job.body {
            Some(body) => Load::for_bodies(body.path, body.burst)?,
            None => Load::with_headers(&[("authorization", job.authorization.to_owned())])?,
        });
    }
    let directory = TempDir::with_prefix("proxy-filter-bodies-")?;
    let bodies = write_bodies(directory.path())?;
    let envoy = Proxy::serve(|socket| configuration(&jobs, &modules, &bodies, socket), 1)?;
    for (job, load) in jobs.iter().zip(&loads) {
        for way in &job.ways {
            load.warm_up(&envoy, &job.listener(way))?;
        }
    }
    let end = Instant::now() + time;
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        eprintln!("round {} …", round + 1);
        for (place, (job, load)) in jobs.iter().zip(&loads).enumerate() {
            for protocol in Protocol::ALL {
                one_round(&envoy, (place, job), load, protocol, round, &mut report)?;
            }
        }
        round += 1;
    }
    drop(envoy);
    if only.is_some() {
        return Ok(report);
    }
    eprintln!("memory and start of plugins …");
    let module = modules.get("http_config").ok_or_else(|| Failure::new("no module http_config"))?;
    report.plugins = plugins(module)?;
    Ok(report)
}

/// A burst on each way of a job, every other time in the opposite order.
fn one_round(
    envoy: &Proxy,
    (place, job): (usize, &Job),
    load: &Load,
    protocol: Protocol,
    round: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut order: Vec<(usize, &Way)> = job.ways.iter().enumerate().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    for (index, way) in order {
        let listener = envoy.listener(&job.listener(way))?;
        let before = envoy.cpu_time()?;
        let burst = load.busy(listener, protocol)?;
        let cpu = envoy.cpu_time()?.saturating_sub(before);
        let row = report.rows.entry((place, protocol, index)).or_default();
        (row.job, row.way, row.bytes) = (job.name, way.name, job.body.map(|body| body.bytes));
        row.cpu.push(cpu.as_secs_f64() * 1e6 / f64::from(burst.requests));
        row.rate.push(burst.rate);
    }
    Ok(())
}

/// The numbers of plugins that are measured.
const PLUGINS: [usize; 3] = [1, 10, 50];

fn plugins(module: &Path) -> Result<Vec<Plugins>, Failure> {
    let configuration = json!({ "headers": [{ "name": "x-team", "value": "edge" }] }).to_string();
    let start = |number: usize, is_filtered: bool| {
        let config = |socket: &Path| {
            let listeners: Vec<Value> = (0..number)
                .map(|index| {
                    let name = format!("plugin_{index}");
                    let filters = if is_filtered { vec![wasm(&name, module, &configuration)] } else { Vec::new() };
                    bootstrap::measured(&name, filters)
                })
                .collect();
            Ok(bootstrap::bootstrap(&listeners, socket))
        };
        let begin = Instant::now();
        let mut envoy = Proxy::serve(config, 1)?;
        Ok::<_, Failure>((begin.elapsed(), envoy.memory()?))
    };
    PLUGINS
        .into_iter()
        .map(|number| {
            let (time_without, memory_without) = start(number, false)?;
            let (time, memory) = start(number, true)?;
            let memory = memory.saturating_sub(memory_without) / number as u64;
            Ok(Plugins { number, memory, start: time.saturating_sub(time_without) })
        })
        .collect()
}

impl Row {
    /// The throughput of bodies, in 10^6 bytes a second.
    fn megabytes(&self) -> Option<f64> {
        self.bytes.map(|bytes| quantile(&self.rate, 0.5) * f64::from(bytes) / 1e6)
    }
}

impl Report {
    /// What a way adds to the bursts without a filter, the first way, in microseconds.
    fn added(&self, (job, protocol, _): (usize, Protocol, usize), row: &Row) -> Estimate {
        difference(&row.cpu, self.rows.get(&(job, protocol, 0)).map_or(&[], |none| &none.cpu))
    }

    /// The same as JSON: microseconds and bytes.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let jobs = self.rows.iter().map(|(place, row)| {
            let added = self.added(*place, row);
            json!({
                "job": row.job, "protocol": place.1.name(), "way": row.way, "rounds": row.cpu.len(),
                "cpu": quantile(&row.cpu, UNDISTURBED),
                "added_cpu": added.value, "added_cpu_uncertainty": added.uncertainty,
                "requests_per_second": quantile(&row.rate, 0.5), "megabytes_per_second": row.megabytes(),
            })
        });
        let plugins = self.plugins.iter().map(|plugins| {
            json!({
                "plugins": plugins.number, "memory": plugins.memory,
                "start_ms": plugins.start.as_secs_f64() * 1000.0,
            })
        });
        json!({ "jobs": jobs.collect::<Vec<_>>(), "plugins": plugins.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| job | protocol | way | CPU µs | added µs | requests/s | MB/s |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (place, row) in &self.rows {
            let added = self.added(*place, row);
            writeln!(
                f,
                "| {} | {} | {} | {:.1} | {:.1} ± {:.1} | {:.0} | {} |",
                row.job,
                place.1.name(),
                row.way,
                quantile(&row.cpu, UNDISTURBED),
                added.value,
                added.uncertainty,
                quantile(&row.rate, 0.5),
                row.megabytes().map_or_else(String::new, |megabytes| format!("{megabytes:.0}"))
            )?;
        }
        writeln!(f, "\n| plugins, a VM each | memory of each, KiB | start, ms |")?;
        writeln!(f, "|---|---|---|")?;
        for plugins in &self.plugins {
            writeln!(
                f,
                "| {} | {} | {:.0} |",
                plugins.number,
                plugins.memory / 1024,
                plugins.start.as_secs_f64() * 1000.0
            )?;
        }
        writeln!(
            f,
            "\nCPU: of the Envoy process for a request, in the least disturbed quarter of the rounds; added: the \
             difference to no filter, the median over the rounds, with its standard error. One worker; 16 requests \
             at a time. Memory and start: of `http_config`, beyond an Envoy with as many listeners and no filter."
        )
    }
}
