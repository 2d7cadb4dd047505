//! Clusters of the host's configuration that a filter calls by name.

use crate::grpc::GrpcStreamAnswer;
use crate::message::Answer;
use std::fmt;

/// A cluster besides the one that requests are routed to.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
}

/// What is at the other end of a cluster.
#[derive(Clone)]
pub(crate) enum Endpoint {
    /// A server that responds over HTTP/1.1.
    Server(Answer),
    /// A server that responds to a gRPC call after its last message.
    Grpc(Answer),
    /// A server that responds to each message of a gRPC stream.
    GrpcStream(GrpcStreamAnswer),
    /// No host at all.
    Absent,
    /// A host that refuses connections.
    Refusing,
    /// A server that the caller of a live filter calls.
    Live,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Grpc(_) => "Grpc",
            Self::GrpcStream(_) => "GrpcStream",
            Self::Absent => "Absent",
            Self::Refusing => "Refusing",
            Self::Live => "Live",
        })
    }
}
