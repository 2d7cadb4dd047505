//! Reentrant callbacks during a host call do not trap, and no context is entered twice at once.

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
        streams: Cell<u32>,
    }

    #[proxy_filter::root]
    impl RootContext for Root {
        type Context = Stream;

        fn new_context(&self) -> Stream {
            self.streams.set(self.streams.get() + 1);
            Stream { number: self.streams.get() }
        }
    }

    pub struct Stream {
        number: u32,
    }

    #[proxy_filter::context]
    impl Context for Stream {
        fn on_request_headers(
            &mut self,
            request: &mut RequestHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            note(format!("request {} begins", self.number));
            request.add("a", "b")?;
            note(format!("request {} ends", self.number));
            Ok(FilterHeadersStatus::Continue)
        }

        fn on_response_headers(
            &mut self,
            _response: &mut ResponseHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            note(format!("response {}", self.number));
            Ok(FilterHeadersStatus::Continue)
        }
    }

    impl Drop for Stream {
        fn drop(&mut self) {
            // A destructor may make host calls.
            log::error!("stream {} is gone", self.number);
        }
    }
}

/// Makes one reentrant call during `proxy_add_header_map_value`, and one during a log line.
struct Reentrant {
    during: Cell<Option<fn()>>,
}

impl HostFunctions for Reentrant {
    fn proxy_add_header_map_value(&self, _: u32, _: &[u8], _: &[u8]) -> std::result::Result<(), Status> {
        if let Some(during) = self.during.take() {
            during();
        }
        Ok(())
    }

    fn proxy_log(&self, _: u32, message: &[u8]) -> std::result::Result<(), Status> {
        note(String::from_utf8_lossy(message));
        Ok(())
    }
}

fn module() -> proxy_filter::__private::Module {
    filter::__proxy_filter::module()
}

fn during(action: fn()) -> Installed {
    Installed::new(Rc::new(Reentrant { during: Cell::new(Some(action)) }))
}

#[test]
fn the_same_stream_is_not_entered_twice_and_the_event_is_counted() {
    let _installed = during(|| assert_eq!(call(module(), "proxy_on_response_headers", &[2, 1, 1]), 0, "Continue"));
    start(module());
    call(module(), "proxy_on_context_create", &[2, 1]);
    let ignored = proxy_filter::plugin::ignored_callbacks();
    call(module(), "proxy_on_request_headers", &[2, 1, 1]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored + 1);
    assert_eq!(seen(), ["request 1 begins", "request 1 ends"]);
    call(module(), "proxy_on_response_headers", &[2, 1, 1]);
    assert_eq!(seen(), ["response 1"], "and it is as it was afterwards");
}

#[test]
fn another_stream_is_created_served_and_deleted_during_a_callback() {
    let _installed = during(|| {
        call(module(), "proxy_on_context_create", &[3, 1]);
        call(module(), "proxy_on_request_headers", &[3, 1, 1]);
        call(module(), "proxy_on_delete", &[3]);
    });
    start(module());
    call(module(), "proxy_on_context_create", &[2, 1]);
    call(module(), "proxy_on_request_headers", &[2, 1, 1]);
    assert_eq!(
        seen(),
        ["request 1 begins", "request 2 begins", "request 2 ends", "stream 2 is gone", "request 1 ends"]
    );
}

#[test]
fn a_stream_deleted_during_its_own_callback_is_dropped_afterwards() {
    let _installed = during(|| {
        call(module(), "proxy_on_delete", &[2]);
    });
    start(module());
    call(module(), "proxy_on_context_create", &[2, 1]);
    call(module(), "proxy_on_request_headers", &[2, 1, 1]);
    assert_eq!(seen(), ["request 1 begins", "request 1 ends", "stream 1 is gone"]);
    assert_eq!(call(module(), "proxy_on_response_headers", &[2, 1, 1]), 0);
    assert_eq!(seen(), Vec::<String>::new());
}

#[test]
fn a_reused_id_drops_the_previous_context() {
    let _installed = during(|| {});
    start(module());
    call(module(), "proxy_on_context_create", &[2, 1]);
    call(module(), "proxy_on_context_create", &[2, 1]);
    assert_eq!(seen(), ["stream 1 is gone"]);
}

#[test]
fn events_for_contexts_that_do_not_exist_are_counted_and_continue() {
    let _installed = during(|| {});
    start(module());
    let ignored = proxy_filter::plugin::ignored_callbacks();
    assert_eq!(call(module(), "proxy_on_request_headers", &[77, 1, 1]), 0);
    call(module(), "proxy_on_delete", &[77]);
    call(module(), "proxy_on_context_create", &[5, 77]);
    assert_eq!(proxy_filter::plugin::ignored_callbacks(), ignored + 3);
}
