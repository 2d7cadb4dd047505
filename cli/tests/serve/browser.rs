//! Drives a Chromium without a window, over the two pipes of `--remote-debugging-pipe`.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a page may take for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    next: u64,
    session: String,
    /// Exceptions of scripts, and what the browser refused to load.
    problems: Vec<String>,
    _profile: tempfile::TempDir,
}

/// The executable that CHROMIUM names, or the first of the usual names on PATH.
fn executable() -> PathBuf {
    let names = ["chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"];
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<_> = std::env::split_paths(&path).collect();
        names.iter().find_map(|name| places.iter().map(|place| place.join(name)).find(|file| file.is_file()))
    };
    std::env::var_os("CHROMIUM").map(PathBuf::from).or_else(on_path).unwrap_or_else(|| {
        panic!(
            "NOT RUN: there is no Chromium. Install one (`apt-get install chromium-headless-shell`), or name one \
             with CHROMIUM; on PATH, the names are {names:?}"
        )
    })
}

impl Browser {
    /// Opens a page in a window of 1280 by 800 pixels.
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from the descriptor 3 and writes to the descriptor 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 1>&2"#])
            .arg(executable())
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, from) = channel();
        thread::spawn(move || {
            loop {
                let mut bytes = Vec::new();
                if reader.read_until(0, &mut bytes).unwrap_or(0) == 0 || bytes.pop() != Some(0) {
                    return;
                }
                if sender.send(serde_json::from_slice(&bytes).unwrap()).is_err() {
                    return;
                }
            }
        });
        let to = child.stdin.take().unwrap();
        let mut browser =
            Self { child, to, from, next: 0, session: String::new(), problems: Vec::new(), _profile: profile };
        let target = browser.command("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.command("Target.attachToTarget", &attach);
        browser.session.push_str(attached["sessionId"].as_str().unwrap());
        for domain in ["Page", "Runtime", "Log"] {
            browser.command(&format!("{domain}.enable"), &json!({}));
        }
        browser.resize(1280, 800);
        browser.command("Page.navigate", &json!({ "url": url }));
        browser.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
        browser
    }

    /// Sends a command and returns its result.
    pub(crate) fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.from.recv_timeout(LIMIT).unwrap_or_else(|why| panic!("{method}: {why}"));
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    self.problems.push(answer["params"]["exceptionDetails"].to_string());
                }
                Some("Log.entryAdded") => self.problems.push(answer["params"]["entry"].to_string()),
                None if answer["id"] == self.next => {
                    assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                    return answer["result"].clone();
                }
                _ => {}
            }
        }
    }

    /// Evaluates an expression on the page, and awaits it if it is a promise.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let evaluated = self.command("Runtime.evaluate", &parameters);
        assert!(evaluated["exceptionDetails"].is_null(), "{expression}: {}", evaluated["exceptionDetails"]);
        evaluated["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let limit = Instant::now() + LIMIT;
        while self.value(&format!("Boolean({expression})")) != true {
            if Instant::now() > limit {
                let text = self.value("document.body.innerText");
                panic!("{expression} is not true on the page:\n{}\n{:?}", text.as_str().unwrap_or(""), self.problems);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sets the size of the window.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Switches between light and dark.
    pub(crate) fn colours(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// What the page must not have: exceptions of its script, and anything that could not be
    /// loaded.
    pub(crate) fn problems(&mut self) -> &[String] {
        self.value("1");
        &self.problems
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
