//! `proxy-filter package`: the image, the manifests, and the same bytes every time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod common;

use common::{example, fails, ok, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Packages an example with more arguments.
fn package(name: &str, arguments: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let module = example(name);
    let shared = ["package", &module, "--image", "ghcr.io/me/guard:1.0", "--out", directory.path().to_str().unwrap()];
    ok(&[&shared[..], arguments].concat());
    directory
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

fn manifest(directory: &TempDir, file: &str) -> (String, Value) {
    let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
    let value = serde_saphyr::from_str(&text).unwrap();
    (text, value)
}

/// Reads the image with Python, and returns the module in it as base64.
fn read_image(directory: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_image.py");
    let output = Command::new("python3").arg(script).arg(directory.join("image")).output().unwrap();
    assert!(output.status.success(), "{}", common::stderr(&output));
    common::stdout(&output).trim().to_owned()
}

/// The module's file as base64, encoded by Python too.
fn encoded(path: &str) -> String {
    let code = "import base64, sys; print(base64.b64encode(open(sys.argv[1], 'rb').read()).decode())";
    let output = Command::new("python3").args(["-c", code, path]).output().unwrap();
    common::stdout(&output).trim().to_owned()
}

#[test]
fn another_reader_finds_the_module_in_the_image_of_each_variant() {
    for variant in ["compat", "artifact"] {
        let directory = package("http_config", &["--variant", variant]);
        assert_eq!(read_image(directory.path()), encoded(&example("http_config")), "{variant}");
        let copy = directory.path().join("plugin.wasm");
        assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(example("http_config")).unwrap());
    }
}

#[test]
fn the_same_module_makes_the_same_bytes() {
    let arguments = ["--config", r#"{"headers": []}"#, "--env", "B=2", "--env", "A=1"];
    let [first, second] = [(); 2].map(|()| package("http_config", &arguments));
    assert_eq!(files(first.path()), files(second.path()));
}

#[test]
fn packaging_again_removes_every_blob_of_the_previous_image() {
    let directory = package("http_config", &[]);
    let module = example("http_headers");
    ok(&["package", &module, "--out", directory.path().to_str().unwrap()]);
    assert_eq!(read_image(directory.path()), encoded(&module));
}

/// The fields of a message in a published schema. A field without a list holds anything.
struct Fields(&'static [(&'static str, Option<&'static Fields>)]);

const ANY: Option<&Fields> = None;
const TARGET: Fields =
    Fields(&[("group", ANY), ("kind", ANY), ("name", ANY), ("namespace", ANY), ("sectionName", ANY)]);
const ENV_VAR: Fields = Fields(&[("name", ANY), ("valueFrom", ANY), ("value", ANY)]);
const VM_CONFIG: Fields = Fields(&[("env", Some(&ENV_VAR))]);

/// istio/api, `extensions/v1alpha1/wasm.proto`, message `WasmPlugin`.
const WASM_PLUGIN: Fields = Fields(&[
    ("selector", ANY),
    ("targetRefs", Some(&TARGET)),
    ("url", ANY),
    ("sha256", ANY),
    ("imagePullPolicy", ANY),
    ("imagePullSecret", ANY),
    ("verificationKey", ANY),
    ("pluginConfig", ANY),
    ("pluginName", ANY),
    ("phase", ANY),
    ("failStrategy", ANY),
    ("priority", ANY),
    ("vmConfig", Some(&VM_CONFIG)),
    ("match", ANY),
    ("type", ANY),
]);

/// istio/api at a01e54c, `extensions/v1alpha1/traffic_extension.proto`, message `WasmConfig`.
const WASM_CONFIG: Fields = Fields(&[
    ("url", ANY),
    ("sha256", ANY),
    ("imagePullPolicy", ANY),
    ("imagePullSecret", ANY),
    ("verificationKey", ANY),
    ("pluginConfig", ANY),
    ("pluginName", ANY),
    ("failStrategy", ANY),
    ("vmConfig", Some(&VM_CONFIG)),
    ("type", ANY),
]);

/// The same file, message `TrafficExtension`.
const TRAFFIC_EXTENSION: Fields = Fields(&[
    ("selector", ANY),
    ("targetRefs", Some(&TARGET)),
    ("phase", ANY),
    ("priority", ANY),
    ("match", ANY),
    ("wasm", Some(&WASM_CONFIG)),
    ("lua", ANY),
]);

/// envoyproxy/gateway, `api/v1alpha1/wasm_types.go`.
const IMAGE: Fields = Fields(&[("url", ANY), ("sha256", ANY), ("pullSecretRef", ANY), ("tls", ANY)]);
const CODE: Fields = Fields(&[("type", ANY), ("http", ANY), ("image", Some(&IMAGE)), ("pullPolicy", ANY)]);
const WASM_ENV: Fields = Fields(&[("hostKeys", ANY)]);
const WASM: Fields = Fields(&[
    ("name", ANY),
    ("rootID", ANY),
    ("code", Some(&CODE)),
    ("config", ANY),
    ("failOpen", ANY),
    ("env", Some(&WASM_ENV)),
]);

/// The same repository, `api/v1alpha1/envoyextensionypolicy_types.go`.
const ENVOY_EXTENSION_POLICY: Fields = Fields(&[
    ("targetRef", ANY),
    ("targetRefs", Some(&TARGET)),
    ("targetSelectors", ANY),
    ("wasm", Some(&WASM)),
    ("extProc", ANY),
    ("lua", ANY),
]);

/// Asserts that a value has only fields of the schema.
fn conforms(value: &Value, fields: &Fields, place: &str) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| conforms(item, fields, place)),
        Value::Object(object) => {
            for (name, value) in object {
                let known = fields.0.iter().find(|(field, _)| field == name);
                let (_, inner) = known.unwrap_or_else(|| panic!("{place} has no field {name}"));
                if let Some(inner) = inner {
                    conforms(value, inner, &format!("{place}.{name}"));
                }
            }
        }
        other => panic!("{place} is {other}"),
    }
}

const KUBERNETES: [(&str, &str, &str, &Fields); 3] = [
    ("wasm-plugin.yaml", "WasmPlugin", "extensions.istio.io/v1alpha1", &WASM_PLUGIN),
    ("traffic-extension.yaml", "TrafficExtension", "extensions.istio.io/v1alpha1", &TRAFFIC_EXTENSION),
    ("envoy-extension-policy.yaml", "EnvoyExtensionPolicy", "gateway.envoyproxy.io/v1alpha1", &ENVOY_EXTENSION_POLICY),
];

#[test]
fn manifests_have_the_fields_of_the_published_schemas() {
    let every = [
        "--config",
        r#"{"headers": []}"#,
        "--root-id",
        "main",
        "--env",
        "A=1",
        "--host-env",
        "POD_NAME",
        "--phase",
        "authn",
        "--target",
        "HTTPRoute/backend",
        "--namespace",
        "shop",
        "--failure-policy",
        "reload",
    ];
    for arguments in [&every[..], &[]] {
        let directory = package("http_config", arguments);
        for (file, kind, version, fields) in KUBERNETES {
            let (_, manifest) = manifest(&directory, file);
            assert_eq!((&manifest["kind"], &manifest["apiVersion"]), (&kind.into(), &version.into()));
            conforms(&manifest["spec"], fields, kind);
        }
    }
    let directory = package("http_config", &every);
    let (_, plugin) = manifest(&directory, "wasm-plugin.yaml");
    assert_eq!(plugin["metadata"], serde_json::json!({ "name": "http-config", "namespace": "shop" }));
    assert_eq!(plugin["spec"]["failStrategy"], "FAIL_RELOAD");
    assert_eq!(plugin["spec"]["pluginConfig"], serde_json::json!({ "headers": [] }));
    assert_eq!(plugin["spec"]["vmConfig"]["env"][1], serde_json::json!({ "name": "POD_NAME", "valueFrom": "HOST" }));
    let index: Value =
        serde_json::from_slice(&std::fs::read(directory.path().join("image/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(plugin["spec"]["url"], format!("oci://ghcr.io/me/guard@{digest}"));
    let (_, policy) = manifest(&directory, "envoy-extension-policy.yaml");
    assert_eq!(policy["spec"]["wasm"][0]["env"]["hostKeys"][0], "POD_NAME");
    assert_eq!(policy["spec"]["targetRefs"][0]["kind"], "HTTPRoute");
}

#[test]
fn settings_that_a_format_cannot_express_are_comments_in_its_file() {
    let arguments = [
        "--vm-id",
        "shared",
        "--allow-on-headers-stop-iteration",
        "--env",
        "A=1",
        "--failure-policy",
        "reload",
        "--stats-tag",
        "responses:status",
    ];
    let directory = package("http_config", &arguments);
    for (file, ..) in KUBERNETES {
        let (text, _) = manifest(&directory, file);
        for option in ["--vm-id", "--allow-on-headers-stop-iteration", "--stats-tag", "least capabilities"] {
            assert!(
                text.contains(&format!("# Not expressible here: {option}")) || text.contains(option),
                "{file}: {option}"
            );
        }
    }
    let (policy, _) = manifest(&directory, "envoy-extension-policy.yaml");
    assert!(policy.contains("--env") && policy.contains("`reload`"), "{policy}");
    let (_, envoy) = manifest(&directory, "envoy.yaml");
    let listener = &envoy["static_resources"]["listeners"][0];
    let filter =
        &listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"]["config"];
    assert_eq!(filter["failure_policy"], "FAIL_RELOAD");
    assert_eq!(filter["vm_config"]["vm_id"], "shared");
    assert_eq!(filter["allow_on_headers_stop_iteration"], true);
    assert_eq!(filter["vm_config"]["environment_variables"]["key_values"]["A"], "1");
    assert_eq!(envoy["stats_config"]["stats_tags"][0]["tag_name"], "status");
    let allowed = filter["capability_restriction_config"]["allowed_capabilities"].as_object().unwrap();
    assert!(
        allowed.contains_key("proxy_on_response_headers") && !allowed.contains_key("proxy_http_call"),
        "{allowed:?}"
    );
}

#[test]
fn a_configuration_that_is_no_object_is_refused_for_kubernetes() {
    let module = example("http_config");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let text = fails(1, &["package", &module, "--config-text", "blue", "--out", out]);
    assert!(text.contains("no JSON object"), "{text}");
    ok(&["package", &module, "--config-text", "blue", "--out", out, "--format", "envoy", "--format", "image"]);
}

#[test]
fn a_module_that_envoy_does_not_load_is_not_packaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.wasm");
    std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    let text = fails(1, &["package", path.to_str().unwrap(), "--out", directory.path().to_str().unwrap()]);
    assert!(text.contains("Missing or unknown Proxy-Wasm ABI version"), "{text}");
}

#[test]
fn json_names_the_image_and_the_capabilities() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let text = ok(&["package", &example("http_config"), "--out", out, "--json"]);
    let written: Value = serde_json::from_str(&text).unwrap();
    assert!(written["image"]["digest"].as_str().unwrap().starts_with("sha256:"), "{written:#}");
    assert!(written["capabilities"].as_array().unwrap().iter().any(|name| name == "proxy_on_configure"));
}

#[test]
fn the_schema_of_the_configuration_is_in_the_image_and_in_the_documentation() {
    let schema = repository().join("examples/http_config/config.schema.json");
    for variant in ["compat", "artifact"] {
        let directory = package("http_config", &["--variant", variant, "--schema", schema.to_str().unwrap()]);
        let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).unwrap();
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let index = json(&read("image/index.json"));
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = json(&read(&format!("image/blobs/{digest}")));
        let annotation = manifest["annotations"]["proxy-filter.configuration.schema"].as_str().unwrap();
        let original = json(&std::fs::read_to_string(&schema).unwrap());
        assert_eq!(json(annotation), original);
        assert_eq!(json(&read("config.schema.json")), original);
        let page = read("configuration.md");
        for row in [
            "| `headers` | array | required | The headers of each response. |",
            "| `headers[].name` | string | required | The name of a header that a filter may set. |",
            "| `headers[].value` | string | required | The value of a header. |",
            "| `mode` | `\"add\"`, `\"replace\"` | `\"add\"` | What happens to existing headers of the same name. |",
        ] {
            assert!(page.contains(&format!("{row}\n")), "{row}\n{page}");
        }
    }
}

#[test]
fn the_schema_of_a_package_is_found_beside_its_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let example = repository().join("examples/http_config");
    ok(&["package", example.to_str().unwrap(), "--out", out]);
    assert!(directory.path().join("config.schema.json").is_file());
    // A module alone has none.
    let without = package("http_config", &[]);
    assert!(!without.path().join("config.schema.json").exists());
}

#[test]
fn a_file_that_is_no_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schema.json");
    for (text, code) in [("[]", 1), ("{", 1)] {
        std::fs::write(&file, text).unwrap();
        let text = fails(code, &["package", &example("http_config"), "--schema", file.to_str().unwrap()]);
        assert!(text.contains("is no JSON schema"), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    fails(3, &["package", &example("http_config"), "--schema", file.to_str().unwrap()]);
}

/// Fields within fields, optional ones, maps, a type that contains itself, and odd texts.
#[test]
fn the_documentation_has_a_row_for_each_field_of_any_schema() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schema.json");
    let schema = r##"{
        "$defs": {
            "Tree": { "type": "object", "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/Tree" }, { "type": "null" }] } } },
            "Limit": { "type": "object", "properties": { "n": { "type": ["integer", "null"], "default": null } } }
        },
        "properties": {
            "tree": { "$ref": "#/$defs/Tree" },
            "limits": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Limit" }, "description": "a | b\nc" },
            "kind": { "oneOf": [{ "const": "a" }, { "const": "b" }] },
            "any": true,
            "broken": { "$ref": "#/$defs/None" }
        }
    }"##;
    std::fs::write(&file, schema).unwrap();
    let out = package("http_config", &["--schema", file.to_str().unwrap()]);
    let page = std::fs::read_to_string(out.path().join("configuration.md")).unwrap();
    for row in [
        "| `tree.next` | object |  |  |",
        "| `limits` | object |  | a \\| b c |",
        "| `limits.*.n` | integer |  |  |",
        "| `kind` | `\"a\"`, `\"b\"` |  |  |",
        "| `any` | any |  |  |",
        "| `broken` | any |  |  |",
    ] {
        assert!(page.contains(row), "{row}\n{page}");
    }
    assert!(!page.contains("tree.next.next"), "{page}");
}
