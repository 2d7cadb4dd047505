//! Counts what a module does.

use crate::engine::Instance;

/// What a module has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// The callbacks entered, in order, and the instructions of each.
    pub(crate) callbacks: Vec<(String, u64)>,
    /// All instructions, those before the first callback included.
    pub(crate) instructions: u64,
    /// The pages of memory now.
    pub(crate) pages: u64,
}

/// Keeps count.
#[derive(Debug, Default)]
pub(super) struct Meter {
    callbacks: Vec<(String, u64)>,
    /// The module's instructions when the last callback ended, and when the counts were last taken.
    seen: u64,
    taken: u64,
}

impl Meter {
    /// A callback has ended.
    pub(super) fn left(&mut self, name: &str, instance: &dyn Instance) {
        let now = instance.instructions();
        self.callbacks.push((name.to_owned(), now - self.seen));
        self.seen = now;
    }

    /// What happened outside of callbacks belongs to none.
    pub(super) fn enter(&mut self, instance: &dyn Instance) {
        self.seen = instance.instructions();
    }

    /// What has happened since this was last asked.
    pub(super) fn take(&mut self, instance: &dyn Instance) -> Counts {
        let now = instance.instructions();
        let before = std::mem::replace(&mut self.taken, now);
        Counts { callbacks: std::mem::take(&mut self.callbacks), instructions: now - before, pages: instance.pages() }
    }
}
