//! [`Violation`]: a rule of the host that a filter broke, although the host did not say so.

use std::backtrace::Backtrace;
use std::fmt;

/// A rule of Envoy that a module broke, although no status of a host function said so. Printing it
/// shows what happened, and the line of the filter where it is known.
///
/// ```
/// use proxy_filter_host::{Host, Rule};
/// # let module = wat::parse_str(r#"(module
/// #     (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
/// #     (memory (export "memory") 1)
/// #     (func (export "proxy_abi_version_0_2_1"))
/// #     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
/// #     (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
/// #         (drop (call $continue (i32.const 1))) (i32.const 0)))"#).unwrap();
/// let mut host = Host::for_module(&module).without_checks();
/// let _ = host.get("/").send();
/// let violations = host.finish();
/// assert_eq!(violations[0].rule(), Rule::ResumeWithoutResponse);
/// assert!(violations[0].message().contains("does not exist yet"));
/// println!("{}: {}", violations[0], violations[0].source());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    rule: Rule,
    message: String,
    line: Option<String>,
}

/// Which rule a filter broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The start section of a module calls no host function.
    StartSection,
    /// A module that calls host functions has a memory.
    Memory,
    /// A response is resumed only if there is one.
    ResumeWithoutResponse,
    /// A callback does not resume the message whose part it returns a decision about.
    ResumeInCallback,
    /// A stream is denied or reset before its end.
    DecisionAtTheEnd,
    /// A stream gets one local reply, and nothing else gets any.
    IgnoredReply,
    /// A filter resumes a message only if no filter before it buffers its body.
    SharedBuffer,
    /// A body that is paused while its message is resumed is not followed by trailers that are
    /// forwarded.
    LostBody,
    /// What goes onto the wire is valid HTTP, and as long as it says.
    Message,
    /// A callout has no field that announces what does not follow.
    CalloutFraming,
    /// A `GrpcService` names a cluster or a target.
    GrpcService,
    /// The embedded host does not play it. A test in Envoy may hold.
    NotPlayed,
}

impl Rule {
    /// Returns where the rule is shown: what Envoy does, and the tests that run in it.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::StartSection | Self::Memory => "Envoy 1.40 crashes: tests/tests/any_module.rs and host_rules.rs",
            Self::ResumeWithoutResponse | Self::DecisionAtTheEnd => "Envoy 1.40 crashes: tests/tests/host_rules.rs",
            Self::ResumeInCallback => {
                "Envoy 1.40 forwards the part twice, cuts the message off or crashes: tests/tests/resume_in_callback.rs"
            }
            Self::IgnoredReply => "Envoy 1.40, `Context::sendLocalResponse`: it returns Ok in any case",
            Self::SharedBuffer => "Envoy 1.40 has one buffer for all filters: tests/tests/chains.rs",
            Self::LostBody => "Envoy 1.40 drops the body: tests/tests/resume_in_callback.rs",
            Self::Message => "RFC 9110 and RFC 9112: tests/tests/raw_fields.rs and host_rules.rs",
            Self::CalloutFraming => "RFC 9112, section 6: tests/tests/raw_fields.rs",
            Self::GrpcService => "Envoy 1.40 aborts: tests/tests/host_rules.rs",
            Self::NotPlayed => "docs/limits.md",
        }
    }
}

impl Violation {
    pub(crate) fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self { rule, message: message.into(), line: line() }
    }

    /// Returns which rule it is.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// Returns what happened, and what Envoy does then.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns where the rule is shown: see [`Rule::source`].
    #[must_use]
    pub const fn source(&self) -> &'static str {
        self.rule.source()
    }

    /// Returns the line of the filter that made the host call, for example
    /// `src/lib.rs:12:9`. It is known of a filter that runs natively, unless a callback's result
    /// broke the rule.
    #[must_use]
    pub fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.line {
            Some(line) => write!(f, " (at {line})"),
            None => Ok(()),
        }
    }
}

/// Returns the line of the filter that this thread runs, if it runs one natively.
fn line() -> Option<String> {
    /// The sources of the SDK, in this repository and from a registry, and of other crates.
    const OTHERS: [&str; 4] = ["/sdk/src/", "/proxy-filter-", "/rustc/", "/registry/src/"];
    let trace = Backtrace::force_capture().to_string();
    let mut lines = trace.lines().map(str::trim_start);
    let mut is_inside = false;
    while let Some(line) = lines.next() {
        let Some((_, symbol)) = line.split_once(": ").filter(|(number, _)| number.parse::<u32>().is_ok()) else {
            continue;
        };
        let symbol = symbol.trim_start_matches(['<', '&', '(']);
        // The host function of the SDK, whose path a symbol may lack, is called by the filter.
        is_inside |= symbol.starts_with("proxy_") && !symbol.starts_with("proxy_filter_host");
        let is_own =
            symbol.starts_with("proxy_") || ["core::", "std::", "alloc::"].iter().any(|own| symbol.starts_with(own));
        if !is_inside || is_own {
            continue;
        }
        let place = lines.next()?.strip_prefix("at ")?;
        if !OTHERS.iter().any(|other| place.contains(other)) {
            return Some(place.trim_start_matches("./").to_owned());
        }
    }
    None
}
