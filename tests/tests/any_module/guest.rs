//! A module that is made for a test: it imports some functions, exports some callbacks, and calls
//! the functions from the callbacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

macro_rules! functions {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        /// The host functions with the types of their parameters, from the list of the SDK.
        pub(crate) const FUNCTIONS: &[(&str, &[&str])] = &[
            $((stringify!($name), &[$(stringify!($kind),)* $(concat!("out ", stringify!($out_kind))),*])),*
        ];
    };
}
proxy_filter::__for_each_host_function!(functions);

/// The callbacks: of each the number of its parameters, and whether it has a result.
pub(crate) const CALLBACKS: [(&str, usize, bool); 28] = [
    ("proxy_on_context_create", 2, false),
    ("proxy_on_vm_start", 2, true),
    ("proxy_on_configure", 2, true),
    ("proxy_on_tick", 1, false),
    ("proxy_on_queue_ready", 2, false),
    ("proxy_on_request_headers", 3, true),
    ("proxy_on_request_body", 3, true),
    ("proxy_on_request_trailers", 2, true),
    ("proxy_on_request_metadata", 2, true),
    ("proxy_on_response_headers", 3, true),
    ("proxy_on_response_body", 3, true),
    ("proxy_on_response_trailers", 2, true),
    ("proxy_on_response_metadata", 2, true),
    ("proxy_on_http_call_response", 5, false),
    ("proxy_on_grpc_receive_initial_metadata", 3, false),
    ("proxy_on_grpc_receive", 3, false),
    ("proxy_on_grpc_receive_trailing_metadata", 3, false),
    ("proxy_on_grpc_close", 3, false),
    ("proxy_on_foreign_function", 3, false),
    ("proxy_on_new_connection", 1, true),
    ("proxy_on_downstream_data", 3, true),
    ("proxy_on_upstream_data", 3, true),
    ("proxy_on_downstream_connection_close", 2, false),
    ("proxy_on_upstream_connection_close", 2, false),
    ("proxy_on_log", 1, false),
    ("proxy_on_done", 1, true),
    ("proxy_on_delete", 1, false),
    ("proxy_validate_configuration", 2, true),
];

/// Where bytes of the module begin, and where its allocator does.
const DATA: usize = 1024;
const HEAP: usize = 32 * 1024;
/// Where host functions write what they return.
const OUT: usize = 64;

/// A module in the making.
pub(crate) struct Guest {
    functions: BTreeSet<String>,
    callbacks: BTreeSet<&'static str>,
    code: BTreeMap<String, String>,
    data: Vec<u8>,
    marker: &'static str,
    pages: usize,
}

impl Guest {
    /// A module with every callback, which does nothing.
    pub(crate) fn new() -> Self {
        Self {
            functions: BTreeSet::new(),
            callbacks: CALLBACKS.iter().map(|(name, ..)| *name).collect(),
            code: BTreeMap::new(),
            data: Vec::new(),
            marker: "0_2_1",
            pages: 2,
        }
    }

    /// Exports these callbacks only.
    pub(crate) fn only(mut self, callbacks: &[&str]) -> Self {
        self.callbacks.retain(|name| callbacks.contains(name));
        self
    }

    /// Begins with this number of pages of memory.
    pub(crate) const fn pages(mut self, pages: usize) -> Self {
        self.pages = pages;
        self
    }

    /// Imports a function.
    pub(crate) fn import(mut self, function: &str) -> Self {
        self.functions.insert(function.into());
        if of_version_0_1_0(function) {
            self.marker = "0_1_0";
        }
        self
    }

    /// The arguments of these bytes in memory: a pointer and a length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> String {
        let place = DATA + self.data.len();
        self.data.extend_from_slice(bytes);
        format!("(i32.const {place}) (i32.const {})", bytes.len())
    }

    /// Adds instructions to a callback.
    pub(crate) fn code(mut self, callback: &str, code: &str) -> Self {
        self.code.entry(callback.into()).or_default().push_str(code);
        self
    }

    /// Calls a function from a callback with arguments for its first parameters, and zero for the
    /// others.
    pub(crate) fn call(self, callback: &str, function: &str, arguments: &str) -> Self {
        let given = arguments.matches(".const").count();
        let parameters = parameters(function);
        let mut out = OUT;
        let others = parameters.iter().enumerate().skip(given).map(|(index, ty)| {
            if index < parameters.len() - outs(function) {
                return format!("({ty}.const 0) ");
            }
            out += 8;
            format!("(i32.const {}) ", out - 8)
        });
        let others: String = others.collect();
        let code = format!("(drop (call ${function} {arguments} {others}))");
        self.import(function).code(callback, &code)
    }

    /// Logs the bytes that the function called last has returned.
    pub(crate) fn log(self, callback: &str) -> Self {
        let code = format!(
            "(drop (call $proxy_log (i32.const 2) (i32.load (i32.const {OUT})) (i32.load (i32.const {}))))",
            OUT + 8
        );
        self.import("proxy_log").code(callback, &code)
    }

    /// Logs the eight bytes that the function called last has returned.
    pub(crate) fn log_number(self, callback: &str) -> Self {
        let code = format!("(drop (call $proxy_log (i32.const 2) (i32.const {OUT}) (i32.const 8)))");
        self.import("proxy_log").code(callback, &code)
    }

    /// The module.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut text = String::from("(module ");
        for function in &self.functions {
            let _ = write!(
                text,
                r#"(import "env" "{function}" (func ${function} (param {}) (result i32)))"#,
                parameters(function).join(" ")
            );
        }
        let data = self.data.iter().fold(String::new(), |text, byte| format!("{text}\\{byte:02x}"));
        let _ = write!(
            text,
            r#"(memory (export "memory") {}) (data (i32.const {DATA}) "{data}")
            (global $next (mut i32) (i32.const {HEAP}))
            (func (export "malloc") (param i32) (result i32)
                (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
            (func (export "proxy_abi_version_{}"))"#,
            self.pages, self.marker
        );
        for (name, count, has_result) in CALLBACKS.iter().filter(|(name, ..)| self.callbacks.contains(name)) {
            let is_older = self.marker == "0_1_0" && name.ends_with("_headers");
            let types = vec!["i32"; count - usize::from(is_older)].join(" ");
            let code = self.code.get(*name).map_or("", String::as_str);
            // Everything that starts or ends returns true, everything else Continue.
            let value = i32::from(["proxy_on_vm_start", "proxy_on_configure", "proxy_on_done"].contains(name));
            let (result, last) =
                if *has_result { ("(result i32)", format!("(i32.const {value})")) } else { ("", String::new()) };
            let _ = write!(text, r#"(func (export "{name}") (param {types}) {result} {code} {last})"#);
        }
        text.push(')');
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

fn of_version_0_1_0(function: &str) -> bool {
    function == "proxy_continue_response"
}

fn kinds(function: &str) -> &'static [&'static str] {
    if of_version_0_1_0(function) {
        return &[];
    }
    if function == "envoy_resolve_dns" {
        return &["Bytes", "out u32"];
    }
    let found = FUNCTIONS.iter().find(|(name, _)| *name == function);
    found.unwrap_or_else(|| panic!("no function {function}")).1
}

/// How many of the parameters are places for results.
fn outs(function: &str) -> usize {
    let outs = kinds(function).iter().filter_map(|kind| kind.strip_prefix("out "));
    outs.map(|kind| if kind == "Buffer" { 2 } else { 1 }).sum()
}

fn parameters(function: &str) -> Vec<&'static str> {
    let types = |kind: &&str| match *kind {
        "Bytes" | "out Buffer" => vec!["i32", "i32"],
        "u64" | "i64" => vec!["i64"],
        _ => vec!["i32"],
    };
    kinds(function).iter().flat_map(types).collect()
}

/// The bytes of a map.
pub(crate) fn pairs(fields: &[(&str, &str)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut bytes = number(fields.len()).to_vec();
    for (name, value) in fields {
        bytes.extend([number(name.len()), number(value.len())].concat());
    }
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    bytes
}
