//! One line of Envoy's log, and what it says about the module.

use crate::record::{Event, LogLine};
use proxy_filter::log::LogLevel;

/// The format of a line (`--log-format`): thread, level, logger, and the message with JSON's
/// escapes, so that a line break in a guest's message is not a line break here.
pub(super) const FORMAT: &str = "%t %l %n %j";

/// Exports whose calls are not events: those that allocate memory for the host, and those that run
/// before any context exists.
const NOT_EVENTS: [&str; 6] = ["proxy_on_memory_allocate", "malloc", "_initialize", "_start", "main", "__main_void"];

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The thread that wrote it.
    pub(super) thread: u64,
    /// Its level.
    pub(super) level: LogLevel,
    /// Envoy's component, for example `wasm`.
    pub(super) logger: String,
    /// The text.
    pub(super) message: String,
}

impl Line {
    /// Parses a line; `None` for what Envoy and its libraries print without the log.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let mut words = raw.splitn(4, ' ');
        let thread = words.next()?.parse().ok()?;
        let level = level(words.next()?)?;
        let logger = words.next()?.to_owned();
        let escaped = words.next()?;
        let message = serde_json::from_str(&format!("\"{escaped}\"")).unwrap_or_else(|_| escaped.to_owned());
        Some(Self { thread, level, logger, message })
    }

    /// What the line says about the module, if it says something.
    pub(super) fn news(self, names: &Names) -> Option<News> {
        if self.logger != "wasm" {
            return None;
        }
        let message = self.message;
        if let Some(call) = message.strip_prefix("[host->vm] ") {
            let (name, arguments) = call.split_once('(')?;
            let arguments = arguments.trim_end_matches(')').split(", ").filter_map(number).collect();
            return event(name, |name| Event::Callback { name, arguments });
        }
        if let Some(call) = message.strip_prefix("[host<-vm] ") {
            let (name, result) = call.split_once(" return: ")?;
            return event(name, |name| Event::Returned { name, result: number(result) });
        }
        if let Some(call) = message.strip_prefix("[vm<-host] ") {
            let (name, result) = call.split_once(" return: ")?;
            let name = name.split_once('.').map_or(name, |(_, name)| name);
            if name == "proxy_log" {
                return None;
            }
            let status = number(result).and_then(|status| u32::try_from(status).ok()).unwrap_or(0);
            return Some(News::Event(Event::HostCall { name: name.to_owned(), status }));
        }
        if let Some(text) = names.guest_text(&message) {
            return Some(News::Event(Event::Log(LogLine { level: self.level, message: text.to_owned() })));
        }
        if let Some((name, _)) = message.strip_prefix("Function: ").and_then(|text| text.split_once(" failed")) {
            return event(name, |name| Event::Returned { name, result: None }).map(|news| match news {
                News::Event(event) => News::Trap(event),
                other => other,
            });
        }
        message.starts_with("Thread-Local Wasm created").then_some(News::NewVm)
    }
}

fn event(name: &str, make: impl FnOnce(String) -> Event) -> Option<News> {
    (!NOT_EVENTS.contains(&name)).then(|| News::Event(make(name.to_owned())))
}

/// What a line says about the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something happened between host and module.
    Event(Event),
    /// The module trapped, which is how this callback ended. Nothing runs in its VM any more.
    Trap(Event),
    /// The thread has a new VM.
    NewVm,
}

/// The names that Envoy puts before a guest's message.
pub(super) struct Names {
    prefixes: Vec<String>,
}

impl Names {
    /// `wasm log plugin root vm: ` in a stream, `wasm log root vm: ` in a root context,
    /// `wasm log: ` before there is one.
    pub(super) fn new(plugin_name: &str, root_id: &str, vm_id: &str) -> Self {
        let prefix = |names: &[&str]| {
            let words = std::iter::once(&"wasm log").chain(names).filter(|name| !name.is_empty());
            words.copied().collect::<Vec<_>>().join(" ") + ": "
        };
        let mut prefixes = vec![prefix(&[plugin_name, root_id, vm_id]), prefix(&[root_id, vm_id]), prefix(&[])];
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        Self { prefixes }
    }

    fn guest_text<'a>(&self, message: &'a str) -> Option<&'a str> {
        let known = self.prefixes.iter().find_map(|prefix| message.strip_prefix(prefix.as_str()));
        known.or_else(|| Some(message.strip_prefix("wasm log")?.split_once(": ")?.1))
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned))
}

fn level(name: &str) -> Option<LogLevel> {
    Some(match name {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warning" => LogLevel::Warn,
        "error" => LogLevel::Error,
        "critical" => LogLevel::Critical,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(raw: &str) -> Option<News> {
        Line::parse(raw)?.news(&Names::new("probe", "rid", "vmid"))
    }

    fn log(level: LogLevel, message: &str) -> News {
        News::Event(Event::Log(LogLine { level, message: message.to_owned() }))
    }

    #[test]
    fn a_callback_and_its_result_are_events() {
        let name = || "proxy_on_request_headers".to_owned();
        assert_eq!(
            news("7 trace wasm [host->vm] proxy_on_request_headers(2, 5, 1)"),
            Some(News::Event(Event::Callback { name: name(), arguments: vec![2, 5, 1] }))
        );
        assert_eq!(
            news("7 trace wasm [host<-vm] proxy_on_request_headers return: 1"),
            Some(News::Event(Event::Returned { name: name(), result: Some(1) }))
        );
        assert_eq!(
            news("7 trace wasm [host<-vm] proxy_on_log return: void"),
            Some(News::Event(Event::Returned { name: "proxy_on_log".to_owned(), result: None }))
        );
    }

    #[test]
    fn a_host_call_is_an_event_when_it_returns() {
        assert_eq!(news("7 trace wasm [vm->host] env.proxy_done()"), None);
        assert_eq!(
            news("7 trace wasm [vm<-host] env.proxy_done return: 1"),
            Some(News::Event(Event::HostCall { name: "proxy_done".to_owned(), status: 1 }))
        );
    }

    #[test]
    fn memory_and_the_log_call_itself_are_not_events() {
        assert_eq!(news("7 trace wasm [host->vm] proxy_on_memory_allocate(214)"), None);
        assert_eq!(news("7 trace wasm [host<-vm] malloc return: 1114120"), None);
        assert_eq!(news("7 trace wasm [vm<-host] env.proxy_log return: 0"), None);
        assert_eq!(news("7 trace wasm [host->vm] _initialize()"), None);
    }

    #[test]
    fn a_guest_line_is_recognized_by_its_prefix_for_every_context() {
        assert_eq!(news("7 info wasm wasm log probe rid vmid: hello"), Some(log(LogLevel::Info, "hello")));
        assert_eq!(news("7 warning wasm wasm log rid vmid: a: b"), Some(log(LogLevel::Warn, "a: b")));
        assert_eq!(news("7 critical wasm wasm log: early"), Some(log(LogLevel::Critical, "early")));
        assert_eq!(news("7 error wasm wasm log other names: x"), Some(log(LogLevel::Error, "x")));
    }

    #[test]
    fn line_breaks_and_quotes_in_a_guest_line_are_preserved() {
        assert_eq!(news(r#"7 info wasm wasm log: a\n\"b\"\\c\u0000"#), Some(log(LogLevel::Info, "a\n\"b\"\\c\0")));
    }

    #[test]
    fn a_trap_ends_the_callback_without_a_result() {
        let ended = Event::Returned { name: "proxy_on_log".to_owned(), result: None };
        assert_eq!(
            news("7 error wasm Function: proxy_on_log failed: Uncaught RuntimeError: unreachable\\nProxy-Wasm plugin"),
            Some(News::Trap(ended))
        );
    }

    #[test]
    fn text_that_is_not_a_log_line_is_skipped() {
        for raw in [
            "",
            "external/com_google: 7 warning",
            "7 warning",
            "x trace wasm y",
            "7 loud wasm y",
            "7 trace http [host->vm] a(1)",
        ] {
            assert_eq!(news(raw), None, "{raw}");
        }
    }
}
