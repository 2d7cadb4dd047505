//! Cookies: parsed, removed, and set (RFC 6265).

use super::token::{is_token, trim};
use core::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

/// Iterates over the names and values of a `cookie` header.
///
/// Values are as they were sent, including the quotes that some servers put around them. A part
/// without `=` is skipped. If a request has several `cookie` headers, some hosts join them;
/// otherwise read each one.
///
/// ```
/// use proxy_filter_kit::request::cookies;
///
/// let pairs: Vec<_> = cookies(b"SID=31d4d96e407aad42; lang=en-US").collect();
/// assert_eq!(pairs, [(&b"SID"[..], &b"31d4d96e407aad42"[..]), (b"lang", b"en-US")]);
/// ```
///
/// Source: RFC 6265, sections 4.2 and 5.4.
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (trim(parts.next()?), trim(parts.next()?));
        (!name.is_empty()).then_some((name, value))
    })
}

/// Returns the value of a cookie: the first one of this name, which has the longest path. Names are
/// compared with their case.
///
/// A client can send cookies that no server has set. Trust only signed values, or values that only
/// identify a session.
pub fn cookie(header: &[u8], name: impl AsRef<[u8]>) -> Option<&[u8]> {
    cookies(header).find(|(found, _)| *found == name.as_ref()).map(|(_, value)| value)
}

/// Returns the `cookie` header without a cookie. Returns `None` if no cookie remains: then remove
/// the header. Other cookies keep their exact bytes.
///
/// ```
/// use proxy_filter_kit::request::remove_cookie;
///
/// assert_eq!(remove_cookie(b"a=1; session=x; b=2", "session").as_deref(), Some(&b"a=1; b=2"[..]));
/// assert_eq!(remove_cookie(b"session=x", "session"), None);
/// ```
pub fn remove_cookie(header: &[u8], name: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let is_kept = |pair: &&[u8]| cookies(pair).all(|(found, _)| found != name.as_ref()) && !trim(pair).is_empty();
    let kept: Vec<&[u8]> = header.split(|byte| *byte == b';').filter(is_kept).map(trim).collect();
    (!kept.is_empty()).then(|| kept.join(&b"; "[..]))
}

/// The requests from other sites with which a browser sends a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None.
    Strict,
    /// Only when a user follows a link.
    Lax,
    /// All. Browsers then require that [`SetCookie::insecure`] is not used.
    None,
}

/// The reason why a `set-cookie` cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is not a token.
    Name,
    /// The value has a control character, a space, a quote, a comma, a semicolon, a backslash, or a
    /// byte that is not ASCII.
    Value,
    /// The path or the domain has a control character or a semicolon, or the path does not begin
    /// with a slash.
    Attribute,
    /// Browsers would ignore the cookie. A name with `__Host-` or `__Secure-`, `SameSite=None` and
    /// `Partitioned` require `Secure`. `__Host-` also requires the path `/` and no domain.
    Prefix,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name of the cookie is not a token",
            Self::Value => {
                "the value of the cookie has a character that cookies must not have: encode it, for example as base64"
            }
            Self::Attribute => "the path or the domain of the cookie is malformed",
            Self::Prefix => {
                "browsers would ignore the cookie: it needs Secure, and with __Host- the path / and no domain"
            }
        })
    }
}

impl std::error::Error for CookieError {}

/// A `set-cookie` header. By default it is a session cookie with
/// `Path=/; Secure; HttpOnly; SameSite=Lax`.
///
/// ```
/// use proxy_filter_kit::request::{SameSite, SetCookie};
/// use std::time::Duration;
///
/// let header = SetCookie::new("__Host-session", "31d4")
///     .max_age(Duration::from_secs(3600))
///     .build()
///     .unwrap();
/// assert_eq!(
///     header,
///     "__Host-session=31d4; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"
/// );
///
/// let header = SetCookie::removal("theme")
///     .path("/shop")
///     .script_readable()
///     .same_site(SameSite::Strict)
///     .build()
///     .unwrap();
/// assert_eq!(
///     header,
///     "theme=; Path=/shop; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; SameSite=Strict"
/// );
/// assert!(SetCookie::new("a", "b; Domain=evil.example").build().is_err());
/// ```
///
/// Source: RFC 6265, section 4.1; RFC 6265bis for `SameSite` and name prefixes.
#[derive(Clone, Debug)]
pub struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    path: &'a str,
    domain: Option<&'a str>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    same_site: SameSite,
}

impl<'a> SetCookie<'a> {
    /// Creates a cookie for the session of the browser.
    pub const fn new(name: &'a str, value: &'a str) -> Self {
        Self {
            name,
            value,
            path: "/",
            domain: None,
            max_age: None,
            expires: None,
            secure: true,
            http_only: true,
            partitioned: false,
            same_site: SameSite::Lax,
        }
    }

    /// Removes a cookie from the browser. Use the same path and domain as when it was set.
    pub const fn removal(name: &'a str) -> Self {
        let mut cookie = Self::new(name, "");
        cookie.max_age = Some(Duration::ZERO);
        cookie.expires = Some(SystemTime::UNIX_EPOCH);
        cookie
    }

    /// Sets the path. Defaults to `/`.
    #[must_use]
    pub const fn path(mut self, path: &'a str) -> Self {
        self.path = path;
        self
    }

    /// Sends the cookie to this domain and its subdomains. Defaults to only the host that has set
    /// it.
    #[must_use]
    pub const fn domain(mut self, domain: &'a str) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Sets the lifetime of the cookie, rounded down to whole seconds.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets the time at which the cookie expires. [`max_age`](Self::max_age) needs no clock, and
    /// applies if both are set.
    #[must_use]
    pub const fn expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// Also sends the cookie over connections without TLS. Use it in tests.
    #[must_use]
    pub const fn insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Allows scripts of the page to read the cookie.
    #[must_use]
    pub const fn script_readable(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// Stores one cookie for each top-level site, for embedded content.
    #[must_use]
    pub const fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Sets the requests from other sites with which the cookie is sent.
    #[must_use]
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Returns the value of the header `set-cookie`. Add this header instead of replacing it: each
    /// cookie has its own header.
    ///
    /// # Errors
    /// Fails if a part would break the header, or if browsers would ignore the cookie.
    pub fn build(&self) -> Result<String, CookieError> {
        let is_value = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        let is_attribute = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';');
        let needs_secure = starts_with(self.name, "__Secure-")
            || starts_with(self.name, "__Host-")
            || self.same_site == SameSite::None
            || self.partitioned;
        let is_domain = |domain: &str| !domain.is_empty() && is_attribute(domain) && !domain.contains(' ');
        let is_host_only = self.domain.is_none() && self.path == "/";
        if !is_token(self.name.as_bytes()) {
            return Err(CookieError::Name);
        }
        if !self.value.bytes().all(is_value) {
            return Err(CookieError::Value);
        }
        if !self.path.starts_with('/') || !is_attribute(self.path) || !self.domain.is_none_or(is_domain) {
            return Err(CookieError::Attribute);
        }
        if needs_secure && !self.secure || starts_with(self.name, "__Host-") && !is_host_only {
            return Err(CookieError::Prefix);
        }
        let mut header = format!("{}={}; Path={}", self.name, self.value, self.path);
        // Writing to a `String` does not fail.
        if let Some(domain) = self.domain {
            let _ = write!(header, "; Domain={domain}");
        }
        if let Some(age) = self.max_age {
            let _ = write!(header, "; Max-Age={}", age.as_secs());
        }
        if let Some(time) = self.expires.and_then(http_date) {
            let _ = write!(header, "; Expires={time}");
        }
        let same_site = match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        };
        for (is_set, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (true, same_site),
            (self.partitioned, "; Partitioned"),
        ] {
            if is_set {
                header.push_str(attribute);
            }
        }
        Ok(header)
    }
}

/// Formats the date for a header. `httpdate` panics before 1970 and after 9999.
fn http_date(time: SystemTime) -> Option<httpdate::HttpDate> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() < 253_402_300_800).then(|| SystemTime::UNIX_EPOCH.checked_add(since).map(Into::into)).flatten()
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_as_browsers_send_them() {
        for (header, expected) in [
            ("SID=31d4d96e407aad42", &[("SID", "31d4d96e407aad42")][..]), // RFC 6265, section 3.1
            ("SID=31d4d96e407aad42; lang=en-US", &[("SID", "31d4d96e407aad42"), ("lang", "en-US")]),
            ("a=1;b=2 ;\tc = 3 ;", &[("a", "1"), ("b", "2"), ("c", "3")]),
            ("a=b=c==", &[("a", "b=c==")]),
            ("a=\"x y\"", &[("a", "\"x y\"")]),
            ("a=; b", &[("a", "")]),
            ("=x; ;;", &[]),
            ("a=1; a=2", &[("a", "1"), ("a", "2")]),
            ("a=\u{e9}", &[("a", "\u{e9}")]),
        ] {
            let expected: Vec<(&[u8], &[u8])> = expected.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            assert_eq!(cookies(header.as_bytes()).collect::<Vec<_>>(), expected, "{header}");
        }
        assert_eq!(cookie(b"A=1; a=2; a=3", "a"), Some(&b"2"[..]));
    }

    #[test]
    fn every_cookie_of_a_name_is_removed_and_no_other() {
        for (header, expected) in [
            ("x=1; y=2; x=3", Some("y=2")),
            ("xx=1; x", Some("xx=1; x")),
            (" x=1;; y=2 ;", Some("y=2")),
            ("x=1", None),
            ("", None),
        ] {
            assert_eq!(remove_cookie(header.as_bytes(), "x").as_deref(), expected.map(str::as_bytes), "{header}");
        }
    }

    #[test]
    fn bytes_that_would_end_the_value_are_refused() {
        for byte in 0..=127_u8 {
            let text = format!("a{}b", char::from(byte));
            let is_fine = byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
            assert_eq!(SetCookie::new("n", &text).build().is_ok(), is_fine, "value {byte:#x}");
            let is_token = is_token(&[byte]);
            assert_eq!(SetCookie::new(&text, "v").build().is_ok(), is_token, "name {byte:#x}");
            let is_fine = matches!(byte, b' '..=b'~') && byte != b';';
            let path = format!("/{text}");
            assert_eq!(SetCookie::new("n", "v").path(&path).build().is_ok(), is_fine, "path {byte:#x}");
        }
        assert_eq!(SetCookie::new("n", "\u{e9}").build(), Err(CookieError::Value));
        assert_eq!(SetCookie::new("n", "v").domain("").build(), Err(CookieError::Attribute));
    }

    #[test]
    fn cookies_that_browsers_ignore_are_refused() {
        for cookie in [
            SetCookie::new("__Host-a", "b").domain("example.com"),
            SetCookie::new("__Host-a", "b").path("/a"),
            SetCookie::new("__host-a", "b").insecure(),
            SetCookie::new("__Secure-a", "b").insecure(),
            SetCookie::new("a", "b").same_site(SameSite::None).insecure(),
            SetCookie::new("a", "b").partitioned().insecure(),
        ] {
            assert_eq!(cookie.build(), Err(CookieError::Prefix), "{cookie:?}");
        }
    }

    #[test]
    fn dates_are_written_as_http_dates() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_623_233_894);
        let header = SetCookie::new("lang", "en-US").expires(time).insecure().build().unwrap(); // RFC 6265, section 3.1
        assert_eq!(header, "lang=en-US; Path=/; Expires=Wed, 09 Jun 2021 10:18:14 GMT; HttpOnly; SameSite=Lax");
        for odd in
            [SystemTime::UNIX_EPOCH - Duration::from_secs(9), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)]
        {
            assert!(SetCookie::new("a", "b").expires(odd).build().is_ok());
        }
    }
}
