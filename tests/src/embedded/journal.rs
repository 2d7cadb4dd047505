//! The events of a VM, each with its time on the machine's clock and what it is about.

use crate::record::Event;
use std::time::Instant;

/// The events since they were taken last.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
    /// The context whose callout has ended, while the callback about it runs.
    about: Option<u32>,
    /// Only log lines and traps are noted.
    is_quiet: bool,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    /// The context that made the callout whose callback this event is a part of.
    pub(crate) about: Option<u32>,
    pub(crate) event: Event,
}

impl Journal {
    pub(crate) fn push(&mut self, event: Event) {
        self.entries.push(Entry { at: Instant::now(), about: self.about, event });
    }

    /// Notes a callback or a host call, unless the journal is quiet.
    pub(crate) fn note(&mut self, event: impl FnOnce() -> Event) {
        if !self.is_quiet {
            self.push(event());
        }
    }

    /// Notes only log lines and traps from now on.
    pub(crate) const fn be_quiet(&mut self) {
        self.is_quiet = true;
    }

    /// Begins or ends a callback about a callout of this context.
    pub(crate) const fn concerns(&mut self, context: Option<u32>) {
        self.about = context;
    }

    /// Takes the events.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.take_entries().into_iter().map(|entry| entry.event).collect()
    }

    /// Takes the events with their times.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }
}
