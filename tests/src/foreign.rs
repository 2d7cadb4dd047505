//! Foreign functions that a test adds to the embedded host: [`ForeignReply`].

use proxy_filter::Status;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a foreign function of a test, and the callback that it causes.
///
/// ```
/// use proxy_filter_host::ForeignReply;
/// use std::time::Duration;
///
/// // The result is "later"; half a second after the call, `on_foreign_function` gets the id 7 and these bytes.
/// let reply =
///     ForeignReply::new("later").calls_back_after(Duration::from_millis(500), 7, "10.0.0.1");
/// ```
#[derive(Clone, Debug)]
pub struct ForeignReply {
    pub(crate) result: Result<Vec<u8>, Status>,
    pub(crate) inside: Vec<Back>,
    pub(crate) later: Vec<(Duration, Back)>,
}

/// A call back: the id of the function, and its arguments.
pub(crate) type Back = (u32, Vec<u8>);

impl ForeignReply {
    /// The function succeeds with this result.
    pub fn new(result: impl AsRef<[u8]>) -> Self {
        Self { result: Ok(result.as_ref().to_vec()), inside: Vec::new(), later: Vec::new() }
    }

    /// The function fails with this status.
    #[must_use]
    pub const fn refused(status: Status) -> Self {
        Self { result: Err(status), inside: Vec::new(), later: Vec::new() }
    }

    /// The function calls back before it returns.
    #[must_use]
    pub fn calls_back(mut self, function_id: u32, arguments: impl AsRef<[u8]>) -> Self {
        self.inside.push((function_id, arguments.as_ref().to_vec()));
        self
    }

    /// The function makes a foreign callback this long after it has returned. The callback reaches
    /// the context that called it, unless that was deleted.
    #[must_use]
    pub fn calls_back_after(mut self, after: Duration, function_id: u32, arguments: impl AsRef<[u8]>) -> Self {
        self.later.push((after, (function_id, arguments.as_ref().to_vec())));
        self
    }
}

/// A foreign function of a test.
pub(crate) type Function = Arc<dyn Fn(&[u8]) -> ForeignReply + Send + Sync>;

/// The foreign functions of a test, by name.
#[derive(Clone, Default)]
pub(crate) struct Functions(Vec<(String, Function)>);

impl Functions {
    /// Adds a function, in place of one of the same name.
    pub(crate) fn set(&mut self, name: &str, function: Function) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), function));
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Function> {
        self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, function)| Arc::clone(function))
    }

    #[cfg(feature = "envoy")]
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
