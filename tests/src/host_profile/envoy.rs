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

const fn observed(subject: &'static str, text: &'static str, quirk: Quirk) -> HostDifference {
    HostDifference { subject, text, source: RUNS, quirk: Some(quirk) }
}

/// Until Envoy 1.37.
const TRANSPORT_REASON: HostDifference = observed(
    "proxy_on_http_call_response",
    "the body of a callout that could not connect ends with the reason of the transport",
    Quirk::TransportReason,
);

/// Until Envoy 1.38.
const INVALID_CALLOUT: HostDifference = observed(
    "env.proxy_http_call",
    "returns InternalFailure for a header that is not valid if a connection is ready, and makes no response of its own",
    Quirk::InvalidCalloutFails,
);

/// Until Envoy 1.38.
const JOINED_VALUES: HostDifference = observed(
    "proxy_on_request_headers",
    "a route compares the values of a repeated header as one, joined with commas",
    Quirk::RoutesJoinValues,
);

/// Until Envoy 1.36.
const GROUPED_FIELDS: HostDifference = observed(
    "proxy_on_response_headers",
    "over HTTP/2, fields of one name are sent together, at the place of the first",
    Quirk::FieldsAreGrouped,
);

/// Until Envoy 1.39.
const CLIENT_RESET: HostDifference = observed(
    "proxy_on_downstream_connection_close",
    "when the client resets a connection, the upstream sees it closed",
    Quirk::ClientResetCloses,
);

/// Until Envoy 1.37.
const UPSTREAM_RESET: HostDifference = observed(
    "proxy_on_upstream_connection_close",
    "when the upstream resets a connection, the client sees it closed, and `response.flags` has no bit for it",
    Quirk::UpstreamResetCloses,
);

/// Until Envoy 1.36.
const NO_SIGN: HostDifference = observed("env.proxy_call_foreign_function", "has no function `sign`", Quirk::NoSign);

/// Until Envoy 1.38.
const PLAIN_QUERY: HostDifference = HostDifference {
    subject: "proxy_on_request_headers",
    text: "the method `QUERY` is one like any other, and `x-envoy-upstream-alt-stat-name` of clients is kept",
    source: RUNS,
    quirk: None,
};

/// Until Envoy 1.36.
const OTHER_CODEC: HostDifference = HostDifference {
    subject: "proxy_on_request_headers",
    text: "over HTTP/2, other malformed and large messages are refused, and `cookie` is sent in one field",
    source: RUNS,
    quirk: None,
};

/// Until Envoy 1.37.
const NO_KEEP_ALIVE: HostDifference = HostDifference {
    subject: "proxy_on_response_headers",
    text: "over HTTP/1, `keep-alive` of a response is dropped",
    source: RUNS,
    quirk: None,
};

macro_rules! of_wasi {
    ($($name:literal,)*) => {
        &[$(concat!("wasi_snapshot_preview1.", $name), concat!("wasi_unstable.", $name),)*]
    };
}

/// Functions of WASI that Envoy has since 1.39.
const NO_WASI: &[&str] = of_wasi![
    "clock_res_get",
    "fd_pwrite",
    "fd_fdstat_set_rights",
    "fd_advise",
    "fd_allocate",
    "fd_datasync",
    "fd_sync",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_readdir",
    "fd_renumber",
    "fd_tell",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Until Envoy 1.38.
const NO_MAIN_VOID: HostDifference = observed("__main_void", "does not run after `_initialize`", Quirk::NoMainVoid);

/// Until Envoy 1.38.
const NO_POLL: HostDifference = observed("wasi_snapshot_preview1.poll_oneoff", "returns `nosys` (52)", Quirk::NoPoll);

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
        not_offered: if minor < 39 { NO_WASI } else { &[] },
        failing: &[],
        differences,
        memory: 1 << 30,
        instructions: None,
    }
}

pub(super) const V1_36: Table = envoy(
    "envoy-1.36",
    "Envoy 1.36",
    36,
    RUNS,
    &[
        LOST_BYTES,
        TRANSPORT_REASON,
        INVALID_CALLOUT,
        JOINED_VALUES,
        GROUPED_FIELDS,
        PLAIN_QUERY,
        OTHER_CODEC,
        NO_KEEP_ALIVE,
        CLIENT_RESET,
        UPSTREAM_RESET,
        NO_SIGN,
        NO_MAIN_VOID,
        NO_POLL,
    ],
);
pub(super) const V1_37: Table = envoy(
    "envoy-1.37",
    "Envoy 1.37",
    37,
    RUNS,
    &[
        LOST_BYTES,
        TRANSPORT_REASON,
        INVALID_CALLOUT,
        JOINED_VALUES,
        CLIENT_RESET,
        UPSTREAM_RESET,
        PLAIN_QUERY,
        NO_KEEP_ALIVE,
        NO_MAIN_VOID,
        NO_POLL,
    ],
);
pub(super) const V1_38: Table = envoy(
    "envoy-1.38",
    "Envoy 1.38",
    38,
    RUNS,
    &[LOST_BYTES, INVALID_CALLOUT, JOINED_VALUES, CLIENT_RESET, PLAIN_QUERY, NO_MAIN_VOID, NO_POLL],
);
pub(super) const V1_39: Table = envoy("envoy-1.39", "Envoy 1.39", 39, RUNS, &[LOST_BYTES, CLIENT_RESET]);
pub(super) const V1_40: Table = envoy("envoy-1.40", "Envoy 1.40", 40, RUNS, &[]);
