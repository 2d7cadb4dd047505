//! How long a filter takes to build, beside the peer's.

use super::{Failure, Maker};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is compared; the floor has no SDK to build.
const MAKERS: [Maker; 2] = [Maker::Ours, Maker::Peer];

/// The filter that is built: it logs nothing, decides, and edits.
const FILTER: &str = "check_auth";

/// What cargo has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Everything, dependencies included; they are downloaded already.
    Clean,
    /// The filter, after a change.
    Incremental,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Clean, Self::Incremental];

    const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Incremental => "incremental",
        }
    }

    /// The most ours may take, as a multiple of the peer's time.
    const fn limit(self) -> f64 {
        match self {
            Self::Clean => 1.3,
            Self::Incremental => 1.0,
        }
    }
}

/// The times of builds in the recommended release profile, round after round.
#[derive(Clone, Debug, Default)]
pub struct BuildTimes {
    samples: BTreeMap<(Kind, Maker), Vec<Duration>>,
}

impl BuildTimes {
    /// Builds the same filter of both makers in turns, each a package of its own as an author has
    /// it.
    ///
    /// # Errors
    /// A package cannot be written or built.
    pub fn measure(rounds: u32) -> Result<Self, Failure> {
        let directory = TempDir::with_prefix("proxy-filter-build-")?;
        for maker in MAKERS {
            write_package(&directory.path().join(maker.name()), maker)?;
        }
        let mut times = Self::default();
        // The first round is not counted: it reads what the others find in the system's cache.
        for round in 0..=rounds {
            eprintln!("round {round} …");
            let mut order = MAKERS;
            if round % 2 == 1 {
                order.reverse();
            }
            for maker in order {
                let package = directory.path().join(maker.name());
                let target = directory.path().join("target");
                if target.exists() {
                    fs::remove_dir_all(&target)?;
                }
                let clean = build(&package, &target)?;
                let source = package.join("src/lib.rs");
                let text = fs::read_to_string(&source)?;
                fs::write(&source, format!("{text}\nconst _: u32 = {round};\n"))?;
                let incremental = build(&package, &target)?;
                if round > 0 {
                    times.samples.entry((Kind::Clean, maker)).or_default().push(clean);
                    times.samples.entry((Kind::Incremental, maker)).or_default().push(incremental);
                }
            }
        }
        Ok(times)
    }

    /// The shortest time: whatever else the machine does makes a build longer, never shorter.
    fn shortest(&self, kind: Kind, maker: Maker) -> f64 {
        let samples = self.samples.get(&(kind, maker));
        samples.and_then(|samples| samples.iter().min()).map_or(0.0, Duration::as_secs_f64)
    }

    fn ratio(&self, kind: Kind) -> f64 {
        self.shortest(kind, Maker::Ours) / self.shortest(kind, Maker::Peer)
    }

    /// The ratios that exceed their limit, a sentence each.
    #[must_use]
    pub fn beyond_limits(&self) -> Vec<String> {
        let beyond = Kind::ALL.into_iter().filter(|kind| self.ratio(*kind) > kind.limit());
        beyond
            .map(|kind| {
                let (name, limit) = (kind.name(), kind.limit());
                format!("a build ({name}) may take {limit} times the peer's and takes {:.2}", self.ratio(kind))
            })
            .collect()
    }
}

impl fmt::Display for BuildTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14}{:>10}{:>10}{:>14}{:>10}", FILTER, "ours s", "peer s", "ours / peer", "at most")?;
        for kind in Kind::ALL {
            let (ours, peer) = (self.shortest(kind, Maker::Ours), self.shortest(kind, Maker::Peer));
            writeln!(f, "{:<14}{ours:>10.2}{peer:>10.2}{:>14.2}{:>10.1}", kind.name(), self.ratio(kind), kind.limit())?;
        }
        let rounds = self.samples.values().next().map_or(0, Vec::len);
        writeln!(
            f,
            "\nThe shortest of {rounds} builds of `cargo build --release --target wasm32-unknown-unknown` each, in turns."
        )
    }
}

/// A package with one bench filter as its library, the versions of this workspace's dependencies,
/// and its release profile.
fn write_package(directory: &Path, maker: Maker) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read =
        |path: PathBuf| fs::read_to_string(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())));
    let sdk = root.join("sdk").canonicalize()?;
    let dependency = match maker {
        Maker::Peer => "proxy-wasm = \"0.2.5\"".to_owned(),
        // Between quotes that need no escapes.
        _ => format!("proxy-filter = {{ path = '{}' }}", sdk.display()),
    };
    let workspace = read(root.join("Cargo.toml"))?;
    let profile = workspace.split_once("[profile.release]").and_then(|(_, rest)| rest.split_once("[profile.dev]"));
    let (profile, _) = profile.ok_or_else(|| Failure::new("the workspace's Cargo.toml has no release profile"))?;
    // The peer's package knows nothing of ours.
    let profile = match maker {
        Maker::Peer => profile.split("[profile.release.package").next().unwrap_or(profile),
        _ => profile,
    };
    fs::create_dir_all(directory.join("src"))?;
    fs::write(
        directory.join("Cargo.toml"),
        format!(
            "[package]\nname = \"filter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\n{dependency}\nlog = \"0.4\"\n\n[workspace]\n\n[profile.release]{profile}"
        ),
    )?;
    fs::write(directory.join("Cargo.lock"), read(root.join("Cargo.lock"))?)?;
    let filter = root.join(format!("bench/filters/{}/examples/{FILTER}.rs", maker.name()));
    fs::write(directory.join("src/lib.rs"), read(filter)?)?;
    Ok(())
}

fn build(package: &Path, target: &Path) -> Result<Duration, Failure> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(package).args(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown"]);
    cargo.arg("--target-dir").arg(target);
    let start = Instant::now();
    let output = cargo.output()?;
    let time = start.elapsed();
    if output.status.success() {
        return Ok(time);
    }
    Err(Failure::new(format!("{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr))))
}
