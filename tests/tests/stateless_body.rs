//! A filter of bodies without state. The SDK stores nothing about a stream before its first
//! callback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "this is a test")]

#[allow(dead_code, reason = "a filter without state has no root context to start")]
mod support;

use proxy_filter::Status;
use proxy_filter::sys::HostFunctions;
use proxy_filter_host::{Host, Reply};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use support::{Installed, call};

#[proxy_filter_host::test(guest = "stateless_body")]
fn a_body_may_be_edited_if_the_headers_callback_removed_its_length(mut host: Host) {
    let exchange = host.post("/").header("x-edit", "1").body("abc").send();
    assert_eq!(exchange.upstream().unwrap().text(), "abc!", "{exchange}");
    assert!(exchange.messages().contains(&"request 4 Ok(())"), "{exchange}");
    let exchange = host.post("/").body("abc").send();
    assert_eq!(exchange.upstream().unwrap().text(), "abc", "{exchange}");
    assert!(exchange.messages().contains(&"request 3 Err(ContentLength)"), "another stream knows nothing of the first");
}

#[proxy_filter_host::test(guest = "stateless_body")]
fn the_only_other_callback_is_on_delete(mut host: Host) {
    let exchange = host.post("/").header("x-edit", "1").body("abc").http2().send();
    let (first, last) = (exchange.callbacks()[0], *exchange.callbacks().last().unwrap());
    assert_eq!((first, last), ("proxy_on_request_headers", "proxy_on_delete"), "{exchange}");
    assert!(!exchange.callbacks().contains(&"proxy_on_done"), "{exchange}");
}

#[proxy_filter_host::test(guest = "stateless_body")]
fn a_body_that_ends_with_headers_or_trailers_ends_once(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["one", "three"]).trailer("x-t", "1"));
    let exchange = host.post("/").header("x-edit", "1").chunks(["a", "bc"]).trailer("x-t", "1").http2().send();
    let ends = |exchange: &proxy_filter_host::Outcome, text: &str| {
        exchange.messages().iter().filter(|line| line.starts_with(text)).count()
    };
    assert_eq!(exchange.upstream().unwrap().text(), "abc!", "{exchange}");
    assert_eq!((ends(&exchange, "request "), ends(&exchange, "response 0 true")), (1, 1), "{exchange}");
    let exchange = host.get("/").send();
    assert_eq!(ends(&exchange, "request "), 1, "{exchange}");
}

#[proxy_filter_host::test(guest = "stateless_body")]
fn an_error_in_the_response_body_resets_the_stream(mut host: Host) {
    host.upstream(|_| Reply::new(200).body("four"));
    let exchange = host.get("/").http2().send();
    exchange.expect_error("told to fail; the stream is reset");
}

/// The same filter, driven by hand.
#[path = "../guests/examples/stateless_body.rs"]
mod guest;

/// A host that makes a reentrant call while the headers of its first request are edited. Only that
/// request has `x-edit`.
struct Fake {
    lines: RefCell<Vec<String>>,
    has_edit: Cell<bool>,
    during: Cell<Option<fn()>>,
}

impl HostFunctions for Fake {
    fn proxy_get_header_map_value(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Status> {
        if self.has_edit.get() { Ok(b"1".to_vec()) } else { Err(Status::NOT_FOUND) }
    }

    fn proxy_remove_header_map_value(&self, _: u32, _: &[u8]) -> Result<(), Status> {
        self.has_edit.set(false);
        if let Some(during) = self.during.take() {
            during();
        }
        Ok(())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> Result<(), Status> {
        self.lines.borrow_mut().push(String::from_utf8_lossy(message).into_owned());
        Ok(())
    }
}

fn host(during: fn()) -> (Rc<Fake>, Installed) {
    let host = Rc::new(Fake { lines: RefCell::default(), has_edit: Cell::new(true), during: Cell::new(Some(during)) });
    let installed = Installed::new(Rc::<Fake>::clone(&host));
    call(guest::__proxy_filter::module(), "_initialize", &[]);
    (host, installed)
}

fn callback(name: &str, arguments: &[u32]) -> u32 {
    call(guest::__proxy_filter::module(), name, arguments)
}

#[test]
fn a_stream_deleted_during_its_own_callback_shares_no_state_with_another() {
    let (host, _installed) = host(|| {
        callback("proxy_on_delete", &[2]);
        // Would reuse the state of stream 2 if that had been dropped already.
        callback("proxy_on_request_headers", &[3, 1, 0]);
    });
    callback("proxy_on_request_headers", &[2, 1, 0]);
    callback("proxy_on_request_body", &[3, 3, 1]);
    assert_eq!(*host.lines.borrow(), ["request 3 Err(ContentLength)"], "stream 3 has not removed its length");
}

#[test]
fn the_delete_of_a_stream_without_callbacks_is_not_an_ignored_callback() {
    let (_host, _installed) = host(|| {});
    let ignored = proxy_filter::plugin::ignored_callbacks();
    callback("proxy_on_delete", &[1]);
    callback("proxy_on_delete", &[2]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored);
}
