//! Several plugins, several VMs and several configurations of one [`Host`].

use crate::backend::{Plugin, Refused, Settings};
use crate::exchange::Exchange;
use crate::host::Host;
use crate::record::{Event, LogLine, VmOf};
use std::fmt;

impl Host {
    /// Adds a filter to the chain, after those that are there: another root context of the same module, in the same VM, with a configuration of
    /// its own.
    ///
    /// Requests pass the filters in order, responses in reverse; all log in order, and then one after the other ends. The first filter is
    /// that of [`root_id`](Self::root_id) and [`configure`](Self::configure).
    ///
    /// The embedded host does not play a filter beside others that holds a body or response headers; it says so when the host is dropped.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.root_id("auth");
    /// host.plugin("stamp", r#"{ "header": "x-stamp" }"#);
    /// host.configure(r#"{ "token": "secret" }"#).unwrap();
    /// # }
    /// ```
    pub fn plugin(&mut self, root_id: &str, configuration: impl fmt::Display) {
        let number = self.settings.more_plugins.len() + 2;
        self.settings.more_plugins.push(Plugin {
            name: format!("plugin{number}"),
            root_id: root_id.into(),
            configuration: configuration.to_string().into_bytes(),
        });
    }

    /// Runs the plugin as an access logger (`envoy.access_loggers.wasm`) instead of a filter: it logs the requests of the listener in
    /// [`RootContext::on_log`](proxy_filter::RootContext::on_log).
    pub fn access_logger(&mut self) {
        self.settings.access_logger = true;
    }

    /// Adds a plugin that runs once, on the main thread: a singleton service (`envoy.bootstrap.wasm`). It is another root context of the same
    /// module with the same `vm_id`, and filters nothing: it ticks, and is told of the items of the queues it registers.
    ///
    /// What it logs is that of [`VmOf::Main`].
    ///
    /// ```
    /// # use proxy_filter_host::{Host, VmOf};
    /// # fn body(mut host: Host) {
    /// host.root_id("reporter");
    /// host.service("collector", r#"{ "queue": "events" }"#);
    /// let exchange = host.get("/").send();
    /// assert_eq!(exchange.messages_of(VmOf::Main), ["one event"]);
    /// # }
    /// ```
    pub fn service(&mut self, root_id: &str, configuration: impl fmt::Display) {
        self.settings.service = Some(Plugin {
            name: "service".into(),
            root_id: root_id.into(),
            configuration: configuration.to_string().into_bytes(),
        });
    }

    /// Runs so many worker threads, each with a VM of its own, and shows all VMs: the trial (the canary, which is started and thrown away), the
    /// main thread's, and the workers'. They share data, queues and metrics, and each runs `on_start`, `on_configure` and `on_tick`.
    ///
    /// Without it there is one worker, and a test sees nothing of other VMs. With it, requests go to the workers in turn, or where
    /// [`on_worker`](crate::ExchangeBuilder::on_worker) says; the VM that registered a queue last is told of its items.
    ///
    /// The threads of a real Envoy run at the same time, and it chooses the worker. So a test with workers is compared only by what client and
    /// upstream see; what it asserts itself, about metrics for example, has to hold in any order.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.workers(2);
    /// host.configure("").unwrap();
    /// assert_eq!(host.metric("configured"), Some(4), "in the canary, on the main thread, and on two workers");
    /// # }
    /// ```
    pub fn workers(&mut self, workers: usize) {
        self.settings.workers = workers;
    }

    /// Gives the plugin a new configuration while it runs, as an update of the listener does. With several [plugins](Self::plugin) it is
    /// the first one's.
    ///
    /// A new root context is created, started and configured in each VM. New streams go to it; those that are under way
    /// ([`meanwhile`](crate::ExchangeBuilder::meanwhile)) stay with the old one. The old one is done when its last stream is over.
    ///
    /// # Errors
    /// The plugin refused it. The old configuration stays.
    pub fn reconfigure(&mut self, configuration: impl fmt::Display) -> Result<Exchange, Refused> {
        if !self.started {
            self.start()?;
        }
        let settings = Settings { configuration: configuration.to_string().into_bytes(), ..self.settings.clone() };
        match self.backend.reconfigure(&settings) {
            Ok(record) => {
                self.settings = settings;
                Ok(self.note(record))
            }
            Err(refused) => {
                self.transcript.refused.get_or_insert_default().extend(refused.events.iter().cloned());
                Err(refused)
            }
        }
    }

    /// What the plugin logged in one of its VMs while it started, if there are [several](Self::workers).
    #[must_use]
    pub fn start_logs_of(&self, of: VmOf) -> Vec<LogLine> {
        if of == VmOf::Worker(0) {
            return self.start_logs();
        }
        let events = self.started_elsewhere.iter().filter(|(found, _)| *found == of).flat_map(|(_, events)| events);
        events.filter_map(Event::log_line).cloned().collect()
    }
}
