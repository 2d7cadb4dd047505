//! `NewContext`: how a host's request for a root context becomes one.

use crate::engine::callbacks::CallbackSet;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::property;
use crate::plugin::root_context::RootContext;
use core::any::Any;

/// Makes the root context a host asks for. The registration implements it.
pub trait NewContext: RootContext {
    /// What the root contexts of the module say that they wait for.
    const AWAITS: CallbackSet;
    /// Whether it has `on_log`, so that the id in `proxy_on_log` may be its own.
    const LOGS: bool;
    /// Whether it, or its stream context, has `on_foreign_function`.
    const FOREIGN: bool;

    /// The new root context, or why there is none.
    fn new_root() -> Result<Self>;

    /// The author's type, for completions that name it: one of several in the type that stands for all roots of a module.
    #[inline]
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The `root_id` the host's configuration gives the plugin that is being created.
#[inline]
pub fn root_id() -> Result<Vec<u8>> {
    Ok(property::get(&["plugin_root_id"])?.unwrap_or_default())
}

/// The error for a `root_id` that no root context of the module has.
#[cold]
#[inline]
pub fn unknown_root_id(found: &[u8], known: &[&str]) -> Error {
    let mut message = String::from("this module has no root context with the root_id \"");
    message.extend(String::from_utf8_lossy(found).escape_debug());
    message.push_str("\"; it has ");
    for (index, name) in known.iter().enumerate() {
        message.push_str(if index == 0 { "\"" } else { ", \"" });
        message.push_str(name);
        message.push('"');
    }
    Error::message(ErrorKind::Configuration, message)
}
