//! Apache Traffic Server, with its plugin `wasm`.

use super::callbacks::{GRPC, GRPC_CALLBACKS, METADATA, TCP, TRAILERS};
use super::table::{FailingFunctions, Failure, HostDifference, Quirk, Table, UNIMPLEMENTED};

const SOURCE: &str = "its source, not run";

const fn difference(subject: &'static str, text: &'static str, quirk: Option<Quirk>) -> HostDifference {
    HostDifference { subject, text, source: SOURCE, quirk }
}

pub(super) const TABLE: Table = Table {
    id: "ats",
    name: "Apache Traffic Server",
    source: SOURCE,
    envoy: None,
    required: &[],
    never_called: &[&TCP, &TRAILERS, &METADATA, &GRPC_CALLBACKS, &["proxy_on_foreign_function"]],
    not_offered: &["env.envoy_resolve_dns"],
    failing: &[FailingFunctions {
        names: &["proxy_get_log_level", GRPC[0], GRPC[1], GRPC[2], GRPC[3], GRPC[4], GRPC[5]],
        effect: "returns Unimplemented",
        failure: Failure::Status(UNIMPLEMENTED),
    }],
    differences: &[
        difference("env.proxy_add_header_map_value", "overwrites a header that is present", Some(Quirk::AddOverwrites)),
        difference(
            "env.proxy_replace_header_map_value",
            "does nothing if the header is missing",
            Some(Quirk::ReplaceNeedsField),
        ),
        difference(
            "env.proxy_set_header_map_pairs",
            "merges the headers instead of replacing them",
            Some(Quirk::PairsMerge),
        ),
        difference(
            "env.proxy_get_header_map_value",
            "returns an empty value if the header is missing",
            Some(Quirk::MissingFieldIsEmpty),
        ),
        difference("env.proxy_http_call", "ignores the cluster and the timeout", Some(Quirk::CallsAuthority)),
        difference(
            "env.proxy_set_buffer_bytes",
            "ignores the range: it replaces the whole buffer",
            Some(Quirk::WritesWhole),
        ),
        difference(
            "env.proxy_get_buffer_bytes",
            "ignores the range: it returns the whole buffer",
            Some(Quirk::ReadsWhole),
        ),
        difference(
            "env.proxy_get_property",
            "returns an empty value if the property does not exist",
            Some(Quirk::MissingPropertyIsEmpty),
        ),
        difference("env.proxy_get_property", "finds a property by the beginning of its path", None),
        difference("env.proxy_set_property", "changes the request or the response itself", None),
        difference("proxy_on_log", "comes after `on_done`", Some(Quirk::DoneBeforeLog)),
        difference("env.proxy_set_tick_period_milliseconds", "cannot move a tick that is set", None),
        difference("env.proxy_send_local_response", "a second call replaces the first", Some(Quirk::LastReplyCounts)),
    ],
    memory: MEMORY,
    instructions: None,
};

/// What the module may have in the embedded host: the limit of Envoy, whose library ATS has.
const MEMORY: u64 = 1 << 30;
