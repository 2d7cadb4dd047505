//! Where in a text an error is: the path of the field, the line and the column.

use super::fault::decimal;
use crate::log::escaped::escaped;

/// An array with the index of the value, or an object with the key of it, between two places.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Array(u64),
    Object(usize, usize),
}

/// Returns the path of the value at a place, such as `rules[2].status`, or an empty path for the
/// whole text. The text before the place was already read, so it is valid.
///
/// Only an error needs the path. Reading the text again costs half a kilobyte for all types.
/// Tracking the path during the first reading, as `serde_path_to_error` does, took 9 KB of
/// `http_config`.
#[cold]
#[inline(never)]
pub(crate) fn path(text: &[u8], place: usize, is_of_element: bool) -> String {
    let mut levels = levels(text, place);
    // The error is about a whole array that ends here, or about its last element.
    if text.get(place) == Some(&b']') && !is_of_element {
        levels.pop();
    }
    let mut path = String::new();
    for level in levels {
        path = match level {
            Level::Array(index) => [&path, "[", &decimal(index, false), "]"].concat(),
            Level::Object(start, end) if end > start => {
                let key = escaped(text.get(start..end).unwrap_or_default()).into_text();
                let separator = if path.is_empty() { "" } else { "." };
                [&path, separator, &key, ""].concat()
            }
            Level::Object(..) => path,
        };
    }
    path
}

/// The arrays and objects that a place is in.
#[cold]
#[inline(never)]
pub(crate) fn levels(text: &[u8], place: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut last = Level::Object(0, 0);
    let mut at = 0;
    while at < place {
        let Some(byte) = text.get(at) else { break };
        at += 1;
        match byte {
            b'[' => levels.push(Level::Array(0)),
            b'{' => levels.push(Level::Object(0, 0)),
            b']' | b'}' => drop(levels.pop()),
            b'"' => {
                let start = at;
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                last = Level::Object(start, at);
                at += 1;
            }
            b':' => {
                if let Some(level) = levels.last_mut() {
                    *level = last;
                }
            }
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(object) => *object = Level::Object(0, 0),
                None => {}
            },
            _ => {}
        }
    }
    levels
}

/// ` at line 1 column 40`: both count from 1, columns in bytes.
#[cold]
#[inline(never)]
pub(crate) fn line_and_column(text: &[u8], place: usize) -> String {
    let (mut line, mut column) = (1, 1);
    for byte in text.iter().take(place) {
        column += 1;
        if *byte == b'\n' {
            line += 1;
            column = 1;
        }
    }
    [" at line ", &decimal(line, false), " column ", &decimal(column, false)].concat()
}
