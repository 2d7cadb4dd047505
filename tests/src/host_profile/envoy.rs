//! Envoy, by its versions.

use super::table::{HostDifference, Quirk, Table, Version};

const CHANGELOG: &str = "Envoy's changelogs, not run";
const RUNS: &str = "observed in runs";

/// Until Envoy 1.39.
const LOST_BYTES: HostDifference = HostDifference {
    subject: "proxy_on_request_body",
    text: "with `allow_on_headers_stop_iteration: true`, bytes of a body are lost if the filter buffers data after it \
           has forwarded some",
    source: CHANGELOG,
    quirk: None,
};

/// Until Envoy 1.37.
const TRANSPORT_REASON: HostDifference = HostDifference {
    subject: "proxy_on_http_call_response",
    text: "the body of a callout that could not connect ends with the reason of the transport",
    source: RUNS,
    quirk: Some(Quirk::TransportReason),
};

const fn envoy(
    id: &'static str,
    name: &'static str,
    minor: u32,
    source: &'static str,
    differences: &'static [HostDifference],
) -> Table {
    Table {
        id,
        name,
        source,
        envoy: Some(Version(1, minor)),
        required: &[],
        never_called: &[&["proxy_on_foreign_function", "proxy_validate_configuration"]],
        not_offered: &[],
        failing: &[],
        differences,
        memory: 1 << 30,
        instructions: None,
    }
}

pub(super) const V1_36: Table = envoy("envoy-1.36", "Envoy 1.36", 36, RUNS, &[LOST_BYTES, TRANSPORT_REASON]);
pub(super) const V1_37: Table = envoy("envoy-1.37", "Envoy 1.37", 37, CHANGELOG, &[LOST_BYTES, TRANSPORT_REASON]);
pub(super) const V1_38: Table = envoy("envoy-1.38", "Envoy 1.38", 38, RUNS, &[LOST_BYTES]);
pub(super) const V1_39: Table = envoy("envoy-1.39", "Envoy 1.39", 39, RUNS, &[LOST_BYTES]);
pub(super) const V1_40: Table = envoy("envoy-1.40", "Envoy 1.40", 40, RUNS, &[]);
