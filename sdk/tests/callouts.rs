//! Callouts of contexts, driven export by export, as hosts other than the embedded one may behave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{
    Status,
    timer::{Interval, RunningInterval},
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static DROPPED: Cell<u32> = const { Cell::new(0) };
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
    static RAN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static ACTS: Cell<Act> = const { Cell::new(Act::LetsGo) };
}

/// What the completions of HTTP calls, and the body callback, do.
#[derive(Clone, Copy)]
enum Act {
    LetsGo,
    Fails,
    FailsOpen,
    Replies,
    RepliesOpen,
}

/// Counts the completions that are dropped.
struct Noted;

impl Drop for Noted {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
    }
}

fn ran(what: &str) {
    RAN.with(|ran| ran.borrow_mut().push(what.to_owned()));
}

#[derive(Default)]
struct Root {
    interval: Option<RunningInterval>,
    times: u32,
}

#[proxy_filter::root(http_calls, timers)]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
        HttpCall::get("c", "/root").send(self, |_, answer| {
            ran(&format!("root {}", answer?.status()));
            Ok(())
        })?;
        self.interval = Some(Interval::new(Duration::from_millis(10)).run(self, |root| {
            root.times += 1;
            ran(&format!("interval {}", root.times));
            if root.times == 3 {
                root.interval.take().unwrap().cancel();
            }
            Ok(())
        })?);
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context(http_calls, timers)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let noted = Noted;
        if end_of_stream {
            return request.pause_for(self, Timer::after(Duration::from_millis(25)), move |_, _, elapsed| {
                let _noted = noted;
                ran("timer");
                elapsed.map(|()| FilterHeadersStatus::Continue)
            });
        }
        for number in 0..2 {
            let noted = Noted;
            let _held = request.pause_for(self, HttpCall::get("c", "/"), move |_, request, answer| {
                let _noted = noted;
                ran(&format!(
                    "call {number}: {}",
                    answer.map_or_else(|why| why.to_string(), |answer| answer.status().to_string())
                ));
                match ACTS.get() {
                    Act::LetsGo => Ok(FilterHeadersStatus::Continue),
                    Act::Fails | Act::FailsOpen => Err("no".into()),
                    Act::Replies | Act::RepliesOpen => request.reply(LocalReply::new(403)),
                }
            })?;
        }
        Ok(FilterHeadersStatus::Pause)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !end_of_stream {
            return body.pause_for(self, HttpCall::get("c", "/"), |_, _, _| {
                ran("the response's call");
                Ok(FilterDataStatus::Continue)
            });
        }
        match ACTS.get() {
            Act::LetsGo => Ok(FilterDataStatus::Pause),
            Act::Fails | Act::FailsOpen => Err("no".into()),
            Act::Replies | Act::RepliesOpen => body.reply(LocalReply::new(403)),
        }
    }

    fn failure_policy(&self) -> FailurePolicy {
        if matches!(ACTS.get(), Act::FailsOpen | Act::RepliesOpen) {
            FailurePolicy::Open
        } else {
            FailurePolicy::Closed
        }
    }
}

/// A host that counts tokens from 0 and records its calls.
#[derive(Default)]
struct Fake {
    tokens: Cell<u32>,
    refuses: Cell<Option<Status>>,
    /// It refuses local replies; with 2, resets as well.
    refuses_replies: Cell<u32>,
    asked: RefCell<Vec<String>>,
    streams: RefCell<Vec<u32>>,
}

impl HostFunctions for Fake {
    fn proxy_http_call(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8], timeout: u32) -> Result<u32, Status> {
        if let Some(status) = self.refuses.get() {
            return Err(status);
        }
        assert_eq!(timeout, 5000);
        Ok(self.tokens.replace(self.tokens.get() + 1))
    }

    fn proxy_get_header_map_value(&self, map: u32, name: &[u8]) -> Result<Vec<u8>, Status> {
        assert_eq!((map, name), (6, &b":status"[..]));
        Ok(b"204".to_vec())
    }

    fn proxy_set_effective_context(&self, id: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("context {id}"));
        if self.streams.borrow().contains(&id) { Ok(()) } else { Err(Status::BAD_ARGUMENT) }
    }

    fn proxy_continue_stream(&self, stream: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("continue {stream}"));
        Ok(())
    }

    fn proxy_send_local_response(&self, code: u32, _: &[u8], _: &[u8], _: &[u8], _: i32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("reply {code}"));
        if self.refuses_replies.get() > 0 { Err(Status::INTERNAL_FAILURE) } else { Ok(()) }
    }

    fn proxy_close_stream(&self, stream: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("close {stream}"));
        if self.refuses_replies.get() > 1 { Err(Status::INTERNAL_FAILURE) } else { Ok(()) }
    }

    fn proxy_set_tick_period_milliseconds(&self, period: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("tick {period}"));
        Ok(())
    }

    fn proxy_get_current_time_nanoseconds(&self) -> Result<u64, Status> {
        Ok(NOW.get())
    }
}

fn call(export: &str, arguments: &[u32]) -> u32 {
    let module = __proxy_filter::module();
    let (_, export) = module.exports.iter().find(|(name, _)| *name == export).unwrap();
    let mut padded = [0; 5];
    padded[..arguments.len()].copy_from_slice(arguments);
    export(padded)
}

fn start() -> Rc<Fake> {
    let fake = Rc::new(Fake::default());
    fake.streams.borrow_mut().extend([2, 3]);
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    call("proxy_on_context_create", &[1, 0]);
    fake
}

fn all_that_ran() -> Vec<String> {
    RAN.take()
}

#[test]
fn the_first_completion_that_continues_resumes_the_stream_and_the_others_are_dropped() {
    let fake = start();
    call("proxy_on_context_create", &[2, 1]);
    assert_eq!(call("proxy_on_request_headers", &[2, 0, 0]), 4);
    let before = DROPPED.get();
    call("proxy_on_http_call_response", &[1, 1, 1, 0, 0]);
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    assert_eq!(all_that_ran(), ["call 1: 204"]);
    assert_eq!(fake.asked.take(), ["context 2", "continue 0", "context 2"]);
    assert_eq!(DROPPED.get() - before, 2);
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    call("proxy_on_http_call_response", &[1, 77, 1, 0, 0]);
    assert!(all_that_ran().is_empty(), "a token that is not waited for");
}

#[test]
fn a_completion_that_ends_the_stream_is_the_last_that_runs() {
    for (act, told) in [(Act::Fails, "reply 500"), (Act::FailsOpen, "continue 0"), (Act::Replies, "reply 403")] {
        let fake = start();
        ACTS.set(act);
        call("proxy_on_context_create", &[2, 1]);
        call("proxy_on_request_headers", &[2, 0, 0]);
        call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
        call("proxy_on_http_call_response", &[1, 1, 1, 0, 0]);
        assert_eq!(all_that_ran(), ["call 0: 204"], "{told}");
        assert_eq!(fake.asked.take(), ["context 2", told, "context 2"]);
    }
}

#[test]
fn completions_do_not_run_after_a_callback_that_ended_the_stream() {
    for (act, told) in [(Act::Fails, "close 1"), (Act::FailsOpen, ""), (Act::Replies, "reply 403")] {
        let fake = start();
        ACTS.set(act);
        call("proxy_on_context_create", &[2, 1]);
        call("proxy_on_response_headers", &[2, 0, 0]);
        assert_eq!(call("proxy_on_response_body", &[2, 3, 0]), 1);
        let result = call("proxy_on_response_body", &[2, 6, 1]);
        assert_eq!(result, u32::from(!told.is_empty()));
        call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
        assert!(all_that_ran().is_empty(), "{told}");
        let asked = fake.asked.take();
        let expected: Vec<&str> = [told, "context 2"].into_iter().filter(|asked| !asked.is_empty()).collect();
        assert_eq!(asked, expected);
    }
}

#[test]
fn the_end_of_a_stream_cancels_its_callouts() {
    let fake = start();
    for id in [2, 3] {
        call("proxy_on_context_create", &[id, 1]);
        call("proxy_on_request_headers", &[id, 0, 0]);
    }
    let before = DROPPED.get();
    call("proxy_on_delete", &[2]);
    assert_eq!(DROPPED.get() - before, 2, "dropped before the host has answered");
    for token in 0..4 {
        call("proxy_on_http_call_response", &[1, token, 1, 0, 0]);
    }
    assert_eq!(all_that_ran(), ["call 0: 204"]);
    assert_eq!(fake.asked.take(), ["context 3", "continue 0", "context 3"]);
}

#[test]
fn a_completion_of_a_stream_unknown_to_the_host_is_dropped() {
    let fake = start();
    call("proxy_on_context_create", &[9, 1]);
    call("proxy_on_request_headers", &[9, 0, 0]);
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    assert_eq!((all_that_ran().len(), fake.asked.take()), (0, vec!["context 9".to_owned()]));
}

#[test]
fn a_refused_call_completes_at_once() {
    let fake = start();
    for (status, expected) in [
        (Status::BAD_ARGUMENT, "the call failed: the host has no such cluster"),
        (Status::INTERNAL_FAILURE, "the call failed: no healthy upstream"),
        (Status::UNIMPLEMENTED, "proxy_http_call returned Unimplemented: this host does not have the function"),
    ] {
        fake.refuses.set(Some(status));
        call("proxy_on_context_create", &[2, 1]);
        assert_eq!(call("proxy_on_request_headers", &[2, 0, 0]), 4, "the filter said PAUSE itself");
        assert_eq!(all_that_ran(), [format!("call 0: {expected}"), format!("call 1: {expected}")]);
        call("proxy_on_delete", &[2]);
    }
    assert!(fake.asked.take().is_empty());
}

#[test]
fn timers_of_streams_and_root_share_the_tick() {
    let fake = start();
    assert_eq!(call("proxy_on_configure", &[1, 0]), 1);
    call("proxy_on_context_create", &[2, 1]);
    assert_eq!(call("proxy_on_request_headers", &[2, 0, 1]), 4);
    assert_eq!(fake.asked.take(), ["tick 10"], "the stream's timer is later");
    let mut seen = Vec::new();
    for _ in 0..5 {
        NOW.set(NOW.get() + 10_000_000);
        call("proxy_on_tick", &[1]);
        seen.push((all_that_ran().join(", "), fake.asked.take().join(", ")));
    }
    let expected = [
        ("interval 1", "tick 10"),
        ("interval 2", "tick 5"),
        ("timer, interval 3", "context 2, continue 0, context 1, tick 0"),
        ("", "tick 0"),
        ("", "tick 0"),
    ];
    let expected = expected.map(|(ran, asked)| (ran.to_owned(), asked.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn the_end_of_a_stream_cancels_its_timer() {
    let fake = start();
    call("proxy_on_context_create", &[2, 1]);
    call("proxy_on_request_headers", &[2, 0, 1]);
    let before = DROPPED.get();
    call("proxy_on_delete", &[2]);
    assert_eq!(DROPPED.get() - before, 1);
    NOW.set(NOW.get() + 25_000_000);
    call("proxy_on_tick", &[1]);
    assert!(all_that_ran().is_empty());
    assert_eq!(fake.asked.take(), ["tick 25", "tick 0"]);
}

#[test]
fn completions_of_a_root_context_run_until_it_is_deleted() {
    start();
    call("proxy_on_configure", &[1, 0]);
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    assert_eq!(all_that_ran(), ["root 204"]);
    call("proxy_on_configure", &[1, 0]);
    call("proxy_on_delete", &[1]);
    call("proxy_on_http_call_response", &[1, 1, 1, 0, 0]);
    NOW.set(NOW.get() + 1_000_000_000);
    call("proxy_on_tick", &[1]);
    assert!(all_that_ran().is_empty());
}

#[test]
fn a_stream_whose_reply_the_host_refuses_is_reset_and_never_continued() {
    for act in [Act::Replies, Act::RepliesOpen] {
        for refuses in [1, 2] {
            let fake = start();
            fake.refuses_replies.set(refuses);
            ACTS.set(act);
            call("proxy_on_context_create", &[2, 1]);
            call("proxy_on_request_headers", &[2, 0, 0]);
            call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
            assert_eq!(fake.asked.take(), ["context 2", "reply 403", "close 1"], "a completion");
            call("proxy_on_context_create", &[3, 1]);
            assert_eq!(call("proxy_on_response_body", &[3, 6, 1]), 1, "a callback stops the stream");
            assert_eq!(fake.asked.take(), ["reply 403", "close 1"]);
            assert_eq!(all_that_ran().len(), 1);
        }
    }
}
