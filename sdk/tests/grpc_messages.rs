//! Which of several pending receives gets a message of a gRPC stream, driven export by export.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{
    Status,
    grpc::{GrpcBytes, GrpcDuplex, GrpcStream},
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static RAN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn ran(what: String) {
    RAN.with_borrow_mut(|ran| ran.push(what));
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

type Answer = Option<core::result::Result<GrpcBytes, GrpcError>>;

fn note(who: &str, answer: Answer) {
    ran(format!("{who}: {:?}", answer.map(|answer| answer.map(|message| message.0).map_err(|why| why.code()))));
}

#[proxy_filter::context(grpc_streams)]
impl Context for Stream {
    /// Two completions wait for a message: that of the headers, which the first message resumes,
    /// and one more.
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("c", "s", "m").connect_in(self)?;
        for who in ["first", "second"] {
            let _held = request.pause_for(self, talk.receive(), move |_, _, answer| {
                note(who, answer);
                Ok(FilterHeadersStatus::Continue)
            })?;
        }
        if !end_of_stream {
            self.talk = Some(talk);
        }
        Ok(FilterHeadersStatus::Pause)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, _end_of_stream: bool) -> Result<FilterDataStatus> {
        let Some(talk) = &self.talk else { return Ok(FilterDataStatus::Continue) };
        let next = talk.receive();
        body.pause_for(self, next, |_, _, answer| {
            note("body", answer);
            Ok(FilterDataStatus::Continue)
        })
    }
}

#[derive(Default)]
struct Fake {
    asked: RefCell<Vec<String>>,
    message: Cell<Vec<u8>>,
}

impl HostFunctions for Fake {
    fn proxy_grpc_stream(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<u32, Status> {
        Ok(6)
    }

    fn proxy_grpc_cancel(&self, token: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("cancel {token}"));
        Ok(())
    }

    fn proxy_grpc_close(&self, token: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push(format!("close {token}"));
        Ok(())
    }

    fn proxy_get_buffer_bytes(&self, _: u32, _: u32, _: u32) -> Result<Vec<u8>, Status> {
        Ok(self.message.take())
    }

    fn proxy_get_status(&self) -> Result<(u32, Vec<u8>), Status> {
        Ok((0, Vec::new()))
    }

    fn proxy_set_effective_context(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_continue_stream(&self, _: u32) -> Result<(), Status> {
        self.asked.borrow_mut().push("continue".into());
        Ok(())
    }
}

fn call(export: &str, arguments: &[u32]) -> u32 {
    let module = __proxy_filter::module();
    let (_, export) = module.exports.iter().find(|(name, _)| *name == export).unwrap();
    let mut padded = [0; 5];
    padded[..arguments.len()].copy_from_slice(arguments);
    export(padded)
}

fn start(end_of_stream: bool) -> Rc<Fake> {
    let fake = Rc::new(Fake::default());
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    call("proxy_on_context_create", &[1, 0]);
    call("proxy_on_context_create", &[2, 1]);
    call("proxy_on_request_headers", &[2, 0, u32::from(end_of_stream)]);
    fake
}

fn receive(fake: &Fake, message: u8) {
    fake.message.set(vec![message]);
    call("proxy_on_grpc_receive", &[1, 6, 1]);
}

#[test]
fn a_completion_of_a_forwarded_part_takes_no_message_from_another() {
    let fake = start(false);
    receive(&fake, 1);
    assert_eq!(RAN.take(), ["first: Some(Ok([1]))"]);
    call("proxy_on_request_body", &[2, 4, 0]);
    assert!(RAN.take().is_empty());
    // The second completion runs before that of the body, but no part is paused for it.
    receive(&fake, 2);
    assert_eq!(RAN.take(), ["body: Some(Ok([2]))"]);
    assert_eq!(fake.asked.take(), ["continue", "continue"]);
}

#[test]
fn an_earlier_message_and_an_earlier_end_complete_at_once() {
    let fake = start(false);
    receive(&fake, 1);
    receive(&fake, 2);
    call("proxy_on_request_body", &[2, 4, 0]);
    assert_eq!(RAN.take(), ["first: Some(Ok([1]))", "body: Some(Ok([2]))"]);
    call("proxy_on_grpc_close", &[1, 6, 0]);
    call("proxy_on_request_body", &[2, 4, 1]);
    assert_eq!(RAN.take(), ["body: None"]);
    assert_eq!(fake.asked.take(), ["continue", "close 6"]);
}

#[test]
fn a_stream_stays_open_while_a_completion_is_pending() {
    let fake = start(true);
    assert!(fake.asked.take().is_empty(), "the handle is gone, and the stream is not");
    receive(&fake, 1);
    assert_eq!(fake.asked.take(), ["continue"], "the second completion waits still");
    call("proxy_on_delete", &[2]);
    assert_eq!(fake.asked.take(), ["cancel 6"]);
    receive(&fake, 2);
    assert_eq!(RAN.take(), ["first: Some(Ok([1]))"]);
}

#[test]
fn a_pending_completion_runs_once_at_the_end_of_the_stream() {
    let fake = start(true);
    call("proxy_on_grpc_close", &[1, 6, 5]);
    let ran = RAN.take();
    assert!(ran.len() == 1 && ran[0].starts_with("first: Some(Err("), "{ran:?}");
    assert_eq!(fake.asked.take(), ["close 6", "continue"]);
}
