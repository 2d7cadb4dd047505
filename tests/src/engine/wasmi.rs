//! The engine `wasmi`: an interpreter that builds in seconds.

use super::abi;
use super::exhausted;
use super::module::{self, Module as Read};
use super::{Import, Instance, Limits, Memory, Reentrant, Trap, WireType};
use std::cell::RefCell;
use std::sync::Arc;
use wasmi::{
    Caller, Config, CustomFuelCosts, Engine, Extern, ExternType, Func, FuncType, Linker, Module, Ref, Store,
    StoreLimits, StoreLimitsBuilder, Table, TrapCode, Val, ValType,
};
use wasmparser::WasmFeatures;

/// What V8 has and this engine has not.
const LACKS: [(WasmFeatures, &str); 5] = [
    (WasmFeatures::THREADS, "atomic instructions or shared memory"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "exceptions in their first form"),
    (WasmFeatures::FUNCTION_REFERENCES, "typed references to functions"),
    (WasmFeatures::GC, "garbage-collected types"),
];

/// More than any module uses: it counts, and limits nothing.
const FUEL: u64 = u64::MAX;

/// What the store keeps for the host.
struct Kept {
    limits: StoreLimits,
    memory: Option<wasmi::Memory>,
}

/// A module that was compiled, with its file.
type Compiled = (Arc<[u8]>, Engine, Module);

thread_local! {
    /// The module that was loaded last: a test starts the same one again and again.
    static LAST: RefCell<Option<Compiled>> = const { RefCell::new(None) };
}

/// Compiles a module, unless it is the last one.
fn compiled(bytes: &Arc<[u8]>) -> Result<(Engine, Module), String> {
    let last = LAST.with_borrow(|last| {
        let (_, engine, module) = last.as_ref().filter(|(file, ..)| Arc::ptr_eq(file, bytes))?;
        Some((engine.clone(), module.clone()))
    });
    last.map_or_else(|| compile(bytes), Ok)
}

fn compile(bytes: &Arc<[u8]>) -> Result<(Engine, Module), String> {
    let mut config = Config::default();
    config.set_max_recursion_depth(exhausted::DEPTH);
    config.set_max_stack_height(exhausted::HEIGHT);
    config.consume_fuel(true);
    // Functions are translated when they are called first, which is no cost of the module.
    config.fuel_cost(CustomFuelCosts {
        bytes_copied_per_fuel: 1,
        fuel_per_bytes_translated: 0,
        fuel_per_bytes_validated: 0,
    });
    let engine = Engine::new(&config);
    let module =
        Module::new(&engine, bytes).map_err(|error| module::refused(bytes, "wasmi", &LACKS, &error.to_string()))?;
    LAST.set(Some((Arc::clone(bytes), engine.clone(), module.clone())));
    Ok((engine, module))
}

pub(super) fn load(
    bytes: &Arc<[u8]>,
    read: &Read,
    imports: Vec<Import>,
    limits: Limits,
) -> Result<Box<dyn Instance>, String> {
    let (engine, module) = compiled(bytes)?;
    let kept = Kept { limits: StoreLimitsBuilder::new().memory_size(limits.memory).build(), memory: None };
    let mut store = Store::new(&engine, kept);
    store.limiter(|kept| &mut kept.limits);
    store.set_fuel(FUEL).map_err(|error| error.to_string())?;
    let mut linker = <Linker<Kept>>::new(&engine);
    for import in imports {
        define(&mut linker, import)?;
    }
    let instantiation = |error: wasmi::Error| format!("Failed to create new Wasm instance: {error}");
    for import in module.imports() {
        let made = match import.ty() {
            ExternType::Memory(ty) => {
                let memory = wasmi::Memory::new(&mut store, *ty).map_err(instantiation)?;
                store.data_mut().memory = Some(memory);
                Extern::Memory(memory)
            }
            ExternType::Table(ty) => {
                let null = Ref::null(ty.element());
                Extern::Table(Table::new(&mut store, *ty, null).map_err(instantiation)?)
            }
            ExternType::Func(_) | ExternType::Global(_) => continue,
        };
        linker.define(import.module(), import.name(), made).map_err(|error| error.to_string())?;
    }
    let instance = linker.instantiate_and_start(&mut store, &module).map_err(instantiation)?;
    if let Some(memory) = read.exported_memory().and_then(|name| instance.get_memory(&store, name)) {
        store.data_mut().memory = Some(memory);
    }
    Ok(Box::new(Wasmi { store, instance, limits, spent: 0 }))
}

fn define(linker: &mut Linker<Kept>, import: Import) -> Result<(), String> {
    let parameters = import.parameters.iter().map(|parameter| match parameter {
        WireType::I32 => ValType::I32,
        WireType::I64 => ValType::I64,
    });
    let ty = FuncType::new(parameters, import.returns.then_some(ValType::I32));
    let Import { module, name, call, .. } = import;
    let body = move |caller: Caller<'_, Kept>, arguments: &[Val], results: &mut [Val]| -> Result<(), wasmi::Error> {
        let arguments: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Val::I32(number) => u64::from(number.cast_unsigned()),
                Val::I64(number) => number.cast_unsigned(),
                _ => 0,
            })
            .collect();
        let status = call(&mut Guest { caller }, &arguments).map_err(|Trap(why)| wasmi::Error::new(why))?;
        if let Some(result) = results.first_mut() {
            *result = Val::I32(status.cast_signed());
        }
        Ok(())
    };
    linker.func_new(module, name, ty, body).map(|_| ()).map_err(|error| error.to_string())
}

struct Guest<'a> {
    caller: Caller<'a, Kept>,
}

impl Guest<'_> {
    fn memory(&self) -> Option<wasmi::Memory> {
        self.caller.data().memory
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
        self.memory().is_some()
    }

    fn read(&self, pointer: u32, size: u32) -> Option<Vec<u8>> {
        let start = pointer as usize;
        let end = start.checked_add(size as usize)?;
        self.memory()?.data(&self.caller).get(start..end).map(<[u8]>::to_vec)
    }

    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Option<()> {
        let start = pointer as usize;
        let end = start.checked_add(bytes.len())?;
        let memory = self.memory()?;
        memory.data_mut(&mut self.caller).get_mut(start..end)?.copy_from_slice(bytes);
        Some(())
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let allocator =
            abi::ALLOCATORS.iter().find_map(|name| self.caller.get_export(name).and_then(Extern::into_func));
        let Some(allocator) = allocator else { return Ok(0) };
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

struct Wasmi {
    store: Store<Kept>,
    instance: wasmi::Instance,
    limits: Limits,
    /// The instructions of the callbacks whose number is limited.
    spent: u64,
}

impl Wasmi {
    fn function(&self, name: &str) -> Option<Func> {
        self.instance.get_func(&self.store, name)
    }

    /// Calls a function, which may execute this number of instructions if there is one.
    fn call_within(
        &mut self,
        most: Option<u64>,
        function: Func,
        arguments: &[Val],
        results: &mut [Val],
    ) -> Result<(), wasmi::Error> {
        let Some(most) = most else { return function.call(&mut self.store, arguments, results) };
        let unlimited = self.store.get_fuel()?;
        self.store.set_fuel(most)?;
        let called = function.call(&mut self.store, arguments, results);
        self.spent += most.saturating_sub(self.store.get_fuel()?);
        self.store.set_fuel(unlimited)?;
        called
    }
}

impl Instance for Wasmi {
    fn exports(&self, name: &str) -> bool {
        self.function(name).is_some()
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap> {
        let function = self.function(name).ok_or_else(|| Trap(format!("the module does not export {name}")))?;
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let most = self.limits.instructions_of(name);
        self.call_within(most, function, &arguments, &mut results).map_err(|error| match most {
            Some(most) if error.as_trap_code() == Some(TrapCode::OutOfFuel) => self.limits.exceeded(name, most),
            _ => Trap(error.to_string()),
        })?;
        Ok(match results.first() {
            Some(Val::I32(result)) => Some(result.cast_unsigned()),
            _ => None,
        })
    }

    fn instructions(&self) -> u64 {
        self.spent + FUEL.saturating_sub(self.store.get_fuel().unwrap_or(FUEL))
    }

    fn pages(&self) -> u64 {
        self.store.data().memory.map_or(0, |memory| memory.size(&self.store))
    }
}
