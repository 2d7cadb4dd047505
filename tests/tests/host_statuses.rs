//! Every host status from every host function. Nothing traps, and the stream is refused or
//! forwarded according to the policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter::metric::{Counter, CounterVec, Gauge};
use proxy_filter::prelude::*;
use proxy_filter::shared_data::{self, SharedCell};
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{
    Status, clock, filter_state, foreign,
    grpc::{GrpcBytes, GrpcEvent, GrpcSender, GrpcStream},
    metadata, plugin, property, stream_info, timer,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Calls every host function that the SDK wraps, and continues after a refusal.
mod filter {
    use super::*;

    static COUNTER: Counter = Counter::new("counter");
    static GAUGE: Gauge = Gauge::new("gauge");
    static LABELLED: CounterVec<1> = CounterVec::new("labelled", ["label"], 1);
    static CELL: SharedCell<Vec<u8>> = SharedCell::new("cell");

    type Talk = GrpcStream<GrpcBytes, GrpcBytes>;

    #[derive(Default)]
    pub(super) struct Root {
        stream: Option<GrpcSender<GrpcBytes>>,
    }

    /// Reads all input.
    fn told(_: &mut Root, event: GrpcEvent<'_, GrpcBytes>) -> Result<()> {
        match event {
            GrpcEvent::InitialMetadata(metadata) | GrpcEvent::TrailingMetadata(metadata) => {
                metadata.pairs()?;
                metadata.get_binary("a-bin").map(drop)
            }
            GrpcEvent::Message(_) => Ok(()),
            GrpcEvent::Closed(why) => Ok(why?),
        }
    }

    fn call() -> GrpcCall<GrpcBytes> {
        GrpcCall::new("c", "pkg.Service", "Method", &GrpcBytes::default())
    }

    #[proxy_filter::root(http_calls, grpc_calls, grpc_streams)]
    impl RootContext for Root {
        type Context = Stream;

        fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
            let _ = configuration.bytes()?;
            Ok(())
        }

        fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
            log::info!("configure {}", configuration.len());
            let _ = configuration.bytes()?;
            Ok(())
        }

        fn on_tick(&mut self) -> Result<()> {
            let _ = clock::now();
            let _ = plugin::done();
            let _ = HttpCall::get("c", "/").send(self, |_, answer| answer?.body().map(drop));
            let _ = call().send(self, |_, answer| answer.map(drop).map_err(Error::from));
            let _ = Talk::new("c", "pkg.Service", "Talk").open(self, told).map(GrpcSender::cancel);
            if let Ok(stream) = Talk::new("c", "pkg.Service", "Talk").open(self, told) {
                let _ = (stream.send(&GrpcBytes::default()), stream.close());
                self.stream = Some(stream);
            }
            let _ = (COUNTER.increment(1), COUNTER.get(), LABELLED.increment(["a"], 1), GAUGE.record(1), GAUGE.get());
            timer::set_tick_period(Duration::from_secs(1))
        }

        fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
            let _ = SharedQueue::register("q");
            let _ = SharedQueue::resolve("vm", "q");
            let _ = (queue.enqueue("item"), queue.dequeue(), queue.drain().take(2).count());
            let _ = (shared_data::get("k"), shared_data::set("k", "v"), shared_data::insert_if_absent("k", "v"));
            CELL.update(Option::unwrap_or_default).map(drop)
        }

        fn new_context(&self) -> Stream {
            Stream
        }
    }

    pub(super) struct Stream;

    fn use_map(map: &mut HeaderMap) -> Result<()> {
        let results = [
            map.get("a").map(drop),
            map.get_all("a").map(drop),
            map.pairs().map(drop),
            map.add("a", "b"),
            map.replace("a", "b"),
            map.remove("content-length"),
            map.set_pairs([("a", "b")]),
        ];
        results.into_iter().fold(Ok(()), Result::and)
    }

    fn use_body(body: &mut Body) -> Result<()> {
        let results = [
            body.to_bytes().map(drop),
            body.bytes(1, 2).map(drop),
            body.replace("abcd"),
            body.prepend(""),
            body.append(""),
        ];
        results.into_iter().fold(Ok(()), Result::and)
    }

    #[proxy_filter::context(http_calls, grpc_calls)]
    impl Context for Stream {
        fn on_request_headers(
            &mut self,
            request: &mut RequestHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            log::warn!("headers {}", request.pairs().map_or(0, |pairs| pairs.len()));
            let _ = property::get(&["a", "b"]);
            let _ = property::set("a", "b");
            let _ = (stream_info::source().address(), metadata::route().get("a", "b"), filter_state::get("a"));
            let _ = (foreign::compress("a"), foreign::Expression::new("true").and_then(|found| found.matches()));
            let _ = (request.method(), request.path(), request.authority(), request.scheme());
            use_map(request)?;
            Ok(FilterHeadersStatus::Continue)
        }

        fn on_request_body(&mut self, body: &mut RequestBody, _end_of_stream: bool) -> Result<FilterDataStatus> {
            use_body(body)?;
            body.reply(LocalReply::new(400).body("no"))
        }

        fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
            use_map(trailers)?;
            trailers.reply(LocalReply::new(400))
        }

        fn on_response_headers(
            &mut self,
            response: &mut ResponseHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            let _ = response.status();
            use_map(response)?;
            response.pause_for(self, call(), |_, _, answer| {
                answer?;
                Ok(FilterHeadersStatus::Continue)
            })
        }

        fn on_response_body(&mut self, body: &mut ResponseBody, _end_of_stream: bool) -> Result<FilterDataStatus> {
            use_body(body)?;
            Ok(FilterDataStatus::Continue)
        }

        fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
            use_map(trailers)?;
            Ok(FilterTrailersStatus::Continue)
        }

        fn on_log(&mut self, log: &LogContext) -> Result<()> {
            let _ = log.request_headers().get("a")?;
            let _ = log.response_headers().pairs()?;
            let _ = log.response_trailers().get("a")?;
            Ok(())
        }
    }
}

/// Returns one status from one function, and `Ok` from the others.
struct Refusing {
    function: &'static str,
    status: Option<Status>,
    calls: RefCell<Vec<&'static str>>,
}

macro_rules! refusing {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];

        #[allow(unused_variables, unused_parens)]
        impl HostFunctions for Refusing {
            $(fn $name(&self, $($parameter: refusing!(@type $kind)),*) -> Result<($(refusing!(@type out $out_kind)),*), Status> {
                self.calls.borrow_mut().push(stringify!($name));
                match self.status {
                    Some(status) if self.function == stringify!($name) => Err(status),
                    _ => Ok(($(<refusing!(@type out $out_kind)>::default()),*)),
                }
            })*
        }
    };
    (@type Bytes) => { &[u8] };
    (@type $int:ident) => { $int };
    (@type out Buffer) => { Vec<u8> };
    (@type out $int:ident) => { $int };
}

proxy_filter::__for_each_host_function!(refusing);

/// Runs the whole life of a plugin and a stream. Returns the functions that were called, and the
/// result of each callback.
fn live(function: &'static str, status: u32) -> (Vec<&'static str>, Vec<(&'static str, u32)>) {
    let host = Rc::new(Refusing { function, status: Status::from_raw(status), calls: RefCell::new(Vec::new()) });
    sys::install(Some(Rc::clone(&host) as Rc<dyn HostFunctions>));
    let exports = filter::__proxy_filter::module().exports;
    let mut returned = Vec::new();
    let mut call = |name: &'static str, arguments: [u32; 5]| {
        let (_, export) =
            exports.iter().find(|(export, _)| *export == name).unwrap_or_else(|| panic!("no export {name}"));
        returned.push((name, export(arguments)));
    };
    call("_initialize", [0; 5]);
    call("proxy_on_context_create", [1, 0, 0, 0, 0]);
    call("proxy_on_vm_start", [1, 4, 0, 0, 0]);
    call("proxy_on_configure", [1, 4, 0, 0, 0]);
    call("proxy_on_tick", [1, 0, 0, 0, 0]);
    call("proxy_on_queue_ready", [1, 7, 0, 0, 0]);
    call("proxy_on_context_create", [2, 1, 0, 0, 0]);
    for (name, size) in [("headers", 3), ("body", 4), ("trailers", 1)] {
        for side in ["request", "response"] {
            let export =
                exports.iter().find(|(export, _)| *export == format!("proxy_on_{side}_{name}")).expect("exported").0;
            call(export, [2, size, 0, 0, 0]);
        }
        if name == "headers" {
            // The call of the stream, before a callback ends the stream.
            call("proxy_on_grpc_receive", [1, 0, 3, 0, 0]);
        }
    }
    call("proxy_on_http_call_response", [1, 0, 0, 3, 0]);
    // The stream of the root.
    call("proxy_on_grpc_receive_initial_metadata", [1, 0, 1, 0, 0]);
    call("proxy_on_grpc_receive", [1, 0, 3, 0, 0]);
    call("proxy_on_grpc_receive_trailing_metadata", [1, 0, 1, 0, 0]);
    for token in [0, 0, 99] {
        call("proxy_on_grpc_close", [1, token, 13, 0, 0]);
    }
    call("proxy_on_log", [2, 0, 0, 0, 0]);
    // Unknown contexts, and events after the end.
    call("proxy_on_tick", [99, 0, 0, 0, 0]);
    call("proxy_on_queue_ready", [99, 7, 0, 0, 0]);
    for export in ["proxy_on_request_headers", "proxy_on_response_body", "proxy_on_log", "proxy_on_delete"] {
        call(export, [99, 1, 1, 0, 0]);
    }
    call("proxy_on_delete", [2, 0, 0, 0, 0]);
    call("proxy_on_response_headers", [2, 1, 1, 0, 0]);
    call("proxy_on_delete", [1, 0, 0, 0, 0]);
    sys::install(None);
    let calls = host.calls.borrow().clone();
    (calls, returned)
}

/// The functions this version of the SDK wraps.
const WRAPPED: &[&str] = &[
    "proxy_log",
    "proxy_get_log_level",
    "proxy_get_buffer_bytes",
    "proxy_set_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_close_stream",
    "proxy_send_local_response",
    "proxy_call_foreign_function",
    "proxy_get_current_time_nanoseconds",
    "proxy_set_tick_period_milliseconds",
    "proxy_set_shared_data",
    "proxy_get_shared_data",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_done",
    "proxy_http_call",
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_close",
    "proxy_grpc_cancel",
    "proxy_get_status",
    "proxy_set_effective_context",
    "proxy_continue_stream",
    "proxy_enqueue_shared_queue",
    "proxy_dequeue_shared_queue",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_record_metric",
    "proxy_get_metric",
];

#[test]
fn no_status_of_any_host_function_traps() {
    let mut reached = Vec::new();
    for function in FUNCTIONS {
        for status in (0..=13).chain([99, u32::MAX]) {
            let (calls, returned) = live(function, status);
            assert!(returned.len() > 15, "{function} answering {status}: {returned:?}");
            reached.extend(calls);
        }
    }
    reached.sort_unstable();
    reached.dedup();
    let mut wrapped = WRAPPED.to_vec();
    wrapped.sort_unstable();
    assert_eq!(reached, wrapped, "the sweep reaches every function the SDK wraps");
}

#[test]
fn a_refused_configuration_buffer_refuses_the_configuration() {
    let (_, returned) = live("proxy_get_buffer_bytes", 10);
    assert!(returned.contains(&("proxy_on_vm_start", 0)), "{returned:?}");
    assert!(returned.contains(&("proxy_on_configure", 0)), "{returned:?}");
}

#[test]
fn a_refused_edit_refuses_the_stream() {
    let (calls, returned) = live("proxy_add_header_map_value", 2);
    assert!(returned.contains(&("proxy_on_request_headers", 1)), "{returned:?}");
    assert!(calls.contains(&"proxy_send_local_response"));
}

#[test]
fn a_stream_is_reset_if_the_host_refuses_the_local_reply() {
    let (calls, _) = live("proxy_send_local_response", 12);
    assert!(calls.contains(&"proxy_close_stream"), "{calls:?}");
}
