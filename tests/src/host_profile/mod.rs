//! Hosts of Proxy-Wasm modules: what each of them calls and offers.

mod ats;
mod callbacks;
mod envoy;
mod google;
mod nginx;
mod table;

pub use table::{FailingFunctions, HostDifference};
pub(crate) use table::{Failure, Quirk};

use std::fmt;
use table::{Table, Version};

/// A host of Proxy-Wasm modules: which callbacks it calls, which functions it offers, and how it
/// differs from the newest Envoy.
///
/// The embedded host behaves as Envoy 1.40 does. [`Host::behave_as`](crate::Host::behave_as) lets
/// it behave as another host: it refuses what that host refuses, functions fail as they do there,
/// and callbacks are not called. [`differences`](Self::differences) says which details are played.
///
/// Statements about Envoys were observed in runs, those about other hosts are from their sources
/// and documentation: see [`source`](Self::source).
///
/// ```
/// use proxy_filter_host::HostProfile;
///
/// let nginx = HostProfile::NGINX;
/// assert!(nginx.never_calls("proxy_on_request_trailers"));
/// assert_eq!(nginx.failure_of("proxy_done"), Some("traps the VM: not implemented"));
/// for difference in nginx.differences().iter().filter(|difference| !difference.is_played()) {
///     println!("{}: {} ({})", difference.subject, difference.text, difference.source);
/// }
/// ```
#[derive(Clone, Copy)]
pub struct HostProfile(&'static Table);

impl HostProfile {
    /// Envoy 1.36.
    pub const ENVOY_1_36: Self = Self(&envoy::V1_36);
    /// Envoy 1.37.
    pub const ENVOY_1_37: Self = Self(&envoy::V1_37);
    /// Envoy 1.38.
    pub const ENVOY_1_38: Self = Self(&envoy::V1_38);
    /// Envoy 1.39.
    pub const ENVOY_1_39: Self = Self(&envoy::V1_39);
    /// Envoy 1.40: the default.
    pub const ENVOY_1_40: Self = Self(&envoy::V1_40);
    /// nginx with `ngx_wasm_module`.
    pub const NGINX: Self = Self(&nginx::TABLE);
    /// Apache Traffic Server with its plugin `wasm`.
    pub const ATS: Self = Self(&ats::TABLE);
    /// Google Service Extensions: plugins of Cloud Load Balancing and Media CDN.
    pub const GOOGLE: Self = Self(&google::TABLE);

    /// All of them, Envoy first, from the oldest version to the newest.
    pub const ALL: [Self; 8] = [
        Self::ENVOY_1_36,
        Self::ENVOY_1_37,
        Self::ENVOY_1_38,
        Self::ENVOY_1_39,
        Self::ENVOY_1_40,
        Self::NGINX,
        Self::ATS,
        Self::GOOGLE,
    ];

    /// Returns the host with this [`id`](Self::id).
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == id)
    }

    /// Returns the profile of an Envoy by its version, for example `1.38.2`; `None` for a version
    /// that has none.
    #[must_use]
    pub fn of_envoy(version: &str) -> Option<Self> {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        let version = Version(numbers.next()??, numbers.next()??);
        Self::ALL.into_iter().find(|profile| profile.0.envoy == Some(version))
    }

    /// The name on the command line: `envoy-1.40`, `nginx`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.0.id
    }

    /// The name in texts: `Envoy 1.40`, `nginx (ngx_wasm_module)`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// What the profile is based on: runs, a changelog, the host's source or its documentation.
    #[must_use]
    pub const fn source(self) -> &'static str {
        self.0.source
    }

    /// Whether the host is a version of Envoy.
    #[must_use]
    pub const fn is_envoy(self) -> bool {
        self.0.envoy.is_some()
    }

    /// The callbacks without which the host does not load a module.
    #[must_use]
    pub const fn required(self) -> &'static [&'static str] {
        self.0.required
    }

    /// The callbacks of the ABI that the host never calls.
    pub fn never_called(self) -> impl Iterator<Item = &'static str> {
        self.0.never_called.iter().flat_map(|group| group.iter().copied())
    }

    /// Whether the host never calls a callback.
    #[must_use]
    pub fn never_calls(self, callback: &str) -> bool {
        self.never_called().any(|name| name == callback)
    }

    /// The functions that Envoy offers and this host does not, as `module.name`. A module that
    /// imports one does not load.
    #[must_use]
    pub const fn not_offered(self) -> &'static [&'static str] {
        self.0.not_offered
    }

    /// The functions that the host offers and that do not work.
    #[must_use]
    pub const fn failing(self) -> &'static [FailingFunctions] {
        self.0.failing
    }

    /// What a call of a function does that the host offers and that does not work.
    #[must_use]
    pub fn failure_of(self, function: &str) -> Option<&'static str> {
        self.failing_functions(function).map(|failing| failing.effect)
    }

    /// The other differences from the newest Envoy.
    #[must_use]
    pub const fn differences(self) -> &'static [HostDifference] {
        self.0.differences
    }

    /// Whether one of the [differences](Self::differences) has a text that contains this one: for
    /// tests that run in several versions of Envoy.
    ///
    /// ```
    /// use proxy_filter_host::HostProfile;
    /// assert!(HostProfile::ENVOY_1_36.differs_in("has no function `sign`"));
    /// assert!(!HostProfile::ENVOY_1_40.differs_in("has no function `sign`"));
    /// ```
    #[must_use]
    pub fn differs_in(self, text: &str) -> bool {
        self.differences().iter().any(|difference| difference.text.contains(text))
    }

    /// The most memory of a VM, in bytes. The embedded host has the limit of Envoy, 1 GiB, for
    /// hosts without one.
    #[must_use]
    pub const fn memory(self) -> u64 {
        self.0.memory
    }

    /// The most instructions of a callback of a stream, for hosts that limit its processor time.
    /// The embedded host allows an instruction for each nanosecond. Native code is not limited, nor
    /// is the engine `wasmtime` unless it counts.
    #[must_use]
    pub const fn instructions(self) -> Option<u64> {
        self.0.instructions
    }

    fn failing_functions(self, function: &str) -> Option<&'static FailingFunctions> {
        self.0.failing.iter().find(|failing| failing.names.contains(&function))
    }

    /// What a call of a function does that does not work.
    pub(crate) fn failure(self, function: &str) -> Option<Failure> {
        self.failing_functions(function).map(|failing| failing.failure)
    }

    /// Whether the embedded host does not enter a callback. It enters one that Envoy never calls if
    /// a foreign function of a test asks for it.
    pub(crate) fn suppresses(self, callback: &str) -> bool {
        !self.is_envoy() && self.never_calls(callback)
    }

    /// Whether the embedded host plays a difference.
    pub(crate) fn plays(self, quirk: Quirk) -> bool {
        self.0.differences.iter().any(|difference| difference.quirk == Some(quirk))
    }

    /// Why the host, which is no Envoy, does not load a module, one reason each.
    pub(crate) fn refusals(self, module: &Exterior<'_>) -> Vec<String> {
        const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];
        let exports = |name: &str| module.exports.iter().any(|export| export == name);
        let mut reasons = Vec::new();
        if !module.has_marker {
            reasons.push("the module exports no function `proxy_abi_version_0_2_1`".to_owned());
        }
        if !ALLOCATORS.iter().any(|name| exports(name)) {
            reasons.push("the module exports no allocator, `malloc` or `proxy_on_memory_allocate`".to_owned());
        }
        reasons.extend(self.missing_callbacks(exports));
        let absent = module.imports.iter().filter(|name| self.not_offered().contains(&name.as_str()));
        reasons.extend(module.foreign.iter().chain(absent).map(|name| format!("the host does not offer {name}")));
        if module.memory > self.memory() {
            reasons.push(format!(
                "the memory begins with {} MiB, and the host has {} MiB for a VM",
                module.memory >> 20,
                self.memory() >> 20
            ));
        }
        reasons
    }

    /// The reasons of callbacks that the host requires and a module does not export.
    pub(crate) fn missing_callbacks(self, exports: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let missing = self.0.required.iter().filter(move |name| !exports(name));
        missing.map(|name| format!("the module does not export {name}, which this host requires"))
    }
}

/// What a module's file says about it, for hosts other than Envoy.
pub(crate) struct Exterior<'a> {
    /// It exports a marker of the ABI.
    pub(crate) has_marker: bool,
    /// The imported functions, as `module.name`.
    pub(crate) imports: &'a [String],
    /// The exported functions.
    pub(crate) exports: &'a [String],
    /// The imports that Envoy does not offer either.
    pub(crate) foreign: &'a [String],
    /// The bytes of memory at the start.
    pub(crate) memory: u64,
}

impl Default for HostProfile {
    /// Envoy 1.40.
    fn default() -> Self {
        Self::ENVOY_1_40
    }
}

impl PartialEq for HostProfile {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for HostProfile {}

impl fmt::Debug for HostProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Display for HostProfile {
    /// Writes the [`name`](Self::name).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::HostProfile;

    #[test]
    fn names_of_hosts_are_unique() {
        for (index, profile) in HostProfile::ALL.iter().enumerate() {
            let mut later = HostProfile::ALL.iter().skip(index + 1);
            assert!(later.all(|other| other.id() != profile.id() && other.name() != profile.name()));
            assert_eq!(HostProfile::find(profile.id()), Some(*profile));
        }
    }

    #[test]
    fn a_version_of_envoy_has_a_profile_if_its_minor_version_has_one() {
        assert_eq!(HostProfile::of_envoy("1.38.2"), Some(HostProfile::ENVOY_1_38));
        assert_eq!(HostProfile::of_envoy("1.40.0-dev"), Some(HostProfile::ENVOY_1_40));
        for unknown in ["1.35.9", "1.41.0", "2.40.0", "", "1", "x.y"] {
            assert_eq!(HostProfile::of_envoy(unknown), None, "{unknown}");
        }
    }
}
