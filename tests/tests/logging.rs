//! Logging: the SDK follows the host's level, and does not format a line below it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "this is a test")]

mod support;

use proxy_filter::prelude::*;
use proxy_filter::sys::HostFunctions;
use proxy_filter::{
    HeaderValue, Status,
    log::{self, LogLevel},
};
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
    use proxy_filter::log;

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

/// Each line through the macros of the SDK, which need no `core::fmt` for most, and as `format!`
/// shows it.
macro_rules! lines {
    ($(($($line:tt)*))*) => {
        fn log_all() {
            $(log::info!($($line)*);)*
        }

        fn format_all() -> Vec<String> {
            vec![$(format!($($line)*)),*]
        }
    };
}

const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NAME: &str = "x-name";

fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from(bytes.to_vec())
}

lines! {
    ("text")
    ("")
    ("{{}} \n \u{e9} \\",)
    ("{}", "")
    ("{}: {}", escaped(b"name"), escaped("v\u{202e}\\ \u{e9}\n"))
    ("{}: {}", escaped("caf\u{e9}"), value(b"a\xff\tb"))
    ("caf\u{e9} \\ {}", "\n is text \\")
    ("{NAME} {0} {NAME} {0}", 5)
    ("{} {}", Vec::<u8>::new().len(), "a".repeat(3))
    ("{:>8}|{:?}|{0:x}", 10, "a")
    ("{name} {}", 1, name = 2)
    ("{} {}", 1 < 2, u8::max(2, 3))
    ("{}", &&&String::from("referenced"))
    ("{}{}", escaped(&LONG), escaped(&LONG))
    ("{}{}{}", escaped(&LONG), LONG, escaped(&LONG))
    ("{}{}{}\u{7f}", LONG, LONG, escaped(b"\x7f"))
    ("{Counted} {}", std::borrow::Cow::Borrowed("cow"))
    (r#"raw "{}" \n"#, 'c')
    ("{}", format_args!("{} {}", 1, 2))
}

#[test]
fn a_line_of_the_sdk_is_the_one_that_rust_formats() {
    let (host, _installed) = host(LogLevel::Info);
    start(module());
    log_all();
    assert_eq!(*host.lines.borrow(), format_all());
}

#[test]
fn a_short_line_of_every_length_is_written_whole() {
    let (host, _installed) = host(LogLevel::Info);
    start(module());
    let text = "0123456789 bcdef".repeat(20);
    let mut expected = Vec::new();
    for length in 0..text.len() {
        let (first, second) = text.split_at(length);
        log::warn!("{}{}{}", first, escaped("-"), escaped(second.get(..20).unwrap_or(second)));
        log::warn!("{}{}", escaped(first), escaped(b"\\"));
        expected.push(format!("{first}-{}", second.get(..20).unwrap_or(second)));
        expected.push(format!("{first}\\\\"));
    }
    assert_eq!(*host.lines.borrow(), expected);
}

#[test]
fn lines_of_the_crate_log_reach_the_host_too() {
    let (host, _installed) = host(LogLevel::Info);
    start(module());
    ::log::info!(target: "elsewhere", "{} {}", 1, Nested);
    log::info!(target: "elsewhere", "{}", 2);
    ::log::debug!("not written");
    log::debug!("not written {}", 3);
    assert_eq!(*host.lines.borrow(), ["inner 1", "1 outer", "2"]);
}

#[test]
fn the_macros_of_the_sdk_observe_the_maximum_level_of_the_crate_log() {
    let (host, _installed) = host(LogLevel::Trace);
    start(module());
    ::log::set_max_level(::log::LevelFilter::Warn);
    log::info!("not written");
    log::warn!("written {}", 1);
    ::log::set_max_level(::log::LevelFilter::Trace);
    assert_eq!(*host.lines.borrow(), ["written 1"]);
}
