//! Envoy's configuration: a listener for each variant, no upstream, and a service that filters may
//! call, which is a listener of the same Envoy.

use super::variant::Variant;
use crate::build::Modules;
use crate::{Failure, shape};
use serde_json::{Value, json};
use std::path::Path;

/// Returns the configuration with these listeners, each once. The socket is the address of the
/// service.
pub(super) fn json(modules: &Modules, variants: &[(&str, Variant)], socket: &Path) -> Result<Value, Failure> {
    let mut listeners = vec![service(socket, &[authorization_route("/")])];
    for (filter, variant) in variants {
        let name = variant.listener(filter);
        if listeners.iter().any(|listener| listener.get("name") == Some(&Value::from(name.as_str()))) {
            continue;
        }
        listeners.push(measured(&name, filters(modules, &name, filter, *variant)?));
    }
    Ok(bootstrap(&listeners, socket))
}

/// Returns the configuration with these listeners, and the address of the service.
pub(super) fn bootstrap(listeners: &[Value], socket: &Path) -> Value {
    json!({
        "static_resources": { "listeners": listeners, "clusters": [cluster(socket)] },
        "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
    })
}

/// A listener under load: the filters under test, then one that pauses until the request is
/// complete. The response would otherwise come before the request's body.
pub(super) fn measured(name: &str, mut filters: Vec<Value>) -> Value {
    filters.push(json!({
        "name": "envoy.filters.http.buffer",
        "typed_config": { "@type": type_url("filters.http.buffer.v3.Buffer"), "max_request_bytes": 65_536 },
    }));
    filters.push(router());
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    listener(name, &address, &routes(), &filters)
}

/// A listener under load whose responses come from the service.
pub(super) fn proxied(name: &str, mut filters: Vec<Value>) -> Value {
    filters.push(router());
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let routes = json!({ "name": "routes", "virtual_hosts": [{
        "name": "all", "domains": ["*"],
        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": SERVICE, "timeout": "60s" } }],
    }] });
    listener(name, &address, &routes, &filters)
}

/// A body of the service.
pub(super) fn body_route(path: &str, file: &Path) -> Value {
    json!({
        "match": { "path": path },
        "direct_response": { "status": 200, "body": { "filename": file } },
    })
}

fn listener(name: &str, address: &Value, routes: &Value, filters: &[Value]) -> Value {
    json!({
        "name": name,
        "address": address,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": type_url("filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "codec_type": "AUTO",
                "generate_request_id": false,
                "route_config": routes,
                "http_filters": filters,
            },
        }] }],
    })
}

/// The service that filters call. Its work is in the CPU time of every filter that calls it, and is
/// the same in each.
pub(super) fn service(socket: &Path, routes: &[Value]) -> Value {
    let routes = json!({
        "name": SERVICE,
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }],
        "max_direct_response_body_size_bytes": 1 << 30,
    });
    listener(SERVICE, &json!({ "pipe": { "path": socket } }), &routes, &[router()])
}

/// The authorization service, which knows every token.
pub(super) fn authorization_route(prefix: &str) -> Value {
    json!({
        "match": { "prefix": prefix },
        "direct_response": { "status": 200 },
        "response_headers_to_add": [{ "header": { "key": "x-user", "value": "alice" } }],
    })
}

/// The address for the filters.
fn cluster(socket: &Path) -> Value {
    json!({
        "name": SERVICE,
        "load_assignment": { "cluster_name": SERVICE, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "pipe": { "path": socket } } },
        }] }] },
    })
}

pub(super) const SERVICE: &str = "authz";

/// The filter under test.
fn filters(modules: &Modules, name: &str, filter: &str, variant: Variant) -> Result<Vec<Value>, Failure> {
    match variant {
        Variant::None => Ok(Vec::new()),
        Variant::Filter(maker) => Ok(vec![wasm(name, modules.path(maker, filter)?, "")]),
    }
}

/// A filter in a VM of its own.
pub(super) fn wasm(name: &str, module: &Path, configuration: &str) -> Value {
    json!({
        "name": "envoy.filters.http.wasm",
        "typed_config": { "@type": type_url("filters.http.wasm.v3.Wasm"), "config": {
            "name": name,
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
        } },
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": type_url("filters.http.router.v3.Router") },
    })
}

/// Responds as [`shape`] says: Envoy adds `:status` and `content-length`, and one more header makes
/// eight.
fn routes() -> Value {
    let more = [("x-frame-options", "DENY")];
    let headers: Vec<Value> = shape::RESPONSE_HEADERS
        .iter()
        .chain(&more)
        .map(|(key, value)| {
            json!({ "header": { "key": key, "value": value }, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" })
        })
        .collect();
    json!({ "name": "routes", "virtual_hosts": [{
        "name": "all", "domains": ["*"],
        "routes": [{
            "match": { "prefix": "/" },
            "direct_response": {
                "status": 200, "body": { "inline_string": String::from_utf8_lossy(&shape::response_body()) },
            },
            "response_headers_to_add": headers,
        }],
    }] })
}

pub(super) fn type_url(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}
