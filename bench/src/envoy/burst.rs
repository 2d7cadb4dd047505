//! Load: bursts of requests, sent by `h2load` of nghttp2.

use super::proxy::Proxy;
use crate::{Failure, shape};
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;

/// The protocol between client and Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(super) const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// Requests before those that count: V8 compiles what is used often a second time, in the
/// background.
const WARM_UP: u32 = 6000;
/// Requests of a burst: about a tenth of a second.
const BURST: u32 = 2000;
/// Requests at a time.
const AT_ONCE: u32 = 16;
/// Requests sent one after the other, for latencies.
const ALONE: u32 = 1000;

/// What a burst showed.
pub(super) struct Burst {
    pub(super) requests: u32,
    /// Requests a second.
    pub(super) rate: f64,
}

/// The load generator.
pub(super) struct Load {
    directory: TempDir,
    /// Request headers in the place of those of the same names.
    headers: Vec<(String, String)>,
    /// The path of the requests. Without one, they are those of [`shape`].
    path: Option<String>,
    warm_up: u32,
    burst: u32,
    at_once: u32,
}

impl Load {
    /// The same load with other values of request headers.
    pub(super) fn with_headers(headers: &[(&str, String)]) -> Result<Self, Failure> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Ok(Self { headers, ..Self::prepare()? })
    }

    /// Requests for bodies at this path: this number in a burst.
    pub(super) fn for_bodies(path: &str, burst: u32) -> Result<Self, Failure> {
        let load = Self::prepare()?;
        // Few large bodies at once, so that they do not fill the memory.
        Ok(Self {
            path: Some(path.to_owned()),
            warm_up: burst,
            burst,
            at_once: (burst / 4).clamp(1, load.at_once),
            ..load
        })
    }

    pub(super) fn prepare() -> Result<Self, Failure> {
        match Command::new("h2load").arg("--version").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Failure::new("the load comes from h2load: apt-get install nghttp2-client"));
            }
            other => other?,
        };
        let directory = TempDir::with_prefix("proxy-filter-load-")?;
        fs::write(directory.path().join("body"), shape::request_body())?;
        Ok(Self { directory, headers: Vec::new(), path: None, warm_up: WARM_UP, burst: BURST, at_once: AT_ONCE })
    }

    /// Makes a listener's VMs compile what they need.
    pub(super) fn warm_up(&self, envoy: &Proxy, listener: &str) -> Result<(), Failure> {
        let address = envoy.listener(listener)?;
        for protocol in Protocol::ALL {
            self.run(address, protocol, self.warm_up, self.at_once)?;
        }
        Ok(())
    }

    /// As many requests as Envoy takes, from [`AT_ONCE`] at a time.
    pub(super) fn busy(&self, listener: SocketAddr, protocol: Protocol) -> Result<Burst, Failure> {
        let output = self.run(listener, protocol, self.burst, self.at_once)?;
        let rate = output.split(", ").find_map(|part| part.strip_suffix(" req/s")?.parse().ok());
        let rate = rate.ok_or_else(|| Failure::new(format!("h2load reported no rate:\n{output}")))?;
        Ok(Burst { requests: self.burst, rate })
    }

    /// Requests one after the other: the latency of each in microseconds.
    pub(super) fn alone(&self, listener: SocketAddr, protocol: Protocol) -> Result<Vec<u32>, Failure> {
        self.run(listener, protocol, ALONE, 1)?;
        // One line a request: start, status, latency.
        let log = fs::read_to_string(self.directory.path().join("log"))?;
        Ok(log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect())
    }

    fn run(&self, listener: SocketAddr, protocol: Protocol, requests: u32, at_once: u32) -> Result<String, Failure> {
        let log = self.directory.path().join("log");
        let _ = fs::remove_file(&log);
        let mut command = Command::new("h2load");
        match protocol {
            Protocol::Http1 => command.args(["--h1", "-c", &at_once.to_string()]),
            // Four streams on each connection.
            Protocol::Http2 => {
                command.args(["-c", &at_once.div_ceil(4).to_string(), "-m", &at_once.min(4).to_string()])
            }
        };
        command.args(["-t", "1", "-n", &requests.to_string()]);
        if self.path.is_none() {
            command.arg("-d").arg(self.directory.path().join("body"));
        }
        for (name, value) in shape::REQUEST_HEADERS {
            let replaced = self.headers.iter().find(|(other, _)| other == name);
            let value = replaced.map_or(value, |(_, value)| value);
            command.args(["-H", &format!("{name}: {value}")]);
        }
        command.args(["-H", &format!(":authority: {}", shape::AUTHORITY)]);
        if at_once == 1 && self.path.is_none() {
            command.arg(format!("--log-file={}", log.display()));
        }
        let output =
            command.arg(format!("http://{listener}{}", self.path.as_deref().unwrap_or(shape::PATH))).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.contains(&format!("status codes: {requests} 2xx")) {
            return Err(Failure::new(format!("not every response had the status 200:\n{text}")));
        }
        Ok(text)
    }
}
