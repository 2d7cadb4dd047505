//! `NewContext`: creates a root context when the host requests one.

use crate::engine::callbacks::CallbackSet;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::configuration::Configuration;
use crate::host::property;
use crate::plugin::root_context::RootContext;
use core::any::Any;

/// Creates the root context that the host requests. The macro `root` implements it.
pub trait NewContext: RootContext {
    /// The kinds of callouts that the root contexts of the module may send, as their attributes
    /// say.
    const AWAITS: CallbackSet;
    /// Whether the root has `on_log`, so that the id in `proxy_on_log` may be its own.
    const LOGS: bool;
    /// Whether the root, or its stream context, has `on_foreign_function`.
    const FOREIGN: bool;

    /// Whether [`read_root`](Self::read_root) creates root contexts of the module.
    const IS_READ: bool = false;

    /// Creates the root context, or returns why the plugin is refused. `None`: its configuration
    /// creates it.
    fn new_root() -> Result<Option<Self>>;

    /// Creates the root context from its configuration, if [`new_root`](Self::new_root) does not.
    #[inline]
    fn read_root(configuration: &Configuration) -> Option<Result<Self>> {
        let _ = configuration;
        None
    }

    /// Returns the author's type, which completions name. In a module with several roots, it is one
    /// of those in the type that represents all of them.
    #[inline]
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Returns the `root_id` that the host's configuration gives to the plugin that is being created.
#[inline]
pub fn root_id() -> Result<Vec<u8>> {
    Ok(property::get(&["plugin_root_id"])?.unwrap_or_default())
}

/// Creates the error for a `root_id` that no root context of the module has.
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
