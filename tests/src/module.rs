//! What a module's file says about it.

use crate::embedded::{Verdict, judge};
use crate::engine::Module;
use crate::host_profile::{Exterior, HostProfile};
use std::fmt;

/// The size, the imports and the exports of a module, and whether Envoy loads it.
///
/// ```
/// # fn f(bytes: &[u8]) -> Result<(), String> {
/// let report = proxy_filter_host::ModuleReport::read(bytes)?;
/// println!("{} bytes, imports {:?}", report.size, report.imports);
/// if let Some(why) = &report.refusal {
///     println!("Envoy does not load it: {why}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleReport {
    /// The bytes of the file.
    pub size: usize,
    /// The version of the ABI that the module implements, for example `0.2.1`; `None` if it exports
    /// no `proxy_abi_version_…`.
    pub abi: Option<String>,
    /// The imported functions as `module.name`, sorted.
    pub imports: Vec<String>,
    /// The exported functions, sorted.
    pub exports: Vec<String>,
    /// Why Envoy 1.40 does not load the module, in Envoy's words, with the cause and what to do;
    /// `None` if Envoy loads it. Nothing of the module is run.
    pub refusal: Option<String>,
    /// The imports that Envoy does not offer.
    pub foreign: Vec<ForeignImport>,
    /// The bytes of memory with which a VM of the module begins.
    pub memory: u64,
}

/// An import that is no function of Proxy-Wasm or WASI preview 1 in Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignImport {
    /// The import as `module.name`.
    pub name: String,
    /// Which language, tool or crate makes modules with such an import.
    pub cause: String,
    /// How to build a module without it.
    pub remedy: String,
}

impl ModuleReport {
    /// Reads a module.
    ///
    /// # Errors
    /// The bytes are not a module, or are a component. Whether the module is valid is a part of
    /// [`refusal`](Self::refusal).
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (module, version) = Module::read_any(bytes)?;
        let (mut imports, mut exports) = module.functions();
        imports.sort_unstable();
        exports.sort_unstable();
        let Verdict { refusal, foreign } = judge(bytes, &module);
        let foreign = foreign.into_iter().map(|[name, cause, remedy]| ForeignImport { name, cause, remedy }).collect();
        let abi = version.map(|version| version.to_string());
        let memory = module.initial_memory();
        Ok(Self { size: bytes.len(), abi, imports, exports, refusal, foreign, memory })
    }

    /// Returns why a host does not load the module, one reason each; none if it does.
    ///
    /// ```
    /// use proxy_filter_host::{HostProfile, ModuleReport};
    /// # fn f(report: &ModuleReport) {
    /// for host in HostProfile::ALL {
    ///     println!("{host}: {:?}", report.refusals_in(host));
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn refusals_in(&self, host: HostProfile) -> Vec<String> {
        if host.is_envoy() {
            let absent = self.imports.iter().filter(|name| host.not_offered().contains(&name.as_str()));
            let missing = absent.map(|name| format!("Failed to load Wasm module due to a missing import: {name}"));
            return self.refusal.iter().cloned().chain(missing).collect();
        }
        let foreign: Vec<_> = self.foreign.iter().map(|foreign| foreign.name.clone()).collect();
        host.refusals(&Exterior {
            has_marker: self.abi.is_some(),
            imports: &self.imports,
            exports: &self.exports,
            foreign: &foreign,
            memory: self.memory,
        })
    }

    /// The least `allowed_capabilities` with which Envoy runs the module as it does without a
    /// `capability_restriction_config`: its host functions, its functions of WASI and its
    /// callbacks.
    ///
    /// Never empty, because an empty list restricts nothing. Each name is the key of an entry whose
    /// value is an empty message. Source: `CapabilityRestrictionConfig` in Envoy's
    /// `extensions/wasm/v3/wasm.proto`.
    pub fn capabilities(&self) -> Vec<String> {
        let imports = self.imports.iter().filter_map(|import| {
            let (module, name) = import.split_once('.')?;
            let is_host = (module == "env" && name.starts_with("proxy_")) || module.starts_with("wasi_");
            is_host.then(|| name.to_owned())
        });
        let callback = |name: &&String| name.starts_with("proxy_on_") && *name != "proxy_on_memory_allocate";
        let mut names: Vec<String> = imports.chain(self.exports.iter().filter(callback).cloned()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            names.push("proxy_log".into());
        }
        names
    }
}

impl fmt::Display for ModuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} bytes", self.size)?;
        writeln!(f, "imports: {}", self.imports.join(", "))?;
        writeln!(f, "exports: {}", self.exports.join(", "))
    }
}
