//! The Envoy under load, and what the system says about its process.

use super::bootstrap;
use super::variant::Variant;
use crate::Failure;
use crate::build::Modules;
use proxy_filter_host::__private::{exchange_over_http1, find_envoy};
use proxy_filter_host::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long Envoy may take until it serves: it compiles every module once for each thread.
const START: Duration = Duration::from_secs(60);

/// Becomes the command of its arguments, and kills it when standard input ends, which it does with
/// this process: no Envoy outlives the measurement. A shell, because it takes no unsafe code.
const GUARDED: &str = r#"
exec 3<&0
{ read -r _ <&3; kill -KILL $$; } >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"#;

/// An Envoy that serves.
pub(super) struct Proxy {
    child: Child,
    workers: u32,
    listeners: BTreeMap<String, SocketAddr>,
    directory: TempDir,
}

impl Proxy {
    /// An Envoy with every variant of these filters.
    pub(super) fn start(modules: &Modules, filters: &[&str], workers: u32) -> Result<Self, Failure> {
        let variants: Vec<_> =
            filters.iter().flat_map(|filter| Variant::ALL.map(|variant| (*filter, variant))).collect();
        Self::serve(|socket| bootstrap::json(modules, &variants, socket), workers)
    }

    /// An Envoy with one variant of one filter, and one worker.
    pub(super) fn start_one(modules: &Modules, filter: &str, variant: Variant) -> Result<Self, Failure> {
        Self::serve(|socket| bootstrap::json(modules, &[(filter, variant)], socket), 1)
    }

    /// An Envoy with this configuration, which is made from the address of the service.
    pub(super) fn serve(config: impl FnOnce(&Path) -> Result<Value, Failure>, workers: u32) -> Result<Self, Failure> {
        let directory = TempDir::with_prefix("proxy-filter-costs-")?;
        let bootstrap = directory.path().join("bootstrap.json");
        let admin = directory.path().join("admin");
        let socket = directory.path().join("service");
        fs::write(&bootstrap, config(&socket)?.to_string())?;
        let log = fs::File::create(directory.path().join("log"))?;
        let child = Command::new("/bin/sh")
            .args(["-c", GUARDED, "sh"])
            .arg(find_envoy()?)
            .arg("--config-path")
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", &workers.to_string(), "--disable-hot-restart"])
            // What `dump_headers` writes goes nowhere, but it is written.
            .args(["--log-level", "error", "--component-log-level", "wasm:info", "--log-path", "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut proxy = Self { child, workers, listeners: BTreeMap::new(), directory };
        let limit = Instant::now() + START;
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let address = fs::read_to_string(&admin).ok().and_then(|text| text.trim().parse().ok());
            if let Some(address) = address.filter(|address| serves(*address)) {
                proxy.listeners = listeners(&get(address, "/listeners")?);
                return Ok(proxy);
            }
            if proxy.child.try_wait()?.is_some() || Instant::now() > limit {
                let log = fs::read_to_string(proxy.directory.path().join("log")).unwrap_or_default();
                return Err(Failure::new(format!("Envoy does not serve; its log:\n{log}")));
            }
        }
    }

    pub(super) const fn workers(&self) -> u32 {
        self.workers
    }

    /// The address of a variant.
    pub(super) fn listener(&self, name: &str) -> Result<SocketAddr, Failure> {
        let address = self.listeners.get(name).copied();
        address.ok_or_else(|| Failure::new(format!("Envoy has no listener {name}")))
    }

    /// The CPU time all threads of the process have used, in nanoseconds as the scheduler counts
    /// them.
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between these calls.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            sum += text.split_ascii_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        }
        if sum == 0 {
            return Err(Failure::new("this system does not report the CPU time of threads (/proc/…/schedstat)"));
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The resident memory of the process, in bytes.
    pub(super) fn memory(&mut self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Failure::new("/proc has no VmRSS"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It has no state worth an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the worker threads have started.
fn serves(admin: SocketAddr) -> bool {
    get(admin, "/stats?filter=%5Elistener_manager%5C.workers_started$").is_ok_and(|text| text.trim().ends_with(": 1"))
}

/// One line a listener: `name::127.0.0.1:40000`.
fn listeners(text: &str) -> BTreeMap<String, SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let (name, address) = line.split_once("::")?;
            Some((name.to_owned(), address.trim().parse().ok()?))
        })
        .collect()
}

/// The response of the administration interface.
fn get(admin: SocketAddr, path: &str) -> Result<String, Failure> {
    let request = Request::new("GET", path, "admin");
    let answer = exchange_over_http1(admin, &request)?.unwrap_or_default();
    if answer.status() == 200 {
        Ok(answer.text())
    } else {
        Err(Failure::new(format!("{path} at Envoy's administration interface: {}", answer.text())))
    }
}
