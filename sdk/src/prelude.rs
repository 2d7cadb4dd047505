//! What a filter needs, in one `use proxy_filter::prelude::*;`.

pub use crate::callout::error::CalloutError;
#[cfg(feature = "grpc")]
pub use crate::callout::grpc::call::GrpcCall;
#[cfg(feature = "grpc")]
pub use crate::callout::grpc::error::GrpcError;
#[cfg(feature = "grpc")]
pub use crate::callout::grpc::status::GrpcCode;
pub use crate::callout::http::HttpCall;
pub use crate::callout::queue::shared_queue::SharedQueue;
pub use crate::callout::timer::Timer;
pub use crate::error::kind::ErrorKind;
pub use crate::error::local_reply::LocalReply;
pub use crate::error::policy::FailurePolicy;
pub use crate::error::{Error, Result};
pub use crate::exchange::Exchange;
pub use crate::fields::header_map::HeaderMap;
pub use crate::fields::header_value::HeaderValue;
pub use crate::http::body::Body;
pub use crate::http::context::Context;
pub use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
pub use crate::http::log_context::LogContext;
pub use crate::log::escaped::escaped;
pub use crate::plugin::root_context::RootContext;
pub use crate::tcp::StreamContext;
pub use crate::tcp::data::{DownstreamData, StreamData, UpstreamData};
pub use crate::tcp::status::{NetworkFilterStatus, PeerType};
pub use crate::{
    Configuration, RequestBody, RequestHeaders, RequestTrailers, ResponseBody, ResponseHeaders, ResponseTrailers,
    VmConfiguration,
};
