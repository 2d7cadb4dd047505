//! Groups of callbacks and functions that hosts have as a whole, or not at all.

pub(super) const TCP: [&str; 5] = [
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];

pub(super) const GRPC: [&str; 6] = [
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_get_status",
];

pub(super) const TRAILERS: [&str; 2] = ["proxy_on_request_trailers", "proxy_on_response_trailers"];

pub(super) const METADATA: [&str; 2] = ["proxy_on_request_metadata", "proxy_on_response_metadata"];

pub(super) const GRPC_CALLBACKS: [&str; 4] = [
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
];
