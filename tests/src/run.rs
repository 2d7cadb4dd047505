//! Running one test body on the three hosts.

use crate::backend::Backend;
use crate::compare::{self, Detail, Names};
use crate::embedded::{Embedded, Guest};
use crate::engine::Engine;
#[cfg(feature = "envoy")]
use crate::envoy::{pressure, take_waited};
use crate::guest::build_guest;
use crate::host::{Host, Transcript};
use crate::host_profile::HostProfile;
use proxy_filter::__private::Module as NativeModule;
#[cfg(feature = "envoy")]
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
#[cfg(feature = "envoy")]
use std::time::Duration;

/// The filter under test, as the test attribute describes it.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The package of the test.
    pub package: &'static str,
    /// Its directory.
    pub manifest_dir: &'static str,
    /// A guest that exists only as wasm.
    pub guest: Option<&'static str>,
    /// The filter as native code.
    pub module: Option<fn() -> NativeModule>,
}

/// The package whose examples are the guests that exist only as wasm.
const GUESTS: &str = "proxy-filter-guests";

impl Subject {
    /// Builds the module. A failure to build fails the test: it is never skipped.
    #[allow(clippy::panic, reason = "this is how a test whose module cannot be built fails")]
    fn build(&self) -> PathBuf {
        let directory = Path::new(self.manifest_dir);
        let built = match self.guest {
            Some(guest) => build_guest(directory, GUESTS, Some(guest)),
            None => build_guest(directory, self.package, None),
        };
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    fn read(&self) -> Guest {
        read(&self.build(), Engine::default())
    }
}

#[allow(clippy::panic, reason = "this is how a test whose module cannot be read fails")]
fn read(path: &Path, engine: Engine) -> Guest {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Guest::Wasm(bytes.into(), engine)
}

/// Runs a test body and returns all that happened.
fn observe(backend: Box<dyn Backend>, profile: HostProfile, body: impl FnOnce(Host)) -> Transcript {
    let (sender, receiver) = channel();
    let mut host = Host::new(backend);
    host.behave_as(profile);
    host.observe(move |transcript| drop(sender.send(transcript)));
    body(host);
    receiver.recv().unwrap_or_default()
}

/// Runs a test with the filter as native code.
///
/// # Panics
/// There is no native code, and the test has nothing to run.
#[allow(clippy::panic, reason = "this is how a test without a filter fails")]
pub fn native(subject: &Subject, body: fn(Host)) {
    let Some(module) = subject.module else { panic!("{} does not exist as native code", subject.package) };
    observe(Box::new(Embedded::new(Guest::Native(module()))), HostProfile::default(), body);
}

/// Runs a test with the filter as a module, and checks that it did the same as the native code.
///
/// # Panics
/// The module cannot be built, or did something else: this is how the test fails.
pub fn wasm(subject: &Subject, body: fn(Host)) {
    let host = HostProfile::default();
    let wasm = observe(Box::new(Embedded::new(subject.read())), host, body);
    if let Some(module) = subject.module {
        let native = observe(Box::new(Embedded::new(Guest::Native(module()))), host, body);
        fail_on(
            &compare::differences_of_all(&native, &wasm, Names { left: "native", right: "wasm" }, Detail::Everything),
            "",
        );
    }
}

/// Runs a test in a real Envoy, and checks that the embedded host did the same.
///
/// # Panics
/// There is no Envoy, or the hosts differ: this is how the test fails.
#[cfg(feature = "envoy")]
#[allow(clippy::panic, reason = "this is how a test without an Envoy fails")]
pub fn envoy(subject: &Subject, body: fn(Host)) {
    module_in_envoy(Engine::default(), &subject.build(), body);
}

/// The same with any module: the file of one, which this project need not have made.
///
/// Envoy's time is real. If its threads, or those of its clients and upstreams, waited long for a
/// processor because the machine was busy, a failure says nothing about the hosts: the test then
/// runs again, up to three times in all.
///
/// # Panics
/// There is no Envoy, or the hosts differ: this is how the test fails.
#[cfg(feature = "envoy")]
#[allow(clippy::panic, reason = "this is how a test without an Envoy fails")]
pub fn module_in_envoy(engine: Engine, module: &Path, body: fn(Host)) {
    let described = crate::envoy::Envoy::new(module).map(|envoy| envoy.describe());
    let described = described.unwrap_or_else(|error| panic!("{error}"));
    let mut attempt = 1;
    loop {
        take_waited();
        let before = pressure();
        let Err(panic) = catch_unwind(|| once_in_envoy(engine, module, body)) else { return };
        let waited = take_waited().max(pressure().saturating_sub(before));
        if waited < BUSY || attempt == ATTEMPTS {
            eprintln!("The test failed with {described}");
            resume_unwind(panic);
        }
        attempt += 1;
        eprintln!(
            "The machine is busy: threads waited {} ms for a processor. Run {attempt} of {ATTEMPTS}:",
            waited.as_millis()
        );
    }
}

/// How often a test runs at most on a busy machine.
#[cfg(feature = "envoy")]
const ATTEMPTS: u32 = 3;

/// The wait for a processor that counts as a busy machine. Tests rely on intervals of a few times
/// this.
#[cfg(feature = "envoy")]
const BUSY: Duration = Duration::from_millis(100);

#[cfg(feature = "envoy")]
#[allow(clippy::panic, reason = "this is how a test without an Envoy fails")]
fn once_in_envoy(engine: Engine, module: &Path, body: fn(Host)) {
    let backend = crate::envoy::Envoy::new(module).unwrap_or_else(|error| panic!("{error}"));
    let (profile, described) = (backend.profile(), backend.describe());
    let embedded = observe(Box::new(Embedded::new(read(module, engine))), profile, body);
    let envoy = observe(Box::new(backend), profile, body);
    // At another level than trace, Envoy's log has no callbacks.
    let silent = envoy.exchanges.iter().all(|exchange| exchange.events.iter().all(|event| event.callback().is_none()));
    let detail = if silent { Detail::Visible } else { Detail::Everything };
    let names = Names { left: "embedded", right: "envoy" };
    fail_on(&compare::differences_of_all(&embedded, &envoy, names, detail), &format!(" ({described})"));
}

/// Without the feature `envoy`, such a test cannot run, and says so.
///
/// # Panics
/// Always: this is how the test fails.
#[cfg(not(feature = "envoy"))]
#[allow(clippy::panic, reason = "this is how a test without an Envoy fails")]
pub fn envoy(subject: &Subject, _body: fn(Host)) {
    panic!("{}: enable the feature `envoy` of proxy-filter-host to run tests in a real Envoy", subject.package);
}

fn fail_on(differences: &str, hosts: &str) {
    assert!(differences.is_empty(), "the hosts differ{hosts}:\n{differences}");
}
