//! Logging: the SDK follows the host's level, and does not format a line below it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "this is a test")]

mod support;

use proxy_filter::prelude::*;
use proxy_filter::sys::HostFunctions;
use proxy_filter::{Status, log::LogLevel};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use support::{Installed, call, start};

thread_local! {
    static FORMATTED: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is formatted.
struct Counted;

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FORMATTED.set(FORMATTED.get() + 1);
        f.write_str("counted")
    }
}

/// Logs while it is being logged.
struct Nested;

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("inner {}", 1);
        f.write_str("outer")
    }
}

mod filter {
    use super::*;

    #[derive(Default)]
    pub struct Root;

    #[proxy_filter::root]
    impl RootContext for Root {
        type Context = Stream;

        fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
            log::info!("{Nested}");
            Ok(())
        }

        fn new_context(&self) -> Stream {
            Stream
        }
    }

    pub struct Stream;

    #[proxy_filter::context]
    impl Context for Stream {
        fn on_request_headers(
            &mut self,
            _request: &mut RequestHeaders,
            _end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            log::debug!("{Counted}");
            Ok(FilterHeadersStatus::Continue)
        }
    }
}

struct Host {
    level: Cell<LogLevel>,
    lines: RefCell<Vec<String>>,
    level_reads: Cell<u32>,
}

impl HostFunctions for Host {
    fn proxy_log(&self, _: u32, message: &[u8]) -> std::result::Result<(), Status> {
        self.lines.borrow_mut().push(String::from_utf8_lossy(message).into_owned());
        Ok(())
    }

    fn proxy_get_log_level(&self) -> std::result::Result<u32, Status> {
        self.level_reads.set(self.level_reads.get() + 1);
        Ok(self.level.get().raw())
    }
}

fn module() -> proxy_filter::__private::Module {
    filter::__proxy_filter::module()
}

fn host(level: LogLevel) -> (Rc<Host>, Installed) {
    let host = Rc::new(Host { level: Cell::new(level), lines: RefCell::default(), level_reads: Cell::new(0) });
    (Rc::clone(&host), Installed::new(host))
}

fn stream(id: u32) {
    call(module(), "proxy_on_context_create", &[id, 1]);
    call(module(), "proxy_on_request_headers", &[id, 1, 1]);
    call(module(), "proxy_on_delete", &[id]);
}

#[test]
fn a_line_below_the_level_is_neither_formatted_nor_handed_to_the_host() {
    let (host, _installed) = host(LogLevel::Info);
    start(module());
    stream(2);
    assert_eq!(host.level_reads.get(), 1, "the level is read when it is first needed");
    for id in 3..20 {
        stream(id);
    }
    assert_eq!((FORMATTED.get(), host.lines.borrow().len(), host.level_reads.get()), (0, 0, 1));
}

#[test]
fn a_changed_level_is_followed_within_32_streams() {
    let (host, _installed) = host(LogLevel::Info);
    start(module());
    stream(2);
    host.level.set(LogLevel::Debug);
    for id in 3..=34 {
        stream(id);
    }
    assert!(!host.lines.borrow().is_empty());
    assert_eq!(host.lines.borrow()[0], "counted");
    assert!(host.level_reads.get() <= 2);
}

#[test]
fn a_line_logged_while_another_is_formatted_is_not_lost() {
    let (host, _installed) = host(LogLevel::Trace);
    start(module());
    call(module(), "proxy_on_configure", &[1, 0]);
    assert_eq!(*host.lines.borrow(), ["inner 1", "outer"]);
}

#[test]
fn a_host_without_levels_gets_every_line() {
    struct Old(RefCell<u32>);
    impl HostFunctions for Old {
        fn proxy_log(&self, _: u32, _: &[u8]) -> std::result::Result<(), Status> {
            *self.0.borrow_mut() += 1;
            Ok(())
        }
    }
    let old = Rc::new(Old(RefCell::new(0)));
    let _installed = Installed::new(Rc::clone(&old) as Rc<dyn HostFunctions>);
    start(module());
    stream(2);
    assert_eq!(*old.0.borrow(), 1);
}
