//! A VM: one instance of the module, on a wasm engine or as native code on a thread of its own.

use super::abi::{self, Native, NativeExports};
use super::functions::Functions;
use super::process::Process;
use super::root::Stage;
use super::state::Permission;
use super::{emscripten, older, rpc, wasi};
use crate::engine::abi::Version;
use crate::engine::{self, Engine, Import, Instance, Limits, Trap, WireType};
use crate::host_profile::{Exterior, HostProfile, Quirk};
use crate::record::Event;
use crate::spent::Spent;
use proxy_filter::__private::{Export, Module as NativeModule};
use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The module to run.
#[derive(Clone)]
pub(crate) enum Guest {
    Native(NativeModule),
    Wasm(Arc<[u8]>, Engine),
    #[cfg(feature = "profile")]
    Profiled(crate::profile::Profiler),
}

/// The instructions that an instrumented module has reported.
pub(crate) type Counter = Box<dyn Fn() -> u64>;

/// A VM and the host functions its module calls.
pub(crate) struct Vm {
    /// Borrowed while the module runs, which no second callback enters.
    instance: RefCell<Box<dyn Instance>>,
    functions: Arc<Functions>,
    /// The file of a module that is wasm.
    module: Option<Arc<[u8]>>,
    /// Why the VM failed. A failed VM is never entered again.
    failed: OnceCell<Trap>,
    /// The callbacks that were entered.
    callbacks: Cell<u64>,
    /// The counter of a module that is instrumented; otherwise the engine counts.
    counter: Option<Counter>,
}

impl Vm {
    /// Loads and initialises the module.
    pub(crate) fn start(guest: &Guest, functions: Arc<Functions>) -> Result<Self, String> {
        let host = functions.state().settings.profile;
        let (bytes, engine, instrumented) = match guest {
            Guest::Native(module) => {
                // Without any filter there is nothing to refuse.
                let exports =
                    |name: &str| module.exports.is_empty() || module.exports.iter().any(|(export, _)| *export == name);
                refuse(host, &host.missing_callbacks(exports).collect::<Vec<_>>())?;
                let thread = Thread::spawn(*module, Arc::clone(&functions))?;
                return Self::initialised(Box::new(thread), functions, None, None);
            }
            Guest::Wasm(bytes, engine) => (bytes, *engine, None),
            #[cfg(feature = "profile")]
            Guest::Profiled(profiler) => (profiler.module(), Engine::default(), Some(profiler.start())),
        };
        if !host.is_envoy() {
            refuse(host, &refusals(host, bytes)?)?;
        }
        let module = engine::Module::read(bytes)?;
        let mut state = functions.state();
        state.permission = Permission::Nothing;
        state.version = module.version;
        drop(state);
        let mut imports = offered(&functions, module.version);
        imports.retain(|import| !host.not_offered().iter().any(|name| import.is(name)));
        let (hook, counter): (Option<Import>, Option<Counter>) = instrumented.unzip();
        imports.extend(hook);
        let instance = engine::load(engine, bytes, &module, imports, limits(host))?;
        Self::initialised(instance, functions, Some(Arc::clone(bytes)), counter)
    }

    fn initialised(
        instance: Box<dyn Instance>,
        functions: Arc<Functions>,
        module: Option<Arc<[u8]>>,
        counter: Option<Counter>,
    ) -> Result<Self, String> {
        let instance = RefCell::new(instance);
        let vm = Self { instance, functions, module, failed: OnceCell::new(), callbacks: Cell::new(0), counter };
        vm.initialise()?;
        Ok(vm)
    }

    /// Runs what a module runs before the host makes any context: `_initialize` and, after it, its
    /// `main`; or `_start`.
    fn initialise(&self) -> Result<(), String> {
        let reactor = self.instance.borrow().exports("_initialize");
        let mains: &[&str] =
            if self.functions.state().plays(Quirk::NoMainVoid) { &["main"] } else { &["main", "__main_void"] };
        let main = mains.iter().copied().find(|main| self.instance.borrow().exports(main));
        let start = self.instance.borrow().exports("_start").then_some("_start");
        let order = if reactor { [Some("_initialize"), main] } else { [start, None] };
        for export in order.into_iter().flatten() {
            self.functions.state().permission = Permission::Initialisation(export);
            let arguments: &[u32] = if export == "main" { &[0, 0] } else { &[] };
            let called = self.instance.borrow_mut().call(export, arguments);
            called.map_err(|trap| {
                let trap = self.explain(trap);
                format!("Function: {export} failed: {trap}")
            })?;
        }
        self.functions.state().permission = Permission::All;
        Ok(())
    }

    fn explain(&self, trap: Trap) -> Trap {
        let host = self.functions.state().settings.profile;
        engine::explain(trap, self.module.as_deref(), limits(host))
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Enters a callback for a context; `None` if the module does not export it, or the VM has
    /// failed.
    pub(crate) fn call(&self, name: &str, arguments: &[u32]) -> Option<u32> {
        if self.failed.get().is_some() || !self.instance.borrow().exports(name) {
            return None;
        }
        let (version, host) = {
            let state = self.functions.state();
            (state.version, state.settings.profile)
        };
        if host.suppresses(name) {
            return None;
        }
        let mut arguments = arguments.to_vec();
        // A callback had fewer parameters once.
        if let Some((parameters, _)) = engine::abi::signature(name, version) {
            arguments.truncate(parameters);
        }
        let is_headers = matches!(name, "proxy_on_request_headers" | "proxy_on_response_headers");
        if let Some(end) = arguments.get_mut(2).filter(|_| is_headers && host.plays(Quirk::HeadersNeverEnd)) {
            *end = 0;
        }
        let result = self.enter(name, &arguments);
        self.tell_failed();
        result
    }

    /// Runs the callbacks for calls that failed at once, after the callback that made them has
    /// returned.
    fn tell_failed(&self) {
        loop {
            // Not in the loop's condition: nothing is locked while the module runs.
            let callback = rpc::next_failed(&mut self.functions.state());
            let Some(callback) = callback else { return };
            self.tell(&callback);
        }
    }

    /// Enters a callback about a gRPC call or stream.
    pub(super) fn tell(&self, callback: &rpc::Callback) {
        let wanted = callback.is_wanted(&self.functions.state());
        if wanted {
            self.functions.state().events.concerns(callback.context);
            self.call(callback.name, &callback.arguments);
            self.functions.state().events.concerns(None);
        }
        callback.end(&mut self.functions.state());
    }

    fn enter(&self, name: &str, arguments: &[u32]) -> Option<u32> {
        let outer = self.functions.enter(name, arguments);
        self.callbacks.set(self.callbacks.get() + 1);
        let result = self.instance.borrow_mut().call(name, arguments);
        let result = result.map_err(|trap| {
            let trap = self.explain(trap);
            let mut state = self.functions.state();
            state.permission = Permission::All;
            state.events.push(Event::Trapped { why: trap.to_string() });
            let _ = self.failed.set(trap);
        });
        let result = result.ok().flatten();
        self.functions.leave(name, result, outer);
        if self.failed.get().is_none() {
            self.delete_released();
        }
        result
    }

    /// Deletes the root contexts that have said in this callback that they are done.
    fn delete_released(&self) {
        let released = self.functions.state().roots.at(Stage::Released);
        for root in released {
            // Not released any more: the callback ends like any other.
            self.functions.state().roots.set(root, Stage::Retired);
            self.functions.state().clock.set_tick_period(root, 0);
            self.call("proxy_on_delete", &[root]);
            self.functions.state().roots.remove(root);
        }
    }

    /// The costs of the module since it was loaded, without host calls.
    pub(crate) fn spent(&self) -> Spent {
        let instance = self.instance.borrow();
        let instructions = self.counter.as_ref().map_or_else(|| instance.instructions(), |counter| counter());
        let pages = instance.pages();
        Spent { callbacks: self.callbacks.get(), host_calls: 0, instructions, pages }
    }

    /// The pages of the module's memory now.
    pub(crate) fn pages(&self) -> u64 {
        self.instance.borrow().pages()
    }

    pub(crate) fn trap(&self) -> Option<&Trap> {
        self.failed.get()
    }
}

/// What a host allows a module.
fn limits(host: HostProfile) -> Limits {
    let memory = usize::try_from(host.memory()).unwrap_or(usize::MAX);
    // The limits of other hosts than Envoy are their own only if they are not Envoy's.
    let name = if host.memory() == HostProfile::default().memory() { "Envoy" } else { host.name() };
    Limits { host: name, memory, instructions: host.instructions() }
}

/// Refuses a module for these reasons.
fn refuse(host: HostProfile, reasons: &[String]) -> Result<(), String> {
    if reasons.is_empty() {
        return Ok(());
    }
    Err(format!("{host} does not load the module:\n- {}", reasons.join("\n- ")))
}

/// Why a host other than Envoy does not load a module.
fn refusals(host: HostProfile, bytes: &[u8]) -> Result<Vec<String>, String> {
    let (module, marker) = engine::Module::read_any(bytes)?;
    let (imports, exports) = module.functions();
    let foreign: Vec<_> = judge(bytes, &module).foreign.into_iter().map(|[name, ..]| name).collect();
    Ok(host.refusals(&Exterior {
        has_marker: marker.is_some(),
        imports: &imports,
        exports: &exports,
        foreign: &foreign,
        memory: module.initial_memory(),
    }))
}

/// Every function that Envoy offers a module of this version.
fn offered(functions: &Arc<Functions>, version: Version) -> Vec<Import> {
    let mut all = abi::host_functions(functions);
    all.retain(|import| version.has(import.name));
    if version == Version::V0_1_0 {
        all.extend(older::imports(functions));
    }
    all.extend(emscripten::imports(functions));
    all.extend(wasi::imports(functions));
    all
}

/// What a host says about a module's file.
pub(crate) struct Verdict {
    pub(crate) refusal: Option<String>,
    pub(crate) foreign: Vec<[String; 3]>,
}

/// Checks a module against everything that Envoy offers.
pub(crate) fn judge(bytes: &[u8], module: &engine::Module) -> Verdict {
    let mut offers = offered(&Arc::new(Functions::new(&Process::default(), 0)), module.version);
    // This host has no names to resolve, and refuses to run a module with this import.
    offers.push(Import {
        module: "env",
        name: "envoy_resolve_dns",
        parameters: vec![WireType::I32; 3],
        returns: true,
        call: Box::new(|_, _| Ok(0)),
    });
    Verdict { refusal: engine::refusal(bytes, &offers), foreign: engine::foreign(module, &offers) }
}

/// What is said of a module that panicked.
const PANIC: &str = "the filter panicked: its last log line says where";

/// Native code of a module on a thread of its own, where its thread-local state is that of one VM.
struct Thread {
    exports: Vec<&'static str>,
    calls: Sender<(Export, [u32; 5])>,
    results: Receiver<Result<u32, Trap>>,
    module: NativeModule,
}

impl Thread {
    fn spawn(module: NativeModule, functions: Arc<Functions>) -> Result<Self, String> {
        let (calls, inbox) = channel::<(Export, [u32; 5])>();
        let (outbox, results) = channel();
        let name = thread::current().name().unwrap_or("filter").to_owned();
        let body = move || {
            proxy_filter::sys::install(Some(Rc::new(Native(functions, NativeExports(module)))));
            for (export, arguments) in inbox {
                let result = catch_unwind(AssertUnwindSafe(|| export(arguments)))
                    .map_err(|panic| panic.downcast().map_or_else(|_| Trap(PANIC.into()), |trap| *trap));
                if outbox.send(result).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name(name).spawn(body).map_err(|error| error.to_string())?;
        Ok(Self { exports: module.exports.iter().map(|(name, _)| *name).collect(), calls, results, module })
    }
}

impl Instance for Thread {
    fn exports(&self, name: &str) -> bool {
        self.exports.contains(&name)
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap> {
        let export = self.module.exports.iter().find(|(export, _)| *export == name);
        let (_, export) = export.ok_or_else(|| Trap(format!("the module does not export {name}")))?;
        let mut padded = [0; 5];
        for (place, argument) in padded.iter_mut().zip(arguments) {
            *place = *argument;
        }
        let gone = || Trap("the filter's thread has ended".into());
        self.calls.send((*export, padded)).map_err(|_| gone())?;
        let result = self.results.recv().map_err(|_| gone())??;
        Ok(engine::abi::signature(name, Version::default()).is_some_and(|(_, has_result)| has_result).then_some(result))
    }
}
