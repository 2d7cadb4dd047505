//! Connections in hosts that differ from Envoy: they make reentrant calls, choose other ids, or
//! lack functions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "this is a test")]

mod support;

use proxy_filter::Status;
use proxy_filter::prelude::*;
use proxy_filter::sys::HostFunctions;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use support::{Installed, call, start};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note(what: impl Into<String>) {
    SEEN.with(|seen| seen.borrow_mut().push(what.into()));
}

fn seen() -> Vec<String> {
    SEEN.with(|seen| std::mem::take(&mut *seen.borrow_mut()))
}

mod filter {
    use super::*;

    #[derive(Default)]
    pub struct Root {
        connections: Cell<u32>,
    }

    #[proxy_filter::root]
    impl RootContext for Root {
        type Context = Connection;

        fn new_context(&self) -> Connection {
            self.connections.set(self.connections.get() + 1);
            Connection { number: self.connections.get() }
        }
    }

    pub struct Connection {
        number: u32,
    }

    #[proxy_filter::stream_context]
    impl StreamContext for Connection {
        fn on_downstream_data(&mut self, data: &mut DownstreamData, _: bool) -> Result<NetworkFilterStatus> {
            note(format!("data {} begins", self.number));
            data.drain(2)?;
            note(format!("data {} ends with {} bytes", self.number, data.len()));
            Ok(NetworkFilterStatus::Continue)
        }

        fn on_upstream_data(&mut self, _: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
            note(format!("upstream {}", self.number));
            Ok(if end_of_stream { NetworkFilterStatus::Close } else { NetworkFilterStatus::Continue })
        }

        fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
            note(format!("closed {} by {peer:?}", self.number));
            Err(Error::other("on_downstream_close"))
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            note(format!("connection {} is gone", self.number));
        }
    }
}

/// Runs a closure during the first `proxy_set_buffer_bytes`, and cannot replace a part of a buffer.
struct Odd {
    during: Cell<Option<fn()>>,
}

impl HostFunctions for Odd {
    fn proxy_set_buffer_bytes(&self, _: u32, start: u32, size: u32, bytes: &[u8]) -> std::result::Result<(), Status> {
        if let Some(during) = self.during.take() {
            during();
        }
        note(format!("set {start} {size} {}", bytes.escape_ascii()));
        if size == u32::MAX { Ok(()) } else { Err(Status::BAD_ARGUMENT) }
    }

    fn proxy_get_buffer_bytes(&self, _: u32, start: u32, size: u32) -> std::result::Result<Vec<u8>, Status> {
        Ok(b"hello"[start as usize..(start + size) as usize].to_vec())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> std::result::Result<(), Status> {
        note(String::from_utf8_lossy(message));
        Ok(())
    }
}

fn module() -> proxy_filter::__private::Module {
    filter::__proxy_filter::module()
}

/// Starts the plugin in a host that runs a closure during a host call, and opens a connection.
fn connect(during: fn()) -> Installed {
    let installed = Installed::new(Rc::new(Odd { during: Cell::new(Some(during)) }));
    start(module());
    call(module(), "proxy_on_context_create", &[2, 1]);
    installed
}

#[test]
fn a_host_that_cannot_drain_gets_the_rest_back() {
    let _installed = connect(|| {});
    assert_eq!(call(module(), "proxy_on_downstream_data", &[2, 5, 0]), 0);
    assert_eq!(seen(), ["data 1 begins", "set 0 2 ", "set 0 4294967295 llo", "data 1 ends with 3 bytes"]);
}

#[test]
fn a_connection_is_not_entered_twice_and_the_event_is_counted() {
    let _installed = connect(|| {
        assert_eq!(call(module(), "proxy_on_upstream_data", &[2, 1, 1]), 0, "Continue");
        call(module(), "proxy_on_downstream_connection_close", &[2, 1]);
    });
    let ignored = proxy_filter::plugin::ignored_callbacks();
    call(module(), "proxy_on_downstream_data", &[2, 1, 0]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored + 2);
    assert_eq!(seen(), ["data 1 begins", "set 0 4294967295 ", "data 1 ends with 0 bytes"]);
}

#[test]
fn another_connection_is_served_during_a_callback() {
    let _installed = connect(|| {
        call(module(), "proxy_on_context_create", &[3, 1]);
        call(module(), "proxy_on_upstream_data", &[3, 1, 0]);
        call(module(), "proxy_on_delete", &[3]);
    });
    call(module(), "proxy_on_downstream_data", &[2, 1, 0]);
    assert_eq!(
        seen(),
        ["data 1 begins", "upstream 2", "connection 2 is gone", "set 0 4294967295 ", "data 1 ends with 0 bytes"]
    );
}

#[test]
fn a_connection_deleted_during_its_own_callback_is_dropped_afterwards() {
    let _installed = connect(|| {
        call(module(), "proxy_on_delete", &[2]);
    });
    call(module(), "proxy_on_downstream_data", &[2, 1, 0]);
    assert_eq!(seen().last().unwrap(), "connection 1 is gone");
    assert_eq!(call(module(), "proxy_on_downstream_data", &[2, 1, 0]), 0, "and data for it continues");
    assert_eq!(seen(), Vec::<String>::new());
}

#[test]
fn a_host_that_cannot_close_keeps_the_connection_stopped() {
    let _installed = connect(|| {});
    assert_eq!(call(module(), "proxy_on_upstream_data", &[2, 1, 1]), 1, "StopIteration");
}

#[test]
fn a_close_that_fails_is_logged_and_a_peer_without_a_name_is_unknown() {
    let _installed = connect(|| {});
    call(module(), "proxy_on_downstream_connection_close", &[2, 77]);
    assert_eq!(seen(), ["closed 1 by Unknown", "on_downstream_close of context 2 failed: on_downstream_close"]);
}

#[test]
fn events_for_connections_that_do_not_exist_are_counted_and_continue() {
    let _installed = connect(|| {});
    let ignored = proxy_filter::plugin::ignored_callbacks();
    assert_eq!(call(module(), "proxy_on_downstream_data", &[77, 1, 1]), 0);
    call(module(), "proxy_on_downstream_connection_close", &[77, 2]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored + 2);
}
