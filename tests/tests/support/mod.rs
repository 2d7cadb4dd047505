//! A native filter that the test calls directly, for orders of events that no host produces.

use proxy_filter::__private::Module;
use proxy_filter::sys::{self, HostFunctions};
use std::rc::Rc;

/// Makes `host` serve this thread's host functions until the value is dropped.
pub struct Installed;

impl Installed {
    pub fn new(host: Rc<dyn HostFunctions>) -> Self {
        sys::install(Some(host));
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        sys::install(None);
    }
}

/// Calls an export.
pub fn call(module: Module, name: &str, arguments: &[u32]) -> u32 {
    let (_, export) =
        module.exports.iter().find(|(export, _)| *export == name).unwrap_or_else(|| panic!("no export {name}"));
    let mut padded = [0; 5];
    padded[..arguments.len()].copy_from_slice(arguments);
    export(padded)
}

/// Starts the plugin with root context 1.
pub fn start(module: Module) {
    call(module, "_initialize", &[]);
    call(module, "proxy_on_context_create", &[1, 0]);
}
