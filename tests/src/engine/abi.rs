//! The versions of the ABI, and the exports that a host calls.

/// A version of the ABI that Envoy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    V0_1_0,
    V0_2_0,
    #[default]
    V0_2_1,
}

impl Version {
    /// The version that an exported function of this name stands for.
    pub(crate) fn of_marker(export: &str) -> Option<Self> {
        Some(match export {
            "proxy_abi_version_0_1_0" => Self::V0_1_0,
            "proxy_abi_version_0_2_0" => Self::V0_2_0,
            "proxy_abi_version_0_2_1" => Self::V0_2_1,
            _ => return None,
        })
    }

    /// Whether a host function is one of this version.
    pub(crate) fn has(self, function: &str) -> bool {
        match function {
            "proxy_get_log_level" => self == Self::V0_2_1,
            "proxy_continue_stream" | "proxy_close_stream" => self != Self::V0_1_0,
            _ => true,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        })
    }
}

/// The exported functions with which a host allocates memory, the preferred one first.
pub(crate) const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// The number of parameters of an export, all `i32`, and whether it has an `i32` result. `None` for
/// what the host does not call.
pub(crate) fn signature(export: &str, version: Version) -> Option<(usize, bool)> {
    Some(match export {
        "proxy_on_request_headers" | "proxy_on_response_headers" if version == Version::V0_1_0 => (2, true),
        "proxy_on_foreign_function" if version == Version::V0_1_0 => return None,
        "_initialize" | "_start" => (0, false),
        "__main_void" => (0, true),
        "proxy_on_tick" | "proxy_on_log" | "proxy_on_delete" => (1, false),
        "malloc" | "proxy_on_memory_allocate" | "proxy_on_done" | "proxy_on_new_connection" => (1, true),
        "proxy_on_context_create"
        | "proxy_on_downstream_connection_close"
        | "proxy_on_upstream_connection_close"
        | "proxy_on_queue_ready" => (2, false),
        "main"
        | "proxy_on_vm_start"
        | "proxy_on_configure"
        | "proxy_validate_configuration"
        | "proxy_on_request_trailers"
        | "proxy_on_response_trailers"
        | "proxy_on_request_metadata"
        | "proxy_on_response_metadata" => (2, true),
        "proxy_on_downstream_data"
        | "proxy_on_upstream_data"
        | "proxy_on_request_headers"
        | "proxy_on_response_headers"
        | "proxy_on_request_body"
        | "proxy_on_response_body" => (3, true),
        "proxy_on_grpc_receive_initial_metadata"
        | "proxy_on_grpc_receive"
        | "proxy_on_grpc_receive_trailing_metadata"
        | "proxy_on_grpc_close"
        | "proxy_on_foreign_function" => (3, false),
        "proxy_on_http_call_response" => (5, false),
        _ => return None,
    })
}
