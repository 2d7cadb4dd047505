//! Trace context: parses and continues `traceparent` (W3C) and `b3`.
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
}
