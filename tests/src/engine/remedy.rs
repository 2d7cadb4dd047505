//! Why a module imports what a host does not have, by the language and the tool that made it, and
//! what to do.

use super::abi::Version;
use super::module::{Imported, Kind};

/// A way in which modules come to imports that no host of Proxy-Wasm has.
struct Rule {
    applies: fn(&Imported) -> bool,
    cause: &'static str,
    remedy: &'static str,
}

const RULES: [Rule; 11] = [
    Rule {
        applies: |import| {
            import.name.starts_with("__wbindgen")
                || import.name.starts_with("__wbg_")
                || import.module.contains("wbindgen")
                || import.module == "wbg"
        },
        cause: "a crate of the module believes that it runs in a browser, where wasm-bindgen gives it JavaScript",
        remedy: "find it with `cargo tree --target wasm32-unknown-unknown -e features -i wasm-bindgen`, and turn its feature off: \
                 `wasmbind` or `clock` of chrono, `js` of uuid and getrandom, `wasm-bindgen` of time. The random bytes and the clock of \
                 this SDK need none; or build for wasm32-wasip1, where std has both",
    },
    Rule {
        applies: |import| import.module == "gojs" || import.module == "go",
        cause: "Go built it for a browser (GOOS=js)",
        remedy: "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared, with Go 1.24 or later",
    },
    Rule {
        applies: |import| import.module.contains(':') || import.module.starts_with("wasi_snapshot_preview2"),
        cause: "it was built for WASI preview 2 or later, whose imports are those of components",
        remedy: "build for preview 1: wasm32-wasip1 in Rust, GOOS=wasip1 in Go, -target wasm32-wasip1 in C",
    },
    Rule {
        applies: |import| import.module == "wasi",
        cause: "it starts threads (wasm32-wasip1-threads, -pthread), and a VM of a proxy has one",
        remedy: "build for wasm32-wasip1, without -pthread",
    },
    Rule {
        applies: |import| import.module.starts_with("wasi_"),
        cause: "no function of WASI preview 1 has this name: it is an extension of another runtime, sockets for example",
        remedy: "turn the feature of the library off that uses it; a filter calls other services with proxy_http_call",
    },
    Rule {
        applies: |import| {
            import.module == "env" && matches!(import.name.as_str(), "abort" | "trace" | "seed")
                || import.name == "console.log"
                || import.name == "Date.now"
        },
        cause: "AssemblyScript imports it unless the module brings its own",
        remedy: "compile with `--use abort=assembly/index/abort` and a function of that name that logs; do the same for `seed` and `trace`",
    },
    Rule {
        applies: |import| {
            import.module.starts_with("GOT.")
                || matches!(
                    import.name.as_str(),
                    "__memory_base" | "__table_base" | "__stack_pointer" | "__indirect_function_table"
                )
        },
        cause: "it is linked as a dynamic library, which another module loads",
        remedy: "link it as a program of its own: without -shared, -fPIC and -sSIDE_MODULE; `--no-entry` makes one without main",
    },
    Rule {
        applies: |import| {
            const EMSCRIPTEN: [&str; 7] =
                ["emscripten_", "_emscripten", "invoke_", "__cxa_", "__syscall_", "_embind_", "__resumeException"];
            import.module == "env" && EMSCRIPTEN.iter().any(|prefix| import.name.starts_with(prefix))
        },
        cause: "emscripten expects its JavaScript beside the module",
        remedy: "link with -sSTANDALONE_WASM --no-entry and without exceptions of C++ (-fno-exceptions) and longjmp, or use the SDK of WASI",
    },
    Rule {
        applies: |import| import.name == "envoy_resolve_dns",
        cause: "Envoy has it, and the embedded host has no names to resolve",
        remedy: "run the test in a real Envoy: `Host::in_envoy`",
    },
    Rule {
        applies: |import| import.name.starts_with("proxy_"),
        cause: "it is a function of another proxy, or of a draft of the ABI",
        remedy: "the list of functions of Envoy is in the README of the ABI 0.2.1; call_foreign_function is the way to what is beyond it",
    },
    Rule {
        applies: |import| matches!(import.kind, Kind::Global | Kind::Tag),
        cause: "Envoy gives a module functions, one memory and tables, and no globals",
        remedy: "define it in the module: it is often a sign of dynamic linking",
    },
];

/// What is said where no rule applies.
const OTHERWISE: (&str, &str) = (
    "the module declares a function that nothing defines: the linker was told to allow it (--allow-undefined, a macro `extern`, or an \
     import attribute)",
    "link the library that defines it, or do not call it",
);

/// Functions that one version of the ABI has and another has not.
fn of_another_version(import: &Imported) -> Option<&'static str> {
    if import.module != "env" {
        return None;
    }
    Some(match import.name.as_str() {
        "proxy_get_log_level" => "0.2.1",
        "proxy_continue_stream" | "proxy_close_stream" => "0.2.0 and 0.2.1",
        "proxy_get_configuration"
        | "proxy_continue_request"
        | "proxy_continue_response"
        | "proxy_clear_route_cache" => "0.1.0",
        _ => return None,
    })
}

/// The causes of missing imports, each once, with what to do about them.
pub(super) fn of(missing: &[&Imported], version: Version) -> Vec<(String, String)> {
    let mut causes = Vec::new();
    for import in missing {
        let found = if let Some(versions) = of_another_version(import) {
            (
                format!(
                    "{} is a function of ABI {versions}, and the module says that it speaks {version}",
                    import.name
                ),
                "export the marker of the ABI that the module uses; the first one of the file counts".to_owned(),
            )
        } else {
            let rule = RULES.iter().find(|rule| (rule.applies)(import));
            let (cause, remedy) = rule.map_or(OTHERWISE, |rule| (rule.cause, rule.remedy));
            (cause.to_owned(), remedy.to_owned())
        };
        if !causes.contains(&found) {
            causes.push(found);
        }
    }
    causes
}
