//! The filters of a stream: several plugins of one VM, in the order of the configuration.

use super::exchange::{Ended, Exchange};
use super::stream::{Filter, Phase, Which};
use crate::message::{Fields, Protocol};

impl Exchange<'_> {
    /// The contexts that a message passes: a request's in order, a response's in reverse and only
    /// those that the module knows.
    pub(super) fn chain(&self, which: Which) -> Vec<u32> {
        let filters = self.filters();
        match which {
            Which::Request => filters.iter().map(|filter| filter.id).collect(),
            Which::Response => filters.iter().rev().filter(|filter| filter.created).map(|filter| filter.id).collect(),
        }
    }

    fn filters(&self) -> Vec<Filter> {
        self.functions.state().stream.as_ref().map(|stream| stream.filters.clone()).unwrap_or_default()
    }

    /// A METADATA frame of HTTP/2 passes: whatever the filters say, it goes on.
    pub(super) fn metadata(&mut self, which: Which, entries: &Fields) -> Result<(), Ended> {
        let allowed = self.functions.state().settings.allow_metadata && self.request.protocol == Protocol::Http2;
        if entries.is_empty() || !allowed {
            return Ok(());
        }
        for filter in self.chain(which) {
            self.filter = filter;
            let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            self.callback(Phase::Idle, &which.name("metadata"), &[count])?;
        }
        Ok(())
    }

    /// Makes the context of the filter, unless the module has it already.
    pub(super) fn create(&mut self) {
        let id = self.filter;
        let new = {
            let mut state = self.functions.state();
            let filters = state.stream.iter_mut().flat_map(|stream| &mut stream.filters);
            let mut new = filters.filter(|filter| filter.id == id && !filter.created);
            new.next().map(|filter| {
                filter.created = true;
                filter.root
            })
        };
        if let Some(root) = new {
            self.vm.call("proxy_on_context_create", &[id, root]);
        }
    }

    /// The end of each filter: all log, then one after the other goes.
    pub(super) fn close_filters(&mut self) {
        let filters = self.chain(Which::Request);
        for filter in &filters {
            self.filter = *filter;
            // A request that did not reach the filter is logged all the same.
            self.create();
            let _ = self.callback(Phase::Log, "proxy_on_log", &[]);
        }
        self.log_access();
        for filter in filters {
            self.filter = filter;
            let _ = self.callback(Phase::Done, "proxy_on_done", &[]);
            let _ = self.callback(Phase::Delete, "proxy_on_delete", &[]);
        }
    }

    /// An access logger has no context of the stream: its root context logs.
    fn log_access(&mut self) {
        let logger = {
            let mut state = self.functions.state();
            let roots = if state.settings.access_logger { state.roots.serving(1) } else { Vec::new() };
            let Some(stream) = &mut state.stream else { return };
            stream.logger = roots.first().copied();
            stream.logger
        };
        if let Some(root) = logger {
            self.filter = root;
            let _ = self.callback(Phase::Log, "proxy_on_log", &[]);
        }
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logger = None;
        }
    }
}
