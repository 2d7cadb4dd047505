//! What a filter needs, in one `use proxy_filter::prelude::*;`.

pub use crate::{
    Body, CalloutError, Configuration, Context, DownstreamData, Error, ErrorKind, Exchange, FailurePolicy,
    FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus, HeaderMap, HeaderValue, HttpCall, LocalReply,
    LogContext, NetworkFilterStatus, PeerType, RequestBody, RequestHeaders, RequestTrailers, ResponseBody,
    ResponseHeaders, ResponseTrailers, Result, RootContext, SharedQueue, StreamContext, StreamData, Timer,
    UpstreamData, VmConfiguration, printable,
};
#[cfg(feature = "grpc")]
pub use crate::{GrpcCall, GrpcCode, GrpcError};
