//! [`Metered`]: a plugin in the embedded host, with its instructions, callbacks and host calls
//! counted.

use crate::backend::{Answer, Backend, ConfigureError, Settings};
use crate::cluster::{Cluster, Endpoint};
use crate::embedded::{Embedded, Guest};
use crate::engine::Engine;
use crate::message::{Received, Reply, Request};
use crate::spent::Spent;
use proxy_filter::log::LogLevel;
use std::sync::Arc;

/// A plugin that runs on [`Engine::Counting`] or another engine, and the host counts what it does.
///
/// It has no configuration and logs at info. The benchmarks of this repository are built on it.
pub struct Metered {
    host: Embedded,
    upstream: Answer,
    /// What was counted at the last measurement.
    taken: Spent,
}

impl Metered {
    /// Starts a plugin: its upstream sends this response, and the cluster of this name responds
    /// with `service`.
    ///
    /// # Errors
    /// The host refuses the module.
    pub fn start(
        module: &[u8],
        engine: Engine,
        upstream: Reply,
        cluster: &str,
        service: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self, ConfigureError> {
        let mut host = Embedded::new(Guest::Wasm(module.into(), engine));
        let cluster = Cluster { name: cluster.into(), endpoint: Endpoint::Server(Arc::new(service)) };
        let settings = Settings { log_level: LogLevel::Info, clusters: vec![cluster], ..Settings::default() };
        host.start(&settings)?;
        Ok(Self { host, upstream: Arc::new(move |_| upstream.clone()), taken: Spent::default() })
    }

    /// Plays one exchange and returns its costs, from the creation of its context to its deletion.
    pub fn exchange(&mut self, request: &Request) -> Spent {
        let spent = self.host.exchange(request, &self.upstream).spent;
        self.taken = self.host.spent();
        spent
    }

    /// Returns what was counted since the last measurement, without host calls, and begins again.
    pub fn take(&mut self) -> Spent {
        let before = std::mem::replace(&mut self.taken, self.host.spent());
        self.taken.since(before)
    }

    /// Creates streams that stay open and get no further callback.
    ///
    /// `exports_create` says whether the module exports `proxy_on_context_create`. Without that
    /// export, a stream's first callback is that of its response headers.
    pub fn create_streams(&mut self, count: u32, exports_create: bool) {
        self.host.create_streams(count, exports_create);
    }
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered").finish_non_exhaustive()
    }
}
