//! Callouts that complete at once use no stack, however many there are. Driven export by export.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{
    Status,
    grpc::{GrpcBytes, GrpcDuplex, GrpcStream},
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const TIMES: u32 = 100_000;
/// A tenth of a kilobyte for each, if they ran inside of each other, is ten times as much.
const STACK: usize = 1024 * 1024;

thread_local! {
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream { talk: None }
    }
}

struct Stream {
    talk: Option<GrpcDuplex<GrpcBytes, GrpcBytes>>,
}

fn messages(stream: &mut Stream, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    let next = stream.talk.as_ref().unwrap().receive();
    request.pause_for(stream, next, |stream, request, message| {
        assert!(message.unwrap().is_ok());
        count(stream, request, messages)
    })
}

fn calls(stream: &mut Stream, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    request.pause_for(stream, HttpCall::get("c", "/"), |stream, request, answer| {
        assert!(answer.is_err());
        count(stream, request, calls)
    })
}

fn count(
    stream: &mut Stream,
    request: &mut RequestHeaders,
    next: fn(&mut Stream, &mut RequestHeaders) -> Result<FilterHeadersStatus>,
) -> Result<FilterHeadersStatus> {
    SEEN.set(SEEN.get() + 1);
    if SEEN.get() == TIMES { Ok(FilterHeadersStatus::Continue) } else { next(stream, request) }
}

fn sent(stream: &mut Stream) -> Result<()> {
    HttpCall::get("c", "/").send(stream, |stream, answer| {
        assert!(answer.is_err());
        SEEN.set(SEEN.get() + 1);
        if SEEN.get() == TIMES { Ok(()) } else { sent(stream) }
    })
}

#[proxy_filter::context(grpc_streams, http_calls, timers)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        if !end_of_stream {
            return calls(self, request);
        }
        self.talk = Some(GrpcStream::new("c", "s", "m").connect_in(self)?);
        request.pause_for(self, Timer::after(Duration::from_millis(1)), |stream, request, _| messages(stream, request))
    }

    fn on_log(&mut self, _log: &LogContext) -> Result<()> {
        sent(self)
    }
}

#[derive(Default)]
struct Fake {
    now: Cell<u64>,
    went_on: Cell<u32>,
}

impl HostFunctions for Fake {
    fn proxy_grpc_stream(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<u32, Status> {
        Ok(6)
    }

    fn proxy_grpc_cancel(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_http_call(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8], _: u32) -> Result<u32, Status> {
        Err(Status::BAD_ARGUMENT)
    }

    fn proxy_get_buffer_bytes(&self, _: u32, _: u32, _: u32) -> Result<Vec<u8>, Status> {
        Ok(Vec::new())
    }

    fn proxy_set_effective_context(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_continue_stream(&self, _: u32) -> Result<(), Status> {
        self.went_on.set(self.went_on.get() + 1);
        Ok(())
    }

    fn proxy_set_tick_period_milliseconds(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_get_current_time_nanoseconds(&self) -> Result<u64, Status> {
        self.now.set(self.now.get() + 1_000_000);
        Ok(self.now.get())
    }
}

fn call(export: &str, arguments: &[u32]) -> u32 {
    let module = __proxy_filter::module();
    let (_, export) = module.exports.iter().find(|(name, _)| *name == export).unwrap();
    let mut padded = [0; 5];
    padded.iter_mut().zip(arguments).for_each(|(place, argument)| *place = *argument);
    export(padded)
}

/// Runs this on a small stack, with stream 2 of root context 1.
fn with_small_stack(body: fn(Rc<Fake>)) {
    let run = move || {
        let fake = Rc::new(Fake::default());
        sys::install(Some(Rc::<Fake>::clone(&fake)));
        call("proxy_on_context_create", &[1, 0]);
        call("proxy_on_context_create", &[2, 1]);
        body(fake);
        assert_eq!(SEEN.get(), TIMES);
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}

#[test]
fn completions_of_earlier_messages_run_one_after_the_other() {
    with_small_stack(|fake| {
        assert_eq!(call("proxy_on_request_headers", &[2, 0, 1]), 4);
        for _ in 0..TIMES {
            call("proxy_on_grpc_receive", &[1, 6, 0]);
        }
        call("proxy_on_tick", &[1]);
        assert_eq!(fake.went_on.get(), 1);
    });
}

#[test]
fn calls_that_are_refused_in_a_callback_run_their_completions_before_it_returns() {
    with_small_stack(|fake| {
        assert_eq!(call("proxy_on_request_headers", &[2, 0, 0]), 0, "the last one lets go what the callback holds");
        assert_eq!(fake.went_on.get(), 0);
    });
}

#[test]
fn completions_of_calls_that_pause_nothing_run_one_after_the_other() {
    with_small_stack(|_| {
        call("proxy_on_log", &[2]);
    });
}
