//! A foreign function that calls back inside of a callback of another context, driven export by
//! export.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use proxy_filter::{Status, foreign};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static RAN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn ran(what: impl Into<String>) {
    RAN.with_borrow_mut(|ran| ran.push(what.into()));
}

#[derive(Default)]
struct Root;

#[proxy_filter::root(http_calls)]
impl RootContext for Root {
    type Context = Stream;

    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        ran(format!("root {function_id} {arguments:?}"));
        HttpCall::get("c", "/root").send(self, |_, _| {
            ran("the root's call");
            Ok(())
        })
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        foreign::call("f", b"")?;
        request.pause_for(self, HttpCall::get("c", "/stream"), |_, _, _| {
            ran("the stream's call");
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        ran(format!("stream {function_id} {arguments:?}"));
        Ok(())
    }
}

/// A host whose foreign function makes reentrant calls to these contexts.
#[derive(Default)]
struct Fake {
    back: RefCell<Vec<u32>>,
    tokens: Cell<u32>,
    buffer: Cell<Option<Status>>,
}

impl HostFunctions for Fake {
    fn proxy_call_foreign_function(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Status> {
        for context in self.back.take() {
            call("proxy_on_foreign_function", &[context, 5, 2]);
        }
        Ok(Vec::new())
    }

    fn proxy_get_buffer_bytes(&self, buffer: u32, start: u32, size: u32) -> Result<Vec<u8>, Status> {
        assert_eq!((buffer, start, size), (8, 0, 2));
        self.buffer.get().map_or_else(|| Ok(vec![1, 2]), Err)
    }

    fn proxy_http_call(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8], _: u32) -> Result<u32, Status> {
        Ok(self.tokens.replace(self.tokens.get() + 4))
    }

    fn proxy_set_effective_context(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_get_header_map_value(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        Ok(b"200".to_vec())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> Result<(), Status> {
        ran(String::from_utf8_lossy(message));
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

fn start(back: &[u32]) -> Rc<Fake> {
    let fake = Rc::new(Fake { back: RefCell::new(back.to_vec()), ..Fake::default() });
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    call("proxy_on_context_create", &[1, 0]);
    call("proxy_on_context_create", &[2, 1]);
    fake
}

#[test]
fn the_call_of_an_idle_context_runs_at_once_in_that_context() {
    let _fake = start(&[1]);
    assert_eq!(call("proxy_on_request_headers", &[2, 0, 1]), 4);
    assert_eq!(RAN.take(), ["root 5 [1, 2]"]);
    // The stream's call is the stream's, although the root has made one in between.
    call("proxy_on_delete", &[2]);
    call("proxy_on_http_call_response", &[1, 4, 1, 0, 0]);
    assert!(RAN.take().is_empty());
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    assert_eq!(RAN.take(), ["the root's call"]);
}

#[test]
fn the_call_of_a_busy_context_is_deferred_and_of_an_unknown_one_ignored() {
    let _fake = start(&[2, 9, 2]);
    let ignored = proxy_filter::plugin::ignored_callbacks();
    assert_eq!(call("proxy_on_request_headers", &[2, 0, 1]), 4);
    assert_eq!(RAN.take(), ["stream 5 [1, 2]", "stream 5 [1, 2]"]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks() - ignored, 1);
    call("proxy_on_http_call_response", &[1, 0, 1, 0, 0]);
    assert_eq!(RAN.take(), ["the stream's call"]);
}

#[test]
fn arguments_that_cannot_be_read_are_an_error_of_the_callback() {
    let fake = start(&[]);
    fake.buffer.set(Some(Status::NOT_FOUND));
    call("proxy_on_foreign_function", &[2, 5, 2]);
    let expected = "on_foreign_function of context 2 failed: proxy_get_buffer_bytes returned NotFound";
    let logged = RAN.take();
    assert!(logged.len() == 1 && logged[0].starts_with(expected), "{logged:?}");
    call("proxy_on_foreign_function", &[1, 6, 0]);
    assert_eq!(RAN.take(), ["root 6 []"]);
}
