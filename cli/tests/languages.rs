//! `check` and `run` with filters in other languages. `tests/modules/README.md` describes them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod common;
#[path = "../../tests/tests/support/toolchains.rs"]
mod toolchains;

use common::ok;
use serde_json::Value;

macro_rules! languages {
    ($($language:ident),*) => {$(
        #[test]
        #[ignore = "needs the compilers of target/toolchains"]
        fn $language() {
            let module = toolchains::$language();
            let module = module.to_str().unwrap();
            let text = ok(&["check", module, "--config-text", "blue", "--json"]);
            let findings: Value = serde_json::from_str(&text).unwrap();
            let envoy = findings["hosts"].as_array().unwrap().iter().find(|host| host["host"] == "Envoy 1.40").unwrap();
            assert_eq!(envoy["loads"], true, "{envoy:#}");
            assert!(envoy["callbacks"].as_array().unwrap().iter().any(|name| name == "proxy_on_request_headers"));
            assert_eq!(findings["configuration"]["accepted"], true, "{findings:#}");

            let directory = tempfile::tempdir().unwrap();
            let profile = directory.path().join("flame.html");
            let profile = profile.to_str().unwrap();
            let text =
                ok(&["run", module, "--config-text", "blue", "--header", "x-name: Ada", "--profile", profile]);
            assert!(text.contains("x-language"), "{text}");
            assert!(text.contains("proxy_on_request_headers") && text.contains("instructions: "), "{text}");
        }
    )*};
}

languages!(c, cpp, go, assemblyscript, rust);
