//! The functions that a host looks up in a module, and the SDK's functions that they call.

use crate::filter::{DECISIONS, Filter, Kind};
use crate::member::Member;

/// A function that the host looks up in a module.
pub(crate) struct Export {
    pub(crate) name: &'static str,
    /// The number of integers that the host passes.
    arguments: usize,
    returns: bool,
    calls: Calls,
    needed: Needed,
    pub(crate) refusal: Option<Refusal>,
}

/// A callback that begins a stream of `kind`. Filters of the other kind refuse such streams there,
/// because a root context cannot read the kind of its future streams.
pub(crate) struct Refusal {
    kind: Kind,
    /// The function that refuses streams in a module without filters of `kind`.
    function: &'static str,
    /// Whether the callback is the first one of each stream. A module with filters of both kinds
    /// refuses streams only there.
    is_first: bool,
}

enum Calls {
    /// The host only checks that the function exists.
    Nothing,
    Initialize,
    /// The function of the SDK with the export's name, without `proxy_`.
    Sdk,
}

enum Needed {
    Always,
    /// Unless the filter has no state.
    ForState,
    /// If the filter has state, or a body callback about which the SDK stores something.
    ForStateOrBodies,
    /// For any of these callbacks of a root, or of a stream context.
    For {
        root: &'static [&'static str],
        context: &'static [&'static str],
    },
    /// For `on_start`, and to refuse a `root_id` that the module does not have.
    ForStart,
}

const fn export(name: &'static str, arguments: usize, returns: bool, needed: Needed) -> Export {
    Export { name, arguments, returns, calls: Calls::Sdk, needed, refusal: None }
}

const fn root(root: &'static [&'static str]) -> Needed {
    Needed::For { root, context: &[] }
}

const fn context(context: &'static [&'static str]) -> Needed {
    Needed::For { root: &[], context }
}

/// Callouts of roots and of stream contexts.
const fn grpc(words: &'static [&'static str]) -> Needed {
    Needed::For { root: words, context: words }
}

pub(crate) const FOREIGN: &[&str] = &["on_foreign_function"];

/// All functions, in the order of the ABI's specification.
///
/// A body can end with the headers or with trailers. The SDK then calls the body callback with the
/// end of the stream from there. A body callback therefore needs these exports too.
pub(crate) const EXPORTS: &[Export] = &[
    Export { calls: Calls::Nothing, ..export("proxy_abi_version_0_2_1", 0, false, Needed::Always) },
    Export { calls: Calls::Initialize, ..export("_initialize", 0, false, Needed::Always) },
    export("proxy_on_vm_start", 2, true, Needed::ForStart),
    export("proxy_on_configure", 2, true, root(&["on_configure"])),
    export("proxy_on_context_create", 2, false, Needed::ForState),
    Export {
        refusal: Some(Refusal { kind: Kind::Tcp, function: "refuse_connection", is_first: true }),
        ..export("proxy_on_new_connection", 1, true, context(&["on_new_connection"]))
    },
    // Envoy continues a paused connection when data arrives, so the data is paused too.
    Export {
        refusal: Some(Refusal { kind: Kind::Tcp, function: "refuse_connection", is_first: false }),
        ..export("proxy_on_downstream_data", 3, true, context(&["on_downstream_data"]))
    },
    export("proxy_on_downstream_connection_close", 2, false, context(&["on_downstream_close"])),
    export("proxy_on_upstream_data", 3, true, context(&["on_upstream_data"])),
    export("proxy_on_upstream_connection_close", 2, false, context(&["on_upstream_close"])),
    Export {
        refusal: Some(Refusal { kind: Kind::Http, function: "refuse_request", is_first: true }),
        ..export("proxy_on_request_headers", 3, true, context(&["on_request_headers", "on_request_body"]))
    },
    export("proxy_on_request_body", 3, true, context(&["on_request_body"])),
    export("proxy_on_request_trailers", 2, true, context(&["on_request_trailers", "on_request_body"])),
    export("proxy_on_request_metadata", 2, true, context(&["on_request_metadata"])),
    export("proxy_on_response_headers", 3, true, context(&["on_response_headers", "on_response_body"])),
    export("proxy_on_response_body", 3, true, context(&["on_response_body"])),
    export("proxy_on_response_trailers", 2, true, context(&["on_response_trailers", "on_response_body"])),
    export("proxy_on_response_metadata", 2, true, context(&["on_response_metadata"])),
    export("proxy_on_done", 1, true, Needed::For { root: &["on_done"], context: &["on_done"] }),
    export("proxy_on_log", 1, false, Needed::For { root: &["on_log"], context: &["on_log"] }),
    export("proxy_on_delete", 1, false, Needed::ForStateOrBodies),
    // Futures that are woken outside of callbacks of root contexts run on a tick.
    export("proxy_on_tick", 1, false, Needed::For { root: &["on_tick", "timers", "wakes"], context: &["timers"] }),
    export("proxy_on_queue_ready", 2, false, root(&["on_queue_ready", "queues"])),
    export("proxy_on_http_call_response", 5, false, Needed::For { root: &["http_calls"], context: &["http_calls"] }),
    export("proxy_on_grpc_receive_initial_metadata", 3, false, grpc(&["grpc_streams"])),
    export("proxy_on_grpc_receive", 3, false, grpc(&["grpc_calls", "grpc_streams"])),
    export("proxy_on_grpc_receive_trailing_metadata", 3, false, grpc(&["grpc_streams"])),
    export("proxy_on_grpc_close", 3, false, grpc(&["grpc_calls", "grpc_streams"])),
    export("proxy_on_foreign_function", 3, false, Needed::For { root: FOREIGN, context: FOREIGN }),
];

impl Export {
    pub(crate) fn is_needed_in(&self, members: &[Member]) -> bool {
        members.iter().any(|member| self.is_needed_by(&member.filter)) || self.refuses_in(members)
    }

    /// Whether filters of the other kind refuse streams in this callback. A module that decides
    /// nothing about requests has no reason to refuse connections.
    pub(crate) fn refuses_in(&self, members: &[Member]) -> bool {
        let Some(refusal) = &self.refusal else { return false };
        let mut of_kind = members.iter().map(|member| member.filter.context.kind == refusal.kind);
        let (has, has_others) = (of_kind.clone().any(|is| is), of_kind.any(|is| !is));
        if has {
            return has_others && refusal.is_first;
        }
        refusal.kind == Kind::Http || members.iter().any(|member| member.filter.has(&[], DECISIONS))
    }

    fn is_needed_by(&self, filter: &Filter) -> bool {
        match self.needed {
            Needed::Always => true,
            Needed::ForState => !filter.is_stateless(),
            Needed::ForStateOrBodies => {
                !filter.is_stateless() || filter.has(&[], &["on_request_body", "on_response_body"])
            }
            Needed::For { root, context } => filter.has(root, context),
            Needed::ForStart => filter.has(&["on_start"], &[]) || filter.root.id.is_some(),
        }
    }

    /// Returns a name for each of its arguments.
    fn names(&self) -> &'static [&'static str] {
        ["a", "b", "c", "d", "e"].get(..self.arguments).unwrap_or_default()
    }

    fn call(&self, members: &[Member]) -> String {
        match self.calls {
            Calls::Nothing => String::new(),
            Calls::Initialize => "sdk::initialize()".to_owned(),
            Calls::Sdk => {
                let own = self.name.trim_start_matches("proxy_");
                let is = |member: &Member, kind| member.filter.context.kind == kind;
                let refusal = self.refusal.as_ref();
                let refusal = refusal.filter(|refusal| !members.iter().any(|member| is(member, refusal.kind)));
                let function = refusal.map_or(own, |refusal| refusal.function);
                let arguments = self.names().join(", ");
                // A module without filters of connections stores nothing about them.
                if refusal.is_some_and(|refusal| refusal.kind == Kind::Tcp) {
                    return format!("sdk::exports::{function}()");
                }
                if is_stateless(members) {
                    format!("CONTEXTS.with(|contexts| contexts.{function}({arguments}))")
                } else {
                    format!("CONTEXTS.with(|contexts| sdk::exports::{function}(contexts, {arguments}))")
                }
            }
        }
    }

    /// Returns the function as the host of a wasm module finds it.
    pub(crate) fn function(&self, members: &[Member]) -> String {
        let parameters = self.names().iter().map(|name| format!("{name}: u32")).collect::<Vec<_>>().join(", ");
        let output = if self.returns { "-> u32" } else { "" };
        format!(
            "#[cfg(target_family = \"wasm\")] #[unsafe(no_mangle)]
            extern \"C\" fn {}({parameters}) {output} {{ {} }}\n",
            self.name,
            self.call(members),
        )
    }

    /// Returns the function as an entry of the table that replaces the exports natively.
    pub(crate) fn entry(&self, members: &[Member]) -> String {
        let rest: &[&str] = if self.arguments < NATIVE_ARGUMENTS { &[".."] } else { &[] };
        let pattern = [self.names(), rest].concat().join(", ");
        let zero = if self.returns { "" } else { "; 0" };
        format!("({:?}, |[{pattern}]: [u32; 5]| {{ {}{zero} }}),\n", self.name, self.call(members))
    }
}

/// Whether the only filter of a module has no state: then no contexts are stored.
pub(crate) fn is_stateless(members: &[Member]) -> bool {
    members.first().is_some_and(|member| member.filter.is_stateless())
}

/// The number of arguments of every native export.
const NATIVE_ARGUMENTS: usize = 5;
