//! Deliberate bugs in small filters. Each is found by the tools of the mock host with their default
//! settings: no assertion here knows the bug. `docs/mutations.md` is made from the table.
//!
//! `BLESS=1 cargo test --package proxy-filter-host --test mutations page` writes the page.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Event, Host, Outcome, Reply, build_guest};
use serde_json::json;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

#[path = "../guests/examples/mutations.rs"]
mod guest;

/// What finds a bug: the tools in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    /// The end of any test.
    Test,
    Soak,
    Faults,
    Outages,
    Forms,
}

impl Tool {
    const ALL: [Self; 5] = [Self::Test, Self::Soak, Self::Faults, Self::Outages, Self::Forms];

    const fn name(self) -> &'static str {
        match self {
            Self::Test => "any test",
            Self::Soak => "`soak`",
            Self::Faults => "`sweep_faults`",
            Self::Outages => "`sweep_outages`",
            Self::Forms => "`sweep_forms`",
        }
    }

    /// Plays an exchange with this tool. The host is dropped at its end.
    fn run(self, mut host: Host, exchange: Exchange) {
        let mut number = 0;
        let mut next = |host: &mut Host| {
            number += 1;
            drop(exchange(host, number));
        };
        match self {
            Self::Test => next(&mut host),
            Self::Soak => host.soak(160, next),
            Self::Faults => drop(host.sweep_faults(|host| exchange(host, 0))),
            Self::Outages => drop(host.sweep_outages(|host| exchange(host, 0))),
            Self::Forms => drop(host.sweep_forms(|host| exchange(host, 0))),
        }
    }
}

/// An exchange of a filter's test, with its number.
type Exchange = fn(&mut Host, usize) -> Outcome;

/// A bug.
struct Bug {
    /// The filter of `guests/examples/mutations.rs` that can have it.
    filter: &'static str,
    /// What its author did wrong.
    what: &'static str,
    exchange: Exchange,
    /// The first tool that finds it.
    tool: Tool,
    /// A part of what the tool says: the rule and the cause.
    message: &'static str,
}

fn get(host: &mut Host, _: usize) -> Outcome {
    host.get("/").send()
}

fn post(host: &mut Host, _: usize) -> Outcome {
    host.post("/").body("{\"id\": 1}").send()
}

/// Each request has another user.
fn user(host: &mut Host, number: usize) -> Outcome {
    host.get("/").header("x-user", format!("user-{number:06}")).send()
}

const BUGS: [Bug; 33] = [
    Bug {
        filter: "tenant-name",
        what: "The filter unwraps the text of a header that a client sends.",
        exchange: |host, _| host.get("/").header("x-tenant", "acme").send(),
        tool: Tool::Forms,
        message: "with bytes beyond ASCII in `x-tenant`: the filter fails: the VM trapped in proxy_on_request_headers",
    },
    Bug {
        filter: "log-path",
        what: "The access log unwraps `:path`, which a refused request may lack.",
        exchange: get,
        tool: Tool::Forms,
        message: "with headers that are too large for the host: the filter fails: the VM trapped in proxy_on_log",
    },
    Bug {
        filter: "log-status",
        what: "The access log unwraps `:status`, which a stream without a response lacks.",
        exchange: get,
        tool: Tool::Forms,
        message: "with a client that disconnects before the response: the filter fails: the VM trapped in proxy_on_log",
    },
    Bug {
        filter: "content-type",
        what: "The filter unwraps a header of the response that the upstream may omit.",
        exchange: get,
        tool: Tool::Forms,
        message: "with a response that is only the status 204: the filter fails: the VM trapped in proxy_on_response_headers",
    },
    Bug {
        filter: "first-byte",
        what: "The filter indexes the first byte of a chunk, which may be empty.",
        exchange: post,
        tool: Tool::Forms,
        message: "the filter fails with the other one: the VM trapped in proxy_on_request_headers",
    },
    Bug {
        filter: "shout",
        what: "The filter edits a body, and forwards the digests of the old one.",
        exchange: get,
        tool: Tool::Forms,
        message: "the filter changes the body of the response, and forwards `content-digest` of the body that it was",
    },
    Bug {
        filter: "length",
        what: "The filter edits a body, and does not remove `content-length`.",
        exchange: get,
        tool: Tool::Test,
        message: "this edit changes the length of the body, but content-length may have been sent",
    },
    Bug {
        filter: "mask",
        what: "The filter keeps the end of each chunk back, and forgets bodies that end with trailers.",
        exchange: get,
        tool: Tool::Forms,
        message: "with trailers of the upstream: the filter fails: on_response_trailers of context 2 failed",
    },
    Bug {
        filter: "scan",
        what: "The filter searches each chunk on its own.",
        exchange: |host, _| host.post("/").body("1; drop table users").send(),
        tool: Tool::Forms,
        message: "with its body in small chunks: the request is refused otherwise, and reaches the upstream now",
    },
    Bug {
        filter: "json-only",
        what: "The filter takes the first chunk of a body for the whole body.",
        exchange: post,
        tool: Tool::Forms,
        message: "with its body in small chunks: the request does not reach the upstream: 400",
    },
    Bug {
        filter: "late-body",
        what: "The filter awaits a body that was forwarded.",
        exchange: post,
        tool: Tool::Test,
        message: "this part of the stream was forwarded already: await the parts in their order",
    },
    Bug {
        filter: "role",
        what: "The filter decides on the first of two values.",
        exchange: |host, _| host.get("/").header("x-role", "admin").send(),
        tool: Tool::Forms,
        message: "with another `x-role` after its own: the decision depends on the order of the two values",
    },
    Bug {
        filter: "strip-internal",
        what: "The filter removes a field from headers, and forgets trailers.",
        exchange: get,
        tool: Tool::Forms,
        message: "the filter removes `x-internal-host` from the headers, and forwards it in the trailers",
    },
    Bug {
        filter: "rebuild",
        what: "The filter writes headers from a map, which has each name once.",
        exchange: get,
        tool: Tool::Forms,
        message: "of a field with the values 1\\xff, 2, the client receives 2",
    },
    Bug {
        filter: "token",
        what: "The filter takes a header that cannot be read for one that is there.",
        exchange: get,
        tool: Tool::Faults,
        message: "the request is refused otherwise, and reaches the upstream now\nhost call 0, proxy_get_header_map_value, failed",
    },
    Bug {
        filter: "deny",
        what: "The filter ignores the error of a local reply, and pauses.",
        exchange: get,
        tool: Tool::Faults,
        message: "the stream waits for ever\nhost call 0, proxy_send_local_response, failed",
    },
    Bug {
        filter: "two-replies",
        what: "The filter replies and does not return.",
        exchange: get,
        tool: Tool::Test,
        message: "proxy_send_local_response for a stream that has a local reply",
    },
    Bug {
        filter: "late-reply",
        what: "The filter replies at the end of the stream.",
        exchange: get,
        tool: Tool::Test,
        message: "proxy_send_local_response in on_log, on_done or on_delete: Envoy 1.40 crashes",
    },
    Bug {
        filter: "resume",
        what: "The filter resumes the response in its callback, and forwards it once more.",
        exchange: get,
        tool: Tool::Test,
        message: "proxy_continue_stream in proxy_on_response_headers, for the message of the callback",
    },
    Bug {
        filter: "early-resume",
        what: "The filter resumes the response before there is one.",
        exchange: get,
        tool: Tool::Test,
        message: "proxy_continue_stream for a response that does not exist yet",
    },
    Bug {
        filter: "copy-all",
        what: "The filter copies `content-length` into a callout.",
        exchange: post,
        tool: Tool::Test,
        message: "a callout to the cluster `authz` has the field `content-length: 9`",
    },
    Bug {
        filter: "call",
        what: "The filter forwards the request unless the service says 403.",
        exchange: get,
        tool: Tool::Faults,
        message: "the request is refused otherwise, and reaches the upstream now\nhost call 0, proxy_http_call, failed",
    },
    Bug {
        filter: "forget-resume",
        what: "The filter forgets to end the pause when the service denies.",
        exchange: get,
        tool: Tool::Faults,
        message: "the stream waits for ever\nhost call 0, proxy_http_call, failed",
    },
    Bug {
        filter: "timeout",
        what: "The filter waits for a service for a day.",
        exchange: get,
        tool: Tool::Outages,
        message: "with a service `authz` that does not respond: the stream is paused for two minutes",
    },
    Bug {
        filter: "verdict",
        what: "The filter unwraps what a service sends.",
        exchange: get,
        tool: Tool::Faults,
        message: "host call 0, proxy_http_call, failed with BadArgument",
    },
    Bug {
        filter: "users",
        what: "The filter stores each user without a limit.",
        exchange: user,
        tool: Tool::Soak,
        message: "bytes of memory instead of",
    },
    Bug {
        filter: "seen",
        what: "The filter has an entry in shared data for each user.",
        exchange: user,
        tool: Tool::Soak,
        message: "bytes of shared data instead of",
    },
    Bug {
        filter: "per-path",
        what: "The filter has a metric for each user.",
        exchange: user,
        tool: Tool::Soak,
        message: "bytes of names of metrics instead of",
    },
    Bug {
        filter: "events",
        what: "The filter fills a queue that is never read.",
        exchange: user,
        tool: Tool::Soak,
        message: "bytes in queues instead of",
    },
    Bug {
        filter: "audit",
        what: "The filter leaks a callout for each request.",
        exchange: user,
        tool: Tool::Soak,
        message: "160 calls in flight instead of 80",
    },
    Bug {
        filter: "refresh",
        what: "The filter starts a timer for each request, and never cancels it.",
        exchange: user,
        tool: Tool::Soak,
        message: "bytes of memory instead of",
    },
    Bug {
        filter: "errors",
        what: "The filter logs an error for each request that it refuses.",
        exchange: get,
        tool: Tool::Soak,
        message: "the filter logs an error for each exchange: 160 lines in 160 exchanges",
    },
    Bug {
        filter: "last-user",
        what: "The filter keeps the state of a stream in a place that all streams share.",
        exchange: user,
        tool: Tool::Forms,
        message: "with another request at the same time: the client receives x-served-for:  instead of",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn module() -> Vec<u8> {
    let path = build_guest(&root().join("tests"), "proxy-filter-guests", Some("mutations"));
    fs::read(path.unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// A host of one of the filters, with the services and the upstream of all of them.
fn host(module: &[u8], bug: &Bug, mutant: bool) -> Host {
    let mut host = Host::for_module(module);
    host.root_id(bug.filter);
    let is_granted = ["copy-all", "timeout"].contains(&bug.filter);
    host.cluster("authz", move |_| Reply::new(if is_granted { 200 } else { 403 }).body("false"));
    // It takes longer than a soak waits.
    host.cluster("audit", |_| Reply::new(200).after(Duration::from_secs(10_000)));
    host.upstream(|_| {
        let reply = Reply::new(200).header("content-type", "text/plain").header("x-internal-host", "10.0.0.1");
        reply.body("a secret, and no secret\n")
    });
    host.configure(json!({ "mutant": mutant })).unwrap_or_else(|error| panic!("{}: {error}", bug.filter));
    host
}

/// Why a tool fails with a filter; `None` if it does not.
fn failure(module: &[u8], bug: &Bug, mutant: bool, tool: Tool) -> Option<String> {
    let run = || tool.run(host(module, bug, mutant), bug.exchange);
    let why = catch_unwind(AssertUnwindSafe(run)).err()?;
    let text = why.downcast_ref::<String>().cloned();
    Some(text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
}

/// What is wrong with a row of the table.
fn judge(module: &[u8], bug: &Bug) -> Option<String> {
    for tool in Tool::ALL {
        if let Some(why) = failure(module, bug, false, tool) {
            return Some(format!("{}: {tool:?} fails without the bug: {why}", bug.filter));
        }
    }
    let found = Tool::ALL.into_iter().find_map(|tool| Some((tool, failure(module, bug, true, tool)?)));
    match found {
        None => Some(format!("{}: no tool finds the bug", bug.filter)),
        Some((tool, why)) if tool != bug.tool || bug.message.is_empty() || !why.contains(bug.message) => {
            Some(format!("{}: {tool:?} says: {why}", bug.filter))
        }
        Some(_) => None,
    }
}

#[test]
fn each_bug_is_detected_by_the_tools_with_their_default_settings() {
    let module = module();
    let faults: Vec<_> = thread::scope(|scope| {
        let module = &module;
        let judge_all = move |bugs: &[Bug]| bugs.iter().filter_map(|bug| judge(module, bug)).collect::<Vec<_>>();
        let (first, second) = BUGS.split_at(BUGS.len() / 2);
        let other = scope.spawn(move || judge_all(second));
        let mut faults = judge_all(first);
        faults.extend(other.join().unwrap());
        faults
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn the_page_about_the_bugs_is_made_from_the_table() {
    let path = root().join("docs/mutations.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("| Bug |").unwrap();
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    let mut table = String::from("| Bug | Filter | Found by | Message |\n|---|---|---|---|\n");
    for Bug { filter, what, tool, message, .. } in &BUGS {
        writeln!(
            table,
            "| {what} | `{filter}` | {} | {} |",
            tool.name(),
            message.replace('\n', " … ").replace('|', "\\|")
        )
        .unwrap();
    }
    let made = if after.is_empty() { format!("{before}{table}") } else { format!("{before}{table}\n{after}") };
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), made, "docs/mutations.md is stale: run with BLESS=1");
}

/// The result of the callback for the request's headers.
fn decision(outcome: &Outcome) -> Option<u64> {
    outcome.record().events.iter().find_map(|event| match event {
        Event::Returned { name, result } if name == "proxy_on_request_headers" => *result,
        _ => None,
    })
}

#[proxy_filter_host::test(guest = "mutations", module = guest)]
fn a_filter_without_a_body_callback_pauses_beside_filters_that_have_one(mut host: Host) {
    host.root_id("deny");
    host.configure(json!({ "mutant": true })).unwrap();
    let exchange = host.get("/").send();
    // `StopIteration`: the request has no body, whose callback of another filter could resume it.
    assert_eq!((exchange.status(), decision(&exchange)), (403, Some(1)), "{exchange}");
}

#[proxy_filter_host::test(guest = "mutations", module = guest, embedded)]
fn a_fault_in_another_form_that_the_test_expects_does_not_fail_it(mut host: Host) {
    host.root_id("role");
    host.configure(json!({ "mutant": true })).unwrap();
    host.expect_violation("the decision depends on the order of the two values");
    let variations = host.sweep_forms(|host| host.get("/").header("x-role", "admin").send());
    let twice: Vec<_> = variations.iter().filter(|variation| variation.form.contains("another `x-role`")).collect();
    let statuses: Vec<_> = twice.iter().map(|variation| variation.outcome.status()).collect();
    assert_eq!(statuses, [403, 200], "{:?}", variations.iter().map(|variation| &variation.form).collect::<Vec<_>>());
    assert_eq!(host.get("/").send().status(), 403, "the plugin has started again");
}
