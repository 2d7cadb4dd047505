//! gRPC: [`GrpcCall`], [`GrpcStream`], and what comes back.

pub(crate) mod arrival;
pub(crate) mod base64;
pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod connected;
pub(crate) mod error;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod streams;

pub use crate::callout::grpc::call::GrpcCall;
pub use crate::callout::grpc::connected::{ConnectedGrpcStream, NextGrpcMessage};
pub use crate::callout::grpc::error::{GrpcError, GrpcOutage};
pub use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
pub use crate::callout::grpc::metadata::GrpcMetadata;
pub use crate::callout::grpc::open::{GrpcEvent, OpenGrpcStream};
pub use crate::callout::grpc::status::{GrpcCode, GrpcStatus};
pub use crate::callout::grpc::stream::GrpcStream;
