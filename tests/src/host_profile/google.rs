//! Google Service Extensions: plugins of Cloud Load Balancing and Media CDN.

use super::callbacks::{GRPC, GRPC_CALLBACKS, METADATA, TCP};
use super::table::{FailingFunctions, Failure, HostDifference, Quirk, Table, UNIMPLEMENTED};

const SOURCE: &str = "its documentation, not run";

pub(super) const TABLE: Table = Table {
    id: "google",
    name: "Google Service Extensions",
    source: SOURCE,
    envoy: None,
    required: &[],
    never_called: &[
        &TCP,
        &METADATA,
        &GRPC_CALLBACKS,
        &["proxy_on_tick", "proxy_on_queue_ready", "proxy_on_http_call_response", "proxy_on_foreign_function"],
    ],
    not_offered: &["env.envoy_resolve_dns"],
    failing: &[FailingFunctions {
        names: &[
            "proxy_set_tick_period_milliseconds",
            "proxy_define_metric",
            "proxy_get_metric",
            "proxy_record_metric",
            "proxy_increment_metric",
            "proxy_get_shared_data",
            "proxy_set_shared_data",
            "proxy_register_shared_queue",
            "proxy_resolve_shared_queue",
            "proxy_enqueue_shared_queue",
            "proxy_dequeue_shared_queue",
            "proxy_http_call",
            "proxy_call_foreign_function",
            GRPC[0],
            GRPC[1],
            GRPC[2],
            GRPC[3],
            GRPC[4],
            GRPC[5],
        ],
        effect: "not supported",
        // The status is that of the library which Google's own test host is built on.
        failure: Failure::Status(UNIMPLEMENTED),
    }],
    differences: &[
        HostDifference {
            subject: "env.proxy_get_current_time_nanoseconds",
            text: "the clock does not advance during a stream",
            source: SOURCE,
            quirk: Some(Quirk::ClockStandsStill),
        },
        HostDifference {
            subject: "env.proxy_set_buffer_bytes",
            text: "all edits of a stream may have 128 KiB",
            source: SOURCE,
            quirk: None,
        },
    ],
    memory: 16 << 20,
    instructions: Some(CALLBACK),
};

/// The most instructions of a callback. The host allows 1 ms of processor time: a compiled
/// instruction of wasm takes about 1 ns.
const CALLBACK: u64 = 1_000_000;
