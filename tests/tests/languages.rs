//! Filters in C, C++, Go, `AssemblyScript` and Rust for WASI, built by the compilers of those
//! languages. `modules/README.md` describes them. They behave the same in a real Envoy and in the
//! embedded host.
//!
//! The compilers are those in `target/toolchains`, which `.ci/run tests` installs. Without them,
//! the tests with `--include-ignored` fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

#[path = "support/toolchains.rs"]
mod toolchains;

use proxy_filter_host::Host;

/// Asserts the behaviour that all of the filters share.
fn greets(mut host: Host, language: &str) {
    host.environment_variable("GREETING", "hello");
    host.configure("blue").unwrap();
    let logs: Vec<_> =
        host.start_logs().iter().map(|line| format!("{}: {}", line.level.name(), line.message)).collect();
    assert_eq!(logs, [format!("info: {language} starts"), "info: configured with blue".into()]);

    let outcome = host.post("/").header("x-name", "Ada").body("12345").send();
    assert_eq!(outcome.status(), 200, "{outcome}");
    assert!(outcome.response().header("x-language").is_some_and(|value| value == language), "{outcome}");
    assert!(outcome.upstream().unwrap().header("x-greeting").is_some_and(|value| value == "hello Ada"), "{outcome}");
    assert_eq!(outcome.messages(), ["5 bytes", "0 bytes"], "{outcome}");
    assert_eq!(host.get("/").header("x-name", "Bob").send().status(), 200);
}

/// The specific failure of each language. The client gets a 503, and nothing else of the VM runs.
fn fails(mut host: Host, last_words: &str) {
    host.configure("blue").unwrap();
    let outcome = host.get("/fail").send();
    assert_eq!(outcome.status(), 503, "{outcome}");
    assert!(outcome.messages().iter().any(|line| line.contains(last_words)), "{outcome}");
    outcome.expect_error("the VM trapped");
    assert_eq!(host.get("/").send().status(), 503);
}

macro_rules! languages {
    ($($language:ident: $name:literal, $last_words:literal;)*) => {$(
        mod $language {
            use super::*;

            #[test]
            #[ignore = "needs the compilers of target/toolchains"]
            fn embedded() {
                let module = std::fs::read(crate::toolchains::$language()).unwrap();
                greets(Host::for_module(&module), $name);
                fails(Host::for_module(&module), $last_words);
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            #[ignore = "needs the compilers of target/toolchains"]
            fn wasmtime() {
                let module = std::fs::read(crate::toolchains::$language()).unwrap();
                let host = || Host::for_module_on(proxy_filter_host::Engine::Wasmtime, &module);
                greets(host(), $name);
                fails(host(), $last_words);
            }

            #[cfg(feature = "envoy")]
            #[test]
            #[ignore = "needs an Envoy, and the compilers of target/toolchains"]
            fn envoy() {
                use proxy_filter_host::{__private::module_in_envoy, Engine};
                let module = crate::toolchains::$language();
                module_in_envoy(Engine::default(), &module, |host| greets(host, $name));
                module_in_envoy(Engine::default(), &module, |host| fails(host, $last_words));
            }
        }
    )*};
}

languages! {
    rust: "Rust", "no way on";
    c: "C", "no way on";
    cpp: "C++", "no way on";
    go: "Go", "no way on";
    assemblyscript: "AssemblyScript", "abort: no way on";
}
