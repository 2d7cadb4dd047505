//! Whether a module needs more memory the longer it runs.

use super::build::{Modules, Profile};
use super::measure::pages;
use super::{FILTERS, Failure, Maker};
use std::fmt;
use std::thread;

/// The memory of our filters after a few requests, and after many.
#[derive(Clone, Debug)]
pub struct Growth {
    rows: Vec<(&'static str, [u64; 2])>,
    requests: u32,
}

impl Growth {
    /// Builds our filters and sends each so many requests: all of them at once, each in a thread.
    ///
    /// # Errors
    /// A module cannot be built or is refused.
    pub fn measure(requests: u32) -> Result<Self, Failure> {
        let modules = Modules::build(Profile::Workspace)?;
        let modules = FILTERS.map(|filter| (filter, modules.read(Maker::Ours, filter)));
        let rows = thread::scope(|scope| {
            let threads = modules.map(|(filter, module)| (filter, scope.spawn(move || pages(&module?, requests))));
            let join = |(filter, thread): (_, thread::ScopedJoinHandle<'_, _>)| {
                let pages = thread.join().unwrap_or_else(|_| Err(Failure::new("the measurement panicked")))?;
                Ok((filter, pages))
            };
            threads.into_iter().map(join).collect::<Result<_, Failure>>()
        })?;
        Ok(Self { rows, requests })
    }

    /// The filters that need more memory after many requests than after a few, a sentence each.
    #[must_use]
    pub fn grown(&self) -> Vec<String> {
        let grown = self.rows.iter().filter(|(_, [first, last])| last > first);
        grown.map(|(filter, [first, last])| format!("{filter} had {first} pages and has {last}")).collect()
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14}{:>24}{:>28}", "", "pages after a few", format!("after {} requests", self.requests))?;
        for (filter, [first, last]) in &self.rows {
            writeln!(f, "{filter:<14}{first:>24}{last:>28}")?;
        }
        Ok(())
    }
}
