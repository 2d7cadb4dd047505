//! The messages of Envoy's external authorization protocol, `envoy.service.auth.v3`, that this
//! filter uses. They are written by hand with the numbers of the `.proto` files. A message with
//! fewer fields is compatible on the wire, and its code is smaller.

use std::collections::BTreeMap;

proxy_filter::grpc_client! {
    /// Decides about requests.
    pub struct Authorization = "envoy.service.auth.v3.Authorization" {
        /// Whether a request is allowed.
        rpc check = "Check"(CheckRequest) -> CheckResponse;
    }
}

/// The request to the authorization service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRequest {
    /// The attributes of the request.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// The request that is checked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeContext {
    /// The request on the wire.
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
    /// OK allows the request.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// The effects of the decision.
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

/// The changes or the response.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum HttpResponse {
    /// Deny, with this response.
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    /// Allow, with these changes.
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
}

/// The response to a denied request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeniedHttpResponse {
    /// Default 403.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Headers of the response.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// The body of the response.
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

/// Changes of an allowed request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OkHttpResponse {
    /// Headers for the upstream.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Headers that are removed before the request is forwarded.
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
