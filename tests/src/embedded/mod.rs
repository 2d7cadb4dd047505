//! The embedded host: the life of a plugin, of HTTP streams and of TCP connections, as Envoy 1.40 plays it.

pub(crate) mod abi;
mod access;
mod attribute;
mod body;
mod callout;
mod event;
mod exchange;
mod fields;
mod foreign;
mod functions;
mod grpc_service;
mod happening;
mod incoming;
mod metadata;
#[cfg(feature = "wasmtime")]
mod meter;
mod metric;
mod pause;
mod property;
mod reply;
mod rpc;
mod rpc_server;
mod shared;
mod state;
mod tcp;
mod time;
mod vm;
mod wire;

pub(crate) use vm::Guest;

use crate::backend::{Answer, Backend, Refused, Settings};
use crate::connection::{ConnectionRecord, Step};
use crate::message::{Received, Request};
use crate::record::{Event, Record};
use exchange::Exchange;
use functions::Functions;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vm::Vm;

/// The id of the root context. Streams are numbered after it.
const ROOT: u32 = 1;

/// The embedded host with one plugin in one VM.
pub(crate) struct Embedded {
    guest: Guest,
    functions: Arc<Functions>,
    vm: Option<Vm>,
    next_context: u32,
}

impl Embedded {
    pub(crate) fn new(guest: Guest) -> Self {
        Self { guest, functions: Arc::new(Functions::new()), vm: None, next_context: ROOT }
    }

    fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.functions.state().events)
    }

    fn calls(&self) -> BTreeMap<String, Vec<Received>> {
        self.functions.state().callouts.take_received()
    }

    fn size(bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap_or(u32::MAX)
    }

    /// Creates, starts and configures the root context. Why not, otherwise.
    fn start_root(&mut self, settings: &Settings) -> Result<Vm, String> {
        self.functions = Arc::new(Functions::new());
        self.functions.state().settings = settings.clone();
        let mut vm = Vm::start(&self.guest, Arc::clone(&self.functions))?;
        self.next_context = ROOT + 1;
        self.functions.state().root = ROOT;
        vm.call("proxy_on_context_create", &[ROOT, 0]);
        let started = vm.call("proxy_on_vm_start", &[ROOT, Self::size(&settings.vm_configuration)]);
        let trapped = |vm: &Vm| vm.trap().map_or(Ok(()), |trap| Err(format!("the VM failed: {trap}")));
        trapped(&vm)?;
        if started == Some(0) {
            return Err("Failed to start base Wasm".into());
        }
        self.functions.state().configuring = true;
        let configured = vm.call("proxy_on_configure", &[ROOT, Self::size(&settings.configuration)]);
        self.functions.state().configuring = false;
        trapped(&vm)?;
        if configured == Some(0) {
            return Err("Failed to configure base Wasm plugin".into());
        }
        time::tell(&mut vm, &self.functions, ROOT);
        event::deliver_due(&mut vm, &self.functions);
        Ok(vm)
    }
}

impl Backend for Embedded {
    fn start(&mut self, settings: &Settings) -> Result<Vec<Event>, Refused> {
        match self.start_root(settings) {
            Ok(vm) => {
                self.vm = Some(vm);
                Ok(self.events())
            }
            Err(reason) => {
                self.vm = None;
                Err(Refused { events: self.events(), reason })
            }
        }
    }

    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
        let Some(vm) = &mut self.vm else { return Record::default() };
        let id = self.next_context;
        self.next_context += 1;
        self.functions.state().callouts.take_received();
        let (response, upstream) = Exchange::new(vm, &self.functions, id, request).play(answer);
        Record { response, upstream, calls: self.calls(), events: self.events(), failure: None }
    }

    fn connection(&mut self, script: &[Step]) -> ConnectionRecord {
        let Some(vm) = &mut self.vm else { return ConnectionRecord::default() };
        let id = self.next_context;
        self.next_context += 1;
        self.functions.state().callouts.take_received();
        let moments = tcp::Connection::new(vm, &self.functions, id).play(script);
        self.functions.state().stream = None;
        ConnectionRecord { moments, events: self.events(), failure: None }
    }

    fn advance(&mut self, by: Duration) -> Record {
        self.functions.state().callouts.take_received();
        if let Some(vm) = &mut self.vm {
            time::advance(vm, &self.functions, ROOT, by);
        }
        Record { calls: self.calls(), events: self.events(), ..Record::default() }
    }

    fn metric(&mut self, name: &str) -> Option<u64> {
        self.functions.state().metrics.named(name)
    }

    fn stop(&mut self) -> Vec<Event> {
        if let Some(mut vm) = self.vm.take()
            && vm.call("proxy_on_done", &[ROOT]) != Some(0)
        {
            vm.call("proxy_on_delete", &[ROOT]);
        }
        self.events()
    }

    fn violations(&self) -> Vec<String> {
        self.functions.state().violations.clone()
    }
}
