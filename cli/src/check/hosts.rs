//! What each host does with a module, from the profiles of the embedded host.

use proxy_filter_host::{HostProfile, ModuleReport};
use serde::Serialize;

/// What a host does with a module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) host: String,
    /// What the statement is based on.
    pub(crate) source: &'static str,
    pub(crate) loads: bool,
    /// Why the host does not load the module, one reason each.
    pub(crate) reasons: Vec<String>,
    /// Callbacks that the module exports and the host calls.
    pub(crate) callbacks: Vec<String>,
    /// Callbacks that the module exports and the host never calls.
    pub(crate) never_called: Vec<String>,
    /// Host functions that the module imports and that work.
    pub(crate) functions: Vec<String>,
    /// Host functions that the module imports and that do not work.
    pub(crate) failing: Vec<Failing>,
    /// Differences that concern this module.
    pub(crate) notes: Vec<String>,
}

/// A function that does not work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Failing {
    pub(crate) function: String,
    pub(crate) effect: String,
}

/// Judges a module for a host.
pub(crate) fn judge(host: HostProfile, report: &ModuleReport) -> Verdict {
    let reasons = report.refusals_in(host);
    let exported = report.exports.iter().filter(|name| name.starts_with("proxy_on_") && *name != ALLOCATOR);
    let (never_called, callbacks) = exported.cloned().partition(|name| host.never_calls(name));
    let mut functions = Vec::new();
    let mut failing = Vec::new();
    for import in &report.imports {
        let name = import.strip_prefix("env.").unwrap_or(import);
        let is_absent = host.not_offered().contains(&import.as_str());
        if is_absent || report.foreign.iter().any(|foreign| foreign.name == *import) {
            continue;
        }
        match host.failure_of(name) {
            Some(effect) => failing.push(Failing { function: name.into(), effect: effect.into() }),
            None => functions.push(import.clone()),
        }
    }
    let concerns = |name: &str| report.imports.iter().chain(&report.exports).any(|found| found == name);
    let concerning = host.differences().iter().filter(|difference| concerns(difference.subject));
    let notes = concerning.map(|difference| {
        let name = difference.subject.strip_prefix("env.").unwrap_or(difference.subject);
        format!("{name}: {}", difference.text)
    });
    Verdict {
        host: host.name().to_owned(),
        source: host.source(),
        loads: reasons.is_empty(),
        reasons,
        callbacks,
        never_called,
        functions,
        failing,
        notes: notes.collect(),
    }
}

const ALLOCATOR: &str = "proxy_on_memory_allocate";
