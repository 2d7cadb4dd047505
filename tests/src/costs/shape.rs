//! The exchange everything is measured with: a browser's `POST` and a page.
//!
//! A filter sees 13 request fields (pseudo-headers and what the host adds included), 8 response fields, 256 bytes of request body and 512
//! of response body, each in one piece that ends its message: eight callbacks for a module that exports them all.

use crate::cluster::{Cluster, Endpoint};
use crate::message::{Body, Protocol, Received, Reply, Request};
use std::sync::Arc;

/// The request's method.
pub const METHOD: &str = "POST";
/// The request's path.
pub const PATH: &str = "/api/v1/orders?page=2&sort=created";
/// The request's authority.
pub const AUTHORITY: &str = "shop.example.com";

/// The request headers the client sends; the host adds the pseudo-headers, `content-length` and `x-forwarded-proto`.
pub const REQUEST_HEADERS: [(&str, &str); 7] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.9"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("content-type", "application/json"),
    ("authorization", "Bearer 0123456789abcdef"),
    ("cookie", "session=6f1c2b7e9d; theme=dark"),
];

/// The response headers the upstream sends; the host adds `:status`, `content-length` and `x-envoy-upstream-service-time`.
pub const RESPONSE_HEADERS: [(&str, &str); 5] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "max-age=60"),
    ("etag", "\"33a64df551425fcc\""),
    ("vary", "accept-encoding"),
    ("server", "upstream/1.0"),
];

/// The request's body.
#[must_use]
pub fn request_body() -> Vec<u8> {
    b"0123456789abcdef".repeat(16)
}

/// The response's body.
#[must_use]
pub fn response_body() -> Vec<u8> {
    b"<p>0123456789</p".repeat(32)
}

/// The request.
pub(crate) fn request() -> Request {
    Request {
        protocol: Protocol::Http2,
        method: METHOD.into(),
        path: PATH.into(),
        authority: Some(AUTHORITY.into()),
        headers: REQUEST_HEADERS.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        body: Body::Sized(request_body()),
        trailers: Vec::new(),
        leave_after: None,
        answered_early: false,
        metadata: Vec::new(),
    }
}

/// The service that `auth_callout` and `auth_async` ask.
pub(crate) fn authz() -> Cluster {
    let answer = |call: &Received| match call.header("authorization") {
        Some(_) => Reply::new(200).header("x-user", "alice").header("content-type", "text/plain"),
        None => Reply::new(403),
    };
    Cluster { name: "authz".into(), endpoint: Endpoint::Server(Arc::new(answer)) }
}

/// The response.
#[must_use]
pub fn reply() -> Reply {
    let reply = Reply::new(200).body(response_body());
    RESPONSE_HEADERS.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}
