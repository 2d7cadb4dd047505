//! The example `http_auth_callout`, for the scenarios that it shares with [its like made of an
//! async function](../auth_async.rs).

#[path = "../../../examples/http_auth_callout/src/lib.rs"]
mod example;

pub use example::*;
