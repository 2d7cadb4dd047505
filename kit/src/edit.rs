//! Replaces, masks or removes the matches of a pattern in a body, including matches that span
//! chunks.
//!
//! The editor stores only the bytes at the end of a chunk in which a match may have begun. That is
//! less than the longest match, for a body of any size.
//!
//! ```
//! use proxy_filter_kit::edit::{Action, Editor, Literals};
//!
//! let words = Literals::new(["secret", "token"]).unwrap();
//! let mut editor = Editor::new(words, Action::Mask { with: b'*', keep_last: 0 });
//! let mut body = editor.push(b"a sec", false);
//! body.extend(editor.push(b"ret and a token", true));
//! assert_eq!(body, b"a ****** and a *****");
//! assert_eq!(editor.matches(), 2);
//! ```

use aho_corasick::{AhoCorasick, Input, MatchKind};
use core::fmt;
use core::ops::Range;

/// The result of a search in a window of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// The first match, for any bytes after the window.
    Match(Range<usize>),
    /// No match begins before this position. The bytes after the window decide whether one begins
    /// at it.
    Undecided(usize),
    /// No match begins in the window.
    Nothing,
}

/// A pattern.
pub trait Pattern {
    /// The maximum length of a match, in bytes, including bytes after it that decide about it.
    /// Limits the memory of the editor.
    fn longest(&self) -> usize;

    /// Finds the first match in a window. `before` is the byte before the window, or `None` at the
    /// beginning of the body. At the end of the body no bytes follow, so the result is never
    /// undecided.
    fn find(&self, window: &[u8], before: Option<u8>, at_end: bool) -> Found;
}

/// The replacement of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The match is removed.
    Remove,
    /// The match is replaced with these bytes.
    Replace(Vec<u8>),
    /// All bytes of the match except the last few are replaced, so the length does not change.
    Mask {
        /// The byte that replaces each byte.
        with: u8,
        /// The number of bytes at the end of the match that are unchanged.
        keep_last: usize,
    },
}

/// Edits a body chunk by chunk: see the [module](self).
///
/// The result does not depend on the boundaries of chunks. Decode a body with a content coding such
/// as gzip first. Remove `content-length` if the length of the body may change.
#[derive(Clone, Debug)]
pub struct Editor<P> {
    pattern: P,
    action: Action,
    buffer: Vec<u8>,
    /// The byte before the buffer.
    before: Option<u8>,
    matches: u64,
}

impl<P: Pattern> Editor<P> {
    /// Creates an editor for one body.
    pub const fn new(pattern: P, action: Action) -> Self {
        Self { pattern, action, buffer: Vec::new(), before: None, matches: 0 }
    }

    /// Processes a chunk, and returns the bytes to forward. With `end_of_stream`, these are all
    /// remaining bytes.
    pub fn push(&mut self, chunk: &[u8], end_of_stream: bool) -> Vec<u8> {
        self.buffer.extend_from_slice(chunk);
        let mut edited = Vec::with_capacity(self.buffer.len());
        let mut at = 0;
        let kept = loop {
            let window = self.buffer.get(at..).unwrap_or_default();
            let found = self.pattern.find(window, self.before, end_of_stream);
            let range = match found {
                Found::Match(range) if range.start < range.end && range.end <= window.len() => range,
                // A match longer than the pattern's maximum is ignored, because memory is limited.
                Found::Undecided(start)
                    if !end_of_stream && window.len().saturating_sub(start) >= self.pattern.longest() =>
                {
                    let end = start.saturating_add(1);
                    edited.extend_from_slice(window.get(..end).unwrap_or(window));
                    self.before = window.get(start).copied().or(self.before);
                    at = at.saturating_add(end);
                    continue;
                }
                Found::Undecided(start) if !end_of_stream => break start,
                _ => break window.len(),
            };
            let (passed, matched) =
                (window.get(..range.start).unwrap_or_default(), window.get(range.clone()).unwrap_or_default());
            edited.extend_from_slice(passed);
            self.action.apply(matched, &mut edited);
            self.before = matched.last().copied();
            self.matches = self.matches.saturating_add(1);
            at = at.saturating_add(range.end);
        };
        let window = self.buffer.get(at..).unwrap_or_default();
        let passed = window.get(..kept).unwrap_or(window);
        edited.extend_from_slice(passed);
        self.before = passed.last().copied().or(self.before);
        self.buffer = window.get(kept..).unwrap_or_default().to_vec();
        edited
    }

    /// Returns the number of matches so far.
    pub fn matches(&self) -> u64 {
        self.matches
    }

    /// Returns the number of bytes that are stored until the next chunk.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

impl Action {
    fn apply(&self, matched: &[u8], edited: &mut Vec<u8>) {
        match self {
            Self::Remove => {}
            Self::Replace(with) => edited.extend_from_slice(with),
            Self::Mask { with, keep_last } => {
                let masked = matched.len().saturating_sub(*keep_last);
                edited.extend(core::iter::repeat_n(*with, masked));
                edited.extend_from_slice(matched.get(masked..).unwrap_or_default());
            }
        }
    }
}

/// A set of texts. If several match at one position, the longest is used.
#[derive(Clone, Debug)]
pub struct Literals {
    automaton: AhoCorasick,
    longest: usize,
}

/// The fault of a set of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LiteralsError {
    /// A text is empty.
    Empty,
    /// The texts are too many or too long.
    TooLarge,
}

impl fmt::Display for LiteralsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a text of the pattern is empty",
            Self::TooLarge => "the texts of the pattern are too many or too long",
        })
    }
}

impl std::error::Error for LiteralsError {}

impl Literals {
    /// Creates a pattern that matches these texts.
    ///
    /// # Errors
    /// Fails if a text is empty, or there are too many.
    pub fn new<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Self, LiteralsError> {
        Self::build(texts, false)
    }

    /// Creates a pattern that matches these texts in any case of ASCII letters.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn ignoring_case<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Self, LiteralsError> {
        Self::build(texts, true)
    }

    fn build<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>, ignore_case: bool) -> Result<Self, LiteralsError> {
        let texts: Vec<T> = texts.into_iter().collect();
        if texts.iter().any(|text| text.as_ref().is_empty()) {
            return Err(LiteralsError::Empty);
        }
        let longest = texts.iter().map(|text| text.as_ref().len()).max().unwrap_or(0);
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostLongest).ascii_case_insensitive(ignore_case);
        let automaton = builder.build(&texts).map_err(|_| LiteralsError::TooLarge)?;
        Ok(Self { automaton, longest })
    }
}

impl Pattern for Literals {
    fn longest(&self) -> usize {
        self.longest
    }

    fn find(&self, window: &[u8], _before: Option<u8>, at_end: bool) -> Found {
        // From this position on, bytes after the window may belong to a match.
        let open = if at_end { window.len() } else { window.len().saturating_sub(self.longest.saturating_sub(1)) };
        match self.automaton.try_find(Input::new(window)) {
            Ok(Some(found)) if found.start() < open || at_end => Found::Match(found.range()),
            _ if open < window.len() => Found::Undecided(open),
            _ => Found::Nothing,
        }
    }
}

/// Numbers of payment cards: 13 to 19 digits with a valid check digit (ISO/IEC 7812, Luhn), with or
/// without single spaces or hyphens between them.
///
/// One in ten random numbers of that length has a valid check digit.
///
/// ```
/// use proxy_filter_kit::edit::{Action, CardNumbers, Editor};
///
/// let mut editor = Editor::new(CardNumbers, Action::Mask { with: b'*', keep_last: 4 });
/// let body = editor.push(b"{\"card\":\"4111 1111 1111 1111\",\"order\":\"4111111111111112\"}", true);
/// assert_eq!(body, b"{\"card\":\"***************1111\",\"order\":\"4111111111111112\"}");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardNumbers;

impl Pattern for CardNumbers {
    fn longest(&self) -> usize {
        // 19 digits, 18 separators, and the byte after them.
        38
    }

    fn find(&self, window: &[u8], before: Option<u8>, at_end: bool) -> Found {
        let mut before = before;
        for (start, byte) in window.iter().enumerate() {
            let begins = byte.is_ascii_digit() && !before.is_some_and(|before| before.is_ascii_digit());
            before = Some(*byte);
            if !begins {
                continue;
            }
            match card(window.get(start..).unwrap_or_default(), at_end) {
                Card::Number(length) => return Found::Match(start..start.saturating_add(length)),
                Card::Undecided => return Found::Undecided(start),
                Card::No => {}
            }
        }
        Found::Nothing
    }
}

enum Card {
    Number(usize),
    Undecided,
    No,
}

/// The longest number of a card at the beginning.
fn card(text: &[u8], at_end: bool) -> Card {
    let mut digits: Vec<u8> = Vec::with_capacity(19);
    let mut number = Card::No;
    let mut after_separator = false;
    let mut bytes = text.iter().copied().enumerate();
    loop {
        let next = bytes.next();
        if next.is_none() && !at_end {
            return Card::Undecided;
        }
        // A number ends where no digit follows.
        if let Some((_, b'0'..=b'9')) = next {
        } else if digits.len() >= 13 && !after_separator && luhn(&digits) {
            number = Card::Number(next.map_or(text.len(), |(at, _)| at));
        }
        match next {
            Some((_, digit @ b'0'..=b'9')) if digits.len() < 19 => {
                digits.push(digit - b'0');
                after_separator = false;
            }
            Some((_, b' ' | b'-')) if !after_separator && digits.len() < 19 => after_separator = true,
            _ => return number,
        }
    }
}

/// Whether the last digit is the check digit of the others.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    fn edit<P: Pattern + Clone>(pattern: &P, action: &Action, chunks: &[&[u8]]) -> String {
        let mut editor = Editor::new(pattern.clone(), action.clone());
        let mut edited = Vec::new();
        for chunk in chunks {
            edited.extend(editor.push(chunk, false));
            assert!(editor.pending() < editor.pattern.longest().max(1), "{chunks:?}");
        }
        edited.extend(editor.push(b"", true));
        assert_eq!(editor.pending(), 0);
        String::from_utf8(edited).unwrap()
    }

    #[test]
    fn matches_are_found_at_every_chunk_boundary() {
        let literals = Literals::new(["abc", "abcde", "bcx", "\u{e9}"]).unwrap();
        for (body, expected) in [
            ("", ""),
            ("abc", "<>"),
            ("xabcdexabcdx", "x<>x<>dx"),
            ("ab abcd abbcx", "ab <>d ab<>"),
            ("abcabcdeabc", "<><><>"),
            ("aab\u{e9}ab", "aab<>ab"),
        ] {
            for cut in cuts(body.as_bytes()) {
                assert_eq!(edit(&literals, &Action::Replace(b"<>".to_vec()), &cut), expected, "{cut:?}");
                assert_eq!(edit(&literals, &Action::Remove, &cut), expected.replace("<>", ""), "{cut:?}");
            }
        }
    }

    #[test]
    fn the_result_does_not_depend_on_chunk_boundaries() {
        let mut generator = Generator::new(4);
        let alphabet = ["a", "b", "ab", "ba", "c", "aab"];
        for _ in 0..300 {
            let texts: Vec<&str> = (0..4).map(|_| generator.pick(&alphabet)).collect();
            let literals = Literals::new(&texts).unwrap();
            let body: String = (0..generator.below(20)).map(|_| generator.pick(&alphabet)).collect();
            let whole = edit(&literals, &Action::Replace(b"_".to_vec()), &[body.as_bytes()]);
            for cut in cuts(body.as_bytes()) {
                assert_eq!(edit(&literals, &Action::Replace(b"_".to_vec()), &cut), whole, "{texts:?} {cut:?}");
            }
        }
    }

    #[test]
    fn a_mask_keeps_the_length() {
        let literals = Literals::ignoring_case(["secret"]).unwrap();
        let mask = Action::Mask { with: b'x', keep_last: 2 };
        assert_eq!(edit(&literals, &mask, &[b"a SeCrEt secret"]), "a xxxxEt xxxxet");
        let all = Action::Mask { with: b'x', keep_last: 9 };
        assert_eq!(edit(&literals, &all, &[b"secret"]), "secret");
    }

    #[test]
    fn texts_that_cannot_be_found_are_refused() {
        assert_eq!(Literals::new(["a", ""]).unwrap_err(), LiteralsError::Empty);
        assert_eq!(edit(&Literals::new([""; 0]).unwrap(), &Action::Remove, &[b"abc"]), "abc");
    }

    #[test]
    fn card_numbers_are_masked_at_every_chunk_boundary() {
        // Test numbers that payment services publish.
        for (body, expected) in [
            ("4111111111111111", "____"),
            ("x4111-1111-1111-1111y", "x____y"),
            ("4111 1111 1111 1111 2023", "____ 2023"),
            ("378282246310005,6011111111111117", "____,____"),
            ("5555 5555 5555 4444  4222222222222", "____  ____"),
            ("4111111111111112", "4111111111111112"),
            ("411111111111", "411111111111"),
            ("14111111111111111", "14111111111111111"),
            ("4111  1111 1111 1111", "4111  1111 1111 1111"),
            ("4111 1111 1111 1111 ", "____ "),
            (&"4111111111111111".repeat(4), &"4111111111111111".repeat(4)),
        ] {
            for cut in cuts(body.as_bytes()) {
                assert_eq!(edit(&CardNumbers, &Action::Replace(b"____".to_vec()), &cut), expected, "{cut:?}");
            }
        }
    }

    /// A pattern that never decides.
    #[derive(Clone)]
    struct Never;

    impl Pattern for Never {
        fn longest(&self) -> usize {
            4
        }

        fn find(&self, _: &[u8], _: Option<u8>, _: bool) -> Found {
            Found::Undecided(0)
        }
    }

    #[test]
    fn a_pattern_that_never_decides_does_not_buffer_the_body() {
        assert_eq!(edit(&Never, &Action::Remove, &[b"abcdefgh", b"i"]), "abcdefghi");
    }
}
