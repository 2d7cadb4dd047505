//! The example `http_auth_async`, for the scenarios that it shares with [its like made of
//! callbacks](../auth_callbacks.rs).

#[path = "../../../examples/http_auth_async/src/lib.rs"]
mod example;

pub use example::*;
