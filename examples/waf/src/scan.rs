//! Finds patterns in text that arrives in chunks, in all its encodings.

use crate::decode::{Backslash, Comments, Decode, Fold, Percent, decoded};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, nfa::contiguous::NFA};
use std::collections::BTreeMap;

/// Patterns that are searched together.
#[derive(Debug)]
pub(crate) struct Rules {
    names: Vec<String>,
    patterns: NFA,
}

impl Rules {
    /// Patterns by the names of their rules.
    pub(crate) fn new(rules: BTreeMap<String, String>) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for (name, pattern) in rules {
            let folded = decoded(&mut Fold::default(), pattern.as_bytes());
            if folded.trim_ascii().is_empty() {
                return Err(format!("the pattern of the rule `{name}` is empty"));
            }
            names.push(name);
            patterns.push(folded);
        }
        let patterns = NFA::new(patterns).map_err(|error| format!("the patterns are too large: {error}"))?;
        Ok(Self { names, patterns })
    }

    /// Returns the rule whose pattern is in a complete text.
    pub(crate) fn find(&self, text: &[u8]) -> Option<&str> {
        let mut scanner = Scanner::new(self);
        scanner.push(text).or_else(|| scanner.finish())
    }
}

/// A way to decode a text: the bytes without which it does not differ from the plain text, and its
/// decoders.
type View = (&'static [u8], fn() -> Vec<Box<dyn Decode>>);

const VIEWS: [View; 5] = [
    (b"%+", || vec![percent()]),
    // `%%32%65` is `%2e` after one decoding.
    (b"%", || vec![percent(), percent()]),
    (b"%+/*", || vec![percent(), comments()]),
    (b"\\", || vec![backslash()]),
    // JSON in a query or a form.
    (b"\\%+/*", || vec![percent(), backslash(), comments()]),
];

fn percent() -> Box<dyn Decode> {
    Box::new(Percent::default())
}

fn backslash() -> Box<dyn Decode> {
    Box::new(Backslash::default())
}

fn comments() -> Box<dyn Decode> {
    Box::new(Comments::default())
}

/// Scans a text that arrives in parts. Its memory does not grow with the text.
pub(crate) struct Scanner<'a> {
    rules: &'a Rules,
    plain: Progress,
    /// The decoded texts, once they differ from the plain text.
    decoded: [Option<Decoded>; VIEWS.len()],
}

struct Decoded {
    decoders: Vec<Box<dyn Decode>>,
    progress: Progress,
}

/// The state of a text and of the search in it.
#[derive(Clone)]
struct Progress {
    fold: Fold,
    state: StateID,
}

/// Text is decoded in parts of this length.
const PART: usize = 4096;

impl<'a> Scanner<'a> {
    pub(crate) fn new(rules: &'a Rules) -> Self {
        // Only an anchored search can fail here.
        let state = rules.patterns.start_state(Anchored::No).unwrap_or_default();
        Self { rules, plain: Progress { fold: Fold::default(), state }, decoded: Default::default() }
    }

    /// Scans the next part of the text. Returns the name of the rule that matches.
    pub(crate) fn push(&mut self, text: &[u8]) -> Option<&'a str> {
        text.chunks(PART).find_map(|part| self.push_part(part))
    }

    fn push_part(&mut self, part: &[u8]) -> Option<&'a str> {
        let before = self.plain.clone();
        if let Some(rule) = self.plain.push(self.rules, part) {
            return Some(rule);
        }
        for ((marks, decoders), decoded) in VIEWS.iter().zip(&mut self.decoded) {
            if decoded.is_none() && !part.iter().any(|byte| marks.contains(byte)) {
                continue;
            }
            let start = || Decoded { decoders: decoders(), progress: before.clone() };
            if let Some(rule) = decoded.get_or_insert_with(start).push(self.rules, part) {
                return Some(rule);
            }
        }
        None
    }

    /// Scans bytes that may be an incomplete escape.
    pub(crate) fn finish(&mut self) -> Option<&'a str> {
        self.push(b"\n\n")
    }
}

impl Decoded {
    fn push<'a>(&mut self, rules: &'a Rules, part: &[u8]) -> Option<&'a str> {
        let decoders = &mut self.decoders;
        let text = decoders.iter_mut().fold(part.to_vec(), |text, decoder| decoded(decoder.as_mut(), &text));
        self.progress.push(rules, &text)
    }
}

impl Progress {
    fn push<'a>(&mut self, rules: &'a Rules, text: &[u8]) -> Option<&'a str> {
        decoded(&mut self.fold, text).into_iter().find_map(|byte| {
            self.state = rules.patterns.next_state(Anchored::No, self.state, byte);
            let found = rules.patterns.is_match(self.state).then(|| rules.patterns.match_pattern(self.state, 0))?;
            rules.names.get(found.as_usize()).map(String::as_str)
        })
    }
}

/// Returns the path of a request target as a server may resolve it: decoded, without parameters
/// (`;a=b`), empty segments, `.` and `..`.
pub(crate) fn resolved(target: &[u8]) -> Vec<u8> {
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let path = [&mut Percent::default(), &mut Percent::default()]
        .into_iter()
        .fold(path.to_vec(), |path, decoder| decoded(decoder, &path));
    let path = decoded(&mut Fold::default(), &path);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment.split(|byte| *byte == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.iter().flat_map(|name| [b"/", *name].concat()).collect()
}
