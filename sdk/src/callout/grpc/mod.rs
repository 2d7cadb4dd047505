//! gRPC calls and streams to other services.
//!
//! | Task | Type |
//! |---|---|
//! | One request, one response | [`GrpcCall`] |
//! | A stream, whose events go to a closure | [`GrpcStream::open`], which returns the [`GrpcSender`] |
//! | A stream that is written and read | [`GrpcStream::connect`], which returns a [`GrpcDuplex`] |
//! | A client for a service's methods | [`grpc_client!`](crate::grpc_client) |
//! | Messages | [`GrpcMessage`]: types of the crate `prost`, [`GrpcBytes`], or a filter's own |
//! | Why a call failed | [`GrpcError`], [`GrpcCode`] |

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
pub use crate::callout::grpc::connected::{GrpcDuplex, GrpcReceive};
pub use crate::callout::grpc::error::{GrpcError, GrpcOutage};
pub use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
pub use crate::callout::grpc::metadata::GrpcMetadata;
pub use crate::callout::grpc::open::{GrpcEvent, GrpcSender};
pub use crate::callout::grpc::status::{GrpcCode, GrpcStatus};
pub use crate::callout::grpc::stream::GrpcStream;
