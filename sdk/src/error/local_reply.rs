//! [`LocalReply`]: a response that the filter makes itself.

use crate::abi::field::check_field;
use crate::abi::log_level::LogLevel;
use crate::abi::pairs::Builder;
use crate::abi::status::Status;
use crate::current;
use crate::log;
use crate::log::line::{Line, plain_text};
use crate::sys;
use crate::sys::owned::{Owned, Release};
use std::borrow::Cow;

/// A response to the client from the filter, instead of the upstream's.
///
/// It is a value: the callback returns it with `request.reply(…)`, and the stream ends there. The
/// host sends it after the callback has returned, so no later code of the filter can run after it.
/// Before, it passes the reply through this filter's own `on_response_headers` and
/// `on_response_body`, which can edit it.
///
/// The host adds `content-length`, and `content-type: text/plain` unless the reply has a type. A
/// gRPC request (content type `application/grpc`) gets a gRPC error instead: HTTP status 200,
/// [`grpc_status`](Self::grpc_status) (or a value derived from the HTTP status), and the body as
/// `grpc-message`.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// fn refuse(request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
///     request.reply(
///         LocalReply::new(401)
///             .header("www-authenticate", "Bearer")
///             .details("no_token")
///             .body("a token is needed\n"),
///     )
/// }
/// ```
///
/// A reply always denies. Parts that hosts cannot send are left out or corrected, and the SDK logs
/// each mistake at warn level:
///
/// | Mistake | What is sent |
/// |---|---|
/// | a status outside 200 to 599 | 500 |
/// | a header whose name or value cannot be sent, or a pseudo-header | the reply without this header |
/// | more headers than hosts accept: 1,024, or 1 MiB | the reply without the last ones |
/// | a body with status 204 or 304 | the reply without the body |
/// | a [`grpc_status`](Self::grpc_status) above 16 | the one that follows from the HTTP status |
///
/// If the host refuses the whole reply, the SDK resets the stream.
///
/// Source: ABI 0.2.1, `proxy_send_local_response`; Envoy 1.40, `sendLocalReply`.
#[doc(alias = "proxy_send_local_response")]
#[doc(alias = "sendLocalResponse")]
#[doc(alias = "send_http_response")]
#[derive(Clone, Debug)]
#[must_use = "a reply is sent only if it is returned: `return request.reply(reply)`"]
pub struct LocalReply(
    /// One pointer, so that moving a reply needs almost no code in a filter.
    Owned<Inner>,
);

#[derive(Clone, Debug)]
struct Inner {
    status: u16,
    details: Cow<'static, str>,
    headers: Builder,
    body: Vec<u8>,
    grpc_status: i32,
}

impl Release for Inner {
    #[cold]
    #[inline(never)]
    fn release(content: Box<Self>) {
        drop(content);
    }
}

const BAD_STATUS: &str = "a status that is not between 200 and 599: 500 is sent";
const TOO_MANY: &str = "more headers than hosts accept (1,024, 1 MiB)";
const NO_BODY: &str = "a body, which statuses 204 and 304 do not have";
const BAD_GRPC_STATUS: &str = "a gRPC status that is not between 0 and 16: it follows from the HTTP status";

impl LocalReply {
    /// Creates a reply with this HTTP status, 200 to 599. For any other number, 500 is sent.
    #[inline(never)]
    pub fn new(status: u16) -> Self {
        let is_valid = matches!(status, 200..=599);
        if !is_valid {
            warn(b"", BAD_STATUS);
        }
        Self(Owned::new(Inner {
            status: if is_valid { status } else { 500 },
            details: Cow::Borrowed(""),
            headers: Builder::new(),
            body: Vec::new(),
            grpc_status: -1,
        }))
    }

    /// Adds a header. Call it again with the same name to add a second value.
    ///
    /// A header that cannot be sent is left out: a name that is not a token, a pseudo-header, a
    /// value with a control byte, and every header after the 1,024th. Envoy does not check these:
    /// it would write them to the client (response splitting), or drop all headers.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push(name.as_ref(), value.as_ref());
        self
    }

    /// Sets the body: text or bytes. With status 204 or 304 it is left out.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets the reason for the operator: Envoy's `response_code_details` (`%RESPONSE_CODE_DETAILS%`
    /// in access logs; white space becomes `_`). The client does not see it.
    pub fn details(mut self, details: impl Into<Cow<'static, str>>) -> Self {
        self.0.details = details.into();
        self
    }

    /// Sets the `grpc-status` for gRPC requests, 0 to 16. Any other number is ignored.
    ///
    /// If the request's `content-type` is `application/grpc`, or begins with `application/grpc+`,
    /// Envoy sends a gRPC response: the HTTP status is 200, the body becomes `grpc-message`, and
    /// `grpc-status` is this value. Without it, Envoy derives it from the HTTP status:
    ///
    /// | HTTP | 400 | 401 | 403 | 404 | 429, 502, 503, 504 | others |
    /// |---|---|---|---|---|---|---|
    /// | gRPC | 13 `INTERNAL` | 16 `UNAUTHENTICATED` | 7 `PERMISSION_DENIED` | 12 `UNIMPLEMENTED` | 14 `UNAVAILABLE` | 2 `UNKNOWN` |
    ///
    /// Other requests, including `application/grpc-web`, get the reply unchanged.
    pub fn grpc_status(mut self, status: u8) -> Self {
        self.0.grpc_status = i32::from(status);
        if status > 16 {
            self.0.grpc_status = -1;
            warn(b"", BAD_GRPC_STATUS);
        }
        self
    }

    /// Returns the HTTP status that is sent.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Sends the reply.
    ///
    /// # Errors
    /// An error status of the host.
    pub(crate) fn send(self) -> Result<(), Status> {
        let mut reply = self.0;
        let headers = core::mem::take(&mut reply.headers).finish();
        let Inner { status, details, body, grpc_status, .. } = &*reply;
        let mut body = body.as_slice();
        if matches!(status, 204 | 304) && !body.is_empty() {
            body = &[];
            warn(b"", NO_BODY);
        }
        sys::proxy_send_local_response(u32::from(*status), details.as_bytes(), body, &headers, *grpc_status)
    }
}

/// Logs why a part of a local reply cannot be sent. `name` is the header, or empty.
#[cold]
#[inline(never)]
fn warn(name: &[u8], why: &str) {
    let mut line = Line::new();
    line.push_callback(current::callback(), current::context_id());
    line.push(" made a local reply that cannot be sent as it is: ");
    if !name.is_empty() {
        line.push("header \"");
        line.push(plain_text(name.get(..64).unwrap_or(name)).unwrap_or("(not printable)"));
        line.push("\" was omitted: ");
    }
    line.push(why);
    log::write_limited(LogLevel::Warn, &line);
}

impl Inner {
    #[inline(never)]
    fn push(&mut self, name: &[u8], value: &[u8]) {
        let mistake = match check_field(name, value) {
            Ok(()) => match self.headers.push(name, value) {
                Ok(()) => return,
                Err(_) => TOO_MANY,
            },
            Err(why) => why,
        };
        warn(name, mistake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::pairs;
    use crate::abi::status::Status;
    use crate::current::Callback;
    use crate::sys::HostFunctions;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// What the host receives: the status, the headers, the body, the gRPC status.
    type Sent = (u32, Vec<(String, String)>, String, i32);

    /// Records what the host receives, and the log lines.
    #[derive(Default)]
    struct Client {
        replies: RefCell<Vec<Sent>>,
        lines: RefCell<Vec<(u32, String)>>,
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    impl HostFunctions for Client {
        fn proxy_send_local_response(
            &self,
            status: u32,
            _details: &[u8],
            body: &[u8],
            headers: &[u8],
            grpc_status: i32,
        ) -> core::result::Result<(), Status> {
            pairs::validate(headers).unwrap();
            let headers = pairs::walk(headers).map(|(name, value)| (text(name), text(value))).collect();
            self.replies.borrow_mut().push((status, headers, text(body), grpc_status));
            Ok(())
        }

        fn proxy_log(&self, level: u32, message: &[u8]) -> core::result::Result<(), Status> {
            self.lines.borrow_mut().push((level, text(message)));
            Ok(())
        }
    }

    thread_local! {
        /// A stream for each reply, with ids far apart, because the number of lines is limited.
        static STREAM: Cell<u32> = const { Cell::new(7) };
    }

    /// Returns what the client gets, and the log lines about what could not be sent.
    fn sent(build: impl FnOnce() -> LocalReply) -> (Sent, Vec<String>) {
        let client = Rc::new(Client::default());
        sys::install(Some(Rc::clone(&client) as Rc<dyn HostFunctions>));
        let id = STREAM.replace(STREAM.get() + 1000);
        current::enter(Callback::REQUEST_HEADERS, id);
        build().send().unwrap();
        sys::install(None);
        let start = format!("on_request_headers of context {id} made a local reply that cannot be sent as it is: ");
        let lines = client.lines.take().into_iter().map(|(level, line)| {
            assert_eq!(level, LogLevel::Warn.raw());
            line.strip_prefix(&start).unwrap().to_owned()
        });
        (client.replies.take().pop().unwrap(), lines.collect())
    }

    fn x_ok() -> Vec<(String, String)> {
        vec![("x-ok".to_owned(), "1".to_owned())]
    }

    #[test]
    fn a_reply_without_a_mistake_logs_nothing() {
        for status in 200..=599 {
            assert_eq!(
                sent(|| LocalReply::new(status).header("x-ok", "1")),
                ((status.into(), x_ok(), String::new(), -1), vec![])
            );
        }
        for status in 0..=16 {
            let (reply, lines) = sent(|| LocalReply::new(403).body("no").grpc_status(status));
            assert_eq!((reply, lines), ((403, vec![], "no".to_owned(), status.into()), vec![]));
        }
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_omitted_and_named() {
        for (name, value, named) in [
            ("x-denied", "a\r\nb: c", r#"header "x-denied" was omitted: a control byte in a header value"#),
            ("x\n", "a", r#"header "(not printable)" was omitted: a header name has letters"#),
            ("x-nul", "a\0", r#"header "x-nul" was omitted"#),
            ("", "a", "a header needs a name"),
            (":status", "200", r#"header ":status" was omitted: this map does not have"#),
        ] {
            let (reply, lines) = sent(|| LocalReply::new(403).header(name, value).header("x-ok", "1"));
            assert_eq!(reply, (403, x_ok(), String::new(), -1), "{name:?}: {value:?}");
            assert!(lines.len() == 1 && lines[0].starts_with(named), "{lines:?}");
        }
    }

    #[test]
    fn headers_above_the_limit_of_hosts_are_omitted_and_the_others_sent() {
        let (reply, lines) =
            sent(|| (0..1100).fold(LocalReply::new(401), |reply, n| reply.header(format!("x-{n}"), "y")));
        assert_eq!((reply.0, reply.1.len()), (401, 1024));
        assert!(lines[0].starts_with(r#"header "x-1024" was omitted: more headers than hosts accept"#), "{lines:?}");
        assert_eq!(lines.len(), 30, "the log is not filled");
        let (reply, lines) = sent(|| LocalReply::new(401).header("x-large", "y".repeat(1 << 20)).header("x-ok", "1"));
        assert_eq!(reply, (401, x_ok(), String::new(), -1));
        assert!(lines[0].starts_with(r#"header "x-large" was omitted"#), "{lines:?}");
    }

    #[test]
    fn a_status_that_is_not_http_is_a_500() {
        for status in (0..200).chain(600..=u16::MAX) {
            let (reply, lines) = sent(|| {
                let reply = LocalReply::new(status).body("no");
                assert_eq!(reply.status(), 500);
                reply
            });
            assert_eq!(reply, (500, vec![], "no".to_owned(), -1));
            assert_eq!(lines, [BAD_STATUS], "{status}");
        }
    }

    #[test]
    fn a_body_that_a_status_cannot_have_is_omitted() {
        for status in [204, 304] {
            let (reply, lines) = sent(|| LocalReply::new(status).body("x"));
            assert_eq!(reply, (status.into(), vec![], String::new(), -1));
            assert_eq!(lines, [NO_BODY]);
            assert_eq!(sent(|| LocalReply::new(status).body("")).1, [""; 0]);
        }
    }

    #[test]
    fn a_grpc_status_that_does_not_exist_follows_from_the_http_status() {
        for status in 17..=u8::MAX {
            let (reply, lines) = sent(|| LocalReply::new(403).grpc_status(3).grpc_status(status));
            assert_eq!(reply, (403, vec![], String::new(), -1));
            assert_eq!(lines, [BAD_GRPC_STATUS], "{status}");
        }
    }

    #[test]
    fn every_mistake_of_a_reply_is_named() {
        let (reply, lines) = sent(|| LocalReply::new(99).header("a\0", "").header("b", "\n").body("x").grpc_status(99));
        assert_eq!(reply, (500, vec![], "x".to_owned(), -1));
        let named = ["a status that is not", "header \"(not", "header \"b\" was", "a gRPC status that"];
        assert_eq!(lines.len(), named.len());
        assert!(lines.iter().zip(named).all(|(line, named)| line.starts_with(named)), "{lines:?}");
    }
}
