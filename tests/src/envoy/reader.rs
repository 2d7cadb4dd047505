//! What the VMs of an Envoy share, read by a module of this crate: its VM has the same `vm_id`, and
//! a listener of its own.
//!
//! `reader.wat` is its text. It is built into this crate as wasm.

use super::{bootstrap, http1};
use crate::backend::Settings;
use crate::base64;
use crate::message::Request;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

/// The module.
const MODULE: &[u8] = include_bytes!("reader.wasm");
/// The name of its listener.
pub(super) const NAME: &str = "reader";
/// The callback in which it reads: its only one.
pub(super) const CALLBACK: &str = "proxy_on_request_headers";

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shared {
    /// The value of a key.
    Data,
    /// The items of a queue.
    Queue,
}

/// Adds the listener of the reader.
pub(super) fn add_to(listeners: &mut Value, settings: &Settings) {
    if let Some(all) = listeners.get_mut("resources").and_then(Value::as_array_mut) {
        all.push(listener(&settings.vm_id));
    }
}

fn listener(vm_id: &str) -> Value {
    let type_url = bootstrap::type_url;
    let plugin = json!({
        "name": NAME,
        "vm_config": {
            "vm_id": vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "inline_bytes": base64::encode(MODULE) } },
        },
    });
    let manager = json!({
        "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": NAME,
        "route_config": { "virtual_hosts": [{
            "name": NAME, "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 500 } }],
        }] },
        "http_filters": [
            {
                "name": "envoy.filters.http.wasm",
                "typed_config": { "@type": type_url("extensions.filters.http.wasm.v3.Wasm"), "config": plugin },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": { "@type": type_url("extensions.filters.http.router.v3.Router") },
            },
        ],
    });
    json!({
        "@type": type_url("config.listener.v3.Listener"),
        "name": NAME,
        "address": bootstrap::address("127.0.0.1", 0),
        "stat_prefix": NAME,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }] }],
    })
}

/// Asks the reader at this address. `None` if there is no such key or queue.
pub(super) fn ask(address: SocketAddr, shared: Shared, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let kind = match shared {
        Shared::Data => b'd',
        Shared::Queue => b'q',
    };
    let digits = std::iter::once(&kind).chain(name).fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    let request = Request::new("GET", "/", NAME).header("name", digits);
    let response = http1::exchange(address, &request)?.unwrap_or_default();
    match response.status() {
        200 => Ok(Some(response.body)),
        404 => Ok(None),
        status => Err(io::Error::other(format!("the reader of shared data replies {status}"))),
    }
}

/// The items in what the reader says of a queue.
pub(super) fn items(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (item, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        items.push(item.to_vec());
        bytes = rest;
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BLESS=1` writes the module anew.
    #[test]
    fn the_reader_is_made_from_its_text() {
        let built = wat::parse_str(include_str!("reader.wat")).unwrap();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/envoy/reader.wasm"), &built).unwrap();
        }
        assert!(built == MODULE || std::env::var_os("BLESS").is_some(), "run this test with BLESS=1");
    }

    #[test]
    fn items_follow_their_length() {
        assert_eq!(items(b""), Vec::<Vec<u8>>::new());
        assert_eq!(items(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c"), [b"ab".to_vec(), Vec::new(), b"c".to_vec()]);
    }
}
