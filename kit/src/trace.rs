//! Trace context: parses and continues `traceparent`, `tracestate` (W3C) and `b3`.
//!
//! ```
//! use proxy_filter_kit::trace::TraceContext;
//!
//! let parent = TraceContext::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
//! assert!(parent.is_sampled());
//! let random = 0x00f0_67aa_0ba9_02b7; // proxy_filter::random::u64()
//! assert_eq!(parent.child(random).to_traceparent(), "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
//! ```

/// The trace and the span of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The flag of a caller that may have recorded the trace.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// Begins a trace with random numbers. Zeros, which no id may have, become ones.
    pub const fn new(trace: u128, span: u64, is_sampled: bool) -> Self {
        let trace = if trace == 0 { 1 } else { trace };
        let span = if span == 0 { 1 } else { span };
        Self { trace, span, flags: if is_sampled { SAMPLED } else { 0 } }
    }

    /// Parses `traceparent`. Returns `None` if it is malformed or repeated: then begin a new trace.
    /// Of a later version, the known part is used.
    ///
    /// Source: W3C Trace Context, section 3.2.
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(traceparent.trim_ascii()).ok()?;
        let (version, rest) = text.split_once('-')?;
        let (trace, rest) = rest.split_once('-')?;
        let (span, rest) = rest.split_once('-')?;
        let (flags, more) = rest.split_once('-').map_or((rest, None), |(flags, more)| (flags, Some(more)));
        let (version, flags) = (hex(version, 2, false)?, hex(flags, 2, false)?);
        if version == 0xff || version == 0 && more.is_some() {
            return None;
        }
        let (trace, span) = (hex(trace, 32, false)?, hex(span, 16, false)?);
        // Unknown flags are not forwarded.
        let flags = u8::try_from(flags).ok()? & SAMPLED;
        (trace != 0 && span != 0).then_some(Self { trace, span: u64::try_from(span).ok()?, flags })
    }

    /// Parses `b3` in its single form. Returns `None` if it is malformed, or has only a sampling
    /// decision. Without a decision, the trace is not sampled.
    ///
    /// ```
    /// use proxy_filter_kit::trace::TraceContext;
    ///
    /// let context = TraceContext::parse_b3(b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90").unwrap();
    /// assert_eq!(context.span_id(), "e457b5a2e4d86bd1");
    /// ```
    ///
    /// Source: openzipkin/b3-propagation, "Single Header".
    pub fn parse_b3(b3: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(b3.trim_ascii()).ok()?;
        let mut parts = text.split('-');
        let (trace, span, sampled, parent) = (parts.next()?, parts.next()?, parts.next(), parts.next());
        let is_parent = parent.is_none_or(|parent| hex(parent, 16, true).is_some());
        let is_sampled = match sampled {
            Some("1" | "d") => true,
            None | Some("0") => false,
            Some(_) => return None,
        };
        let trace = hex(trace, 32, true).or_else(|| hex(trace, 16, true))?;
        let span = u64::try_from(hex(span, 16, true)?).ok()?;
        let is_fine = is_parent && parts.next().is_none() && trace != 0 && span != 0;
        is_fine.then(|| Self::new(trace, span, is_sampled))
    }

    /// Parses the headers of B3's other form: `x-b3-traceid`, `x-b3-spanid`, and if the request has
    /// them `x-b3-sampled` and `x-b3-flags`. Returns `None` if an id is malformed.
    ///
    /// ```
    /// use proxy_filter_kit::trace::TraceContext;
    ///
    /// let context = TraceContext::parse_b3_headers(b"463ac35c9f6413ad48485a3953bb6124", b"a2fb4a1d1a96d312", Some(b"1"), None);
    /// assert!(context.unwrap().is_sampled());
    /// ```
    ///
    /// Source: openzipkin/b3-propagation, "Multiple Headers".
    pub fn parse_b3_headers(
        trace_id: &[u8],
        span_id: &[u8],
        sampled: Option<&[u8]>,
        flags: Option<&[u8]>,
    ) -> Option<Self> {
        let text = |value| core::str::from_utf8(<[u8]>::trim_ascii(value)).ok();
        let (trace, span) = (text(trace_id)?, text(span_id)?);
        let trace = hex(trace, 32, true).or_else(|| hex(trace, 16, true))?;
        let span = u64::try_from(hex(span, 16, true)?).ok()?;
        // Old senders write `true` and `false`. A flag of 1 is the decision to debug.
        let is_sampled = match sampled.map(<[u8]>::trim_ascii) {
            Some(b"1" | b"true") => true,
            None | Some(b"0" | b"false") => false,
            Some(_) => return None,
        };
        let is_debugged = flags.map(<[u8]>::trim_ascii) == Some(b"1");
        (trace != 0 && span != 0).then(|| Self::new(trace, span, is_sampled || is_debugged))
    }

    /// Returns the headers of B3's other form.
    pub fn to_b3_headers(&self) -> [(&'static str, String); 3] {
        [
            ("x-b3-traceid", self.trace_id()),
            ("x-b3-spanid", self.span_id()),
            ("x-b3-sampled", u8::from(self.is_sampled()).to_string()),
        ]
    }

    /// Returns the context for a callout or the upstream: the same trace, with a new random span.
    #[must_use]
    pub const fn child(&self, span: u64) -> Self {
        Self { span: if span == 0 { 1 } else { span }, ..*self }
    }

    /// Whether the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Returns the id of the span: 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// Returns the value of `traceparent`, in version 00.
    pub fn to_traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }

    /// Returns the value of `b3`.
    pub fn to_b3(&self) -> String {
        format!("{:032x}-{:016x}-{}", self.trace, self.span, u8::from(self.is_sampled()))
    }
}

/// The members of `tracestate`: what each tracing system has added to a trace, the latest first.
///
/// ```
/// use proxy_filter_kit::trace::TraceState;
///
/// let mut state = TraceState::parse(b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").unwrap();
/// assert_eq!(state.get("congo"), Some("t61rcWkgMzE"));
/// assert!(state.set("congo", "ucfJifl5Kpe"));
/// assert_eq!(state.to_value(), "congo=ucfJifl5Kpe,rojo=00f067aa0ba902b7");
/// ```
///
/// Source: W3C Trace Context, section 3.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState(Vec<(String, String)>);

impl TraceState {
    /// The maximum number of members.
    pub const MAX_MEMBERS: usize = 32;
    /// The length in bytes above which [`to_value`](Self::to_value) omits members.
    pub const MAX_LENGTH: usize = 512;

    /// Parses the header. Join several headers with a comma. Returns `None` if a member is
    /// malformed or repeated, or there are more than 32: then remove the header.
    ///
    /// Without a valid `traceparent`, remove `tracestate` too.
    pub fn parse(tracestate: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(tracestate).ok()?;
        let mut members: Vec<(String, String)> = Vec::new();
        for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
        {
            let (key, value) = member.split_once('=')?;
            let is_new = members.iter().all(|(found, _)| found != key);
            if !is_key(key) || !is_value(value) || !is_new || members.len() >= Self::MAX_MEMBERS {
                return None;
            }
            members.push((key.to_owned(), value.to_owned()));
        }
        Some(Self(members))
    }

    /// Returns the value of a member.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// Sets a member, and moves it to the beginning. Of 32 others, the last one is removed. Returns
    /// `false` if the key or the value is malformed; then nothing changes.
    pub fn set(&mut self, key: &str, value: &str) -> bool {
        if !is_key(key) || !is_value(value) {
            return false;
        }
        self.remove(key);
        self.0.truncate(Self::MAX_MEMBERS - 1);
        self.0.insert(0, (key.to_owned(), value.to_owned()));
        true
    }

    /// Removes a member.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(found, _)| found != key);
    }

    /// Whether there is no member. Then remove the header.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of the header. If it would be longer than 512 bytes, members of more than
    /// 128 bytes are omitted, and then the last ones.
    ///
    /// Source: W3C Trace Context, section 3.3.1.5.
    pub fn to_value(&self) -> String {
        let mut members: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let length = |members: &[String]| members.iter().map(|member| member.len().saturating_add(1)).sum::<usize>();
        let is_long = |members: &[String]| length(members) > Self::MAX_LENGTH.saturating_add(1);
        while is_long(&members) {
            match members.iter().rposition(|member| member.len() > 128) {
                Some(at) => drop(members.remove(at)),
                None => drop(members.pop()),
            }
        }
        members.join(",")
    }
}

/// Whether a key is that of a system, or of a tenant at a system.
fn is_key(key: &str) -> bool {
    let is_rest =
        |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    let starts = |text: &str, digit: bool| {
        text.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || digit && first.is_ascii_digit())
    };
    match key.split_once('@') {
        None => starts(key, false) && is_rest(key) && key.len() <= 256,
        Some((tenant, system)) => {
            let is_tenant = starts(tenant, true) && is_rest(tenant) && tenant.len() <= 241;
            is_tenant && starts(system, false) && is_rest(system) && system.len() <= 14
        }
    }
}

fn is_value(value: &str) -> bool {
    let is_value = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=256).contains(&value.len()) && !value.ends_with(' ') && value.bytes().all(is_value)
}

fn hex(text: &str, digits: usize, any_case: bool) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f') || any_case && matches!(byte, b'A'..=b'F');
    (text.len() == digits && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    /// The cases of the W3C test suite (`test_traceparent_*`).
    #[test]
    fn traceparent_is_read_as_the_w3c_tests_require() {
        for (header, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            (format!(" \t00-{TRACE}-{SPAN}-01 "), Some(true)),
            (format!("00-{TRACE}-{SPAN}-ff"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("00-{TRACE}-{SPAN}-01-extra"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}0-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-0."), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"), None),
            ("00-\u{e9}".to_owned(), None),
            (String::new(), None),
        ] {
            let context = TraceContext::parse(header.as_bytes());
            assert_eq!(context.map(|context| context.is_sampled()), expected, "{header}");
        }
    }

    #[test]
    fn b3_is_read_and_written() {
        let header = format!("{TRACE}-{SPAN}-1");
        let context = TraceContext::parse_b3(header.as_bytes()).unwrap();
        assert_eq!((context.to_b3(), context.trace_id(), context.span_id()), (header, TRACE.into(), SPAN.into()));
        for (header, expected) in [
            (format!("{SPAN}-{SPAN}"), Some(false)),
            (format!("{TRACE}-{SPAN}-d-{SPAN}"), Some(true)),
            (format!("{}-{SPAN}-0", TRACE.to_uppercase()), Some(false)),
            ("0".to_owned(), None),
            (format!("{TRACE}-{SPAN}-2"), None),
            (format!("{TRACE}-{SPAN}-1-x"), None),
            (format!("{TRACE}-{SPAN}-1-{SPAN}-1"), None),
            (format!("{}-{SPAN}", "0".repeat(32)), None),
        ] {
            let context = TraceContext::parse_b3(header.as_bytes());
            assert_eq!(context.map(|context| context.is_sampled()), expected, "{header}");
        }
    }

    #[test]
    fn a_child_keeps_trace_and_decision_and_no_id_is_zero() {
        let context = TraceContext::new(0, 0, true).child(0);
        assert_eq!(TraceContext::parse(context.to_traceparent().as_bytes()), Some(context));
        assert!(context.is_sampled());
    }

    #[test]
    fn b3_headers_are_read_and_written() {
        let (trace, span) = (TRACE.as_bytes(), SPAN.as_bytes());
        for (trace, span, sampled, flags, expected) in [
            (trace, span, Some(&b"1"[..]), None, Some(true)),
            (trace, span, Some(b"true"), None, Some(true)),
            (trace, span, Some(b"0"), None, Some(false)),
            (trace, span, None, None, Some(false)),
            (trace, span, None, Some(&b"1"[..]), Some(true)),
            (trace, span, Some(b"0"), Some(b"0"), Some(false)),
            (span, span, Some(b" 1 "), None, Some(true)),
            (trace, span, Some(b"d"), None, None),
            (trace, trace, Some(b"1"), None, None),
            (b"0000000000000000", span, Some(b"1"), None, None),
            (trace, b"", None, None, None),
            (b"\xff", span, None, None, None),
        ] {
            let context = TraceContext::parse_b3_headers(trace, span, sampled, flags);
            assert_eq!(context.map(|context| context.is_sampled()), expected);
            if let Some(context) = context {
                let [trace, span, sampled] = context.to_b3_headers().map(|(_, value)| value.into_bytes());
                assert_eq!(TraceContext::parse_b3_headers(&trace, &span, Some(&sampled), None), Some(context));
            }
        }
    }

    /// The cases of the W3C test suite (`test_tracestate_*`).
    #[test]
    fn tracestate_is_parsed_as_in_the_w3c_tests() {
        let many =
            |count: usize| (0..count).map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",");
        for (header, expected) in [
            ("foo=1,bar=2".to_owned(), Some(2)),
            ("foo=1 \t , \t bar=2, \t baz=3".to_owned(), Some(3)),
            ("foo=1,".to_owned(), Some(1)),
            (",foo=1,,".to_owned(), Some(1)),
            (String::new(), Some(0)),
            ("foo=1,foo=1".to_owned(), None),
            ("foo=1,foo=2".to_owned(), None),
            (many(32), Some(32)),
            (many(33), None),
            ("foo@=1,bar=2".to_owned(), None),
            ("@foo=1,bar=2".to_owned(), None),
            ("foo@@bar=1,bar=2".to_owned(), None),
            ("foo@bar@baz=1,bar=2".to_owned(), None),
            ("foo =1".to_owned(), None),
            ("FOO=1".to_owned(), None),
            ("foo.bar=1".to_owned(), None),
            ("foo=bar=baz".to_owned(), None),
            ("foo=,bar=3".to_owned(), None),
            ("foo".to_owned(), None),
            ("foo=\u{e9}".to_owned(), None),
            ("foo=a\tb".to_owned(), None),
            ("foo= 1".to_owned(), Some(1)),
            ("z0123456789_-*/=1".to_owned(), Some(1)),
            ("0a@foo-_*/bar=1".to_owned(), Some(1)),
            ("0a=1".to_owned(), None),
            (format!("{}=1", "z".repeat(256)), Some(1)),
            (format!("{}=1", "z".repeat(257)), None),
            (format!("{}@{}=1", "t".repeat(241), "v".repeat(14)), Some(1)),
            (format!("{}@v=1", "t".repeat(242)), None),
            (format!("t@{}=1", "v".repeat(15)), None),
            (format!("a={}", "v".repeat(256)), Some(1)),
            (format!("a={}", "v".repeat(257)), None),
        ] {
            let state = TraceState::parse(header.as_bytes());
            assert_eq!(state.as_ref().map(|state| state.0.len()), expected, "{header}");
            assert_eq!(state.map(|state| state.is_empty()), expected.map(|count| count == 0));
        }
    }

    #[test]
    fn a_member_is_set_at_the_beginning_and_the_length_is_limited() {
        let mut state = TraceState::default();
        for number in 0..40 {
            assert!(state.set(&format!("k{number}"), "v"));
        }
        assert_eq!(
            (state.0.len(), state.0[0].0.as_str(), state.get("k8"), state.get("k7")),
            (32, "k39", Some("v"), None)
        );
        assert!(!state.set("K", "v") && !state.set("k", "a,b") && !state.set("k", ""));
        state.set("long", &"x".repeat(200));
        state.set("k38", "new");
        assert!(state.to_value().starts_with("k38=new,long=xxx"));
        for number in 0..10 {
            state.set(&format!("m{number}"), &"y".repeat(60));
        }
        let value = state.to_value();
        assert!(value.len() <= TraceState::MAX_LENGTH && !value.contains("long"), "{value}");
        assert_eq!(TraceState::parse(value.as_bytes()).unwrap().to_value(), value);
    }
}
