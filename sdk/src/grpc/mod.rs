//! gRPC: [`GrpcCall`], [`GrpcStream`], and what comes back.

mod base64;
mod call;
mod client;
mod connected;
mod error;
mod message;
mod metadata;
mod request;
mod status;
mod stream;

pub use call::GrpcCall;
pub(crate) use connected::{Arrivals, Inbox};
pub use connected::{ConnectedGrpcStream, NextGrpcMessage};
pub use error::{GrpcError, GrpcOutage};
pub use message::{GrpcBytes, GrpcMessage};
pub use metadata::GrpcMetadata;
pub use status::{GrpcCode, GrpcStatus};
pub(crate) use stream::Life;
pub use stream::{GrpcEvent, GrpcStream, OpenGrpcStream};
