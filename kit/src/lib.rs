//! Building blocks of real proxy filters.
//!
//! Each block is a module behind a feature of the same name. No feature is on by default. The
//! blocks take and return bytes and text. A filter can therefore use them in callbacks and in async
//! functions, and test them with plain `cargo test`.
//!
//! - No block panics, for any bytes of a client or a host.
//! - No block stores more memory than its documentation says.
//! - No block reads a clock or a source of random numbers: the filter passes their values.
//!
//! ```toml
//! [dependencies]
//! proxy-filter-kit = { version = "0.1", features = ["request"] }
//! ```

#[cfg(feature = "aws_event_stream")]
pub mod aws_event_stream;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "circuit_breaker")]
pub mod circuit_breaker;
#[cfg(feature = "client_address")]
pub mod client_address;
#[cfg(feature = "content_encoding")]
pub mod content_encoding;
#[cfg(feature = "cors")]
pub mod cors;
#[cfg(any(feature = "log_line", feature = "signature"))]
mod date;
#[cfg(feature = "edit")]
pub mod edit;
#[cfg(feature = "event_stream")]
pub mod event_stream;
#[cfg(feature = "hedge")]
pub mod hedge;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "json_lines")]
pub mod json_lines;
#[cfg(any(
    feature = "jwt_hs",
    feature = "jwt_rs",
    feature = "jwt_ps",
    feature = "jwt_es256",
    feature = "jwt_es384",
    feature = "jwt_eddsa"
))]
pub mod jwt;
#[cfg(feature = "llm_text")]
pub mod llm_text;
#[cfg(feature = "llm_usage")]
pub mod llm_usage;
#[cfg(feature = "log_line")]
pub mod log_line;
#[cfg(feature = "multipart")]
pub mod multipart;
#[cfg(feature = "problem")]
pub mod problem;
#[cfg(feature = "rate_limit")]
pub mod rate_limit;
#[cfg(feature = "request")]
pub mod request;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "route_config")]
pub mod route_config;
#[cfg(feature = "security_headers")]
pub mod security_headers;
#[cfg(feature = "signature")]
pub mod signature;
#[cfg(feature = "single_flight")]
pub mod single_flight;
#[cfg(feature = "trace")]
pub mod trace;

#[cfg(test)]
mod tests;
