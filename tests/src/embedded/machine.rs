//! One VM of the process, with the contexts in it.

use super::event;
use super::functions::Functions;
use super::random::Random;
use super::root::Stage;
use super::stream::{Filter, Stream};
use super::vm::{Guest, Vm};
use crate::backend::{ConfigureError, Plugin, Settings};
use crate::record::{Event, VmRole};
use std::rc::Rc;
use std::sync::Arc;

/// The id of the first context of a VM. Root contexts and streams are counted together.
const FIRST: u32 = 1;

/// The position of the service: beyond every chain.
const SERVICE: usize = usize::MAX;

/// A VM that runs.
pub(super) struct Machine {
    pub(super) of: VmRole,
    pub(super) vm: Rc<Vm>,
    pub(super) functions: Arc<Functions>,
    pub(super) next_context: u32,
    /// How many streams there have been.
    streams: u64,
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Machine {
    /// Loads the module and starts each plugin. What the module did until it was refused,
    /// otherwise.
    pub(super) fn boot(
        guest: &Guest,
        functions: Arc<Functions>,
        of: VmRole,
        settings: &Settings,
    ) -> Result<Self, ConfigureError> {
        {
            let mut state = functions.state();
            state.settings = settings.clone();
            state.random = Random::new(settings.random_seed, state.vm);
        }
        let refused = |reason: String| ConfigureError { events: functions.state().events.take(), reason };
        let vm = Rc::new(Vm::start(guest, Arc::clone(&functions)).map_err(refused)?);
        let mut machine = Self { of, vm, functions, next_context: FIRST, streams: 0 };
        // Without workers that a test sees, the main thread has nothing but the service.
        if of == VmRole::Main && settings.workers == 0 {
            return Ok(machine);
        }
        for (position, plugin) in settings.plugins().into_iter().enumerate() {
            machine.start_root(position, plugin)?;
        }
        Ok(machine)
    }

    /// Starts a plugin that filters nothing.
    pub(super) fn start_service(&mut self, service: Plugin) -> Result<(), ConfigureError> {
        self.start_root(SERVICE, service)
    }

    /// Creates, starts and configures a root context. The one that was at this position of the
    /// chain is retired.
    pub(super) fn start_root(&mut self, position: usize, plugin: Plugin) -> Result<(), ConfigureError> {
        let id = self.next_id();
        let configuration = size(&plugin.configuration);
        let vm_configuration = {
            let mut state = self.functions.state();
            state.roots.add(id, position, plugin);
            size(&state.settings.vm_configuration)
        };
        self.vm.call("proxy_on_context_create", &[id, 0]);
        self.functions.state().starting = true;
        let started = self.vm.call("proxy_on_vm_start", &[id, vm_configuration]);
        self.check(started != Some(0), "Failed to start base Wasm")?;
        self.functions.state().configuring = true;
        let configured = self.vm.call("proxy_on_configure", &[id, configuration]);
        {
            let mut state = self.functions.state();
            (state.starting, state.configuring) = (false, false);
        }
        self.check(configured != Some(0), "Failed to configure base Wasm plugin")?;
        self.functions.state().roots.serve(id);
        event::tell(&self.vm, &self.functions);
        event::deliver_due(&self.vm, &self.functions);
        Ok(())
    }

    fn check(&self, accepted: bool, reason: &str) -> Result<(), ConfigureError> {
        let reason = match self.vm.trap() {
            Some(trap) => format!("the VM failed: {trap}"),
            None if accepted => return Ok(()),
            None => reason.to_owned(),
        };
        Err(ConfigureError { events: self.events(), reason })
    }

    const fn next_id(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        id
    }

    /// A stream with a context for each filter.
    pub(super) fn new_stream(&mut self) -> Stream {
        let roots = {
            let state = self.functions.state();
            if state.settings.access_logger { Vec::new() } else { state.roots.serving(SERVICE) }
        };
        let filters = roots.into_iter().map(|root| Filter::new(self.next_id(), root));
        let filters: Vec<Filter> = filters.collect();
        let mut stream = Stream::new(filters.first().map_or(self.next_context, |filter| filter.id));
        self.streams += 1;
        stream.number = self.streams;
        stream.filters = filters;
        stream.info.ipv6 = self.functions.state().settings.ipv6;
        stream
    }

    /// Ends the retired root contexts that no stream needs any more.
    pub(super) fn end_retired(&self) {
        let retired = self.functions.state().roots.at(Stage::Retired);
        for id in retired {
            let needed = {
                let state = self.functions.state();
                let mut streams = state.stream.iter().chain(&state.parked);
                streams.any(|stream| stream.filters.iter().any(|filter| filter.root == id))
            };
            if !needed {
                end(&self.vm, &self.functions, id);
            }
        }
    }

    /// Ends all root contexts with the VM, including one whose `on_done` delays its end.
    pub(super) fn stop(&mut self) {
        for stage in [Stage::Retired, Stage::Serving] {
            let roots = self.functions.state().roots.at(stage);
            for id in roots {
                end(&self.vm, &self.functions, id);
            }
        }
    }

    /// Catches up with the other VMs: time that has passed there, and items for queues of this one.
    pub(super) fn catch_up(&mut self, now: std::time::Duration) {
        event::advance(&self.vm, &self.functions, now);
    }

    /// The events of the module since the previous call.
    pub(super) fn events(&self) -> Vec<Event> {
        self.functions.state().events.take()
    }
}

/// Ends a root context without streams, unless it delays its end. Then its tick continues.
fn end(vm: &Vm, functions: &Functions, id: u32) {
    if vm.call("proxy_on_done", &[id]) == Some(0) {
        functions.state().roots.set(id, Stage::Waiting);
    } else {
        functions.state().clock.set_tick_period(id, 0);
        vm.call("proxy_on_delete", &[id]);
        functions.state().roots.remove(id);
    }
}
