//! The examples of this repository, and what their bootstraps say.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for several tests")]

use proxy_filter_host::Host;
use saphyr::{LoadableYamlNode, Yaml};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

pub(crate) fn examples() -> Vec<String> {
    let examples = names_in(&root().join("examples"));
    assert!(examples.len() >= 5, "{examples:?}");
    examples
}

/// What an example's `envoy.yaml` says about its plugin.
pub(crate) struct Plugin {
    /// What it is for the host, `envoy.filters.http.wasm` for example.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) filename: String,
    pub(crate) configuration: String,
    pub(crate) allow_on_headers_stop_iteration: bool,
}

fn get<'a, 'y>(yaml: &'a Yaml<'y>, path: &str) -> Option<&'a Yaml<'y>> {
    path.split('.').try_fold(yaml, |yaml, key| match key.parse() {
        Ok(index) => yaml.as_sequence_get(index),
        Err(_) => yaml.as_mapping_get(key),
    })
}

fn text(yaml: &Yaml<'_>, path: &str) -> String {
    get(yaml, path).and_then(Yaml::as_str).unwrap_or_else(|| panic!("no text at {path}")).to_owned()
}

fn port(yaml: &Yaml<'_>, path: &str) -> (String, i64) {
    let port = get(yaml, &format!("{path}.socket_address.port_value")).and_then(Yaml::as_integer).unwrap();
    (text(yaml, &format!("{path}.socket_address.address")), port)
}

pub(crate) fn plugin(filter: &Yaml<'_>) -> Plugin {
    let kinds =
        ["envoy.filters.http.wasm", "envoy.filters.network.wasm", "envoy.access_loggers.wasm", "envoy.bootstrap.wasm"];
    let kind = text(filter, "name");
    assert!(kinds.contains(&kind.as_str()));
    assert_eq!(text(filter, "typed_config.config.vm_config.runtime"), "envoy.wasm.runtime.v8");
    let configuration = get(filter, "typed_config.config.configuration.value").and_then(Yaml::as_str);
    let root_id = get(filter, "typed_config.config.root_id").and_then(Yaml::as_str).unwrap_or_default();
    Plugin {
        kind,
        name: text(filter, "typed_config.config.name"),
        root_id: root_id.to_owned(),
        filename: text(filter, "typed_config.config.vm_config.code.local.filename"),
        configuration: configuration.unwrap_or_default().to_owned(),
        allow_on_headers_stop_iteration: get(filter, "typed_config.config.allow_on_headers_stop_iteration")
            .and_then(Yaml::as_bool)
            .unwrap_or_default(),
    }
}

/// The plugins of a bootstrap: the filters or access loggers, then services.
pub(crate) fn bootstrap(example: &str) -> Vec<Plugin> {
    let file = read(&root().join("examples").join(example).join("envoy.yaml"));
    let yaml = Yaml::load_from_str(&file).unwrap_or_else(|error| panic!("{example}: {error}"));
    assert_eq!(yaml.len(), 1, "{example}: one document");
    let (yaml, resources) = (&yaml[0], "static_resources");
    assert_eq!(port(yaml, &format!("{resources}.listeners.0.address")), ("127.0.0.1".into(), 10000));
    let upstream = format!("{resources}.clusters.0.load_assignment.endpoints.0.lb_endpoints.0.endpoint.address");
    assert_eq!(port(yaml, &upstream), ("127.0.0.1".into(), 8000));
    // A filter of connections is before `tcp_proxy`, one of requests in the connection manager and
    // before the router.
    let network = format!("{resources}.listeners.0.filter_chains.0.filters");
    let tcp = text(yaml, &format!("{network}.0.name")) == "envoy.filters.network.wasm";
    let manager = format!("{network}.0.typed_config");
    let (filters, behind) = if tcp {
        (network, "envoy.filters.network.tcp_proxy")
    } else {
        (format!("{manager}.http_filters"), "envoy.filters.http.router")
    };
    let list = |path: &str| get(yaml, path).and_then(Yaml::as_sequence).into_iter().flatten();
    let mut filters: Vec<&Yaml<'_>> = list(&filters).collect();
    assert_eq!(text(filters.pop().unwrap(), "name"), behind, "{example}");
    let others = list(&format!("{manager}.access_log")).chain(list("bootstrap_extensions"));
    filters.into_iter().chain(others).map(plugin).collect()
}

/// The clusters that a plugin calls, and whether each of them speaks gRPC.
pub(crate) fn services(example: &str) -> Vec<(String, bool)> {
    let file = read(&root().join("examples").join(example).join("envoy.yaml"));
    let yaml = Yaml::load_from_str(&file).unwrap();
    let clusters = get(&yaml[0], "static_resources.clusters").and_then(Yaml::as_sequence).unwrap();
    let is_grpc = |cluster| get(cluster, "typed_extension_protocol_options").is_some();
    // The first one is the upstream.
    clusters.iter().skip(1).map(|cluster| (text(cluster, "name"), is_grpc(cluster))).collect()
}

/// Adds the plugins of an example's bootstrap to a host of its module, and configures it.
/// `configuration` may replace what the bootstrap has for the first plugin, whose kind is returned.
pub(crate) fn configure(host: &mut Host, example: &str, configuration: impl FnOnce(String) -> String) -> String {
    let mut plugins = bootstrap(example).into_iter();
    let first = plugins.next().unwrap();
    host.root_id(&first.root_id);
    host.allow_on_headers_stop_iteration(first.allow_on_headers_stop_iteration);
    for plugin in plugins {
        match plugin.kind.as_str() {
            "envoy.bootstrap.wasm" => host.singleton_service(&plugin.root_id, plugin.configuration),
            _ => host.plugin(&plugin.root_id, plugin.configuration),
        }
    }
    match first.kind.as_str() {
        "envoy.filters.network.wasm" => host.tcp(),
        "envoy.access_loggers.wasm" => host.access_logger(),
        _ => {}
    }
    host.configure(configuration(first.configuration)).unwrap_or_else(|refused| panic!("{example}: {refused}"));
    first.kind
}

/// Runs a check of each example on two threads, and fails with the faults that it returns.
pub(crate) fn for_each_example(check: impl Fn(&str) -> Vec<String> + Sync) {
    let (examples, next, faults) = (examples(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(example) = examples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = catch_unwind(AssertUnwindSafe(|| check(example)));
                    let found = found.unwrap_or_else(|_| vec!["the check panicked, with the message above".into()]);
                    faults.lock().unwrap().extend(found.into_iter().map(|fault| format!("{example}: {fault}")));
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
