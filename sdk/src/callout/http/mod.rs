//! [`HttpCall`]: a request to another service, and [`HttpCallResponse`], its answer.

pub(crate) mod in_flight;
pub(crate) mod response;

use crate::abi::field::{check_authority, check_method, check_path, check_value};
use crate::abi::pairs;
use crate::abi::request::RequestBuilder;
use crate::abi::status::Status;
use crate::callout::error::{CalloutError, Outage};
use crate::callout::field::{check_callout_field, is_of_one_hop, nominated};
use crate::callout::timer;
use crate::error::Error;
use crate::error::kind::ErrorKind;
use crate::sys;
use core::time::Duration;

/// A request to another service, made by the host on behalf of the filter ("HTTP callout").
///
/// It goes to a cluster of the host's configuration, not to an address. The host answers later, in a callback of its own. There are two ways to wait:
///
/// * **Hold the message**: [`request.pause_for(self, call, |stream, request, answer| …)`](crate::RequestHeaders::pause_for), and the same for
///   response, bodies and trailers. It returns the status that holds the message. The completion gets the context, the handle of what is held and
///   the answer, and returns what the callback would: `Continue` lets the message go on, a reply ends the stream, `Pause` waits for another
///   answer.
/// * **Go on**: [`call.send(self, |context, answer| …)`](Self::send), in any callback of a stream or of the root context.
///
/// Any number of calls may be under way for one stream, and they are answered in any order. Whatever becomes of a call, its completion runs at most
/// once: at once with the refusal if the call cannot be made; not at all if the stream is over first, or if what it held has gone on.
///
/// The context says in its attribute that it waits: `#[proxy_filter::context(http_calls)]`, or `#[proxy_filter::root(http_calls)]` for the root
/// context. That makes the module export `proxy_on_http_call_response`; without it such a call does not compile.
///
/// ```
/// use proxy_filter::prelude::*;
/// use std::time::Duration;
///
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root] impl RootContext for Root { type Context = Authorize; fn new_context(&self) -> Authorize { Authorize } }
/// struct Authorize;
///
/// #[proxy_filter::context(http_calls)]
/// impl Context for Authorize {
///     fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
///         let call = HttpCall::get("authz", "/check")
///             .header("authorization", request.get("authorization")?.unwrap_or_default())
///             .timeout(Duration::from_millis(200));
///         request.pause_for(self, call, |_, request, answer| match answer {
///             Ok(answer) if answer.status() == 200 => {
///                 request.replace("x-user", answer.header("x-user")?.unwrap_or_default())?;
///                 Ok(FilterHeadersStatus::Continue)
///             }
///             Ok(_) => request.reply(LocalReply::new(403)),
///             Err(CalloutError::Outage(why)) => request.reply(LocalReply::new(503).details(why.to_string())),
///             Err(CalloutError::Refused(error)) => Err(error),
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// Envoy sends no trailers with such a request, so none can be given here.
///
/// Source: context API, "HTTP Call API"; ABI 0.2.1, `proxy_http_call`; Envoy 1.40, `Context::httpCall`.
#[doc(alias = "proxy_http_call")]
#[doc(alias = "httpCall")]
#[doc(alias = "dispatch_http_call")]
#[derive(Clone, Debug)]
#[must_use = "a callout does nothing unless it is sent, awaited or paused for"]
pub struct HttpCall(
    /// One pointer, so that passing a call on costs a filter no code.
    Box<Inner>,
);

#[derive(Clone, Debug)]
struct Inner {
    /// `:authority` first.
    headers: RequestBuilder,
    /// Unless it is the authority.
    cluster: Option<Vec<u8>>,
    body: Vec<u8>,
    timeout: u32,
    /// The first mistake made while building, so that the builder can be chained.
    mistake: Option<&'static str>,
    /// Why the authority is none, as long as no other is given.
    bad_authority: Option<&'static str>,
}

const TOO_MANY: &str = "more headers in an HTTP call than hosts accept (1,024, 1 MiB)";
const TIMEOUT: &str = "the timeout of a call must be longer than 0 and at most 2147483647 milliseconds, 24 days";
/// In milliseconds: Envoy takes a longer one for a negative number.
const LONGEST: u32 = i32::MAX.unsigned_abs();
/// The timeout of a call that says nothing else, over gRPC as well; in milliseconds.
pub(crate) const DEFAULT_TIMEOUT: u32 = 5000;

impl HttpCall {
    /// A `GET` of a path, `/check?a=b` for example, from a cluster.
    pub fn get(cluster: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::new(cluster, "GET", path)
    }

    /// A `POST` to a path of a cluster. [`body`](Self::body) gives what is posted.
    pub fn post(cluster: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::new(cluster, "POST", path)
    }

    /// A call with any method.
    ///
    /// The method is a token, as `GET` is, and not `CONNECT`. The path is `*`, or begins with `/` and has no spaces and no control bytes: what a
    /// client has sent needs percent-encoding first. Anything else is an error when the call is made.
    pub fn new(cluster: impl AsRef<[u8]>, method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::build(cluster.as_ref(), method.as_ref(), path.as_ref())
    }

    #[inline(never)]
    fn build(cluster: &[u8], method: &[u8], path: &[u8]) -> Self {
        let checked = match method {
            b"CONNECT" => Err("a call cannot be a tunnel: `CONNECT` is no method for it"),
            _ => check_method(method),
        };
        Self(Box::new(Inner {
            headers: RequestBuilder::new(cluster, method, path),
            cluster: None,
            body: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            mistake: checked.and(check_path(path)).err(),
            bad_authority: check_authority(cluster).err(),
        }))
    }

    /// The authority (`host`) of the request, visible ASCII; the name of the cluster unless given.
    pub fn authority(mut self, authority: impl AsRef<[u8]>) -> Self {
        self.0.set_authority(authority.as_ref());
        self
    }

    /// Adds a header. Call it again with the same name for a second value.
    ///
    /// A field that is not valid HTTP ([`HeaderMap`](crate::HeaderMap#what-may-be-written) has the rules), a pseudo-header and more than 1,024
    /// headers are errors when the call is made. So are fields that the host would obey, or sets itself:
    ///
    /// | | use |
    /// |---|---|
    /// | `host` | [`authority`](Self::authority) |
    /// | `content-length`, `transfer-encoding` | [`body`](Self::body): with a length and no body, the service would wait for bytes that never come |
    /// | `x-envoy-…` about timeouts and retries | [`timeout`](Self::timeout), [`timer::retry`](crate::timer::retry) |
    /// | `connection`, `upgrade`, `te`, `expect`, `keep-alive`, `proxy-connection`, `http2-settings` | nothing: they belong to one connection |
    ///
    /// To show a service the headers of a request, use [`headers_from`](Self::headers_from), which leaves these out. Envoy adds headers of its own
    /// that begin with `x-envoy-`.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.field(name.as_ref(), value.as_ref());
        self
    }

    /// Adds the end-to-end headers of a request: all but pseudo-headers, what [`header`](Self::header) refuses because the host sets it, and what
    /// `connection` names.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// async fn is_allowed(request: &RequestHeaders) -> Result<bool> {
    ///     let call = HttpCall::get("authz", "/check").headers_from(&request.pairs()?);
    ///     Ok(call.await?.status() == 200)
    /// }
    /// ```
    ///
    /// It takes any list of pairs, so that a filter can leave out more: `request.pairs()?.iter().filter(|(name, _)| *name != b"cookie")`.
    pub fn headers_from<'a, I>(mut self, pairs: I) -> Self
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let connection = pairs.clone().into_iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
        let nominated: Vec<_> = connection.flat_map(|(_, value)| nominated(value)).collect();
        for (name, value) in pairs {
            if !is_of_one_hop(name, &nominated) {
                self.0.field(name, value);
            }
        }
        self
    }

    /// The body: text or bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// How long to wait for the whole answer: longer than 0, at most `i32::MAX` milliseconds (24 days), and 5 seconds unless given. Hosts count
    /// milliseconds; a part of one counts as one. Another value is an error when the call is made.
    #[inline]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        match milliseconds(timeout) {
            Some(timeout) => self.0.timeout = timeout,
            None => self.0.mistake = Some(TIMEOUT),
        }
        self
    }

    /// Hands the call to the host: the number under which it will answer.
    #[inline(never)]
    pub(crate) fn start(mut self) -> Result<u32, CalloutError> {
        let call = &mut *self.0;
        if let Some(why) = call.mistake.or(call.bad_authority) {
            return Err(refused(ErrorKind::InvalidInput, why));
        }
        let headers = call.headers.finish().map_err(|_| refused(ErrorKind::TooLarge, TOO_MANY))?;
        let cluster = match &call.cluster {
            Some(cluster) => cluster,
            None => pairs::walk(headers).next().map(|(_, authority)| authority).unwrap_or_default(),
        };
        let sent = sys::proxy_http_call(cluster, headers, &call.body, &[], call.timeout);
        call.headers.keep_buffer();
        sent.map_err(not_started)
    }
}

impl Inner {
    /// Adds a header of the author's.
    #[inline(never)]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        let checked = match name.first() {
            Some(b':') => Err("a pseudo-header of an HTTP call is given by `new`, `get`, `post` or `authority`"),
            _ => check_callout_field(name, value),
        };
        self.mistake = self.mistake.or(checked.err());
        self.headers.push(name, value);
    }

    /// Builds the map again, with another authority.
    #[inline(never)]
    fn set_authority(&mut self, authority: &[u8]) {
        self.bad_authority = check_authority(authority).err();
        // One that is too large stays as it is, and is refused when it starts.
        let mut old = self.headers.clone();
        let mut all = pairs::walk(old.finish().unwrap_or_default());
        let (Some((_, before)), Some((_, method)), Some((_, path))) = (all.next(), all.next(), all.next()) else {
            return;
        };
        if self.cluster.is_none() {
            self.mistake = self.mistake.or(check_value(before).err());
            self.cluster = Some(before.to_vec());
        }
        self.headers = RequestBuilder::new(authority, method, path);
        for (name, value) in all {
            self.headers.push(name, value);
        }
    }
}

#[cold]
fn refused(kind: ErrorKind, why: &'static str) -> CalloutError {
    CalloutError::Refused(Error::refused(kind, why))
}

/// What a refusal of the host means.
#[cold]
fn not_started(status: Status) -> CalloutError {
    match status {
        // What else Envoy answers so to has been checked.
        Status::BAD_ARGUMENT => Outage::UnknownCluster.into(),
        Status::INTERNAL_FAILURE => Outage::NoHealthyUpstream.into(),
        status => CalloutError::Refused(Error::host("proxy_http_call", status)),
    }
}

/// A timeout as hosts count it, rounded up; none if it is out of range.
#[inline]
pub(crate) fn milliseconds(timeout: Duration) -> Option<u32> {
    timer::milliseconds(timeout).filter(|all| (1..=LONGEST).contains(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(call: HttpCall) -> ErrorKind {
        match call.start() {
            Err(CalloutError::Refused(error)) => error.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_that_would_be_misread_is_not_made() {
        let get = || HttpCall::get("c", "/");
        for call in [
            HttpCall::get("c", ""),
            HttpCall::new("c", "", "/"),
            HttpCall::get("c", "/ HTTP/1.1\r\nx: y"),
            HttpCall::get("c\r\n", "/"),
            HttpCall::get("c c", "/"),
            HttpCall::get("c", "check"),
            HttpCall::get("c", "http://a/check"),
            HttpCall::get("c", "/a\x7f"),
            HttpCall::new("c", "GET /admin HTTP/1.1", "/"),
            HttpCall::new("c", "CONNECT", "/"),
            get().header("x", "a\r\nb: c"),
            get().header("", "a"),
            get().header(":path", "/other"),
            get().authority("a\nb"),
            get().timeout(Duration::ZERO),
            get().timeout(Duration::from_secs(30 * 86_400)),
            get().timeout(Duration::MAX),
        ] {
            assert_eq!(refusal(call), ErrorKind::InvalidInput);
        }
        assert_eq!(refusal((0..1022).fold(get(), |call, _| call.header("x", "y"))), ErrorKind::TooLarge);
    }

    #[test]
    fn a_part_of_a_millisecond_counts_as_one() {
        for (timeout, expected) in [
            (Duration::from_nanos(1), Some(1)),
            (Duration::from_micros(1001), Some(2)),
            (Duration::from_millis(0x7fff_ffff), Some(0x7fff_ffff)),
            (Duration::from_millis(0x8000_0000), None),
        ] {
            assert_eq!(milliseconds(timeout), expected, "{timeout:?}");
        }
    }
}
