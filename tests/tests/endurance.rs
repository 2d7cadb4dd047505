//! Streams that end while callouts are pending leak nothing: the memory of the module does not
//! grow.
//!
//! A minimal host runs the module, because the embedded host takes too long for a million streams.
//! The interpreter, which every `cargo test` has, runs fewer streams. The compiler runs the
//! promised number: `cargo test -p proxy-filter-host --features wasmtime --test endurance`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::build_guest;
use std::collections::{HashMap, VecDeque};
use std::path::Path;

/// The root context.
const ROOT: u32 = 1;
/// The number of concurrent streams.
const ALIVE: usize = 20;
/// The status of a key that does not exist.
const NOT_FOUND: i32 = 1;

/// The state of the host.
struct Facts {
    path: &'static str,
    configuration: &'static str,
    /// The token of the last call or gRPC stream.
    token: u32,
    /// The number of gRPC calls and streams that the module has cancelled.
    cancelled: u32,
    nanoseconds: u64,
    /// The period of the tick; 0 if there is none.
    period: u32,
    errors: Vec<String>,
    /// The number of local replies of the module.
    replies: u32,
}

/// The state that host functions use: that of the host, and the module's memory and allocator once
/// it is loaded.
struct State<Memory, Function> {
    facts: Facts,
    exports: Option<(Memory, Function)>,
}

/// A module on an engine. The two engines have similar interfaces without a common trait.
macro_rules! driver {
    ($name:ident: $engine:ident, $instantiate:ident) => {
        struct $name {
            store: $engine::Store<State<$engine::Memory, $engine::Func>>,
            instance: $engine::Instance,
            /// Exports that have been looked up, and the numbers of their results.
            exports: HashMap<&'static str, Option<($engine::Func, usize)>>,
        }

        impl $name {
            /// Loads and configures a guest. Each request has this path.
            fn start(guest: &str, configuration: &'static str, path: &'static str) -> Self {
                let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
                let module = build_guest(directory, "proxy-filter-guests", Some(guest)).unwrap();
                let engine = $engine::Engine::default();
                let module = $engine::Module::new(&engine, std::fs::read(module).unwrap()).unwrap();
                let mut linker = <$engine::Linker<State<$engine::Memory, $engine::Func>>>::new(&engine);
                for import in module.imports() {
                    let name = import.name().to_owned();
                    let ty = import.ty();
                    let ty = ty.func().unwrap().clone();
                    let call = move |mut caller: $engine::Caller<'_, State<$engine::Memory, $engine::Func>>,
                                     arguments: &[$engine::Val],
                                     results: &mut [$engine::Val]| {
                        results[0] = $engine::Val::I32(Self::host(&name, &mut caller, arguments));
                        Ok(())
                    };
                    linker.func_new("env", import.name(), ty, call).unwrap();
                }
                let facts = Facts {
                    path,
                    configuration,
                    token: 0,
                    cancelled: 0,
                    nanoseconds: 1,
                    period: 0,
                    errors: Vec::new(),
                    replies: 0,
                };
                let mut store = $engine::Store::new(&engine, State { facts, exports: None });
                let instance = linker.$instantiate(&mut store, &module).unwrap();
                let memory = instance.get_memory(&mut store, "memory").unwrap();
                let allocator = instance.get_func(&mut store, "proxy_on_memory_allocate").unwrap();
                store.data_mut().exports = Some((memory, allocator));
                let mut host = Self { store, instance, exports: HashMap::new() };
                host.call("_initialize", &[]);
                host.call("proxy_on_context_create", &[ROOT, 0]);
                host.call("proxy_on_vm_start", &[ROOT, 0]);
                host.call("proxy_on_configure", &[ROOT, u32::try_from(configuration.len()).unwrap()]);
                host
            }

            /// The host functions that these guests require. All others succeed without an effect.
            fn host(
                name: &str,
                caller: &mut $engine::Caller<'_, State<$engine::Memory, $engine::Func>>,
                arguments: &[$engine::Val],
            ) -> i32 {
                let word = |index: usize| match arguments[index] {
                    $engine::Val::I32(word) => word.cast_unsigned(),
                    _ => 0,
                };
                let (memory, allocator) = caller.data().exports.unwrap();
                let text = |caller: &$engine::Caller<'_, State<$engine::Memory, $engine::Func>>, index: usize| {
                    let mut bytes = vec![0; word(index + 1) as usize];
                    memory.read(caller, word(index) as usize, &mut bytes).unwrap();
                    String::from_utf8(bytes).unwrap()
                };
                let out = |caller: &mut $engine::Caller<'_, State<$engine::Memory, $engine::Func>>,
                           index: usize,
                           bytes: &[u8]| {
                    memory.write(caller, word(index) as usize, bytes).unwrap();
                };
                let buffer = |caller: &mut $engine::Caller<'_, State<$engine::Memory, $engine::Func>>,
                              index: usize,
                              bytes: &[u8]| {
                    let (size, mut block) = (u32::try_from(bytes.len()).unwrap(), [$engine::Val::I32(0)]);
                    allocator.call(&mut *caller, &[$engine::Val::I32(size.cast_signed())], &mut block).unwrap();
                    let [$engine::Val::I32(block)] = block else { unreachable!() };
                    memory.write(&mut *caller, block.cast_unsigned() as usize, bytes).unwrap();
                    out(caller, index, &block.to_le_bytes());
                    out(caller, index + 1, &size.to_le_bytes());
                };
                match name {
                    "proxy_get_header_map_value" if text(caller, 1) == ":path" => {
                        let path = caller.data().facts.path;
                        buffer(caller, 3, path.as_bytes());
                    }
                    "proxy_get_header_map_value" => return NOT_FOUND,
                    // The root id, for a module with several roots.
                    "proxy_get_property" => buffer(caller, 2, b"closed"),
                    // The plugin's configuration.
                    "proxy_get_buffer_bytes" => {
                        let configuration = caller.data().facts.configuration;
                        buffer(caller, 3, configuration.as_bytes());
                    }
                    "proxy_get_log_level" => out(caller, 0, &4_u32.to_le_bytes()),
                    "proxy_log" => {
                        let line = text(caller, 1);
                        caller.data_mut().facts.errors.push(line);
                    }
                    "proxy_get_current_time_nanoseconds" => {
                        caller.data_mut().facts.nanoseconds += 1000;
                        let now = caller.data().facts.nanoseconds.to_le_bytes();
                        out(caller, 0, &now);
                    }
                    "proxy_set_tick_period_milliseconds" => caller.data_mut().facts.period = word(0),
                    "proxy_http_call" | "proxy_grpc_call" | "proxy_grpc_stream" => {
                        caller.data_mut().facts.token += 4;
                        let token = caller.data().facts.token.to_le_bytes();
                        // The last argument is the pointer for the result.
                        out(caller, arguments.len() - 1, &token);
                    }
                    "proxy_send_local_response" => caller.data_mut().facts.replies += 1,
                    "proxy_grpc_cancel" => caller.data_mut().facts.cancelled += 1,
                    _ => {}
                }
                0
            }

            /// Calls a callback. Returns 0 if the module does not have it, or if it returns
            /// nothing.
            fn call(&mut self, name: &'static str, arguments: &[u32]) -> i32 {
                let Self { store, instance, exports } = self;
                let look_up = || {
                    let function = instance.get_func(&mut *store, name)?;
                    Some((function, function.ty(&*store).results().len()))
                };
                let Some((function, results)) = *exports.entry(name).or_insert_with(look_up) else { return 0 };
                let mut words = [const { $engine::Val::I32(0) }; 5];
                for (place, word) in words.iter_mut().zip(arguments) {
                    *place = $engine::Val::I32(word.cast_signed());
                }
                let mut result = [$engine::Val::I32(0)];
                function.call(&mut *store, &words[..arguments.len()], &mut result[..results]).unwrap();
                match result {
                    [$engine::Val::I32(result)] => result,
                    _ => 0,
                }
            }

            fn pages(&mut self) -> u64 {
                let (memory, _) = self.store.data().exports.unwrap();
                memory.size(&self.store)
            }
        }

        impl Driver for $name {
            fn call(&mut self, name: &'static str, arguments: &[u32]) -> i32 {
                Self::call(self, name, arguments)
            }

            fn pages(&mut self) -> u64 {
                Self::pages(self)
            }

            fn facts(&mut self) -> &mut Facts {
                &mut self.store.data_mut().facts
            }
        }
    };
}

trait Driver {
    fn call(&mut self, name: &'static str, arguments: &[u32]) -> i32;
    fn pages(&mut self) -> u64;
    fn facts(&mut self) -> &mut Facts;
}

driver!(Wasmi: wasmi, instantiate_and_start);
#[cfg(feature = "wasmtime")]
driver!(Wasmtime: wasmtime, instantiate);

/// A paused stream.
struct Waiting {
    id: u32,
    /// The tokens of its callouts.
    tokens: Vec<u32>,
}

/// Opens a stream, and asserts that its request is paused.
fn open(host: &mut impl Driver, id: u32) -> Waiting {
    let before = host.facts().token;
    host.call("proxy_on_context_create", &[id, ROOT]);
    assert_ne!(host.call("proxy_on_request_headers", &[id, 1, 1]), 0, "the request waits");
    let tokens = (before + 4..=host.facts().token).step_by(4).collect();
    Waiting { id, tokens }
}

/// The client has disconnected. Its callouts complete afterwards, or never.
fn end(host: &mut impl Driver, Waiting { id, tokens }: &Waiting) {
    host.call("proxy_on_log", &[*id]);
    host.call("proxy_on_done", &[*id]);
    host.call("proxy_on_delete", &[*id]);
    for token in tokens.iter().filter(|_| id % 2 == 0) {
        host.call("proxy_on_http_call_response", &[ROOT, *token, 0, 0, 0]);
        host.call("proxy_on_grpc_receive", &[ROOT, *token, 0]);
        host.call("proxy_on_grpc_close", &[ROOT, *token, 14]);
    }
}

/// Runs this many streams that end with pending callouts. Returns the pages of memory after the
/// warm-up, and at the end.
fn play(host: &mut impl Driver, warm_up: u32, streams: u32) -> (u64, u64) {
    let mut alive = VecDeque::new();
    let mut warm = 0;
    for id in ROOT + 1..=ROOT + streams {
        alive.push_back(open(host, id));
        if alive.len() > ALIVE {
            let oldest = alive.pop_front().unwrap();
            end(host, &oldest);
        }
        if id % 100 == 0 && host.facts().period > 0 {
            host.call("proxy_on_tick", &[ROOT]);
        }
        if id == ROOT + warm_up {
            warm = host.pages();
        }
    }
    for waiting in alive {
        end(host, &waiting);
    }
    // The log line of a guest that is dropped.
    let gone = |line: &String| line == "gone";
    assert!(host.facts().errors.iter().all(gone), "{:?}", host.facts().errors.iter().find(|line| !gone(line)));
    (warm, host.pages())
}

fn assert_no_growth(host: &mut impl Driver, warm_up: u32, streams: u32) {
    let (warm, after) = play(host, warm_up, streams);
    assert_eq!(warm, after, "pages of 64 KiB after {warm_up} streams, and after {streams}");
}

/// Shows that the tests below can fail.
#[test]
fn open_streams_take_memory() {
    let mut host = Wasmi::start("callouts", "", "/request/1");
    let before = host.pages();
    let alive: Vec<_> = (2..1_000).map(|id| open(&mut host, id)).collect();
    assert!(host.pages() > before, "{} pages for {} streams", host.pages(), alive.len());
}

#[test]
fn aborted_callouts_leak_nothing() {
    let mut host = Wasmi::start("callouts", "", "/request/1");
    assert_no_growth(&mut host, 200, 1_000);
    assert_eq!(host.facts().token, 4_000, "each made a call");
}

#[test]
fn streams_cancelled_with_a_timer_leak_nothing() {
    let mut host = Wasmi::start("pending_timers", "", "/");
    assert_no_growth(&mut host, 200, 1_000);
    assert_ne!(host.facts().nanoseconds, 1, "each asked for the time");
}

#[test]
fn cancelled_async_filters_leak_nothing() {
    let mut host = Wasmi::start("exchanges", "{}", "/wait");
    assert_no_growth(&mut host, 200, 1_000);
    assert_eq!(host.facts().token, 4_000, "each made a call");
}

#[test]
fn at_most_a_thousand_streams_are_paused_until_a_plugin_is_ready() {
    let mut host = Wasmi::start("gate", r#"{ "path": "/", "tries": 1 }"#, "/");
    let fetch = host.facts().token;
    assert_ne!(fetch, 0, "the plugin fetches what it needs");
    let first = ROOT + 1;
    for id in first..first + 1_000 {
        open(&mut host, id);
    }
    assert!(host.facts().errors.is_empty(), "{:?}", host.facts().errors.first());
    open(&mut host, first + 1_000);
    let refusal = "on_request_headers of context 1002 failed: too many streams wait for the plugin to be ready; the client gets a 500";
    assert_eq!(host.facts().errors, [refusal]);
    host.call("proxy_on_http_call_response", &[ROOT, fetch, 1, 0, 0]);
    // This host never responds, so the plugin does not become ready: the plugin logs that, and
    // refuses every stream at once. The SDK writes at most 30 lines for each 512 streams, and the
    // plugin itself one.
    assert_eq!(host.facts().replies, 1_001, "one reply for each stream");
    let errors = &host.facts().errors;
    let refused =
        errors.iter().filter(|line| line.contains("the plugin could not be made ready; the client gets a 500"));
    assert_eq!((errors.len(), refused.count()), (61, 59), "{:?}", errors.last());
}

/// A call, a gRPC stream and a timer. Each stream's function is dropped once, its gRPC stream is
/// cancelled, and no completion reaches it later.
fn assert_that_all_is_given_up(host: &mut impl Driver, warm_up: u32, streams: u32) {
    assert_no_growth(host, warm_up, streams);
    let facts = host.facts();
    assert_eq!(facts.errors.len(), streams as usize, "each function was dropped");
    assert_eq!((facts.token, facts.cancelled), (8 * streams, streams), "each made a call, and opened a stream");
}

#[test]
fn async_filters_with_every_kind_of_callout_leak_nothing() {
    assert_that_all_is_given_up(&mut Wasmi::start("pending_all", "", "/"), 200, 1_000);
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_hundred_thousand_async_filters_with_every_kind_of_callout_leak_nothing() {
    assert_that_all_is_given_up(&mut Wasmtime::start("pending_all", "", "/"), 10_000, 100_000);
}

#[test]
fn aborted_grpc_calls_leak_nothing() {
    let mut host = Wasmi::start("grpc", "", "/call/Ask");
    assert_no_growth(&mut host, 200, 1_000);
    assert_eq!((host.facts().token, host.facts().cancelled), (4_000, 1_000), "each made a call, which was cancelled");
}

#[test]
fn aborted_grpc_streams_leak_nothing() {
    for (guest, path, tokens) in [("grpc", "/left", 8_000), ("grpc_judge", "/", 4_000)] {
        let mut host = Wasmi::start(guest, "", path);
        assert_no_growth(&mut host, 200, 1_000);
        assert_eq!(
            (host.facts().token, host.facts().cancelled),
            (tokens, 1_000),
            "each opened one, which was cancelled"
        );
    }
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_million_aborted_grpc_calls_leak_nothing() {
    let mut host = Wasmtime::start("grpc", "", "/call/Ask");
    assert_no_growth(&mut host, 10_000, 1_000_000);
    assert_eq!((host.facts().token, host.facts().cancelled), (4_000_000, 1_000_000));
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_hundred_thousand_aborted_grpc_streams_leak_nothing() {
    let mut host = Wasmtime::start("grpc", "", "/left");
    assert_no_growth(&mut host, 10_000, 100_000);
    assert_eq!((host.facts().token, host.facts().cancelled), (800_000, 100_000));
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_hundred_thousand_requests_cancelled_before_a_message_leak_nothing() {
    let mut host = Wasmtime::start("grpc_judge", "", "/");
    assert_no_growth(&mut host, 10_000, 100_000);
    assert_eq!((host.facts().token, host.facts().cancelled), (400_000, 100_000));
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_million_aborted_callouts_leak_nothing() {
    let mut host = Wasmtime::start("callouts", "", "/request/1");
    assert_no_growth(&mut host, 10_000, 1_000_000);
    assert_eq!(host.facts().token, 4_000_000, "each made a call");
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_hundred_thousand_streams_cancelled_with_a_timer_leak_nothing() {
    assert_no_growth(&mut Wasmtime::start("pending_timers", "", "/"), 10_000, 100_000);
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_hundred_thousand_cancelled_async_filters_leak_nothing() {
    let mut host = Wasmtime::start("exchanges", "{}", "/wait");
    assert_no_growth(&mut host, 10_000, 100_000);
    assert_eq!(host.facts().token, 400_000, "each made a call");
}
