//! [`LocalReply`]: an answer to the client from the filter itself.

use crate::abi::pairs::Builder;
use crate::error::{Error, ErrorKind, Result};
use crate::field::check_field;
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::sys;
use std::borrow::Cow;

/// An answer to the client instead of the upstream's.
///
/// It is a value: the callback returns it with `request.reply(…)`, the stream ends there, and nothing the filter does later can run
/// after it. The host sends it after the callback has returned, and passes it through this filter's own
/// `on_response_headers` and `on_response_body`, where it can still be edited.
///
/// The host adds `content-length`, and `content-type: text/plain` unless there is one. A gRPC request (content type
/// `application/grpc`) gets a gRPC error instead: HTTP status 200, [`grpc_status`](Self::grpc_status) (or one derived from the HTTP
/// status), and the body as `grpc-message`.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// fn refuse(request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
///     request.reply(
///         LocalReply::new(401).header("www-authenticate", "Bearer").details("no_token").body("a token is needed\n"),
///     )
/// }
/// ```
///
/// Source: ABI 0.2.1, `proxy_send_local_response`; Envoy 1.40, `sendLocalReply`.
#[doc(alias = "proxy_send_local_response")]
#[doc(alias = "sendLocalResponse")]
#[doc(alias = "send_http_response")]
#[derive(Clone, Debug)]
pub struct LocalReply(
    /// One pointer, so that passing a reply on costs a filter no code.
    Box<Inner>,
);

#[derive(Clone, Debug)]
struct Inner {
    status: u16,
    details: Cow<'static, str>,
    headers: Builder,
    body: Vec<u8>,
    grpc_status: i32,
    /// The first mistake made while building; [`check`](Self::check) reports it, so that the builder can be chained.
    mistake: Option<(ErrorKind, &'static str)>,
}

impl LocalReply {
    /// A reply with this HTTP status, 200 to 599. Another number is an error when the reply is returned: hosts would send it, and
    /// clients could not read it.
    #[inline(never)]
    pub fn new(status: u16) -> Self {
        let mistake = match status {
            200..=599 => None,
            _ => Some((ErrorKind::InvalidInput, "a local reply's status must be between 200 and 599")),
        };
        Self(Box::new(Inner {
            status,
            details: Cow::Borrowed(""),
            headers: Builder::new(),
            body: Vec::new(),
            grpc_status: -1,
            mistake,
        }))
    }

    /// Adds a header. Call it again with the same name for a second value.
    ///
    /// A name or value with CR, LF or NUL, an empty name, and more than 1,024 headers are an error when the reply is returned.
    /// Envoy checks none of these and would write them to the client (response splitting), or drop all headers.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push(name.as_ref(), value.as_ref());
        self
    }

    /// The body: text or bytes. Statuses 204 and 304 cannot have one: that is an error when the reply is returned.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Why, for the operator: Envoy's `response_code_details` (`%RESPONSE_CODE_DETAILS%` in access logs; white space becomes `_`).
    /// The client does not see it.
    #[must_use]
    pub fn details(mut self, details: impl Into<Cow<'static, str>>) -> Self {
        self.0.details = details.into();
        self
    }

    /// The `grpc-status` for gRPC requests, 0 to 16.
    ///
    /// Envoy answers a request with the `content-type` `application/grpc`, or one that begins with `application/grpc+`, as gRPC does: the
    /// HTTP status is 200, the body becomes `grpc-message`, and `grpc-status` is this one. Without it, it follows from the HTTP status:
    ///
    /// | HTTP | 400 | 401 | 403 | 404 | 429, 502, 503, 504 | others |
    /// |---|---|---|---|---|---|---|
    /// | gRPC | 13 `INTERNAL` | 16 `UNAUTHENTICATED` | 7 `PERMISSION_DENIED` | 12 `UNIMPLEMENTED` | 14 `UNAVAILABLE` | 2 `UNKNOWN` |
    ///
    /// Other requests, `application/grpc-web` among them, get the reply as it is.
    #[must_use]
    pub fn grpc_status(mut self, status: u8) -> Self {
        if status > 16 {
            self.0.mistake = Some((ErrorKind::InvalidInput, "a gRPC status must be between 0 and 16"));
        }
        self.0.grpc_status = i32::from(status);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The reply, or what is wrong with it.
    #[inline(never)]
    pub(crate) fn check(self) -> Result<Self> {
        let reply = &*self.0;
        let bodiless = reply.status == 204 || reply.status == 304;
        match reply.mistake {
            Some((kind, why)) => Err(Error::refused(kind, why)),
            None if bodiless && !reply.body.is_empty() => {
                Err(Error::refused(ErrorKind::InvalidInput, "a local reply with status 204 or 304 cannot have a body"))
            }
            None => Ok(self),
        }
    }

    pub(crate) fn send(self) -> Result<()> {
        let Inner { status, details, headers, body, grpc_status, .. } = *self.0;
        sys::proxy_send_local_response(u32::from(status), details.as_bytes(), &body, &headers.finish(), grpc_status)
            .map_err(|status| Error::host("proxy_send_local_response", status))
    }
}

impl Inner {
    #[inline(never)]
    fn push(&mut self, name: &[u8], value: &[u8]) {
        if self.mistake.is_some() {
            return;
        }
        self.mistake = match check_field(name, value) {
            Err(why) => Some((ErrorKind::InvalidInput, why)),
            Ok(()) => match self.headers.push(name, value) {
                Err(_) => Some((ErrorKind::TooLarge, "more headers in a local reply than hosts accept (1,024, 1 MiB)")),
                Ok(()) => None,
            },
        };
    }
}

/// Makes a reply the result of a callback.
macro_rules! into_status {
    ($($status:ident),*) => {
        $(impl TryFrom<LocalReply> for $status {
            type Error = Error;

            fn try_from(reply: LocalReply) -> Result<Self> {
                reply.check().map(Self::LocalReply)
            }
        })*
    };
}

into_status!(FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus);

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(reply: LocalReply) -> ErrorKind {
        reply.check().unwrap_err().kind()
    }

    #[test]
    fn a_header_that_would_split_the_response_is_refused() {
        for (name, value) in [("x", "a\r\nb: c"), ("x\n", "a"), ("x", "a\0"), ("", "a")] {
            assert_eq!(kind(LocalReply::new(200).header(name, value)), ErrorKind::InvalidInput, "{name:?}: {value:?}");
        }
    }

    #[test]
    fn more_headers_than_envoy_accepts_are_refused_rather_than_wiped() {
        let reply = (0..1025).fold(LocalReply::new(200), |reply, _| reply.header("x", "y"));
        assert_eq!(kind(reply), ErrorKind::TooLarge);
    }

    #[test]
    fn a_status_that_is_not_http_is_refused() {
        for status in [0, 99, 100, 199, 600, 1000] {
            assert_eq!(kind(LocalReply::new(status)), ErrorKind::InvalidInput);
        }
        assert_eq!(kind(LocalReply::new(204).body("x")), ErrorKind::InvalidInput);
        assert_eq!(kind(LocalReply::new(200).grpc_status(17)), ErrorKind::InvalidInput);
        assert!(LocalReply::new(200).grpc_status(16).check().is_ok());
    }
}
