//! Cross-origin requests (CORS): preflight requests, and headers of responses.
//!
//! ```
//! use proxy_filter_kit::cors::{Cors, is_preflight};
//!
//! let cors = Cors::builder()
//!     .origin("https://app.example")
//!     .origin("https://*.shop.example")
//!     .method("PUT")
//!     .header("content-type")
//!     .credentials()
//!     .build()
//!     .unwrap();
//!
//! assert!(is_preflight(b"OPTIONS", Some(b"https://app.example"), Some(b"PUT")));
//! let preflight = cors.preflight(b"https://app.example", b"PUT", Some(b"content-type"));
//! assert_eq!(preflight.status, 204); // LocalReply::new(204) with preflight.headers
//! assert!(preflight.headers.contains(&("access-control-allow-origin", "https://app.example".to_owned())));
//!
//! let headers = cors.response(Some(b"https://eu.shop.example"));
//! assert!(headers.contains(&("access-control-allow-origin", "https://eu.shop.example".to_owned())));
//! assert_eq!(cors.response(Some(b"https://evil.example")), [("vary", "origin".to_owned())]);
//! ```
//!
//! CORS lets scripts of other sites read responses. It does not keep requests from the upstream:
//! authenticate them too.
//!
//! Source: WHATWG Fetch standard, section 3.3 "CORS protocol".

use core::fmt;
use core::time::Duration;

/// The headers that this module sets in responses. Remove those of the upstream first. `vary` is
/// not among them: add it.
pub const RESPONSE_HEADERS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
];

/// Whether a request is a preflight request. `request_method` is
/// `access-control-request-method`.
pub fn is_preflight(method: &[u8], origin: Option<&[u8]>, request_method: Option<&[u8]>) -> bool {
    method == b"OPTIONS" && origin.is_some() && request_method.is_some()
}

/// Headers for a response.
pub type Headers = Vec<(&'static str, String)>;

/// The reply to a preflight request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preflight {
    /// 204, or 403 if the request is refused.
    pub status: u16,
    /// The headers of the reply.
    pub headers: Headers,
    /// The reason why the request is refused. Log it: browsers show their own message.
    pub refused: Option<Refused>,
}

/// The reason why a preflight request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The origin is not allowed.
    Origin,
    /// The method is not allowed.
    Method,
    /// A header is not allowed.
    Header,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => "the origin is not allowed",
            Self::Method => "the method is not allowed for other origins",
            Self::Header => "a header is not allowed for other origins",
        })
    }
}

/// The fault of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The origin is not `*`, `null`, or `scheme://host` with an optional port and in lower case.
    /// A wildcard is allowed only as the first label of the host: `https://*.example.com`.
    Origin(String),
    /// The method or the name of a header is not a token.
    Name(String),
    /// Credentials are allowed together with `*`. Any site could then act as the user.
    Credentials,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => {
                write!(f, "the origin `{origin}` is not `scheme://host` in lower case, without a path")
            }
            Self::Name(name) => write!(f, "`{name}` is not the name of a method or header"),
            Self::Credentials => f.write_str("credentials require a list of origins, methods and headers without `*`"),
        }
    }
}

impl std::error::Error for PolicyError {}

/// A policy for requests of other origins. It is built once, from the configuration.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Vec<Origin>,
    any_method: bool,
    any_header: bool,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Option<String>,
    credentials: bool,
    max_age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Any,
    Exact(String),
    /// The scheme with `://`, and the host with the dot before it.
    Subdomains(String, String),
}

/// Builds a [`Cors`] policy. By default no origin is allowed, and only the methods and headers that
/// browsers always allow.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    credentials: bool,
    max_age: Option<Duration>,
}

impl Builder {
    /// Allows an origin: `https://app.example`, `https://*.app.example` for its subdomains, `null`
    /// for files and sandboxes, or `*` for all.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Allows a method, or `*`. `GET`, `HEAD` and `POST` are always allowed.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods.push(method.into());
        self
    }

    /// Allows a request header, or `*`, which does not include `authorization`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.headers.push(name.into());
        self
    }

    /// Allows scripts to read a response header, or all of them with `*`.
    #[must_use]
    pub fn expose(mut self, name: impl Into<String>) -> Self {
        self.exposed.push(name.into());
        self
    }

    /// Allows requests with cookies and credentials.
    #[must_use]
    pub const fn credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// Sets the time for which a browser may remember the reply to a preflight request, in whole
    /// seconds. Browsers use five seconds by default, and at most two hours or a day.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// Fails with the first fault.
    pub fn build(self) -> Result<Cors, PolicyError> {
        let lists = [&self.methods, &self.headers, &self.exposed];
        let is_star = |list: &[String]| list.iter().any(|name| name == "*");
        if self.credentials && (is_star(&self.origins) || lists.iter().any(|list| is_star(list))) {
            return Err(PolicyError::Credentials);
        }
        if let Some(name) = lists.into_iter().flatten().find(|name| !is_token(name.as_bytes())) {
            return Err(PolicyError::Name(name.clone()));
        }
        let origins = self.origins.into_iter().map(Origin::parse).collect::<Result<_, _>>()?;
        Ok(Cors {
            origins,
            any_method: is_star(&self.methods),
            any_header: is_star(&self.headers),
            methods: self.methods,
            headers: self.headers.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
            exposed: (!self.exposed.is_empty()).then(|| self.exposed.join(", ")),
            credentials: self.credentials,
            max_age: self.max_age,
        })
    }
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

impl Origin {
    fn parse(origin: String) -> Result<Self, PolicyError> {
        let is_name = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'+'))
        };
        let parsed = match (origin.as_str(), origin.split_once("://")) {
            ("*", _) => Some(Self::Any),
            ("null", _) => Some(Self::Exact("null".to_owned())),
            (_, Some((scheme, host))) if is_name(scheme) => {
                let (wildcard, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
                let (name, port) = match name.rsplit_once(':') {
                    Some((name, port)) if !port.contains(']') => (name, Some(port)),
                    _ => (name, None),
                };
                let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
                let is_address = |name: &str| {
                    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
                    inner.is_some_and(|inner| inner.parse::<core::net::Ipv6Addr>().is_ok())
                };
                let is_host = is_name(name) || !wildcard && is_address(name);
                (is_host && port.is_none_or(is_port)).then(|| match host.strip_prefix('*') {
                    Some(host) => Self::Subdomains(format!("{scheme}://"), host.to_owned()),
                    None => Self::Exact(origin.clone()),
                })
            }
            _ => None,
        };
        parsed.ok_or(PolicyError::Origin(origin))
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Subdomains(scheme, host) => {
                let label = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(host.as_str()));
                label.is_some_and(|label| {
                    !label.is_empty()
                        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
                })
            }
        }
    }
}

impl Cors {
    /// Begins a policy.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Whether an origin is allowed. Compares bytes: browsers send origins in lower case.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.allowed(origin).is_some()
    }

    fn allowed<'o>(&self, origin: &'o [u8]) -> Option<&'o str> {
        let origin =
            core::str::from_utf8(origin).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
        self.origins.iter().any(|allowed| allowed.matches(origin)).then_some(origin)
    }

    /// Whether every origin gets the same response.
    fn is_same_for_all(&self) -> bool {
        self.origins.contains(&Origin::Any)
    }

    /// Returns the reply to a preflight request. `request_method` and `request_headers` are
    /// `access-control-request-method` and `access-control-request-headers`.
    pub fn preflight(&self, origin: &[u8], request_method: &[u8], request_headers: Option<&[u8]>) -> Preflight {
        let vary = "origin, access-control-request-method, access-control-request-headers";
        let mut headers = vec![("vary", vary.to_owned())];
        let method = core::str::from_utf8(request_method).ok().filter(|method| is_token(method.as_bytes()));
        let asked = request_headers.unwrap_or_default().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let asked: Vec<String> = asked
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
            .collect();
        let refused = match (self.allowed(origin), method) {
            (None, _) => Some(Refused::Origin),
            (_, None) => Some(Refused::Method),
            (_, Some(method)) if !self.allows_method(method) => Some(Refused::Method),
            _ if !asked.iter().all(|name| self.allows_header(name)) => Some(Refused::Header),
            _ => None,
        };
        if refused.is_some() {
            return Preflight { status: 403, headers, refused };
        }
        self.allow(origin, &mut headers);
        headers.extend(method.map(|method| ("access-control-allow-methods", method.to_owned())));
        if !asked.is_empty() {
            headers.push(("access-control-allow-headers", asked.join(", ")));
        }
        headers.extend(self.max_age.map(|age| ("access-control-max-age", age.as_secs().to_string())));
        Preflight { status: 204, headers, refused }
    }

    /// Returns the headers for the response of a request that is no preflight request: those to
    /// set, and `vary` to add. `vary` is also needed without an origin, or a cache would send one
    /// origin's response to another.
    pub fn response(&self, origin: Option<&[u8]>) -> Headers {
        let mut headers = Headers::new();
        if !self.is_same_for_all() {
            headers.push(("vary", "origin".to_owned()));
        }
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            self.allow(origin, &mut headers);
            headers.extend(self.exposed.clone().map(|exposed| ("access-control-expose-headers", exposed)));
        }
        headers
    }

    fn allow(&self, origin: &[u8], headers: &mut Headers) {
        let origin = if self.is_same_for_all() { Some("*") } else { self.allowed(origin) };
        headers.extend(origin.map(|origin| ("access-control-allow-origin", origin.to_owned())));
        if self.credentials {
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
    }

    fn allows_method(&self, method: &str) -> bool {
        self.any_method
            || matches!(method, "GET" | "HEAD" | "POST")
            || self.methods.iter().any(|allowed| allowed == method)
    }

    fn allows_header(&self, name: &str) -> bool {
        let listed = self.headers.iter().any(|allowed| allowed == name);
        listed || self.any_header && name != "authorization" && is_token(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &[u8] = b"https://app.example";

    fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
        let mut found = headers.iter().filter(|(found, _)| *found == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} twice");
        value
    }

    fn app() -> Builder {
        Cors::builder().origin("https://app.example")
    }

    #[test]
    fn origins_are_compared_exactly_and_subdomains_by_their_labels() {
        let cors = app().origin("https://*.shop.example:8443").origin("http://[::1]:80").build().unwrap();
        for (origin, expected) in [
            ("https://app.example", true),
            ("https://a.shop.example:8443", true),
            ("https://a.b_c.shop.example:8443", true),
            ("http://[::1]:80", true),
            ("http://app.example", false),
            ("https://app.example:443", false),
            ("https://app.example/", false),
            ("https://APP.example", false),
            ("https://app.example.evil.example", false),
            ("https://evilapp.example", false),
            ("https://shop.example:8443", false),
            ("https://.shop.example:8443", false),
            ("https://evil.example/.shop.example:8443", false),
            ("https://evil.example?.shop.example:8443", false),
            ("https://evil.example#.shop.example:8443", false),
            ("https://user@a.shop.example:8443", false),
            ("https://a.shop.example", false),
            ("https://evilshop.example:8443", false),
            ("https://app.example, https://evil.example", false),
            ("null", false),
            ("*", false),
            ("", false),
            ("https://app.example\r\nx: y", false),
        ] {
            assert_eq!(cors.allows(origin.as_bytes()), expected, "{origin}");
            let headers = cors.response(Some(origin.as_bytes()));
            assert_eq!(header(&headers, "access-control-allow-origin"), expected.then_some(origin));
            assert_eq!(header(&headers, "vary"), Some("origin"));
        }
        assert!(app().origin("null").build().unwrap().allows(b"null"));
    }

    #[test]
    fn policies_that_are_unsafe_or_malformed_are_refused() {
        for star in [app().origin("*"), app().method("*"), app().header("*"), app().expose("*")] {
            assert!(star.clone().build().is_ok());
            assert_eq!(star.credentials().build().unwrap_err(), PolicyError::Credentials);
        }
        for origin in [
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://",
            "https://*",
            "https://*.",
            "https://a*.b",
            "https://*.*.a",
            "https://a:b",
            "https://a:0123",
            "https://a:65536",
            "https://[::1",
            "https://*.[::1]",
            "https://u@a",
            "",
            "://a",
            "https://a b",
        ] {
            let refused = Cors::builder().origin(origin).build().unwrap_err();
            assert_eq!(refused, PolicyError::Origin(origin.to_owned()));
        }
        for name in ["", "a b", "a,b", "a:b", "\u{e9}"] {
            let refused =
                [app().method(name), app().header(name), app().expose(name)].map(|it| it.build().unwrap_err());
            assert_eq!(refused, [(); 3].map(|()| PolicyError::Name(name.to_owned())));
        }
    }

    #[test]
    fn replies_to_preflight_requests_allow_the_requested_method_and_headers() {
        let cors = app()
            .method("PUT")
            .header("X-A")
            .header("authorization")
            .credentials()
            .max_age(Duration::from_millis(60_900))
            .build()
            .unwrap();
        for (origin, method, asked, refused) in [
            (APP, "PUT", Some("x-a"), None),
            (APP, "GET", None, None),
            (APP, "HEAD", Some(""), None),
            (APP, "POST", Some(" x-a ,, Authorization"), None),
            (APP, "put", None, Some(Refused::Method)),
            (APP, "DELETE", None, Some(Refused::Method)),
            (APP, "", None, Some(Refused::Method)),
            (APP, "PUT", Some("x-b"), Some(Refused::Header)),
            (APP, "PUT", Some("x-a, x-b"), Some(Refused::Header)),
            (APP, "PUT", Some("x-a x-b"), Some(Refused::Header)),
            (b"https://evil.example", "PUT", Some("x-a"), Some(Refused::Origin)),
            (b"\xff", "GET", None, Some(Refused::Origin)),
        ] {
            let preflight = cors.preflight(origin, method.as_bytes(), asked.map(str::as_bytes));
            assert_eq!(preflight.refused, refused, "{method} {asked:?}");
            assert_eq!(preflight.status, if refused.is_some() { 403 } else { 204 });
            let headers = &preflight.headers;
            assert!(header(headers, "vary").unwrap().contains("access-control-request-headers"));
            let allowed = |value| refused.is_none().then_some(value);
            assert_eq!(header(headers, "access-control-allow-origin"), allowed("https://app.example"));
            assert_eq!(header(headers, "access-control-allow-credentials"), allowed("true"));
            assert_eq!(header(headers, "access-control-allow-methods"), allowed(method));
            assert_eq!(header(headers, "access-control-max-age"), allowed("60"));
        }
        let preflight = cors.preflight(APP, b"POST", Some(b" x-a ,, Authorization"));
        assert_eq!(header(&preflight.headers, "access-control-allow-headers"), Some("x-a, authorization"));
    }

    #[test]
    fn a_policy_for_all_allows_all_except_authorization() {
        let cors = Cors::builder().origin("*").method("*").header("*").expose("x-a").expose("x-b").build().unwrap();
        let headers = cors.response(Some(b"https://any.example"));
        assert_eq!(
            headers,
            [("access-control-allow-origin", "*".to_owned()), ("access-control-expose-headers", "x-a, x-b".to_owned()),]
        );
        assert_eq!(cors.response(None), []);
        assert_eq!(cors.preflight(b"https://any.example", b"PATCH", Some(b"x-a")).refused, None);
        assert_eq!(cors.preflight(b"https://a", b"PATCH", Some(b"Authorization")).refused, Some(Refused::Header));
        assert_eq!(cors.preflight(b"https://a", b"A B", None).refused, Some(Refused::Method));
    }

    #[test]
    fn only_options_with_both_headers_is_a_preflight_request() {
        assert!(is_preflight(b"OPTIONS", Some(APP), Some(b"PUT")));
        assert!(!is_preflight(b"OPTIONS", Some(APP), None) && !is_preflight(b"OPTIONS", None, Some(b"PUT")));
        assert!(!is_preflight(b"GET", Some(APP), Some(b"PUT")));
    }

    #[test]
    fn a_response_without_an_origin_varies_too() {
        let cors = app().credentials().build().unwrap();
        assert_eq!(cors.response(None), [("vary", "origin".to_owned())]);
        let names = cors.preflight(APP, b"GET", Some(b"")).headers.into_iter().map(|(name, _)| name);
        assert!(names.filter(|name| *name != "vary").all(|name| RESPONSE_HEADERS.contains(&name)));
    }
}
