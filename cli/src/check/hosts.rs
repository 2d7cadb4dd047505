//! The hosts of Proxy-Wasm modules: what each of them calls and offers.
//!
//! Statements about Envoy 1.40 were observed in runs. Statements about earlier versions are from
//! their changelogs, those about other hosts from their sources and documentation.

use proxy_filter_host::ModuleReport;
use serde::Serialize;

/// A host, and what it does with a module.
pub(crate) struct Profile {
    /// The name on the command line.
    pub(crate) id: &'static str,
    /// The name in the output.
    pub(crate) name: &'static str,
    source: &'static str,
    /// Envoy's rules decide whether the module loads.
    is_envoy: bool,
    /// Callbacks that the host requires.
    required: &'static [&'static str],
    /// Callbacks that the host never calls, in groups.
    never_called: &'static [&'static [&'static str]],
    /// Functions that the host does not offer: a module that imports one does not load.
    not_offered: &'static [&'static str],
    /// Functions that the host offers and that do not work, with what they do.
    failing: &'static [(&'static str, &'static [&'static str])],
    /// Differences that concern modules with a certain import or export.
    notes: &'static [(&'static str, &'static str)],
    /// The most memory of a VM, in bytes.
    memory: Option<u64>,
}

const TCP: [&str; 5] = [
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];
const GRPC: [&str; 6] = [
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_get_status",
];
const TRAILERS: [&str; 2] = ["proxy_on_request_trailers", "proxy_on_response_trailers"];

const METADATA: [&str; 2] = ["proxy_on_request_metadata", "proxy_on_response_metadata"];
const GRPC_CALLBACKS: [&str; 4] = [
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
];

const fn envoy(id: &'static str, name: &'static str, source: &'static str, notes: &'static [(&str, &str)]) -> Profile {
    Profile {
        id,
        name,
        source,
        is_envoy: true,
        required: &[],
        never_called: &[&["proxy_on_foreign_function", "proxy_validate_configuration"]],
        not_offered: &[],
        failing: &[],
        notes,
        memory: Some(1 << 30),
    }
}

const CHANGELOG: &str = "Envoy's changelogs, not run";
/// Until Envoy 1.39.
const BEFORE_1_40: &[(&str, &str)] = &[(
    "proxy_on_request_body",
    "with `allow_on_headers_stop_iteration: true`, bytes of a body are lost if the filter buffers data after it has \
     forwarded some",
)];

/// All hosts.
pub(crate) const PROFILES: [Profile; 8] = [
    envoy("envoy-1.36", "Envoy 1.36", CHANGELOG, BEFORE_1_40),
    envoy("envoy-1.37", "Envoy 1.37", CHANGELOG, BEFORE_1_40),
    envoy("envoy-1.38", "Envoy 1.38", CHANGELOG, BEFORE_1_40),
    envoy("envoy-1.39", "Envoy 1.39", CHANGELOG, BEFORE_1_40),
    envoy("envoy-1.40", "Envoy 1.40", "observed in runs", &[]),
    Profile {
        id: "nginx",
        name: "nginx (ngx_wasm_module)",
        source: "its source at 3bed278, not run",
        is_envoy: false,
        required: &["proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure"],
        never_called: &[&TCP, &TRAILERS, &METADATA, &GRPC_CALLBACKS, &["proxy_on_queue_ready"]],
        not_offered: &["env.proxy_get_buffer_status", "env.proxy_get_header_map_size", "env.envoy_resolve_dns"],
        failing: &[
            (
                "traps the VM: not implemented",
                &[
                    "proxy_get_log_level",
                    "proxy_done",
                    "proxy_close_stream",
                    "proxy_continue_response",
                    GRPC[0],
                    GRPC[1],
                    GRPC[2],
                    GRPC[3],
                    GRPC[4],
                    GRPC[5],
                    "proxy_resolve_shared_queue",
                ],
            ),
            ("has only `resolve_lua`, and traps the VM for any other name", &["proxy_call_foreign_function"]),
        ],
        notes: &[
            ("env.proxy_http_call", "the cluster is `host` or `host:port`"),
            ("proxy_on_request_headers", "`end_of_stream` is always false in headers callbacks"),
            ("env.proxy_set_effective_context", "has no effect"),
            ("env.proxy_set_buffer_bytes", "traps the VM outside of the callback of that body"),
        ],
        memory: None,
    },
    Profile {
        id: "ats",
        name: "Apache Traffic Server",
        source: "its source, not run",
        is_envoy: false,
        required: &[],
        never_called: &[&TCP, &TRAILERS, &METADATA, &GRPC_CALLBACKS, &["proxy_on_foreign_function"]],
        not_offered: &["env.envoy_resolve_dns"],
        failing: &[(
            "returns Unimplemented",
            &["proxy_get_log_level", GRPC[0], GRPC[1], GRPC[2], GRPC[3], GRPC[4], GRPC[5]],
        )],
        notes: &[
            ("env.proxy_add_header_map_value", "overwrites a header that is present"),
            ("env.proxy_replace_header_map_value", "does nothing if the header is missing"),
            ("env.proxy_set_header_map_pairs", "merges the headers instead of replacing them"),
            ("env.proxy_http_call", "ignores the cluster and the timeout"),
            ("env.proxy_set_buffer_bytes", "ignores the range: it replaces the whole buffer"),
        ],
        memory: None,
    },
    Profile {
        id: "google",
        name: "Google Service Extensions",
        source: "its documentation, not run",
        is_envoy: false,
        required: &[],
        never_called: &[
            &TCP,
            &METADATA,
            &GRPC_CALLBACKS,
            &["proxy_on_tick", "proxy_on_queue_ready", "proxy_on_http_call_response", "proxy_on_foreign_function"],
        ],
        not_offered: &["env.envoy_resolve_dns"],
        failing: &[(
            "not supported",
            &[
                "proxy_set_tick_period_milliseconds",
                "proxy_define_metric",
                "proxy_get_metric",
                "proxy_record_metric",
                "proxy_increment_metric",
                "proxy_get_shared_data",
                "proxy_set_shared_data",
                "proxy_register_shared_queue",
                "proxy_resolve_shared_queue",
                "proxy_enqueue_shared_queue",
                "proxy_dequeue_shared_queue",
                "proxy_http_call",
                "proxy_call_foreign_function",
                GRPC[0],
                GRPC[1],
                GRPC[2],
                GRPC[3],
                GRPC[4],
                GRPC[5],
            ],
        )],
        notes: &[("env.proxy_get_current_time_nanoseconds", "the clock does not advance during a stream")],
        memory: Some(16 << 20),
    },
];

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

impl Profile {
    /// Whether this host alone decides the exit code, unless hosts are chosen.
    pub(crate) fn is_envoy(&self) -> bool {
        self.is_envoy
    }

    /// Judges a module that begins with this much memory.
    pub(crate) fn judge(&self, report: &ModuleReport, memory: u64) -> Verdict {
        let has = |names: &[&str], name: &str| names.contains(&name);
        let mut reasons = self.refusals(report);
        if let Some(most) = self.memory.filter(|most| memory > *most && !self.is_envoy) {
            reasons.push(format!(
                "the memory begins with {} MiB, and the host has {} MiB for a VM",
                memory >> 20,
                most >> 20
            ));
        }
        let exported = report.exports.iter().filter(|name| name.starts_with("proxy_on_") && *name != ALLOCATOR);
        let (never_called, callbacks) =
            exported.cloned().partition(|name| self.never_called.iter().any(|group| has(group, name)));
        let mut functions = Vec::new();
        let mut failing = Vec::new();
        for import in &report.imports {
            let name = import.strip_prefix("env.").unwrap_or(import);
            if has(self.not_offered, import) || report.foreign.iter().any(|foreign| foreign.name == *import) {
                continue;
            }
            match self.failing.iter().find(|(_, names)| has(names, name)) {
                Some((effect, _)) => failing.push(Failing { function: name.into(), effect: (*effect).into() }),
                None => functions.push(import.clone()),
            }
        }
        let concerns = |name: &str| report.imports.iter().chain(&report.exports).any(|found| found == name);
        let notes = self.notes.iter().filter(|(name, _)| concerns(name)).map(|(name, note)| {
            let name = name.strip_prefix("env.").unwrap_or(name);
            format!("{name}: {note}")
        });
        Verdict {
            host: self.name.to_owned(),
            source: self.source,
            loads: reasons.is_empty(),
            reasons,
            callbacks,
            never_called,
            functions,
            failing,
            notes: notes.collect(),
        }
    }

    fn refusals(&self, report: &ModuleReport) -> Vec<String> {
        if self.is_envoy {
            return report.refusal.iter().cloned().collect();
        }
        let mut reasons = Vec::new();
        if report.abi.is_none() {
            reasons.push("the module exports no function `proxy_abi_version_0_2_1`".to_owned());
        }
        if !["malloc", ALLOCATOR].iter().any(|name| report.exports.iter().any(|export| export == name)) {
            reasons.push("the module exports no allocator, `malloc` or `proxy_on_memory_allocate`".to_owned());
        }
        let missing: Vec<_> =
            self.required.iter().filter(|name| !report.exports.iter().any(|export| export == *name)).collect();
        for name in missing {
            reasons.push(format!("the module does not export {name}, which this host requires"));
        }
        let foreign = report.foreign.iter().map(|foreign| foreign.name.as_str());
        let absent = report.imports.iter().map(String::as_str).filter(|name| self.not_offered.contains(name));
        reasons.extend(foreign.chain(absent).map(|name| format!("the host does not offer {name}")));
        reasons
    }
}

const ALLOCATOR: &str = "proxy_on_memory_allocate";

#[cfg(test)]
mod tests {
    use super::PROFILES;

    #[test]
    fn names_of_hosts_are_unique() {
        for (index, profile) in PROFILES.iter().enumerate() {
            assert!(PROFILES.iter().skip(index + 1).all(|other| other.id != profile.id && other.name != profile.name));
        }
    }
}
