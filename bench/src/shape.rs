//! The exchange everything is measured with: a browser's `POST` and a page.
//!
//! A filter sees 13 request fields (including pseudo-headers and those that the host adds), 8
//! response fields, 256 bytes of request body and 512 of response body. Each body is one chunk that
//! ends its message: eight callbacks for a module that exports all.

use proxy_filter_host::{Protocol, Received, Reply, Request};

/// The request's method.
pub const METHOD: &str = "POST";
/// The request's path.
pub const PATH: &str = "/api/v1/orders?page=2&sort=created";
/// The request's authority.
pub const AUTHORITY: &str = "shop.example.com";

/// The request headers the client sends; the host adds the pseudo-headers, `content-length` and
/// `x-forwarded-proto`.
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

/// The response headers the upstream sends; the host adds `:status`, `content-length` and
/// `x-envoy-upstream-service-time`.
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
    let request = Request::new(METHOD, PATH, AUTHORITY).protocol(Protocol::Http2).body(request_body());
    REQUEST_HEADERS.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// The response of the service that `auth_callout` and `auth_async` call.
pub(crate) fn authz(call: &Received) -> Reply {
    match call.header("authorization") {
        Some(_) => Reply::new(200).header("x-user", "alice").header("content-type", "text/plain"),
        None => Reply::new(403),
    }
}

/// The response.
#[must_use]
pub fn reply() -> Reply {
    let reply = Reply::new(200).body(response_body());
    RESPONSE_HEADERS.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}
