//! The cost of reading metadata: twice as many keys cost hardly more than twice as much, in any
//! order of the keys.
//!
//! Hosts send the keys of a map in any order, and clients can influence some of them: Envoy's JWT
//! filter stores the claims of a token. The interpreter counts the instructions; a copy counts its
//! bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::build_guest;
use std::path::Path;
use wasmi::{Caller, Config, CustomFuelCosts, Engine, Extern, Func, Linker, Memory, Module, Store, Val};

/// The value that the host returns for every property, and the log lines of the guest.
#[derive(Default)]
struct State {
    metadata: Vec<u8>,
    lines: Vec<String>,
}

fn write(caller: &mut Caller<'_, State>, pointer: &Val, bytes: &[u8]) {
    let memory = caller.get_export("memory").and_then(Extern::into_memory).unwrap();
    memory.write(caller, pointer.i32().unwrap().cast_unsigned() as usize, bytes).unwrap();
}

/// Adds a host function by name. Functions that a request does not need succeed without an effect.
fn host(name: &str, caller: &mut Caller<'_, State>, arguments: &[Val]) {
    match name {
        "proxy_get_property" => {
            let bytes = caller.data().metadata.clone();
            let size = i32::try_from(bytes.len()).unwrap();
            let allocate: Func = caller.get_export("proxy_on_memory_allocate").and_then(Extern::into_func).unwrap();
            let mut block = [Val::I32(0)];
            allocate.call(&mut *caller, &[Val::I32(size)], &mut block).unwrap();
            write(caller, &block[0], &bytes);
            write(caller, &arguments[2], &block[0].i32().unwrap().to_le_bytes());
            write(caller, &arguments[3], &size.to_le_bytes());
        }
        "proxy_get_log_level" => write(caller, &arguments[0], &0_u32.to_le_bytes()),
        "proxy_log" => {
            let memory: Memory = caller.get_export("memory").and_then(Extern::into_memory).unwrap();
            let mut line = vec![0; arguments[2].i32().unwrap().cast_unsigned() as usize];
            memory.read(&*caller, arguments[1].i32().unwrap().cast_unsigned() as usize, &mut line).unwrap();
            caller.data_mut().lines.push(String::from_utf8(line).unwrap());
        }
        _ => {}
    }
}

/// Returns the cost of one request with this metadata, and the log lines of the guest.
fn cost(module: &[u8], metadata: Vec<u8>) -> (u64, Vec<String>) {
    let mut config = Config::default();
    config.consume_fuel(true);
    config.fuel_cost(CustomFuelCosts {
        bytes_copied_per_fuel: 1,
        fuel_per_bytes_translated: 0,
        fuel_per_bytes_validated: 0,
    });
    let engine = Engine::new(&config);
    let module = Module::new(&engine, module).unwrap();
    let mut store = Store::new(&engine, State { metadata, lines: Vec::new() });
    store.set_fuel(u64::MAX).unwrap();
    let mut linker = <Linker<State>>::new(&engine);
    for import in module.imports() {
        let (name, ty) = (import.name().to_owned(), import.ty().func().unwrap().clone());
        let call = move |mut caller: Caller<'_, State>, arguments: &[Val], results: &mut [Val]| {
            host(&name, &mut caller, arguments);
            results[0] = Val::I32(0);
            Ok(())
        };
        linker.func_new("env", import.name(), ty, call).unwrap();
    }
    let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
    let mut call = |name: &str, arguments: &[i32]| {
        let Some(function) = instance.get_func(&store, name) else { return 0 };
        let before = store.get_fuel().unwrap();
        let arguments: Vec<Val> = arguments.iter().copied().map(Val::I32).collect();
        let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
        function.call(&mut store, &arguments, &mut results).unwrap();
        before - store.get_fuel().unwrap()
    };
    call("_initialize", &[]);
    call("proxy_on_context_create", &[1, 0]);
    call("proxy_on_vm_start", &[1, 0]);
    call("proxy_on_configure", &[1, 0]);
    call("proxy_on_context_create", &[2, 1]);
    let spent = call("proxy_on_request_headers", &[2, 0, 1]);
    (spent, std::mem::take(&mut store.data_mut().lines))
}

/// A field of bytes in the wire format.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut size = bytes.len();
    while size >= 0x80 {
        field.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    field.push(u8::try_from(size).unwrap());
    field.extend_from_slice(bytes);
    field
}

fn entry(key: &str, value: u32) -> Vec<u8> {
    let number = [&[0x11][..], &f64::from(value).to_le_bytes()].concat();
    field(1, &[field(1, key.as_bytes()), field(2, &number)].concat())
}

/// `Metadata` with one namespace of these keys, numbered.
fn metadata(keys: impl Iterator<Item = String>) -> Vec<u8> {
    let fields: Vec<u8> = (0..).zip(keys).flat_map(|(number, key)| entry(&key, number)).collect();
    field(1, &[field(1, b"ns"), field(2, &fields)].concat())
}

/// Returns the key at a position.
type Order = fn(u32, u32) -> u32;

#[test]
fn the_cost_is_about_linear_in_the_number_of_keys_in_every_order() {
    const KEYS: u32 = 500;
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("namespace")).unwrap();
    let module = std::fs::read(module).unwrap();
    let orders: [(&str, Order); 5] = [
        ("ascending", |at, _| at),
        ("descending", |at, keys| keys - at),
        ("mixed", |at, keys| at.wrapping_mul(2_654_435_761) % keys),
        ("both ends", |at, keys| if at % 2 == 0 { at } else { 2 * keys - at }),
        ("ten keys again and again", |at, _| at % 10),
    ];
    for (name, order) in orders {
        let of = |keys: u32| cost(&module, metadata((0..keys).map(|at| format!("{:08}", order(at, keys))))).0;
        let (once, twice) = (of(KEYS), of(2 * KEYS));
        println!("{name}: {once}, {twice}");
        assert!(twice < once * 9 / 4, "{name}: {once} for {KEYS} keys, {twice} for twice as many");
    }
}

#[test]
fn the_last_of_equal_keys_counts_wherever_they_are() {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("namespace")).unwrap();
    let module = std::fs::read(module).unwrap();
    for others in [0, 1, 2, 7, 40] {
        for (first, second) in [(0, 0), (0, others), (others / 2, others), (others / 3, others / 2)] {
            let mut keys: Vec<String> = (0..others).rev().map(|number| format!("{number:04}")).collect();
            keys.insert(first, "key".into());
            keys.insert(second + 1, "key".into());
            let (_, lines) = cost(&module, metadata(keys.into_iter()));
            let expected = format!("{} keys, Some({:?})", others + 1, f64::from(u32::try_from(second + 1).unwrap()));
            assert_eq!(lines, [expected], "{others} {first} {second}");
        }
    }
}
