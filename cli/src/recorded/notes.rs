//! What of a recording is not played, or not as it was recorded.

use std::collections::BTreeMap;

/// How many places a line lists.
const LISTED: usize = 5;

/// Statements about entries of a recording, each with the entries that it is about.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<String, Vec<usize>>);

impl Notes {
    /// Adds a statement about an entry.
    pub(super) fn add(&mut self, entry: usize, statement: impl Into<String>) {
        let entries = self.0.entry(statement.into()).or_default();
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }

    /// The statements as lines, in the order of their first entries. `units` is the word for one
    /// entry, and for several.
    pub(super) fn lines(self, units: [&str; 2]) -> Vec<String> {
        let mut notes: Vec<_> = self.0.into_iter().collect();
        for (_, entries) in &mut notes {
            entries.sort_unstable();
        }
        notes.sort_by_key(|(_, entries)| entries.first().copied());
        let line = |(statement, entries): (String, Vec<usize>)| {
            let listed: Vec<_> = entries.iter().take(LISTED).map(ToString::to_string).collect();
            let [one, several] = units;
            let unit = if entries.len() == 1 { one } else { several };
            let more = match entries.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{unit} {}{more}: {statement}", listed.join(", "))
        };
        notes.into_iter().map(line).collect()
    }
}
