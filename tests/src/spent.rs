//! [`Spent`]: what a plugin did, in numbers.

/// What the module did during one exchange, in numbers that a test can assert.
///
/// The numbers are the same in each run and on each machine, as long as the module is the same.
///
/// ```
/// # use proxy_filter_host::Host;
/// # fn body(mut host: Host) {
/// let spent = host.get("/").send().spent();
/// assert!(spent.host_calls <= 4, "{spent:?}");
/// assert!(spent.instructions < 20_000, "{spent:?}");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Callbacks that the host entered.
    pub callbacks: u64,
    /// Host functions that the module called, log lines included.
    pub host_calls: u64,
    /// Instructions of the module, as its engine counts them; 0 for a filter that runs natively,
    /// and on an engine that does not count.
    pub instructions: u64,
    /// Pages of memory (64 KiB) now; 0 for a filter that runs natively.
    pub pages: u64,
}

impl Spent {
    /// The sum of two VMs.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            callbacks: self.callbacks + other.callbacks,
            host_calls: self.host_calls + other.host_calls,
            instructions: self.instructions + other.instructions,
            pages: self.pages + other.pages,
        }
    }

    /// What was done after an earlier time, and the memory now.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            callbacks: self.callbacks.saturating_sub(before.callbacks),
            host_calls: self.host_calls.saturating_sub(before.host_calls),
            instructions: self.instructions.saturating_sub(before.instructions),
            pages: self.pages,
        }
    }

    /// With this number of host calls.
    pub(crate) fn with_host_calls(self, host_calls: usize) -> Self {
        Self { host_calls: u64::try_from(host_calls).unwrap_or(u64::MAX), ..self }
    }
}
