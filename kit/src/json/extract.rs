//! Values at paths.

use super::read::{Event, JsonError, Reader, Value};
use core::fmt;

/// The maximum number of paths: a bit of a number for each.
const MAX_PATHS: usize = 64;

/// The fault of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathError(
    /// The path.
    pub String,
);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a path such as `/messages/*/role`, or there are more than 64", self.0)
    }
}

impl std::error::Error for PathError {}

/// Reports the values at some paths of a JSON text, chunk by chunk.
///
/// A path is a JSON pointer (RFC 6901): the names or indexes of its levels, each after a slash.
/// `~0` stands for `~`, and `~1` for `/`. The level `*` matches every name and index. Objects and
/// arrays at a path are not reported.
///
/// If a name repeats, each of its values is reported. Whether the upstream uses the first or the
/// last one is not known: refuse such a body if it matters.
#[derive(Clone, Debug)]
pub struct Extractor {
    reader: Reader,
    position: Position,
}

/// The paths, and the open objects and arrays.
#[derive(Clone, Debug)]
struct Position {
    paths: Vec<Vec<Level>>,
    open: Vec<Open>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Any,
    One(String),
}

#[derive(Clone, Debug)]
struct Open {
    /// The paths whose first levels are those of this object or array.
    paths: u64,
    /// The paths that also have the level of the current member or element.
    member: u64,
    /// The index of the current element. `None` for an object.
    index: Option<u64>,
}

impl Extractor {
    /// Creates an extractor that reports at most `max_text` bytes of a text. The names of levels
    /// must not be longer.
    ///
    /// # Errors
    /// Fails if a path does not begin with a slash or has another escape, if a name is longer than
    /// `max_text`, or if there are more than 64 paths.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p str>, max_text: usize) -> Result<Self, PathError> {
        let mut parsed = Vec::new();
        for path in paths {
            let levels = levels(path, max_text).filter(|_| parsed.len() < MAX_PATHS);
            parsed.push(levels.ok_or_else(|| PathError(path.to_owned()))?);
        }
        Ok(Self { reader: Reader::new(max_text), position: Position { paths: parsed, open: Vec::new() } })
    }

    /// Reads a chunk. The closure receives the number of the path and the value.
    ///
    /// # Errors
    /// Fails if the text is malformed. All later calls fail with the same error.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(usize, Value<'_>)) -> Result<(), JsonError> {
        let Self { reader, position } = self;
        reader.push(chunk, |event| position.on(event, &mut each))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// Fails if the text ends too early, or was malformed.
    pub fn finish(&mut self, mut each: impl FnMut(usize, Value<'_>)) -> Result<(), JsonError> {
        let Self { reader, position } = self;
        reader.finish(|event| position.on(event, &mut each))
    }

    /// Reads a whole text, and returns how often each path had a value. The extractor itself stays
    /// as it was created.
    ///
    /// A count above 1 of a path without `*` is a repeated name: see [above](Self).
    ///
    /// ```
    /// use proxy_filter_kit::json::Extractor;
    ///
    /// let fields = Extractor::new(["/email", "/name"], 100).unwrap();
    /// let counts = fields.read(br#"{"email":"a@b","email":"c@d"}"#, |_, _| {}).unwrap();
    /// assert_eq!(counts, [2, 0]);
    /// ```
    ///
    /// # Errors
    /// Fails if the text is malformed or ends too early.
    pub fn read(&self, json: &[u8], mut each: impl FnMut(usize, Value<'_>)) -> Result<Vec<usize>, JsonError> {
        let mut counts = vec![0_usize; self.position.paths.len()];
        let mut counted = |path: usize, value: Value<'_>| {
            if let Some(count) = counts.get_mut(path) {
                *count = count.saturating_add(1);
            }
            each(path, value);
        };
        let mut extractor = self.clone();
        extractor.push(json, &mut counted)?;
        extractor.finish(&mut counted)?;
        Ok(counts)
    }
}

fn levels(path: &str, max: usize) -> Option<Vec<Level>> {
    if path.is_empty() {
        return Some(Vec::new());
    }
    let levels = path.strip_prefix('/')?.split('/').map(|level| {
        let is_escaped = level.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let name = level.replace("~1", "/").replace("~0", "~");
        (is_escaped && name.len() <= max).then_some(if level == "*" { Level::Any } else { Level::One(name) })
    });
    levels.collect()
}

impl Position {
    fn on(&mut self, event: Event<'_>, each: &mut impl FnMut(usize, Value<'_>)) {
        match event {
            Event::ObjectStart => self.begin(None),
            Event::ArrayStart => self.begin(Some(0)),
            Event::ObjectEnd | Event::ArrayEnd => drop(self.open.pop()),
            Event::Name(name) => {
                let depth = self.open.len();
                let Some(paths) = self.open.last().map(|open| open.paths) else { return };
                let member =
                    if name.is_whole { self.matching(paths, depth, name.value) } else { self.any(paths, depth) };
                if let Some(open) = self.open.last_mut() {
                    open.member = member;
                }
            }
            Event::Value(value) => {
                let at = self.enter();
                let depth = self.open.len();
                for (number, path) in self.paths.iter().enumerate() {
                    if at & bit(number) != 0 && path.len() == depth {
                        each(number, value);
                    }
                }
            }
        }
    }

    fn begin(&mut self, index: Option<u64>) {
        let paths = self.enter();
        self.open.push(Open { paths, member: 0, index });
    }

    /// Returns the paths that lead to the value that begins now, and counts elements.
    fn enter(&mut self) -> u64 {
        let depth = self.open.len();
        let Some((paths, index)) = self.open.last().map(|open| (open.paths, open.index)) else { return u64::MAX };
        let Some(index) = index else { return self.open.last().map_or(0, |open| open.member) };
        if let Some(open) = self.open.last_mut() {
            open.index = Some(index.saturating_add(1));
        }
        if paths == 0 { 0 } else { self.matching(paths, depth, &index.to_string()) }
    }

    /// Returns those of the paths whose level at a depth, from 1, is this name.
    fn matching(&self, paths: u64, depth: usize, name: &str) -> u64 {
        self.filter(paths, depth, |level| *level == Level::Any || matches!(level, Level::One(one) if one == name))
    }

    fn any(&self, paths: u64, depth: usize) -> u64 {
        self.filter(paths, depth, |level| *level == Level::Any)
    }

    fn filter(&self, paths: u64, depth: usize, matches: impl Fn(&Level) -> bool) -> u64 {
        let has = |path: &[Level]| depth.checked_sub(1).and_then(|depth| path.get(depth)).is_some_and(&matches);
        let found = self.paths.iter().enumerate().filter(|(number, path)| paths & bit(*number) != 0 && has(path));
        found.fold(0, |sum, (number, _)| sum | bit(number))
    }
}

fn bit(number: usize) -> u64 {
    u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cuts;

    fn extract(paths: &[&str], chunks: &[&[u8]]) -> Vec<(usize, String)> {
        let mut extractor = Extractor::new(paths.iter().copied(), 20).unwrap();
        let mut found = Vec::new();
        let mut each = |number: usize, value: Value<'_>| {
            found.push((
                number,
                match value {
                    Value::Text(text) => text.value.to_owned(),
                    Value::Number(number) => number.to_owned(),
                    Value::Boolean(value) => value.to_string(),
                    Value::Null => "null".to_owned(),
                },
            ));
        };
        for chunk in chunks {
            extractor.push(chunk, &mut each).unwrap();
        }
        extractor.finish(&mut each).unwrap();
        found
    }

    #[test]
    fn a_whole_text_is_read_as_its_chunks_are_and_values_are_counted() {
        let paths = ["/a", "/b/*", "/c", "/a"];
        let text = br#"{"a":1,"b":[true,null,"x"],"a":{"a":2},"a":"y"}"#;
        let extractor = Extractor::new(paths, 20).unwrap();
        for _ in 0..2 {
            let mut found = Vec::new();
            let counts = extractor.read(text, |path, _| found.push(path)).unwrap();
            assert_eq!(counts, [2, 3, 0, 2]);
            assert_eq!(found, extract(&paths, &[text]).into_iter().map(|(path, _)| path).collect::<Vec<_>>());
        }
        for end in 0..text.len() {
            assert!(extractor.read(&text[..end], |_, _| {}).is_err(), "{end}");
        }
    }

    /// The example of RFC 6901, section 5.
    #[test]
    fn paths_are_those_of_rfc_6901_wherever_the_text_is_cut() {
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let paths = ["/foo", "/foo/0", "/foo/1", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", "/k\"l", "/ ", "/m~0n"];
        let expected: Vec<(usize, String)> = ["bar", "baz", "0", "1", "2", "3", "4", "5", "6", "7", "8"]
            .iter()
            .zip(1..)
            .map(|(value, path)| (path, (*value).to_owned()))
            .collect();
        for cut in cuts(text.as_bytes()) {
            assert_eq!(extract(&paths, &cut), expected, "{cut:?}");
        }
        assert_eq!(extract(&[""], &[b"7"]), [(0, "7".to_owned())]);
    }

    #[test]
    fn stars_match_every_name_and_index_of_one_level() {
        let text =
            br#"{"a":[{"b":1,"c":[2]},{"b":true},3],"d":{"b":null,"b":"x"},"a_long_name_of_26_letters":{"b":4}}"#;
        let found = |path: &str| extract(&[path], &[text]).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(found("/*/b"), ["null", "x", "4"]);
        assert_eq!(found("/a/*/b"), ["1", "true"]);
        assert_eq!(found("/a/*"), ["3"]);
        assert_eq!(found("/*/*/c/*"), ["2"]);
        assert_eq!(found("/a/1/b"), ["true"]);
        assert_eq!(found("/a/2/b"), [""; 0]);
        assert_eq!(found("/b"), [""; 0]);
        assert_eq!(
            extract(&["/a/*/b", "/*/0/b", "/a/0/*"], &[text])[..3],
            [(0, "1".into()), (1, "1".into()), (2, "1".into())]
        );
    }

    #[test]
    fn paths_that_cannot_match_are_refused() {
        for path in ["a", "a/b", "/~", "/~2", "/a~", "/a_name_that_is_longer_than_the_maximum"] {
            assert_eq!(Extractor::new([path], 20).unwrap_err(), PathError(path.to_owned()));
        }
        assert!(Extractor::new(vec!["/a"; 64], 20).is_ok());
        assert!(Extractor::new(vec!["/a"; 65], 20).is_err());
        let all = vec!["/a"; 64];
        assert_eq!(extract(&all, &[b"{\"a\":1}"]).len(), 64);
    }
}
