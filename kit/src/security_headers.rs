//! Security headers of responses: `strict-transport-security`, `content-security-policy`, and
//! others.
//!
//! ```
//! use proxy_filter_kit::security_headers::{ContentSecurityPolicy, SecurityHeaders};
//!
//! let policy = ContentSecurityPolicy::new()
//!     .directive("default-src", ["'self'"])
//!     .directive("img-src", ["'self'", "https://img.example"])
//!     .directive("frame-ancestors", ["'none'"]);
//! let headers = SecurityHeaders::recommended().policy(&policy).build().unwrap();
//! let csp = headers.iter().find(|(name, _)| name == "content-security-policy").unwrap();
//! assert_eq!(csp.1, "default-src 'self'; img-src 'self' https://img.example; frame-ancestors 'none'");
//! // for (name, value) in &headers { response.replace(name, value)?; }
//! ```
//!
//! Build the headers once, from the configuration. Values that a browser would ignore, or that
//! would break the header, are refused.
//!
//! Source: OWASP Secure Headers Project; RFC 6797; W3C Content Security Policy Level 3; WHATWG HTML
//! and Fetch standards.

use core::fmt;
use core::time::Duration;

/// Headers that tell which software has sent a response. Remove them.
pub const REVEALING: [&str; 6] =
    ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator", "x-runtime"];

/// The fault of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name of a header or directive is not a token.
    Name(String),
    /// A value has a character that would end it: a control character, a comma or a semicolon in a
    /// source, or a byte that is not ASCII.
    Value(String),
    /// A keyword source such as `self` or `none` has no quotes, so browsers read it as a host.
    Unquoted(String),
    /// `preload` requires a year at least, and subdomains.
    Preload,
    /// `'none'` is not the only source of its directive, so browsers ignore it.
    NoneAndOthers(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}` is not the name of a header or directive"),
            Self::Value(value) => write!(f, "`{value}` has a character that would end the value"),
            Self::Unquoted(value) => write!(f, "`{value}` needs single quotes: `'{value}'`"),
            Self::Preload => f.write_str("`preload` requires at least a year, and subdomains"),
            Self::NoneAndOthers(directive) => write!(f, "`{directive}` has 'none' together with other sources"),
        }
    }
}

impl std::error::Error for HeaderError {}

/// A `content-security-policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentSecurityPolicy {
    directives: Vec<(String, Vec<String>)>,
}

impl ContentSecurityPolicy {
    /// Creates a policy without directives.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directive with its sources. Sources of a directive that exists are added to it,
    /// because browsers ignore the second one of a name.
    #[must_use]
    pub fn directive<S: Into<String>>(mut self, name: impl Into<String>, sources: impl IntoIterator<Item = S>) -> Self {
        let (name, sources) = (name.into(), sources.into_iter().map(Into::into));
        match self.directives.iter_mut().find(|(found, _)| *found == name) {
            Some((_, found)) => found.extend(sources),
            None => self.directives.push((name, sources.collect())),
        }
        self
    }

    /// Adds a nonce to `script-src` and `style-src`: 128 random bits at least, in base64, for one
    /// response. The upstream needs the same nonce for its HTML.
    ///
    /// ```
    /// use proxy_filter_kit::security_headers::ContentSecurityPolicy;
    ///
    /// let policy = ContentSecurityPolicy::new().directive("script-src", ["'self'"]);
    /// let value = policy.with_nonce("c29tZSByYW5kb20gYnl0ZXM").to_value().unwrap();
    /// assert_eq!(value, "script-src 'self' 'nonce-c29tZSByYW5kb20gYnl0ZXM'; style-src 'nonce-c29tZSByYW5kb20gYnl0ZXM'");
    /// ```
    #[must_use]
    pub fn with_nonce(&self, nonce: &str) -> Self {
        let source = format!("'nonce-{nonce}'");
        self.clone().directive("script-src", [source.clone()]).directive("style-src", [source])
    }

    /// Returns the value of the header.
    ///
    /// # Errors
    /// Fails if a directive or a source would break the policy, or if browsers would ignore it.
    pub fn to_value(&self) -> Result<String, HeaderError> {
        let mut parts = Vec::with_capacity(self.directives.len());
        for (name, sources) in &self.directives {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(HeaderError::Name(name.clone()));
            }
            for source in sources {
                let is_source = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',');
                if source.is_empty() || !source.bytes().all(is_source) {
                    return Err(HeaderError::Value(source.clone()));
                }
                if is_keyword(source) && has_sources(name) {
                    return Err(HeaderError::Unquoted(source.clone()));
                }
            }
            if sources.len() > 1 && sources.iter().any(|source| source == "'none'") {
                return Err(HeaderError::NoneAndOthers(name.clone()));
            }
            let mut part = vec![name.as_str()];
            part.extend(sources.iter().map(String::as_str));
            parts.push(part.join(" "));
        }
        Ok(parts.join("; "))
    }
}

/// Whether a directive has sources. `sandbox` and others have words of their own.
fn has_sources(directive: &str) -> bool {
    directive.ends_with("-src")
        || directive.contains("-src-")
        || matches!(directive, "base-uri" | "form-action" | "frame-ancestors")
}

/// Whether a source is a keyword or a hash without quotes.
fn is_keyword(source: &str) -> bool {
    const KEYWORDS: [&str; 9] = [
        "self",
        "none",
        "unsafe-inline",
        "unsafe-eval",
        "strict-dynamic",
        "unsafe-hashes",
        "report-sample",
        "wasm-unsafe-eval",
        "inline-speculation-rules",
    ];
    let source = source.to_ascii_lowercase();
    KEYWORDS.contains(&source.as_str())
        || ["nonce-", "sha256-", "sha384-", "sha512-"].iter().any(|start| source.starts_with(start))
}

/// Builds the security headers of responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityHeaders {
    headers: Vec<(String, String)>,
    fault: Option<HeaderError>,
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self::new()
    }
}

impl SecurityHeaders {
    /// Begins without a header.
    pub const fn new() -> Self {
        Self { headers: Vec::new(), fault: None }
    }

    /// Begins with headers that rarely break a site: a year of `strict-transport-security`,
    /// `x-content-type-options: nosniff`, `x-frame-options: DENY`, `referrer-policy:
    /// strict-origin-when-cross-origin`, `cross-origin-opener-policy: same-origin`,
    /// `cross-origin-resource-policy: same-origin`.
    pub fn recommended() -> Self {
        Self::new()
            .transport(Duration::from_secs(365 * 24 * 3600), true, false)
            .set("x-content-type-options", "nosniff")
            .set("x-frame-options", "DENY")
            .set("referrer-policy", "strict-origin-when-cross-origin")
            .set("cross-origin-opener-policy", "same-origin")
            .set("cross-origin-resource-policy", "same-origin")
    }

    /// Sets `strict-transport-security`. For `max_age`, browsers use the host only over TLS. Zero
    /// makes them forget. Browsers ignore the header without TLS.
    ///
    /// `preload` asks browsers to ship the host in their lists, which is hard to undo.
    #[must_use]
    pub fn transport(mut self, max_age: Duration, subdomains: bool, preload: bool) -> Self {
        if preload && (!subdomains || max_age < Duration::from_secs(31_536_000)) {
            self.fault.get_or_insert(HeaderError::Preload);
        }
        let mut value = format!("max-age={}", max_age.as_secs());
        value.push_str(if subdomains { "; includeSubDomains" } else { "" });
        value.push_str(if preload { "; preload" } else { "" });
        self.set("strict-transport-security", value)
    }

    /// Sets `content-security-policy`.
    #[must_use]
    pub fn policy(self, policy: &ContentSecurityPolicy) -> Self {
        self.set_policy("content-security-policy", policy)
    }

    /// Sets `content-security-policy-report-only`: browsers report violations and do not enforce
    /// the policy.
    #[must_use]
    pub fn report_only(self, policy: &ContentSecurityPolicy) -> Self {
        self.set_policy("content-security-policy-report-only", policy)
    }

    /// Denies features of browsers to the page and its frames with `permissions-policy`, for
    /// example `camera` and `geolocation`.
    #[must_use]
    pub fn deny_features<'f>(mut self, features: impl IntoIterator<Item = &'f str>) -> Self {
        let mut denied = Vec::new();
        for feature in features {
            if !feature.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') || feature.is_empty() {
                self.fault.get_or_insert(HeaderError::Name(feature.to_owned()));
            }
            denied.push(format!("{feature}=()"));
        }
        self.set("permissions-policy", denied.join(", "))
    }

    /// Sets any header, also one that was set before.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        let (name, value) = (name.to_ascii_lowercase(), value.into());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_name) {
            self.fault.get_or_insert(HeaderError::Name(name.clone()));
        }
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.fault.get_or_insert(HeaderError::Value(value.clone()));
        }
        self.headers.retain(|(found, _)| *found != name);
        self.headers.push((name, value));
        self
    }

    /// Does not send a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        self
    }

    fn set_policy(mut self, name: &str, policy: &ContentSecurityPolicy) -> Self {
        match policy.to_value() {
            Ok(value) => self.set(name, value),
            Err(fault) => {
                self.fault.get_or_insert(fault);
                self
            }
        }
    }

    /// Returns the headers, with lower-case names.
    ///
    /// # Errors
    /// Fails with the first fault.
    pub fn build(self) -> Result<Vec<(String, String)>, HeaderError> {
        self.fault.map_or(Ok(self.headers), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, sources: &[&str]) -> Result<String, HeaderError> {
        ContentSecurityPolicy::new().directive(name, sources.iter().copied()).to_value()
    }

    #[test]
    fn a_policy_that_browsers_would_read_otherwise_is_refused() {
        assert_eq!(policy("upgrade-insecure-requests", &[]).unwrap(), "upgrade-insecure-requests");
        assert_eq!(policy("sandbox", &["allow-forms"]).unwrap(), "sandbox allow-forms");
        assert_eq!(policy("img-src", &["self"]), Err(HeaderError::Unquoted("self".to_owned())));
        assert_eq!(policy("script-src-elem", &["NONCE-a"]), Err(HeaderError::Unquoted("NONCE-a".to_owned())));
        assert_eq!(policy("img-src", &["'none'", "a"]), Err(HeaderError::NoneAndOthers("img-src".to_owned())));
        for source in ["", "a b", "a;b", "a,b", "a\r\nx: y", "\u{e9}"] {
            assert_eq!(policy("img-src", &[source]), Err(HeaderError::Value(source.to_owned())));
        }
        for name in ["", "img src", "img-src;", "\u{e9}"] {
            assert_eq!(policy(name, &["a"]), Err(HeaderError::Name(name.to_owned())));
        }
    }

    #[test]
    fn sources_of_one_directive_are_one_directive() {
        let both = ContentSecurityPolicy::new().directive("img-src", ["a"]).directive("img-src", ["b"]);
        assert_eq!(both.to_value().unwrap(), "img-src a b");
        assert!(both.with_nonce("a'; script-src *").to_value().is_err(), "a nonce cannot end the directive");
    }

    #[test]
    fn the_recommended_headers_are_those_of_the_documentation() {
        let headers = SecurityHeaders::recommended().deny_features(["camera", "geolocation"]).build().unwrap();
        let headers: Vec<String> = headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            headers,
            [
                "strict-transport-security: max-age=31536000; includeSubDomains",
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
                "referrer-policy: strict-origin-when-cross-origin",
                "cross-origin-opener-policy: same-origin",
                "cross-origin-resource-policy: same-origin",
                "permissions-policy: camera=(), geolocation=()",
            ]
        );
    }

    #[test]
    fn a_header_is_set_once_and_can_be_omitted() {
        let headers = SecurityHeaders::new()
            .set("X-Frame-Options", "DENY")
            .set("x-frame-options", "SAMEORIGIN")
            .set("a", "b")
            .without("A");
        assert_eq!(headers.build().unwrap(), [("x-frame-options".to_owned(), "SAMEORIGIN".to_owned())]);
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused() {
        let year = Duration::from_secs(31_536_000);
        assert_eq!(
            SecurityHeaders::new().transport(year, true, true).build().unwrap()[0].1,
            "max-age=31536000; includeSubDomains; preload"
        );
        for (age, subdomains) in [(year, false), (Duration::from_secs(60), true)] {
            assert_eq!(SecurityHeaders::new().transport(age, subdomains, true).build(), Err(HeaderError::Preload));
        }
        assert_eq!(
            SecurityHeaders::new().set("a", "b\r\nc: d").build(),
            Err(HeaderError::Value("b\r\nc: d".to_owned()))
        );
        assert_eq!(SecurityHeaders::new().set("a:", "b").build(), Err(HeaderError::Name("a:".to_owned())));
        assert_eq!(SecurityHeaders::new().deny_features(["a b"]).build(), Err(HeaderError::Name("a b".to_owned())));
        let bad = ContentSecurityPolicy::new().directive("img-src", ["self"]);
        assert!(SecurityHeaders::recommended().policy(&bad).build().is_err());
        assert!(SecurityHeaders::recommended().report_only(&bad).set("a", "b").build().is_err());
    }
}
