//! `proxy-filter package`: the image, the manifests, and the same bytes every time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "../common/mod.rs"]
mod common;
mod schema;

use common::{example, fails, ok, repository};
use schema::Schema;
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

/// The file of each kind of Kubernetes resources.
const KUBERNETES: [(&str, &str); 3] = [
    ("wasm-plugin.yaml", "WasmPlugin"),
    ("traffic-extension.yaml", "TrafficExtension"),
    ("envoy-extension-policy.yaml", "EnvoyExtensionPolicy"),
];

/// Asserts that the resources of a directory conform to their schemas, and returns their kinds.
fn conform(directory: &TempDir, arguments: &[&str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (file, kind) in KUBERNETES {
        if directory.path().join(file).exists() {
            let (text, manifest) = manifest(directory, file);
            assert_eq!(manifest["kind"], kind);
            let faults = Schema::of(kind).faults(&manifest);
            assert!(faults.is_empty(), "{arguments:?}: {faults:#?}\n{text}");
            found.push(kind);
        }
    }
    found
}

const EVERY: [&str; 18] = [
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
    "Gateway/eg",
    "--namespace",
    "shop",
    "--failure-policy",
    "reload",
    "--kind",
    "http",
];

#[test]
fn manifests_conform_to_the_published_schemas() {
    for arguments in [&EVERY[..], &[]] {
        let directory = package("http_config", arguments);
        assert_eq!(conform(&directory, arguments), KUBERNETES.map(|(_, kind)| kind));
    }
    let directory = package("http_config", &EVERY);
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
    assert_eq!(policy["spec"]["targetRefs"][0]["kind"], "Gateway");
}

/// Changes a resource in every way that its schema forbids.
fn spoilt(schema: &Schema, resource: &Value) -> Vec<(String, Value)> {
    let mut spoilt = Vec::new();
    let mut change = |what: String, pointer: &str, value: Option<Value>| {
        let mut resource = resource.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match (resource.pointer_mut(parent), value) {
            (Some(Value::Object(object)), Some(value)) => drop(object.insert(name.to_owned(), value)),
            (Some(Value::Object(object)), None) => drop(object.remove(name)),
            (Some(Value::Array(items)), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
            other => panic!("{pointer}: {other:?}"),
        }
        spoilt.push((format!("{pointer}: {what}"), resource));
    };
    // Each value of the resource, by its pointer and by its path in the schema.
    let mut values = vec![(String::new(), String::new(), resource)];
    while let Some((pointer, path, value)) = values.pop() {
        let field = schema.field(&path);
        if let Some(field) = field {
            if field.kind != "any" {
                let other = if value.is_number() { "text".into() } else { 1.into() };
                change("another type".into(), &pointer, Some(other));
            }
            if field.required {
                change("missing".into(), &pointer, None);
            }
            if !field.values.is_empty() {
                change("no such value".into(), &pointer, Some("Other".into()));
            }
            if let Some(length) = &field.length {
                let most = *length.end();
                let long = if value.is_array() {
                    Value::Array(vec![value[0].clone(); most + 1])
                } else {
                    "a".repeat(most + 1).into()
                };
                change("too long".into(), &pointer, Some(long));
                if *length.start() > 0 {
                    change("empty".into(), &pointer, Some("".into()));
                }
            }
            if field.unique.is_some() {
                change("twice the same".into(), &pointer, Some(Value::Array(vec![value[0].clone(); 2])));
            }
        }
        match value {
            Value::Object(object) if field.is_none_or(|field| field.kind == "object") => {
                change("an unknown field".into(), &format!("{pointer}/unknown"), Some(1.into()));
                for (name, value) in object {
                    let dot = if path.is_empty() { "" } else { "." };
                    values.push((format!("{pointer}/{name}"), format!("{path}{dot}{name}"), value));
                }
            }
            Value::Array(items) => {
                let inner = |(index, item)| (format!("{pointer}/{index}"), format!("{path}[]"), item);
                values.extend(items.iter().enumerate().map(inner));
            }
            _ => {}
        }
    }
    spoilt
}

#[test]
fn a_manifest_that_differs_from_its_schema_in_any_way_is_found() {
    let directory = package("http_config", &EVERY);
    for (file, kind) in KUBERNETES {
        let schema = Schema::of(kind);
        let (_, resource) = manifest(&directory, file);
        let mut spoilt = spoilt(&schema, &resource);
        let rules: &[(&str, Value)] = match kind {
            "WasmPlugin" => &[
                ("/spec/selector", serde_json::json!({})),
                ("/spec/url", "ftp://a".into()),
                ("/spec/targetRefs/0/group", "".into()),
                ("/spec/vmConfig/env/1/value", "1".into()),
                ("/metadata/name", "A_b".into()),
            ],
            "TrafficExtension" => &[("/spec/lua", serde_json::json!({ "inlineCode": "x" }))],
            _ => &[
                ("/spec/wasm/0/code/http", serde_json::json!({ "url": "https://a" })),
                ("/spec/wasm/0/code/type", "HTTP".into()),
                ("/spec/targetRef", resource["spec"]["targetRefs"][0].clone()),
            ],
        };
        for (pointer, value) in rules {
            let mut resource = resource.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            resource.pointer_mut(parent).unwrap()[name] = value.clone();
            spoilt.push((format!("{pointer}: {value}"), resource));
        }
        assert!(spoilt.len() > 30, "{kind}: {}", spoilt.len());
        for (what, resource) in spoilt {
            assert!(!schema.faults(&resource).is_empty(), "{kind}: {what}");
        }
    }
}

/// The options of `package` that change a manifest, with values of each.
const OPTIONS: [&[&[&str]]; 15] = [
    &[&[], &["--config-text", "{}"], &["--config", r#"{"headers": [], "a": {"b": [1, null, "yes", 1e3]}}"#]],
    &[&[], &["--root-id", "main"], &["--root-id", "on"]],
    &[&[], &["--env", "A=1"], &["--env", "DEBUG=yes", "--env", "B=", "--env", "C=a b: # c\n"]],
    &[&[], &["--host-env", "POD_NAME"], &["--host-env", "NO", "--host-env", "0x1F"]],
    &[&["--failure-policy", "closed"], &["--failure-policy", "open"], &["--failure-policy", "reload"]],
    &[&[], &["--phase", "unspecified"], &["--phase", "authn"], &["--phase", "authz"], &["--phase", "stats"]],
    &[
        &[],
        &["--target", "Gateway/eg"],
        &["--target", "GatewayClass/istio-waypoint"],
        &["--target", "ListenerSet/more"],
        &["--target", "HTTPRoute/backend"],
        &["--target", "GRPCRoute/backend"],
        &["--target", "TCPRoute/backend"],
        &["--target", "TLSRoute/backend"],
        &["--target", "UDPRoute/backend"],
        &["--target", "Service/reviews"],
        &["--target", "ServiceEntry/db.example.com"],
    ],
    &[&[], &["--namespace", "shop"], &["--namespace", "1234"]],
    &[&[], &["--name", "true"], &["--name", "Größe 2.0_x"]],
    &[&[], &["--kind", "http"], &["--kind", "tcp"], &["--kind", "access-log"]],
    &[&[], &["--vm-id", "shared"]],
    &[&[], &["--unrestricted"]],
    &[&[], &["--allow-on-headers-stop-iteration", "--stats-tag", "responses:status"]],
    &[&[], &["--variant", "artifact"]],
    &[
        &[],
        &["--image", "guard"],
        &["--image", "localhost:5000/me/guard"],
        &[
            "--image",
            "ghcr.io/me/guard:1.0-rc_1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
    ],
];

/// Choices of one value of each option, such that each two values of two options are together in
/// one of them.
fn pairs() -> Vec<[usize; OPTIONS.len()]> {
    let mut missing = std::collections::BTreeSet::new();
    for (first, values) in OPTIONS.iter().enumerate() {
        for (second, others) in OPTIONS.iter().enumerate().skip(first + 1) {
            missing.extend(
                (0..values.len())
                    .flat_map(|value| (0..others.len()).map(move |other| ((first, value), (second, other)))),
            );
        }
    }
    let mut choices = Vec::new();
    while let Some(&((first, value), (second, other))) = missing.first() {
        let mut choice: [Option<usize>; OPTIONS.len()] = [None; OPTIONS.len()];
        (choice[first], choice[second]) = (Some(value), Some(other));
        for option in 0..OPTIONS.len() {
            if choice[option].is_none() {
                let gain = |value: &usize| {
                    let chosen = choice.iter().enumerate().filter_map(|(other, value)| Some((other, (*value)?)));
                    chosen
                        .filter(|other| missing.contains(&((option, *value).min(*other), (option, *value).max(*other))))
                        .count()
                };
                choice[option] = (0..OPTIONS[option].len()).max_by_key(gain);
            }
        }
        let choice = choice.map(Option::unwrap);
        missing.retain(|((first, value), (second, other))| choice[*first] != *value || choice[*second] != *other);
        choices.push(choice);
    }
    choices
}

/// All texts of a value that are not quoted in YAML, and that the YAML 1.1 of Kubernetes reads as
/// something else.
fn misread(text: &str) -> Vec<&str> {
    let scalars = text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).split_once(": "));
    let is_misread = |value: &&str| {
        let lower = value.to_lowercase();
        ["yes", "no", "on", "off", "y", "n"].contains(&lower.as_str())
            || lower.starts_with("0x")
            || lower.contains("1:")
    };
    scalars.map(|(_, value)| value.trim()).filter(is_misread).collect()
}

/// By default each pair of values of two options. `COMBINATIONS=all cargo test --package
/// proxy-filter-cli --test package every_combination` runs every combination of the options that
/// meet in one field or one comment: 8 minutes.
#[test]
fn every_combination_of_options_makes_manifests_that_conform() {
    let mut choices = pairs();
    if std::env::var("COMBINATIONS").is_ok_and(|combinations| combinations == "all") {
        let mut all = vec![[0; OPTIONS.len()]];
        for option in [0, 1, 2, 3, 4, 6, 8, 9] {
            all = all
                .iter()
                .flat_map(|choice| {
                    (0..OPTIONS[option].len()).map(move |value| {
                        let mut choice = *choice;
                        choice[option] = value;
                        choice
                    })
                })
                .collect();
        }
        choices.extend(all);
    }
    let module = example("http_config");
    let mut kinds = BTreeMap::<_, usize>::new();
    for choice in choices {
        let chosen = OPTIONS.iter().zip(choice).flat_map(|(values, value)| values[value]).copied().collect::<Vec<_>>();
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().to_str().unwrap();
        ok(&[&["package", &module, "--out", out], &chosen[..]].concat());
        let found = conform(&directory, &chosen);
        for (file, kind) in KUBERNETES {
            let to = chosen
                .iter()
                .skip_while(|option| **option != "--target")
                .nth(1)
                .map_or("Gateway", |target| target.split('/').next().unwrap());
            let in_both = to == "Gateway";
            let in_istio = in_both || ["GatewayClass", "Service", "ServiceEntry"].contains(&to);
            let expected = match kind {
                "EnvoyExtensionPolicy" => (in_both || !in_istio) && !chosen.contains(&"tcp"),
                _ => in_istio,
            };
            assert_eq!(found.contains(&kind), expected, "{kind}: {chosen:?}");
            if expected {
                let text = manifest(&directory, file).0;
                assert!(misread(&text).is_empty(), "{:?}\n{text}", misread(&text));
                *kinds.entry(kind).or_default() += 1;
            }
        }
        if chosen.contains(&"tcp") && found.contains(&"WasmPlugin") {
            assert_eq!(manifest(&directory, "wasm-plugin.yaml").1["spec"]["type"], "NETWORK", "{chosen:?}");
        }
    }
    assert!(kinds.values().all(|count| *count > 20), "{kinds:?}");
}

#[test]
fn options_that_no_manifest_can_express_are_refused_with_the_reason() {
    let module = example("http_config");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let long = format!("A={}", "v".repeat(2049));
    let refused: [(&[&str], &str); 19] = [
        (&["--target", "Deployment/a"], "nothing attaches to a Deployment"),
        (&["--target", "gateway/a"], "nothing attaches to a gateway"),
        (&["--target", "Gateway/"], "the name of a resource"),
        (&["--target", "Gateway/a b"], "the name of a resource"),
        (&["--target", "Gateway"], "KIND/NAME"),
        (&["--target", "HTTPRoute/a", "--format", "istio"], "Istio attaches to Gateway, GatewayClass, Service"),
        (&["--target", "Service/a", "--format", "envoy-gateway"], "Envoy Gateway attaches to"),
        (&["--kind", "tcp", "--format", "envoy-gateway"], "no wasm filters of TCP"),
        (&["--namespace", "My_Shop"], "a namespace has"),
        (&["--namespace", ""], "a namespace has"),
        (&["--name", "日本"], "accepts no character"),
        (&["--image", "oci://ghcr.io/me/guard:1.0"], "without a scheme"),
        (&["--image", "ghcr.io/Me/guard"], "lower case"),
        (&["--image", ""], "an image is written"),
        (&["--env", "=1"], "the name of a variable"),
        (&["--host-env", ""], "the name of a variable"),
        (&["--env", "A=1", "--env", "A=2"], "A is given more than once"),
        (&["--env", "A=1", "--host-env", "A"], "A is given more than once"),
        (&["--env", &long, "--format", "istio"], "Istio allows 2048 characters"),
    ];
    for (arguments, why) in refused {
        let text = fails(2, &[&["package", &module, "--out", out], arguments].concat());
        assert!(text.contains(why), "{arguments:?}: {text}");
        assert_eq!(files(directory.path()), BTreeMap::new(), "{arguments:?}");
    }
    let text = ok(&["package", &module, "--out", out, "--target", "HTTPRoute/a", "--json"]);
    let written: Value = serde_json::from_str(&text).unwrap();
    assert!(written["skipped"][0].as_str().unwrap().starts_with("Istio attaches to"), "{written:#}");
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
    for (file, _) in KUBERNETES {
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
