//! [`HttpCall`], a request to another service, and [`HttpCallResponse`].

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
use crate::sys::owned::{Owned, Release};
use core::time::Duration;
use std::cell::Cell;

/// A request to another service, made by the host on behalf of the filter ("HTTP callout").
///
/// The request is sent to a cluster of the host's configuration, not to an address. The host
/// reports the response later, in a separate callback. A filter of callbacks can wait in two ways:
///
/// * **Pause the message**:
///   [`request.pause_for(self, call, |stream, request, answer|
///   …)`](crate::RequestHeaders::pause_for),
///   and the same for the response, bodies and trailers. It returns the status that pauses the
///   message. The completion receives the context, the handle of the paused part and the response.
///   It returns what the callback would return: `Continue` resumes the stream, a local reply ends
///   it, and `Pause` waits for another callout.
/// * **Continue**: [`call.send(self, |context, answer| …)`](Self::send), in any callback of a
///   stream or a root context.
///
/// Any number of calls may be in flight for one stream. They complete in any order, and each
/// completion runs at most once. If the call cannot be made, the completion runs at once with the
/// refusal. If the stream ends first, or the part that it paused was already forwarded, the
/// completion does not run.
///
/// The attribute of the context must name it: `#[proxy_filter::context(http_calls)]`, or
/// `#[proxy_filter::root(http_calls)]` for the root context. The module then exports
/// `proxy_on_http_call_response`. Without the argument, the call does not compile.
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
/// Envoy sends no trailers with such a request, so the builder has no method for them.
///
/// Source: context API, "HTTP Call API"; ABI 0.2.1, `proxy_http_call`; Envoy 1.40,
/// `Context::httpCall`.
#[doc(alias = "proxy_http_call")]
#[doc(alias = "httpCall")]
#[doc(alias = "dispatch_http_call")]
#[derive(Clone, Debug)]
#[must_use = "a callout does nothing unless it is sent, awaited or paused for"]
pub struct HttpCall(
    /// One pointer, so that passing a call on costs a filter no code.
    Owned<Inner>,
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
    /// Why the cluster's name is not a valid authority. Cleared when an authority is given.
    bad_authority: Option<&'static str>,
}

thread_local! {
    /// A call that was sent, for the next one: most calls to a service are like the one before.
    /// Building each from new memory would cost a tenth of what a callout does.
    static SPARE: Cell<Option<Box<Inner>>> = const { Cell::new(None) };
}

impl Release for Inner {
    #[inline(never)]
    fn release(mut content: Box<Self>) {
        if content.headers.is_reusable() {
            content.cluster = None;
            content.body = Vec::new();
            // A native thread that ends has no place for it.
            let _ = SPARE.try_with(|spare| spare.set(Some(content)));
        }
    }
}

const TOO_MANY: &str = "more headers in an HTTP call than hosts accept (1,024, 1 MiB)";
const TIMEOUT: &str = "the timeout of a call must be longer than 0 and at most 2147483647 milliseconds, 24 days";
/// In milliseconds: Envoy takes a longer one for a negative number.
const LONGEST: u32 = i32::MAX.unsigned_abs();
/// The default timeout of a call, in milliseconds. Used for gRPC calls too.
pub(crate) const DEFAULT_TIMEOUT: u32 = 5000;

impl HttpCall {
    /// A `GET` of a path, `/check?a=b` for example, from a cluster.
    pub fn get(cluster: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::new(cluster, "GET", path)
    }

    /// Creates a `POST` to a path of a cluster. [`body`](Self::body) sets the data to post.
    pub fn post(cluster: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::new(cluster, "POST", path)
    }

    /// A call with any method.
    ///
    /// The method is a token such as `GET`, and not `CONNECT`. The path is `*`, or begins with `/`
    /// and has no spaces and no control bytes. Percent-encode data of a client first. With any
    /// other value, the call fails when it is made.
    pub fn new(cluster: impl AsRef<[u8]>, method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::build(cluster.as_ref(), method.as_ref(), path.as_ref())
    }

    #[inline(never)]
    fn build(cluster: &[u8], method: &[u8], path: &[u8]) -> Self {
        let checked = match method {
            b"CONNECT" => Err("a call cannot use the method `CONNECT`, which opens a tunnel"),
            _ => check_method(method),
        };
        let mut call = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| Box::new(Inner::new()));
        call.headers.begin(cluster, method, path);
        call.timeout = DEFAULT_TIMEOUT;
        call.mistake = checked.and(check_path(path)).err();
        call.bad_authority = check_authority(cluster).err();
        Self(Owned::of(call))
    }

    /// The authority (`host`) of the request, visible ASCII; the name of the cluster unless given.
    pub fn authority(mut self, authority: impl AsRef<[u8]>) -> Self {
        self.0.set_authority(authority.as_ref());
        self
    }

    /// Adds a header. Call it again with the same name for a second value.
    ///
    /// The call fails when it is made if it has more than 1,024 headers, or if a header is a
    /// pseudo-header or not valid HTTP ([`HeaderMap`](crate::HeaderMap#what-may-be-written) has the
    /// rules). It also fails for fields that the host would obey, or sets itself:
    ///
    /// | | use |
    /// |---|---|
    /// | `host` | [`authority`](Self::authority) |
    /// | `content-length`, `transfer-encoding` | [`body`](Self::body): with a length and no body, the service would wait for bytes that never arrive |
    /// | `x-envoy-…` about timeouts and retries | [`timeout`](Self::timeout), [`timer::retry`](crate::timer::retry) |
    /// | `connection`, `upgrade`, `te`, `expect`, `keep-alive`, `proxy-connection`, `http2-settings` | nothing: they belong to one connection |
    ///
    /// To pass the headers of a request to a service, use [`headers_from`](Self::headers_from),
    /// which omits these fields. Envoy adds its own headers, which begin with `x-envoy-`.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.field(name.as_ref(), value.as_ref());
        self
    }

    /// Adds the end-to-end headers of a request. Omits pseudo-headers, fields that
    /// [`header`](Self::header) refuses because the host sets them, and fields that `connection`
    /// names.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// async fn is_allowed(request: &RequestHeaders) -> Result<bool> {
    ///     let call = HttpCall::get("authz", "/check").headers_from(&request.pairs()?);
    ///     Ok(call.await?.status() == 200)
    /// }
    /// ```
    ///
    /// It accepts any list of pairs, so a filter can omit more:
    /// `request.pairs()?.iter().filter(|(name, _)| *name != b"cookie")`.
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

    /// Sets the maximum time for the whole response: more than 0, at most `i32::MAX` milliseconds
    /// (24 days), default 5 seconds. It is rounded up to milliseconds. With another value, the call
    /// fails when it is made.
    #[inline]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        match milliseconds(timeout) {
            Some(timeout) => self.0.timeout = timeout,
            None => self.0.mistake = Some(TIMEOUT),
        }
        self
    }

    /// Makes the call in the host. Returns the number with which the host reports the response.
    #[inline(never)]
    pub(crate) fn start(mut self) -> Result<u32, CalloutError> {
        let call = &mut *self.0;
        if let Some(why) = call.mistake.or(call.bad_authority) {
            return Err(refused(ErrorKind::InvalidInput, why));
        }
        let (headers, authority) = call.headers.finish().map_err(|_| refused(ErrorKind::TooLarge, TOO_MANY))?;
        let cluster = call.cluster.as_deref().unwrap_or(authority);
        sys::proxy_http_call(cluster, headers, &call.body, &[], call.timeout).map_err(not_started)
    }
}

impl Inner {
    const fn new() -> Self {
        Self {
            headers: RequestBuilder::new(),
            cluster: None,
            body: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            mistake: None,
            bad_authority: None,
        }
    }

    /// Adds a header of the author's.
    #[inline(never)]
    fn field(&mut self, name: &[u8], value: &[u8]) {
        let checked = match name.first() {
            Some(b':') => Err("set a pseudo-header of an HTTP call with `new`, `get`, `post` or `authority`"),
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
        let mut all = pairs::walk(old.finish().unwrap_or_default().0);
        let (Some((_, before)), Some((_, method)), Some((_, path))) = (all.next(), all.next(), all.next()) else {
            return;
        };
        if self.cluster.is_none() {
            self.mistake = self.mistake.or(check_value(before).err());
            self.cluster = Some(before.to_vec());
        }
        self.headers = RequestBuilder::new();
        self.headers.begin(authority, method, path);
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
        // The checks above exclude Envoy's other reasons for this status.
        Status::BAD_ARGUMENT => Outage::UnknownCluster.into(),
        Status::INTERNAL_FAILURE => Outage::NoHealthyUpstream.into(),
        status => CalloutError::Refused(Error::host("proxy_http_call", status)),
    }
}

/// Returns the timeout in milliseconds, rounded up, or `None` if it is out of range.
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
    fn a_call_with_an_invalid_part_is_not_made() {
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
    fn periods_are_rounded_up_to_1_ms() {
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
