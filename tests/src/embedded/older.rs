//! Host functions of ABI 0.1.0 that later versions do not have.

use super::abi::{Undeliverable, Wire};
use super::functions::Functions;
use crate::engine::{Import, Memory, Trap, WireType};
use proxy_filter::Status;
use proxy_filter::sys::HostFunctions;
use std::sync::Arc;

/// What a function does: the number of its result.
type Body = fn(&mut Wire<'_>) -> Result<u32, Undeliverable>;

/// The functions as imports.
pub(super) fn imports(functions: &Arc<Functions>) -> Vec<Import> {
    let all: [(&'static str, usize, Body); 4] = [
        ("proxy_get_configuration", 2, configuration),
        ("proxy_continue_request", 0, |wire| Ok(resume(wire.functions, 0))),
        ("proxy_continue_response", 0, |wire| Ok(resume(wire.functions, 1))),
        // A route is found anew by every host function that may change it.
        ("proxy_clear_route_cache", 0, |_| Ok(0)),
    ];
    let import = |(name, parameters, body): (&'static str, usize, Body)| {
        let functions = Arc::clone(functions);
        let call = move |memory: &mut dyn Memory, arguments: &[u64]| -> Result<u32, Trap> {
            functions.permit(name)?;
            let status = match body(&mut Wire { function: name, memory, functions: &functions, arguments, next: 0 }) {
                Ok(status) | Err(Undeliverable::Status(status)) => status,
                Err(Undeliverable::Trap(trap)) => return Err(trap),
            };
            functions.take_trap()?;
            functions.called(name, status);
            Ok(status)
        };
        Import { module: "env", name, parameters: vec![WireType::I32; parameters], returns: true, call: Box::new(call) }
    };
    all.into_iter().map(import).collect()
}

fn resume(functions: &Functions, stream_type: u32) -> u32 {
    functions.proxy_continue_stream(stream_type).map_or_else(Status::raw, |()| 0)
}

/// The configuration of the plugin while it is configured, and that of the VM at other times.
fn configuration(wire: &mut Wire<'_>) -> Result<u32, Undeliverable> {
    let configuration = {
        let state = wire.functions.state();
        let plugin = state.root().filter(|_| state.configuring).map(|root| root.plugin.configuration.clone());
        plugin.unwrap_or_else(|| state.settings.vm_configuration.clone())
    };
    wire.put_buffer(&configuration)?;
    Ok(0)
}
