//! Recorded traffic as exchanges of a script: HAR files, and requests as lines of JSON.

mod har;
mod lines;
mod message;
mod notes;
mod web_socket;

use crate::output::{Failure, Result};
use crate::script::{Play, Step};
use notes::Notes;
use serde_json::{Deserializer, Value};
use std::io::Read;
use std::path::Path;

/// Recorded exchanges.
pub(crate) struct Recording {
    pub(crate) exchanges: Vec<Step>,
    /// What is left out, and what is not played as it was recorded.
    pub(crate) notes: Vec<String>,
}

impl Recording {
    /// Reads a file, or the standard input if the path is `-`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, has no exchange, or has a value of a wrong type.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let named = |error: String| format!("{}: {error}", path.display());
        let mut bytes = Vec::new();
        let read = if path == Path::new("-") {
            std::io::stdin().read_to_end(&mut bytes).map(drop)
        } else {
            std::fs::read(path).map(|read| bytes = read)
        };
        read.map_err(|error| Failure::work(named(error.to_string())))?;
        let text = String::from_utf8(bytes).map_err(|error| Failure::check(named(error.to_string())))?;
        let recording = Self::parse(&text).map_err(|error| Failure::check(named(error)))?;
        if recording.exchanges.is_empty() {
            let expected = "no exchange can be played: expected a HAR, or lines of JSON with a path or a url";
            let lines: Vec<_> = std::iter::once(expected.to_owned()).chain(recording.notes).collect();
            return Err(Failure::check(named(lines.join("\n  "))));
        }
        Ok(recording)
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let mut notes = Notes::default();
        let mut values = values(text, &mut notes);
        if let ([], Some(error)) = (values.as_slice(), serde_json::from_str::<Value>(text).err())
            && text.trim_start().starts_with(['{', '['])
        {
            return Err(format!("it is no JSON: {error}"));
        }
        let entries = match values.as_mut_slice() {
            [(_, first)] => har::entries(first),
            _ => None,
        };
        let units = if entries.is_some() { ["entry", "entries"] } else { ["line", "lines"] };
        let played: std::result::Result<Vec<Option<Play>>, String> = match entries {
            Some(entries) => {
                entries.into_iter().enumerate().map(|(index, entry)| har::play(index + 1, entry, &mut notes)).collect()
            }
            None => values.into_iter().map(|(line, value)| lines::play(line, value, &mut notes)).collect(),
        };
        let exchanges = played?.into_iter().flatten().map(|play| Step::Exchange(Box::new(play))).collect();
        Ok(Self { exchanges, notes: notes.lines(units) })
    }
}

/// Returns the JSON values of a text with the numbers of their lines. Each begins a line, and may
/// have several; the items of a list are values of their own. Other lines are left out: a log has
/// them.
fn values(text: &str, notes: &mut Notes) -> Vec<(usize, Value)> {
    let mut values = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
        let end = match stream.next().filter(|_| rest.starts_with(['{', '['])) {
            Some(Ok(Value::Array(items))) => {
                values.extend(items.into_iter().map(|item| (line, item)));
                stream.byte_offset()
            }
            Some(Ok(value)) => {
                values.push((line, value));
                stream.byte_offset()
            }
            _ => {
                let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
                let skipped = rest.get(..end).unwrap_or_default().trim();
                if !skipped.is_empty() {
                    notes.add(line, "left out: it is no JSON object");
                }
                end
            }
        };
        let (read, after) = rest.split_at(end);
        line += read.matches('\n').count();
        let trimmed = after.trim_start();
        line += after.get(..after.len() - trimmed.len()).unwrap_or_default().matches('\n').count();
        rest = trimmed;
    }
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "this is a test")]
mod tests {
    use super::Recording;
    use crate::script::Step;

    #[test]
    fn values_are_found_between_other_lines() {
        let text = "\u{feff}[2026-01-01][info] starting\n{\"path\": \"/a\"}\n\n{\n  \"path\":\n  \"/b\"\n}\n{\"path\": \n/c\n[{\"path\": \"/d\"}, 7]";
        let recording = Recording::parse(text).unwrap();
        let names: Vec<_> = recording
            .exchanges
            .iter()
            .map(|step| match step {
                Step::Exchange(play) => format!("{} {}", play.name.as_deref().unwrap_or_default(), play.request.path),
                Step::Advance(_) => String::new(),
            })
            .collect();
        assert_eq!(names, ["line 2 /a", "line 4 /b", "line 10 /d"]);
        assert_eq!(recording.notes, ["lines 1, 8, 9, 10: left out: it is no JSON object"]);
    }
}
