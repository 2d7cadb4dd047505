//! nginx with `ngx_wasm_module`.

use super::callbacks::{GRPC, GRPC_CALLBACKS, METADATA, TCP, TRAILERS};
use super::table::{FailingFunctions, Failure, HostDifference, Quirk, Table};

const SOURCE: &str = "its source at 3bed278, not run";

const fn difference(subject: &'static str, text: &'static str, quirk: Option<Quirk>) -> HostDifference {
    HostDifference { subject, text, source: SOURCE, quirk }
}

pub(super) const TABLE: Table = Table {
    id: "nginx",
    name: "nginx (ngx_wasm_module)",
    source: SOURCE,
    envoy: None,
    required: &["proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure"],
    never_called: &[&TCP, &TRAILERS, &METADATA, &GRPC_CALLBACKS, &["proxy_on_queue_ready"]],
    not_offered: &["env.proxy_get_buffer_status", "env.proxy_get_header_map_size", "env.envoy_resolve_dns"],
    failing: &[
        FailingFunctions {
            names: &[
                "proxy_get_log_level",
                "proxy_done",
                "proxy_close_stream",
                "proxy_continue_response",
                GRPC[0],
                GRPC[1],
                GRPC[2],
                GRPC[3],
                GRPC[4],
                GRPC[5],
                "proxy_resolve_shared_queue",
            ],
            effect: "traps the VM: not implemented",
            failure: Failure::Trap,
        },
        FailingFunctions {
            names: &["proxy_call_foreign_function"],
            effect: "has only `resolve_lua`, and traps the VM for any other name",
            failure: Failure::TrapUnless("resolve_lua"),
        },
    ],
    differences: &[
        difference("env.proxy_http_call", "the cluster is `host` or `host:port`", None),
        difference(
            "env.proxy_http_call",
            "traps the VM in `on_vm_start`, `on_configure` and in callbacks of the response and the end of a stream",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference(
            "proxy_on_http_call_response",
            "a failed callout has no headers but the pseudo-header `:dispatch_status`",
            Some(Quirk::FailedCallIsBare),
        ),
        difference(
            "proxy_on_request_headers",
            "`end_of_stream` is always false in headers callbacks",
            Some(Quirk::HeadersNeverEnd),
        ),
        difference(
            "proxy_on_request_body",
            "the body of a request is one chunk, with its end",
            Some(Quirk::RequestBodyIsOneChunk),
        ),
        difference("proxy_on_log", "comes after `on_done`", Some(Quirk::DoneBeforeLog)),
        difference("env.proxy_set_effective_context", "has no effect", Some(Quirk::ContextIsGiven)),
        difference(
            "env.proxy_set_buffer_bytes",
            "traps the VM outside of the callback of that body",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference(
            "env.proxy_get_buffer_bytes",
            "traps the VM outside of the callback of that body",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference(
            "env.proxy_get_buffer_bytes",
            "ignores the start: it returns the first bytes",
            Some(Quirk::ReadsFromStart),
        ),
        difference(
            "env.proxy_add_header_map_value",
            "traps the VM for request headers after the response has begun, and for response headers after they were sent",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference("env.proxy_add_header_map_value", "may set response headers while the request is processed", None),
        difference(
            "env.proxy_send_local_response",
            "traps the VM if there is a local reply already",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference(
            "env.proxy_send_local_response",
            "in `on_response_headers`, replaces status and body and keeps the headers",
            None,
        ),
        difference(
            "env.proxy_set_tick_period_milliseconds",
            "traps the VM in contexts of streams, and if a period is set already",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference(
            "env.proxy_get_metric",
            "traps the VM for a metric that is not known, or a histogram",
            Some(Quirk::WrongPhaseTraps),
        ),
        difference("env.proxy_set_shared_data", "traps the VM without a `shm_kv` in the configuration", None),
        difference("env.proxy_register_shared_queue", "traps the VM without a `shm_queue` in the configuration", None),
        difference("env.proxy_get_property", "values are text: `true`, `8080`", None),
    ],
    memory: MEMORY,
    instructions: None,
};

/// What the module may have in the embedded host: the limit of Envoy. nginx has none.
const MEMORY: u64 = 1 << 30;
