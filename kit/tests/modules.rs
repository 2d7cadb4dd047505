//! Every block is built as a module for `wasm32-unknown-unknown`. The test asserts that it imports
//! nothing, and prints its size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The features, and the code that each module runs. `input` are bytes that the compiler does not
/// know.
const PROBES: &[(&str, &str)] = &[
    (
        "request",
        "request::Query::of(input).get(\"a\").is_some() | request::bearer(input).is_some() | request::Normalisation::new().normalise(input).is_ok() | request::SetCookie::new(\"a\", \"b\").build().is_ok()",
    ),
    ("client_address", "client_address::TrustedProxies::hops(1).client([1, 1, 1, 1].into(), &[input]).is_ipv4()"),
    (
        "cache",
        "{ let mut cache = cache::Cache::new(9); cache.insert(input.to_vec(), 1, core::time::Duration::MAX); cache.get(input, core::time::Duration::ZERO).is_some() }",
    ),
    (
        "circuit_breaker",
        "circuit_breaker::CircuitBreaker::new(Default::default()).allow(core::time::Duration::from_nanos(input.len() as u64)).is_ok()",
    ),
    ("retry", "retry::retry_after(input, std::time::SystemTime::UNIX_EPOCH).is_some()"),
    ("single_flight", "single_flight::SingleFlight::<Vec<u8>, u8>::new().is_empty()"),
    ("event_stream", "{ let mut count = 0; event_stream::Decoder::new(999).push(input, |_| count += 1); count > 0 }"),
    ("json_lines", "{ let mut count = 0; json_lines::Lines::new(999).push(input, |_| count += 1); count > 0 }"),
    ("aws_event_stream", "aws_event_stream::Decoder::new(999).push(input, |_| {}).is_ok()"),
    (
        "edit",
        "edit::Literals::new([input]).is_ok_and(|words| edit::Editor::new(words, edit::Action::Remove).push(input, true).is_empty())",
    ),
    ("multipart", "multipart::Reader::new(input, 999).is_ok_and(|mut reader| reader.push(input, |_| {}).is_ok())"),
    (
        "jwt",
        "jwt::Jwks::parse(input).is_ok_and(|keys| keys.verify(input).is_ok_and(|token| token.claims::<jwt::Claims>().is_ok()))",
    ),
    (
        "rate_limit",
        "rate_limit::TokenBucket::new(1, core::time::Duration::MAX).take(Some(input.len() as u64), 1, core::time::Duration::ZERO).is_allowed()",
    ),
    ("problem", "problem::Problem::new(400, String::from_utf8_lossy(input)).to_json().is_empty()"),
    (
        "cors",
        "cors::Cors::builder().origin(\"https://*.a.example\").method(\"PUT\").build().is_ok_and(|cors| cors.preflight(input, input, Some(input)).headers.len() == cors.response(Some(input)).len())",
    ),
    (
        "security_headers",
        "security_headers::SecurityHeaders::recommended().set(\"a\", String::from_utf8_lossy(input)).build().is_ok()",
    ),
    (
        "signature",
        "signature::Secret::new(input).is_some_and(|secret| { let signer = signature::RequestSigner::new(secret); signer.verify(input, &[input], core::time::Duration::ZERO).is_ok() | signer.sign(&[input], core::time::Duration::ZERO).is_ok() })",
    ),
    (
        "signature",
        "{ use signature::message::{Message, Verifier, VerifyingKey}; let headers = [(input, input)]; let message = Message::response(200, &headers); core::str::from_utf8(input).is_ok_and(|pem| [VerifyingKey::ed25519(pem), VerifyingKey::ecdsa_p256_sha256(pem), VerifyingKey::rsa_pss_sha512(pem)].iter().flatten().any(|key| Verifier::new([]).verify(&message, input, input, core::time::Duration::ZERO, |_| Some(key)).is_ok())) }",
    ),
    (
        "signature",
        "{ use signature::aws::*; let request = Request { method: input, target: input, headers: &[(input, input)], payload: Payload::Bytes(input) }; Signer::new(Credentials::new(\"a\", \"b\"), \"r\", \"s\").sign(&request, core::time::Duration::ZERO).is_ok() }",
    ),
    ("log_line", "log_line::LogLine::new(999).text(\"a\", input).number(\"b\", 1).finish().is_empty()"),
    (
        "hedge",
        "{ let mut latency = hedge::Latency::new(95, core::time::Duration::MAX); latency.record(core::time::Duration::from_micros(input.len() as u64)); latency.delay().is_zero() }",
    ),
    (
        "content_encoding",
        "{ use content_encoding::*; let mut count = 0; Decoder::new(Coding::Gzip, 999).push(input, |part| count += part.len()).is_ok() && count > 0 }",
    ),
    (
        "content_encoding",
        "{ use content_encoding::*; let mut count = 0; let mut encoder = Encoder::new(Coding::Gzip); encoder.push(input, |part| count += part.len()); encoder.finish(|part| count += part.len()); count > 0 }",
    ),
    (
        "json",
        "{ let mut count = 0; json::Extractor::new([\"/a/*/b\"], 99).is_ok_and(|mut it| it.push(input, |_, _| count += 1).is_ok()) && count > 0 }",
    ),
    (
        "llm_text",
        "edit::Literals::new([input]).is_ok_and(|words| llm_text::StreamEditor::new(words, edit::Action::Remove).push(input).is_ok())",
    ),
    (
        "llm_usage",
        "llm_usage::Reader::new(input).is_some_and(|mut reader| { reader.push(input); reader.usage().output > 0 })",
    ),
    (
        "route_config",
        "route_config::RouteConfig::<std::collections::BTreeMap<String, String>>::new(input).is_ok_and(|mut it| it.get(&[input]).is_ok_and(|it| it.is_empty()))",
    ),
    ("trace", "trace::TraceContext::parse(input).is_some_and(|context| context.to_traceparent().is_empty())"),
];

#[test]
fn each_feature_has_a_probe() {
    let manifest = include_str!("../Cargo.toml");
    let (_, features) = manifest.split_once("[features]\ndefault = []\n").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    let names = features.lines().filter_map(|line| line.split_once(" = [")).map(|(name, _)| name);
    let probes: BTreeSet<&str> = PROBES.iter().map(|(feature, _)| *feature).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), probes);
}

/// Builds the module of a feature.
fn build(directory: &Path, feature: &str, probe: &str) -> Vec<u8> {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(directory.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\n\
         proxy-filter-kit = {{ path = \"{}\", features = [{feature:?}] }}\n[workspace]\n[profile.release]\n\
         opt-level = \"s\"\nlto = true\ncodegen-units = 1\npanic = \"abort\"\nstrip = true\n",
        kit.display()
    );
    let source = format!(
        "#[unsafe(no_mangle)]\npub extern \"C\" fn probe(data: *const u8, size: usize) -> bool {{\n    \
         let input = unsafe {{ core::slice::from_raw_parts(data, size) }};\n    \
         use proxy_filter_kit::*;\n    {probe}\n}}\n"
    );
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    fs::write(directory.join("src/lib.rs"), source).unwrap();
    fs::copy(kit.join("../Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let target = directory.join("target");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown"])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(status.success(), "{feature} does not build");
    fs::read(target.join("wasm32-unknown-unknown/release/probe.wasm")).unwrap()
}

/// Returns the identifiers of a module's sections.
fn sections(module: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = &module[8..];
    while let Some((id, after)) = rest.split_first() {
        let (mut size, mut shift, mut bytes) = (0_usize, 0, after);
        loop {
            let byte = bytes[0];
            bytes = &bytes[1..];
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        found.push(*id);
        rest = &bytes[size..];
    }
    found
}

/// `KIT_FEATURES=jwt,cache` builds only these features.
#[test]
#[ignore = "builds a module for each feature, which takes minutes"]
fn no_building_block_imports_host_functions() {
    const IMPORTS: u8 = 2;
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kit_modules");
    let chosen = env::var("KIT_FEATURES").unwrap_or_default();
    for (feature, probe) in PROBES.iter().copied() {
        if !chosen.is_empty() && !chosen.split(',').any(|chosen| chosen == feature) {
            continue;
        }
        let module = build(&directory, feature, probe);
        assert!(module.starts_with(b"\0asm"), "{feature}");
        println!("{feature}: {} bytes", module.len());
        assert!(!sections(&module).contains(&IMPORTS), "{feature} imports a host function");
    }
}
