//! What both hosts are configured with beside the plugin: names that never change, and the metadata
//! a test sets.

use serde_json::{Map, Value};
use std::fmt;

pub(crate) const NODE_ID: &str = "node";
pub(crate) const NODE_CLUSTER: &str = "fleet";
pub(crate) const CLUSTER: &str = "upstream";
pub(crate) const ROUTE: &str = "route";
pub(crate) const VIRTUAL_HOST: &str = "all";
pub(crate) const FILTER_CHAIN: &str = "chain";
/// `INBOUND`.
pub(crate) const DIRECTION: i64 = 1;
/// Region, zone and sub-zone of the upstream.
pub(crate) const LOCALITY: [&str; 3] = ["region", "zone", "rack"];

/// Reads metadata that a test writes.
#[allow(clippy::panic, reason = "this is how a test with a mistake fails")]
pub(crate) fn namespaces(json: &impl fmt::Display) -> Map<String, Value> {
    let fields = serde_json::from_str(&json.to_string());
    fields.unwrap_or_else(|error| panic!("the metadata is not a JSON object: {error}"))
}

/// What metadata is written beside, for [`Host::metadata`](crate::Host::metadata).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataSource {
    /// The route.
    Route,
    /// The virtual host.
    VirtualHost,
    /// The listener.
    Listener,
    /// The upstream cluster.
    Cluster,
    /// The upstream host (the endpoint).
    UpstreamHost,
    /// Each request, as if a filter before the plugin's had noted it ("dynamic metadata").
    Request,
    /// The node. It has keys, but no namespaces.
    Node,
}

/// The metadata of a host: JSON objects of namespaces, that of the node of keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata([Map<String, Value>; 7]);

impl Metadata {
    pub(crate) fn set(&mut self, of: MetadataSource, fields: Map<String, Value>) {
        if let Some(place) = self.0.get_mut(of as usize) {
            *place = fields;
        }
    }

    pub(crate) fn get(&self, of: MetadataSource) -> &Map<String, Value> {
        let [first, ..] = &self.0;
        self.0.get(of as usize).unwrap_or(first)
    }
}
