//! The engine `wasmtime`: it compiles a module to machine code before it runs.

use super::abi;
use super::module::{self, Module as Read};
use super::{Import, Instance, Limits, Memory, Reentrant, Trap, WireType};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use wasmparser::WasmFeatures;
use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, Func, FuncType, Linker, Module, Ref, Store, StoreLimits,
    StoreLimitsBuilder, Table, Val, ValType,
};

/// More than any test uses.
const FUEL: u64 = 1 << 62;

/// What V8 has and this engine has not.
const LACKS: [(WasmFeatures, &str); 1] = [(WasmFeatures::LEGACY_EXCEPTIONS, "exceptions in their first form")];

/// What the store keeps for the host.
struct Kept {
    limits: StoreLimits,
    memory: Option<wasmtime::Memory>,
    /// The export with which the module allocates what the host returns.
    allocator: Option<Func>,
}

/// A module that was compiled: its file, whether it counts, and what became of it.
type Compiled = (Arc<[u8]>, bool, Engine, Module);

/// The modules that were compiled last: each worker of a server starts the same one. Compiling
/// takes much longer than the rest of a start.
static LAST: Mutex<VecDeque<Compiled>> = Mutex::new(VecDeque::new());

/// How many modules are kept: those of a chain.
const KEPT: usize = 4;

/// Compiles a module, unless it is one of the last.
fn compiled(bytes: &Arc<[u8]>, read: &Read, counting: bool) -> Result<(Engine, Module), String> {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let known = last.iter().find(|(file, counts, ..)| *counts == counting && file == bytes);
    if let Some((_, _, engine, module)) = known {
        return Ok((engine.clone(), module.clone()));
    }
    let mut config = Config::new();
    config.consume_fuel(counting);
    let engine = Engine::new(&config).map_err(|error| error.to_string())?;
    let module = Module::new(&engine, read.without_shared_memory(bytes))
        .map_err(|error| module::refused(bytes, "wasmtime", &LACKS, &format!("{error:#}")))?;
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back((Arc::clone(bytes), counting, engine.clone(), module.clone()));
    Ok((engine, module))
}

pub(super) fn load(
    bytes: &Arc<[u8]>,
    read: &Read,
    imports: Vec<Import>,
    limits: Limits,
    counting: bool,
) -> Result<Box<dyn Instance>, String> {
    let (engine, module) = compiled(bytes, read, counting)?;
    let most = StoreLimitsBuilder::new().memory_size(limits.memory).build();
    let mut store = Store::new(&engine, Kept { limits: most, memory: None, allocator: None });
    store.limiter(|kept| &mut kept.limits);
    if counting {
        store.set_fuel(FUEL).map_err(|error| error.to_string())?;
    }
    let mut linker = <Linker<Kept>>::new(&engine);
    for import in imports {
        define(&engine, &mut linker, import)?;
    }
    let instantiation = |error: wasmtime::Error| format!("Failed to create new Wasm instance: {}", error.root_cause());
    for import in module.imports() {
        let made = match import.ty() {
            ExternType::Memory(ty) => {
                let memory = wasmtime::Memory::new(&mut store, ty).map_err(instantiation)?;
                store.data_mut().memory = Some(memory);
                Extern::Memory(memory)
            }
            ExternType::Table(ty) => {
                let null = Ref::null(ty.element().heap_type());
                Extern::Table(Table::new(&mut store, ty, null).map_err(instantiation)?)
            }
            _ => continue,
        };
        linker.define(&mut store, import.module(), import.name(), made).map_err(|error| error.to_string())?;
    }
    let instance = linker.instantiate(&mut store, &module).map_err(instantiation)?;
    if let Some(memory) = read.exported_memory().and_then(|name| instance.get_memory(&mut store, name)) {
        store.data_mut().memory = Some(memory);
    }
    store.data_mut().allocator = abi::ALLOCATORS.iter().find_map(|name| instance.get_func(&mut store, name));
    let exports: Vec<_> =
        instance.exports(&mut store).map(|export| (export.name().to_owned(), export.into_func())).collect();
    let results = |function: Func| (function, function.ty(&store).results().len());
    let functions = exports.into_iter().filter_map(|(name, function)| Some((name, results(function?)))).collect();
    Ok(Box::new(Wasmtime { store, functions, counting, limits, spent: 0 }))
}

fn define(engine: &Engine, linker: &mut Linker<Kept>, import: Import) -> Result<(), String> {
    let parameters = import.parameters.iter().map(|parameter| match parameter {
        WireType::I32 => ValType::I32,
        WireType::I64 => ValType::I64,
    });
    let ty = FuncType::new(engine, parameters, import.returns.then_some(ValType::I32));
    let Import { module, name, call, .. } = import;
    let body = move |caller: Caller<'_, Kept>, arguments: &[Val], results: &mut [Val]| -> wasmtime::Result<()> {
        let arguments: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Val::I32(number) => u64::from(number.cast_unsigned()),
                Val::I64(number) => number.cast_unsigned(),
                _ => 0,
            })
            .collect();
        let status = call(&mut Guest::new(caller), &arguments).map_err(|Trap(why)| wasmtime::Error::msg(why))?;
        if let Some(result) = results.first_mut() {
            *result = Val::I32(status.cast_signed());
        }
        Ok(())
    };
    linker.func_new(module, name, ty, body).map(|_| ()).map_err(|error| error.to_string())
}

struct Guest<'a> {
    caller: Caller<'a, Kept>,
    memory: Option<wasmtime::Memory>,
}

impl<'a> Guest<'a> {
    fn new(caller: Caller<'a, Kept>) -> Self {
        let memory = caller.data().memory;
        Self { caller, memory }
    }
}

impl Reentrant for Guest<'_> {
    fn exports(&mut self, name: &str) -> bool {
        self.caller.get_export(name).and_then(Extern::into_func).is_some()
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<(), Trap> {
        let Some(function) = self.caller.get_export(name).and_then(Extern::into_func) else { return Ok(()) };
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        function.call(&mut self.caller, &arguments, &mut []).map_err(|error| Trap(error.to_string()))
    }
}

impl Memory for Guest<'_> {
    fn exists(&self) -> bool {
        self.memory.is_some()
    }

    fn read(&self, pointer: u32, size: u32) -> Option<Vec<u8>> {
        let start = pointer as usize;
        let end = start.checked_add(size as usize)?;
        self.memory?.data(&self.caller).get(start..end).map(<[u8]>::to_vec)
    }

    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Option<()> {
        let start = pointer as usize;
        let end = start.checked_add(bytes.len())?;
        let memory = self.memory?;
        memory.data_mut(&mut self.caller).get_mut(start..end)?.copy_from_slice(bytes);
        Some(())
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let Some(allocator) = self.caller.data().allocator else { return Ok(0) };
        let mut result = [Val::I32(0)];
        allocator
            .call(&mut self.caller, &[Val::I32(size.cast_signed())], &mut result)
            .map_err(|error| Trap(error.to_string()))?;
        match result {
            [Val::I32(pointer)] => Ok(pointer.cast_unsigned()),
            _ => Ok(0),
        }
    }
}

struct Wasmtime {
    store: Store<Kept>,
    /// The exports, and how many results each has.
    functions: BTreeMap<String, (Func, usize)>,
    counting: bool,
    limits: Limits,
    /// The instructions of the callbacks whose number is limited.
    spent: u64,
}

impl Wasmtime {
    /// Calls a function, which may execute this number of instructions if there is one.
    fn call_within(
        &mut self,
        most: Option<u64>,
        function: Func,
        arguments: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let Some(most) = most else { return function.call(&mut self.store, arguments, results) };
        let unlimited = self.store.get_fuel()?;
        self.store.set_fuel(most)?;
        let called = function.call(&mut self.store, arguments, results);
        self.spent += most.saturating_sub(self.store.get_fuel()?);
        self.store.set_fuel(unlimited)?;
        called
    }
}

impl Instance for Wasmtime {
    fn exports(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap> {
        let (function, results) =
            *self.functions.get(name).ok_or_else(|| Trap(format!("the module does not export {name}")))?;
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        let mut results = vec![Val::I32(0); results];
        let most = self.limits.instructions_of(name).filter(|_| self.counting);
        self.call_within(most, function, &arguments, &mut results).map_err(|error| match most {
            Some(most) if error.downcast_ref() == Some(&wasmtime::Trap::OutOfFuel) => self.limits.exceeded(name, most),
            _ => Trap(error.root_cause().to_string()),
        })?;
        Ok(match results.first() {
            Some(Val::I32(result)) => Some(result.cast_unsigned()),
            _ => None,
        })
    }

    fn instructions(&self) -> u64 {
        if self.counting { self.spent + FUEL.saturating_sub(self.store.get_fuel().unwrap_or(FUEL)) } else { 0 }
    }

    fn pages(&self) -> u64 {
        self.store.data().memory.map_or(0, |memory| memory.size(&self.store))
    }
}
