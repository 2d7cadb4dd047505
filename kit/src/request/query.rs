//! Reads and edits query parameters.

use super::percent::{decode, push_escape};
use std::borrow::Cow;

/// The query parameters of a request target.
///
/// Names and values are decoded as in forms: `%XX`, and `+` for a space. A malformed escape is
/// unchanged.
///
/// ```
/// use proxy_filter_kit::request::Query;
///
/// let query = Query::of(b"/search?q=a+b%26c&page=2&page=3&flag");
/// assert_eq!(query.get("q").as_deref(), Some(&b"a b&c"[..]));
/// assert_eq!(query.all("page").count(), 2);
/// assert_eq!(query.get("flag").as_deref(), Some(&b""[..]));
/// assert_eq!(query.get("missing"), None);
/// ```
///
/// Source: WHATWG URL standard, "application/x-www-form-urlencoded parsing".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a>(Option<&'a [u8]>);

impl<'a> Query<'a> {
    /// Returns the parameters of a request target (`:path`); none if it has no `?`.
    pub fn of(target: &'a [u8]) -> Self {
        Self(split(target).1)
    }

    /// Returns the parameters of a query without a path, or of a form in a body.
    pub fn parse(query: &'a [u8]) -> Self {
        Self(Some(query))
    }

    /// Returns the query as it was sent, without `?`.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        self.0
    }

    /// Iterates over decoded names and values in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> + use<'a> {
        parameters(self.0).map(|parameter| {
            let (name, value) = name_and_value(parameter);
            (form_decode(name), form_decode(value))
        })
    }

    /// Returns the first value of a parameter. Servers differ in the value that they use if there
    /// are several. A filter that decides by one value should refuse a request in which
    /// [`all`](Self::all) finds more.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Cow<'a, [u8]>> {
        self.all(name).next()
    }

    /// Iterates over all values of a parameter.
    pub fn all<N: AsRef<[u8]>>(&self, name: N) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, N> {
        self.pairs().filter(move |(found, _)| **found == *name.as_ref()).map(|(_, value)| value)
    }
}

/// A request target whose query parameters can be edited. Parameters that are not edited keep their
/// exact bytes.
///
/// ```
/// use proxy_filter_kit::request::QueryEdit;
///
/// let mut edit = QueryEdit::new(b"/a?utm_source=x&q=%7e&token=t");
/// edit.retain(|name, _| !name.starts_with(b"utm_"));
/// edit.remove("token");
/// edit.set("lang", "en gb");
/// assert_eq!(edit.finish(), b"/a?q=%7e&lang=en%20gb");
/// ```
#[derive(Clone, Debug)]
pub struct QueryEdit<'a> {
    path: &'a [u8],
    fragment: &'a [u8],
    parameters: Vec<Cow<'a, [u8]>>,
}

impl<'a> QueryEdit<'a> {
    /// Creates an editor for a request target (`:path`).
    pub fn new(target: &'a [u8]) -> Self {
        let (path, query, fragment) = split(target);
        Self { path, fragment, parameters: parameters(query).map(Cow::Borrowed).collect() }
    }

    /// Keeps the parameters for which the closure returns true. The closure receives decoded names
    /// and values.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> &mut Self {
        self.parameters.retain(|parameter| {
            let (name, value) = name_and_value(parameter);
            keep(&form_decode(name), &form_decode(value))
        });
        self
    }

    /// Removes every parameter of this name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.retain(|found, _| found != name.as_ref())
    }

    /// Sets the only value of a parameter: at the position of its first value, or at the end.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        let (name, mut new) = (name.as_ref(), Some(encode(name.as_ref(), value.as_ref())));
        self.parameters.retain_mut(|parameter| {
            if *form_decode(name_and_value(parameter).0) != *name {
                return true;
            }
            new.take().map(|new| *parameter = Cow::Owned(new)).is_some()
        });
        self.parameters.extend(new.map(Cow::Owned));
        self
    }

    /// Adds a parameter at the end, even if it already exists.
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.parameters.push(Cow::Owned(encode(name.as_ref(), value.as_ref())));
        self
    }

    /// Sorts the parameters by their bytes, in a stable order, for example for a cache key.
    pub fn sort(&mut self) -> &mut Self {
        self.parameters.sort_by(|one, other| name_and_value(one).0.cmp(name_and_value(other).0));
        self
    }

    /// Returns the request target. It has no `?` if there are no parameters.
    pub fn finish(&self) -> Vec<u8> {
        let mut target = self.path.to_vec();
        let mut before = b'?';
        for parameter in &self.parameters {
            target.push(before);
            target.extend_from_slice(parameter);
            before = b'&';
        }
        target.extend_from_slice(self.fragment);
        target
    }
}

/// Returns the path, the query, and the fragment with its `#`.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>, &[u8]) {
    let end = target.iter().position(|byte| *byte == b'#').unwrap_or(target.len());
    let (target, fragment) = target.split_at_checked(end).unwrap_or((target, &[]));
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next(), fragment)
}

fn parameters(query: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    query.unwrap_or_default().split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty())
}

fn name_and_value(parameter: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = parameter.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn form_decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        Cow::Owned(decode(bytes, true).0)
    } else {
        Cow::Borrowed(bytes)
    }
}

fn encode(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut text = super::percent_encode(name);
    text.push('=');
    for byte in value {
        // Characters that may be unescaped in a query, and that no parser reads as a separator.
        if super::percent::is_unreserved(*byte) || matches!(byte, b'/' | b':' | b'@' | b',') {
            text.push(char::from(*byte));
        } else {
            push_escape(&mut text, *byte);
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(target: &str) -> Vec<(String, String)> {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        Query::of(target.as_bytes()).pairs().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn parameters_are_read_as_forms_are() {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (target, expected) in [
            ("/", &[][..]),
            ("/?", &[]),
            ("/?&&", &[]),
            ("/?a", &[("a", "")]),
            ("/?a=", &[("a", "")]),
            ("/?=a", &[("", "a")]),
            ("/?a=b=c", &[("a", "b=c")]),
            ("/?a+b=c+d", &[("a b", "c d")]),
            ("/?a%26=%3D%2B", &[("a&", "=+")]),
            ("/?a=%&b=%4", &[("a", "%"), ("b", "%4")]),
            ("/?a?b=c?d", &[("a?b", "c?d")]),
            ("/?a=1#b=2", &[("a", "1")]),
            ("/#?a=1", &[]),
            ("/?a=1;b=2", &[("a", "1;b=2")]),
        ] {
            assert_eq!(pairs(target), owned(expected), "{target}");
        }
    }

    #[test]
    fn unchanged_parameters_stay_byte_for_byte() {
        for target in ["/a?b=%7e&&c=+&d", "/a", "/a?b#c", "/a#b?c"] {
            let expected = target.replace("&&", "&");
            assert_eq!(QueryEdit::new(target.as_bytes()).finish(), expected.as_bytes(), "{target}");
        }
        assert_eq!(QueryEdit::new(b"/a?").finish(), b"/a");
    }

    #[test]
    fn set_replaces_the_first_and_removes_the_others() {
        let mut edit = QueryEdit::new(b"/?x=1&a=2&%61=3&y=4");
        assert_eq!(edit.set("a", "&=#%+ ").finish(), b"/?x=1&a=%26%3D%23%25%2B%20&y=4");
        assert_eq!(edit.set("new", "").append("x", "5").sort().finish(), b"/?a=%26%3D%23%25%2B%20&new=&x=1&x=5&y=4");
    }

    #[test]
    fn parameters_with_any_bytes_are_read_as_they_were_set() {
        let all: Vec<u8> = (0..=255).collect();
        let target = QueryEdit::new(b"/?a=1").set(&all, &all).finish();
        assert_eq!(Query::of(&target).get(&all).as_deref(), Some(&all[..]));
        assert!(target.iter().all(u8::is_ascii_graphic));
    }
}
