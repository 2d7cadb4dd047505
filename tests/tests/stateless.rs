//! The host does not enter a filter without state for the life of its streams. For its streams,
//! such a filter behaves like any other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "this is a test")]

#[allow(dead_code, reason = "a filter without state has no root context to start")]
mod support;

use proxy_filter::sys::HostFunctions;
use proxy_filter::{Status, log::LogLevel};
use proxy_filter_host::{Host, Reply};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use support::{Installed, call};

#[proxy_filter_host::test(guest = "stateless")]
fn only_the_callbacks_it_has_are_entered(mut host: Host) {
    host.upstream(|_| Reply::new(200).body("body"));
    let exchange = host.post("/").body("data").send();
    assert_eq!(
        exchange.callbacks(),
        ["proxy_on_request_headers", "proxy_on_response_headers", "proxy_on_log"],
        "{exchange}"
    );
    assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("nobody".into()));
    assert_eq!(exchange.response().header("x-by"), Some("stateless".into()));
    assert_eq!(exchange.messages(), ["request / false", "log 200"]);
}

#[proxy_filter_host::test(guest = "stateless")]
fn trailers_are_edited(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    let exchange = host.post("/").chunks(["data"]).trailer("x-t", "1").http2().send();
    assert_eq!(exchange.upstream().unwrap().trailer("x-trailer"), Some("1".into()), "{exchange}");
    assert_eq!(exchange.response().trailer("x-trailer"), Some("2".into()));
}

#[proxy_filter_host::test(guest = "stateless")]
fn a_local_reply_runs_through_its_own_response_callback(mut host: Host) {
    let exchange = host.get("/reply").send();
    assert_eq!((exchange.status(), exchange.response().text()), (403, "refused\n".into()), "{exchange}");
    assert_eq!(exchange.response().header("x-by"), Some("stateless".into()));
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "stateless")]
fn an_error_is_handled_by_the_failure_policy(mut host: Host) {
    let exchange = host.get("/fail").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("on_request_headers of context 2 failed: told to fail; the client gets a 500");
    host.upstream(|_| Reply::new(200).header("x-then", "fail").body("body"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("on_response_headers of context 3 failed: told to fail; the client gets a 500");
    host.upstream(|_| Reply::new(200).header("x-then", "reply").body("body"));
    assert_eq!(host.get("/").send().status(), 502);
}

#[proxy_filter_host::test(guest = "stateless")]
fn an_error_after_the_headers_resets_the_stream(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-then", "fail"));
    let exchange = host.get("/").http2().send();
    exchange.expect_error("told to fail; the stream is reset");
}

#[proxy_filter_host::test(guest = "stateless")]
fn a_panic_is_logged_with_its_callback_and_stream(mut host: Host) {
    let exchange = host.get("/panic").send();
    let line = exchange.messages().into_iter().find(|line| line.contains(" panicked at ")).expect("it is logged");
    assert!(
        line.starts_with("on_request_headers of context 2 panicked at ") && line.ends_with(": told to panic"),
        "{line}"
    );
    exchange.expect_error("told to panic");
}

/// The same filter, driven by hand.
#[path = "../guests/examples/stateless.rs"]
mod guest;

/// A host that has one path, and makes a reentrant call while a header is being added.
struct Fake {
    level_reads: Cell<u32>,
    lines: RefCell<Vec<String>>,
    during: Cell<Option<fn()>>,
}

impl HostFunctions for Fake {
    fn proxy_get_header_map_value(&self, _: u32, name: &[u8]) -> Result<Vec<u8>, Status> {
        if name == b":path" { Ok(b"/".to_vec()) } else { Err(Status::NOT_FOUND) }
    }

    fn proxy_replace_header_map_value(&self, _: u32, _: &[u8], _: &[u8]) -> Result<(), Status> {
        if let Some(during) = self.during.take() {
            during();
        }
        Ok(())
    }

    fn proxy_add_header_map_value(&self, _: u32, _: &[u8], _: &[u8]) -> Result<(), Status> {
        Ok(())
    }

    fn proxy_get_log_level(&self) -> Result<u32, Status> {
        self.level_reads.set(self.level_reads.get() + 1);
        Ok(LogLevel::Info.raw())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> Result<(), Status> {
        self.lines.borrow_mut().push(String::from_utf8_lossy(message).into_owned());
        Ok(())
    }
}

fn host(during: Option<fn()>) -> (Rc<Fake>, Installed) {
    let host = Rc::new(Fake { level_reads: Cell::new(0), lines: RefCell::default(), during: Cell::new(during) });
    let installed = Installed::new(Rc::<Fake>::clone(&host));
    call(guest::__proxy_filter::module(), "_initialize", &[]);
    (host, installed)
}

fn request(id: u32) -> u32 {
    call(guest::__proxy_filter::module(), "proxy_on_request_headers", &[id, 1, 1])
}

#[test]
fn a_stream_entered_again_during_its_own_callback_is_served() {
    let (host, _installed) = host(Some(|| assert_eq!(request(2), 0)));
    let ignored = proxy_filter::plugin::ignored_callbacks();
    assert_eq!(request(2), 0);
    assert_eq!(*host.lines.borrow(), ["request / true", "request / true"]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored, "no event had to be ignored");
}

#[test]
fn streams_of_several_plugins_in_one_vm_are_served_the_same_way() {
    let (host, _installed) = host(None);
    // The host has assigned 1 and 2 to root contexts. It announces neither, because the module
    // exports no callback for it.
    for id in [3, 4, u32::MAX, 3] {
        assert_eq!(request(id), 0);
    }
    assert_eq!(host.lines.borrow().len(), 4);
}

#[test]
fn the_hosts_log_level_is_read_again_after_32_streams() {
    let (host, _installed) = host(None);
    for id in 2..32 {
        request(id);
    }
    assert_eq!(host.level_reads.get(), 1);
    for id in 32..64 {
        request(id);
    }
    assert_eq!(host.level_reads.get(), 2);
}
