//! The path of a request, and its normalisation as a separate step.

use super::percent::{escape, is_unreserved, push_escape};
use core::fmt;

/// Returns the path of a request target (`:path`) without query and fragment.
///
/// The path is as the client sent it. Compare it only after [`Normalisation`].
///
/// ```
/// use proxy_filter_kit::request::path;
///
/// assert_eq!(path(b"/a/b?c=/d#e"), b"/a/b");
/// assert_eq!(path(b"?c"), b"");
/// ```
pub fn path(target: &[u8]) -> &[u8] {
    target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// Iterates over the segments of a path, without the first slash. `/a//b/` has `a`, an empty
/// segment, `b`, and an empty segment.
///
/// ```
/// use proxy_filter_kit::request::{path_segments, percent_decode};
///
/// let segments: Vec<_> =
///     path_segments(b"/users/j%2Fr?x").map(|segment| percent_decode(segment).bytes).collect();
/// assert_eq!(segments, [&b"users"[..], b"j/r"]);
/// ```
pub fn path_segments(target: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path(target);
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

/// The treatment of `%2F` and `%5C`, which some servers read as slashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EscapedSlashes {
    /// The path is refused. The default, because it is safe for every upstream.
    #[default]
    Refuse,
    /// They stay escaped, as in RFC 3986. For upstreams that do not decode them.
    Keep,
    /// They become slashes, before dot segments are removed. For upstreams that decode them.
    Decode,
}

/// The reason why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash.
    NotAbsolute,
    /// A `%` is not followed by two hexadecimal digits.
    MalformedEscape,
    /// It has a control character or a space, escaped or not.
    ControlCharacter,
    /// It has an escaped slash or backslash, and [`EscapedSlashes::Refuse`] is set.
    EscapedSlash,
    /// It has a backslash, and [`Normalisation::backslashes_as_slashes`] is not set.
    Backslash,
    /// A `..` leads above the root.
    AboveRoot,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not begin with a slash",
            Self::MalformedEscape => "a % in the path is not followed by two hexadecimal digits",
            Self::ControlCharacter => "the path has a control character or a space",
            Self::EscapedSlash => "the path has an escaped slash",
            Self::Backslash => "the path has a backslash",
            Self::AboveRoot => "the path leads above the root",
        })
    }
}

impl std::error::Error for PathError {}

/// Converts equivalent paths to one form, so that `/%61dmin` or `/x/../admin` cannot evade a rule
/// for `/admin`.
///
/// It always decodes escapes of unreserved characters once, writes other escapes in upper case, and
/// removes dot segments (an escaped dot is a dot). It refuses a path without a unique meaning.
/// Normalising the result again does not change it.
///
/// Decide by the normalised path and forward the same path. If the upstream sees another path than
/// the filter, the filter protects nothing. Envoy's own `normalize_path` and `merge_slashes`, if
/// they are on, are applied before a filter runs.
///
/// ```
/// use proxy_filter_kit::request::{EscapedSlashes, Normalisation, PathError, path};
///
/// let normalisation = Normalisation::new().merge_slashes();
/// assert_eq!(normalisation.normalise(path(b"/x/..//%61dmin/./%e9?y")).unwrap(), "/admin/%E9");
/// assert_eq!(normalisation.normalise(b"/a%2fb"), Err(PathError::EscapedSlash));
/// assert_eq!(
///     normalisation.escaped_slashes(EscapedSlashes::Keep).normalise(b"/a%2fb").unwrap(),
///     "/a%2Fb"
/// );
/// ```
///
/// Source: RFC 3986, sections 5.2.4 and 6.2.2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normalisation {
    merge_slashes: bool,
    backslashes: bool,
    escaped_slashes: EscapedSlashes,
}

impl Normalisation {
    /// The strictest setting: escaped slashes and backslashes are refused, and repeated slashes are
    /// kept.
    pub const fn new() -> Self {
        Self { merge_slashes: false, backslashes: false, escaped_slashes: EscapedSlashes::Refuse }
    }

    /// Merges repeated slashes. For upstreams that do the same.
    #[must_use]
    pub const fn merge_slashes(mut self) -> Self {
        self.merge_slashes = true;
        self
    }

    /// Reads `\` as `/`. For upstreams on Windows. Otherwise a backslash is refused.
    #[must_use]
    pub const fn backslashes_as_slashes(mut self) -> Self {
        self.backslashes = true;
        self
    }

    /// Sets the treatment of `%2F` and `%5C`.
    #[must_use]
    pub const fn escaped_slashes(mut self, escaped_slashes: EscapedSlashes) -> Self {
        self.escaped_slashes = escaped_slashes;
        self
    }

    /// Normalises a path without query: pass [`path`]`(target)`. Bytes that are not ASCII are
    /// escaped.
    ///
    /// # Errors
    /// Fails if the path has no unique meaning. Reply with 400.
    pub fn normalise(&self, path: &[u8]) -> Result<String, PathError> {
        let text = self.escapes(path)?;
        self.dot_segments(&text)
    }

    fn escapes(self, path: &[u8]) -> Result<String, PathError> {
        let mut text = String::with_capacity(path.len());
        let mut rest = path;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let mut value = *byte;
            let escaped = *byte == b'%';
            if escaped {
                (value, rest) = escape(after).ok_or(PathError::MalformedEscape)?;
            }
            match value {
                // An escaped space is data. Other control characters have no legitimate use.
                b' ' if escaped => text.push_str("%20"),
                ..=b' ' | 0x7f => return Err(PathError::ControlCharacter),
                b'/' | b'\\' if escaped => match self.escaped_slashes {
                    EscapedSlashes::Refuse => return Err(PathError::EscapedSlash),
                    EscapedSlashes::Keep => push_escape(&mut text, value),
                    EscapedSlashes::Decode => text.push('/'),
                },
                b'\\' if self.backslashes => text.push('/'),
                b'\\' => return Err(PathError::Backslash),
                _ if is_unreserved(value) => text.push(char::from(value)),
                _ if escaped || !value.is_ascii() => push_escape(&mut text, value),
                _ => text.push(char::from(value)),
            }
        }
        Ok(text)
    }

    fn dot_segments(self, text: &str) -> Result<String, PathError> {
        let segments = text.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let mut kept: Vec<&str> = Vec::new();
        let mut ends_with_slash = false;
        let mut iterator = segments.split('/').peekable();
        while let Some(segment) = iterator.next() {
            let is_last = iterator.peek().is_none();
            match segment {
                "." => ends_with_slash = is_last,
                ".." => {
                    kept.pop().ok_or(PathError::AboveRoot)?;
                    ends_with_slash = is_last;
                }
                "" if is_last => ends_with_slash = true,
                "" if self.merge_slashes => {}
                _ => kept.push(segment),
            }
        }
        let mut normalised = String::with_capacity(text.len());
        for segment in &kept {
            normalised.push('/');
            normalised.push_str(segment);
        }
        if ends_with_slash || kept.is_empty() {
            normalised.push('/');
        }
        Ok(normalised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_removed_as_rfc_3986_says() {
        for (path, expected) in [
            ("/a/b/c/./../../g", "/a/g"), // section 5.2.4
            ("/", "/"),
            ("/.", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/.../a..b/..c", "/.../a..b/..c"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("//", "//"),
            ("/%7Euser/%3a%c3%A9", "/~user/%3A%C3%A9"),
            ("/\u{e9}", "/%C3%A9"),
            ("/a%20b;c=1,2:@!$&'()*+=", "/a%20b;c=1,2:@!$&'()*+="),
            ("/%2541", "/%2541"),
        ] {
            assert_eq!(Normalisation::new().normalise(path.as_bytes()).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn repeated_slashes_become_one_on_request() {
        let merge = Normalisation::new().merge_slashes();
        for (path, expected) in [("//a///b//", "/a/b/"), ("//", "/"), ("/a//../b", "/b"), ("//./", "/")] {
            assert_eq!(merge.normalise(path.as_bytes()).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_path_without_a_single_meaning_is_refused() {
        use PathError::{AboveRoot, Backslash, ControlCharacter, EscapedSlash, MalformedEscape, NotAbsolute};
        for (path, expected) in [
            ("", NotAbsolute),
            ("a", NotAbsolute),
            ("*", NotAbsolute),
            ("/..", AboveRoot),
            ("/a/../../b", AboveRoot),
            ("/%2e%2e/b", AboveRoot),
            ("/%", MalformedEscape),
            ("/%zz", MalformedEscape),
            ("/%00", ControlCharacter),
            ("/a%0d%0ab", ControlCharacter),
            ("/%7f", ControlCharacter),
            ("/a b", ControlCharacter),
            ("/a%2Fb", EscapedSlash),
            ("/a%5cb", EscapedSlash),
            ("/a\\b", Backslash),
        ] {
            assert_eq!(Normalisation::new().normalise(path.as_bytes()), Err(expected), "{path:?}");
        }
    }

    #[test]
    fn escaped_slashes_are_separators_on_request() {
        let decode = Normalisation::new().escaped_slashes(EscapedSlashes::Decode).backslashes_as_slashes();
        assert_eq!(decode.normalise(b"/a%2f..%5Cb\\c").as_deref(), Ok("/b/c"));
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        let alphabet =
            [&b"/"[..], b".", b"..", b"%2e", b"%2F", b"%5C", b"%25", b"41", b"a", b"\\", b"%", b"\xe9", b"//"];
        let mut generator = crate::tests::Generator::new(7);
        for round in 0..20_000 {
            let path: Vec<u8> = (0..generator.below(8)).flat_map(|_| generator.pick(&alphabet).to_vec()).collect();
            let path = [b"/", &path[..]].concat();
            for slashes in [EscapedSlashes::Keep, EscapedSlashes::Decode] {
                let mut normalisation = Normalisation::new().escaped_slashes(slashes);
                if round % 2 == 0 {
                    normalisation = normalisation.merge_slashes().backslashes_as_slashes();
                }
                let Ok(once) = normalisation.normalise(&path) else { continue };
                assert_eq!(normalisation.normalise(once.as_bytes()).as_deref(), Ok(&*once), "{path:?}");
                assert!(!once.split('/').any(|segment| segment == ".." || segment == "."), "{path:?}: {once}");
            }
        }
    }
}
