//! The part of Envoy's external authorization protocol that this filter needs,
//! `envoy.service.auth.v3`. Written by hand from the `.proto` files, with their numbers: a message
//! with fewer fields is compatible on the wire, and its code is smaller.

use std::collections::BTreeMap;

proxy_filter::grpc_client! {
    /// Decides about requests.
    pub struct Authorization = "envoy.service.auth.v3.Authorization" {
        /// Whether a request may pass.
        rpc check = "Check"(CheckRequest) -> CheckResponse;
    }
}

/// The request to the authorization service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRequest {
    /// About the request.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// What is known about the request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeContext {
    /// As it is on the wire.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Request>,
}

/// A request of some protocol.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// HTTP.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// An HTTP request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpRequest {
    /// `:method`.
    #[prost(string, tag = "2")]
    pub method: String,
    /// All headers. Repeated ones are joined with a comma.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    /// `:path`, with the query.
    #[prost(string, tag = "4")]
    pub path: String,
    /// `:authority`.
    #[prost(string, tag = "5")]
    pub host: String,
}

/// The decision.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResponse {
    /// OK lets the request pass.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// What to do besides.
    #[prost(oneof = "HttpResponse", tags = "2, 3")]
    pub http_response: Option<HttpResponse>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// What to do with the request.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum HttpResponse {
    /// Answer it.
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    /// Let it pass.
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
}

/// How a refused request is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeniedHttpResponse {
    /// 403 unless given.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Headers of the answer.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// The answer's body.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// An HTTP status.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpStatus {
    /// The number.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// How a request that may pass is changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OkHttpResponse {
    /// Headers for the upstream.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Headers that the upstream shall not see.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
}

/// A header.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValueOption {
    /// Its name and value.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
}

/// A header's name and value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeaderValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}
