//! The costs of filters: bytes, callbacks, host calls, instructions and memory, each beside the
//! peer's and the floor's.
//!
//! The behaviours of `FILTERS` exist three times, as packages under `bench/filters`: on this SDK,
//! on `proxy-wasm` 0.2.5 and by hand. They are built together and run in the embedded host on
//! `Engine::Counting`, so that every figure is exact and the same on every machine.
//! `cargo costs` prints them; a test compares ours with the file `bench/costs.json`.

#![cfg(feature = "wasmtime")]

pub mod allocators;
pub mod blocks;
pub mod build;
pub mod build_time;
pub mod envoy;
pub mod growth;
pub mod ledger;
pub mod measure;
mod optimise;
pub mod shape;
pub mod table;

use std::fmt;

/// The behaviours of the bench filters: the names of the modules without their prefix.
///
/// * `noop` is registered and implements nothing;
/// * `add_header` adds one response header;
/// * `check_auth` moves the bearer token from `authorization` to `x-user`, or replies with 401;
/// * `body_rewrite` drops `content-length`, buffers the response's body and replaces it;
/// * `dump_headers` logs every request and response header at info;
/// * `auth_callout` calls a service for every request, and sends the user to the upstream, or
///   replies with 403;
/// * `auth_async` does the same as one async function; the floor's and the peer's are
///   `auth_callout` again.
pub const FILTERS: [&str; 7] =
    ["noop", "add_header", "check_auth", "body_rewrite", "dump_headers", "auth_callout", "auth_async"];

/// The maker of a bench filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Maker {
    /// An expert by hand, against the raw ABI and without the standard library.
    Floor,
    /// This SDK.
    Ours,
    /// `proxy-wasm` 0.2.5.
    Peer,
}

impl Maker {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Floor, Self::Ours, Self::Peer];

    /// The name, which is also the prefix of the modules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }

    /// The package with the filters.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Floor => "proxy-filter-bench-floor",
            Self::Ours => "proxy-filter-bench-ours",
            Self::Peer => "proxy-filter-bench-peer",
        }
    }

    /// The module with this filter. Only ours has async functions: theirs beside `auth_async` is
    /// `auth_callout` again.
    #[must_use]
    pub fn module(self, filter: &str) -> String {
        match (self, filter) {
            (Self::Floor | Self::Peer, "auth_async") => format!("{self}_auth_callout"),
            _ => format!("{self}_{filter}"),
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The reason why a measurement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    pub(crate) fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}
