//! A connection whose data is paused for a callout, driven export by export.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::Status;
use proxy_filter::prelude::*;
use proxy_filter::sys::{self, HostFunctions};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Guard;

    fn new_context(&self) -> Guard {
        Guard { asks: false, allowed: false }
    }
}

/// Calls a service to decide whether the first data of the client is allowed.
struct Guard {
    asks: bool,
    allowed: bool,
}

#[proxy_filter::stream_context(http_calls)]
impl StreamContext for Guard {
    fn on_downstream_data(&mut self, data: &mut DownstreamData, _: bool) -> Result<NetworkFilterStatus> {
        if self.allowed {
            return Ok(NetworkFilterStatus::Continue);
        }
        if core::mem::replace(&mut self.asks, true) {
            return Ok(NetworkFilterStatus::Pause);
        }
        data.pause_for(self, HttpCall::get("authz", "/"), |guard, data, answer| {
            guard.allowed = answer?.status() == 204;
            log::info!("{} bytes held", data.len());
            Ok(if guard.allowed { NetworkFilterStatus::Continue } else { NetworkFilterStatus::Close })
        })
    }
}

/// Records the calls of the module.
#[derive(Default)]
struct Fake {
    status: Cell<&'static str>,
    refuses_close: Cell<bool>,
    asked: RefCell<Vec<String>>,
}

impl Fake {
    fn note(&self, what: String) {
        self.asked.borrow_mut().push(what);
    }
}

impl HostFunctions for Fake {
    fn proxy_http_call(&self, _: &[u8], _: &[u8], _: &[u8], _: &[u8], _: u32) -> Result<u32, Status> {
        self.note("call".into());
        Ok(4)
    }

    fn proxy_get_header_map_value(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        match self.status.get() {
            "" => Err(Status::BAD_ARGUMENT),
            status => Ok(status.into()),
        }
    }

    fn proxy_set_effective_context(&self, id: u32) -> Result<(), Status> {
        self.note(format!("effective {id}"));
        Ok(())
    }

    fn proxy_continue_stream(&self, stream: u32) -> Result<(), Status> {
        self.note(format!("continue {stream}"));
        Ok(())
    }

    fn proxy_close_stream(&self, stream: u32) -> Result<(), Status> {
        self.note(format!("close {stream}"));
        if self.refuses_close.get() { Err(Status::UNIMPLEMENTED) } else { Ok(()) }
    }

    fn proxy_get_log_level(&self) -> Result<u32, Status> {
        Ok(0)
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> Result<(), Status> {
        self.note(String::from_utf8_lossy(message).into_owned());
        Ok(())
    }
}

fn call(name: &str, arguments: &[u32]) -> u32 {
    let exports = __proxy_filter::module().exports;
    let (_, export) = exports.iter().find(|(export, _)| *export == name).unwrap();
    let mut padded = [0; 5];
    padded[..arguments.len()].copy_from_slice(arguments);
    export(padded)
}

/// A client connects and sends 3 bytes, which are paused for the response with this status. No
/// status means a call that fails.
fn held_for(status: &'static str) -> Rc<Fake> {
    let fake = Rc::new(Fake::default());
    fake.status.set(status);
    sys::install(Some(Rc::<Fake>::clone(&fake)));
    call("_initialize", &[]);
    call("proxy_on_context_create", &[1, 0]);
    call("proxy_on_context_create", &[2, 1]);
    assert_eq!(call("proxy_on_downstream_data", &[2, 3, 0]), 1, "StopIteration");
    assert_eq!(fake.asked.take(), ["call"]);
    fake
}

#[test]
fn a_completion_resumes_all_data_buffered_since_the_call() {
    let fake = held_for("204");
    assert_eq!(call("proxy_on_downstream_data", &[2, 5, 0]), 1);
    call("proxy_on_http_call_response", &[1, 4, 1, 0, 0]);
    assert_eq!(fake.asked.take(), ["effective 2", "5 bytes held", "continue 2"]);
    assert_eq!(call("proxy_on_downstream_data", &[2, 1, 0]), 0);
}

#[test]
fn a_completion_can_close_the_connection() {
    let fake = held_for("403");
    call("proxy_on_http_call_response", &[1, 4, 1, 0, 0]);
    assert_eq!(fake.asked.take(), ["effective 2", "3 bytes held", "close 2"]);
}

#[test]
fn a_call_that_fails_is_an_error_of_the_connection() {
    let fake = held_for("");
    call("proxy_on_http_call_response", &[1, 4, 0, 0, 0]);
    let asked = fake.asked.take();
    assert_eq!(asked.last().unwrap(), "close 2", "{asked:?}");
    assert!(asked.iter().any(|line| line.ends_with("; the connection is closed")), "{asked:?}");
}

/// A completion that denies, and a call that fails under the closed policy: the data stays paused,
/// also when more of it arrives, if the host refuses to close the connection.
#[test]
fn a_denied_connection_stays_paused_if_the_host_refuses_to_close_it() {
    for status in ["403", ""] {
        let fake = held_for(status);
        fake.refuses_close.set(true);
        call("proxy_on_http_call_response", &[1, 4, 1, 0, 0]);
        let asked = fake.asked.take();
        assert_eq!(asked.last().unwrap(), "close 2", "{asked:?}");
        for (size, end_of_stream) in [(5, 0), (5, 1)] {
            assert_eq!(call("proxy_on_downstream_data", &[2, size, end_of_stream]), 1, "{status}: StopIteration");
        }
        let asked = fake.asked.take();
        assert!(!asked.iter().any(|what| what.starts_with("continue")), "{status}: {asked:?}");
    }
}

#[test]
fn a_response_for_a_deleted_connection_is_ignored() {
    let fake = held_for("204");
    call("proxy_on_delete", &[2]);
    call("proxy_on_http_call_response", &[1, 4, 1, 0, 0]);
    assert_eq!(fake.asked.take(), Vec::<String>::new());
}
