//! [`HttpCallResponse`]: what a service responds to an HTTP call.

use crate::abi::buffer_type::BufferType;
use crate::abi::map_type::MapType;
use crate::callout::error::{CalloutError, Outage, is_outage};
use crate::error::{Error, Result};
use crate::fields::header_value::{HeaderValue, Pairs};
use crate::host::buffer;
use crate::log::line::plain_text;
use crate::sys;
use core::borrow::Borrow;
use std::borrow::Cow;

/// The response to an [`HttpCall`](crate::callout::HttpCall).
///
/// A completion borrows the response while the host owns it. Each method copies from the host what
/// it returns, so unread parts cost nothing. An `.await` returns a copy of the whole response,
/// which may be stored. Both have the same methods, so code that reads a response can move from a
/// completion to an `.await`.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::callout::{HttpCallResponse, ResponseSource};
/// fn user(response: &HttpCallResponse<impl ResponseSource>) -> Result<String> {
///     match response.status() {
///         200 => Ok(String::from_utf8(response.body()?.into_owned())?),
///         status => Err(Error::other(format_args!("the user service responded with {status}"))),
///     }
/// }
///
/// async fn awaited() -> Result<String> {
///     user(&HttpCall::get("users", "/me").await?)
/// }
/// ```
///
/// Source: ABI 0.2.1, `proxy_on_http_call_response`.
#[derive(Clone, Debug)]
pub struct HttpCallResponse<S = Copied> {
    status: u16,
    source: S,
}

/// The source of a response: [`InHost`] in completions, [`Copied`] after an `.await`. Only this
/// crate implements it.
pub trait ResponseSource: sealed::Source {}

/// A response that the host has: it is read in the host's callback.
#[derive(Debug)]
pub struct InHost {
    body_size: u32,
    has_trailers: bool,
}

/// A copy of a response.
#[derive(Clone, Debug)]
pub struct Copied {
    headers: Pairs,
    /// Most responses of authorization services have no body. `rest` is boxed so that the value
    /// that an `.await` returns is small.
    rest: Option<Box<Rest>>,
}

#[derive(Clone, Debug)]
struct Rest {
    body: Vec<u8>,
    trailers: Pairs,
}

mod sealed {
    use super::{Cow, HeaderValue, Pairs, Result};

    /// What the methods of a response are made of.
    pub trait Source {
        fn header(&self, name: &[u8]) -> Result<Option<HeaderValue>>;
        fn headers(&self) -> Result<Pairs>;
        fn body_len(&self) -> usize;
        fn body(&self) -> Result<Cow<'_, [u8]>>;
        fn into_body(self) -> Result<Vec<u8>>;
        fn trailers(&self) -> Result<Pairs>;
    }
}

impl ResponseSource for InHost {}

impl sealed::Source for InHost {
    #[inline]
    fn header(&self, name: &[u8]) -> Result<Option<HeaderValue>> {
        get(MapType::HTTP_CALL_RESPONSE_HEADERS, name)
    }

    #[inline]
    fn headers(&self) -> Result<Pairs> {
        fields(MapType::HTTP_CALL_RESPONSE_HEADERS)
    }

    #[inline]
    fn body_len(&self) -> usize {
        self.body_size as usize
    }

    #[inline]
    fn body(&self) -> Result<Cow<'_, [u8]>> {
        body(self.body_size).map(Cow::Owned)
    }

    #[inline]
    fn into_body(self) -> Result<Vec<u8>> {
        body(self.body_size)
    }

    #[inline]
    fn trailers(&self) -> Result<Pairs> {
        if self.has_trailers { fields(MapType::HTTP_CALL_RESPONSE_TRAILERS) } else { Ok(Pairs::default()) }
    }
}

impl ResponseSource for Copied {}

impl sealed::Source for Copied {
    #[inline]
    fn header(&self, name: &[u8]) -> Result<Option<HeaderValue>> {
        Ok(self.headers.find(name).map(HeaderValue::from))
    }

    #[inline]
    fn headers(&self) -> Result<Pairs> {
        Ok(self.headers.clone())
    }

    #[inline]
    fn body_len(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.body.len())
    }

    #[inline]
    fn body(&self) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.rest.as_ref().map_or(&[], |rest| &rest.body)))
    }

    #[inline]
    fn into_body(self) -> Result<Vec<u8>> {
        Ok(self.rest.map_or_else(Vec::new, |rest| rest.body))
    }

    #[inline]
    fn trailers(&self) -> Result<Pairs> {
        Ok(self.rest.as_ref().map_or_else(Pairs::default, |rest| rest.trailers.clone()))
    }
}

impl HttpCallResponse<InHost> {
    /// The response that the host has now.
    #[inline]
    pub(crate) fn of_host(body_size: u32, number_of_trailers: u32) -> Self {
        let status = get(MapType::HTTP_CALL_RESPONSE_HEADERS, b":status").ok().flatten();
        let source = InHost { body_size, has_trailers: number_of_trailers > 0 };
        Self { status: status.map_or(0, |status| number(&status)), source }
    }

    /// Returns the response, or an outage if the response was cut off or the host made it because
    /// the service sent none.
    #[inline]
    pub(crate) fn check(&self) -> Result<&Self, CalloutError> {
        match self.status {
            0 => Err(Outage::Reset.into()),
            status if may_be_the_hosts(status) => self.check_origin(),
            _ => Ok(self),
        }
    }

    #[cold]
    fn check_origin(&self) -> Result<&Self, CalloutError> {
        match self.header(FROM_A_SERVICE) {
            Ok(None) => Err(no_response(self.status, &self.body().unwrap_or_default()).into()),
            _ => Ok(self),
        }
    }
}

impl HttpCallResponse {
    /// Copies the response that the host has now.
    #[inline]
    pub(crate) fn copy(body_size: u32, number_of_trailers: u32) -> Result<Self, CalloutError> {
        let headers = fields(MapType::HTTP_CALL_RESPONSE_HEADERS).map_err(CalloutError::Refused)?;
        // Hosts list it first.
        let first = headers.iter().next().filter(|(name, _)| *name == b":status").map(|(_, status)| status);
        let status = first.or_else(|| headers.find(b":status")).map_or(0, number);
        let body = body(body_size).map_err(CalloutError::Refused)?;
        if status == 0 {
            return Err(Outage::Reset.into());
        }
        if may_be_the_hosts(status) && headers.find(FROM_A_SERVICE.as_bytes()).is_none() {
            return Err(no_response(status, &body).into());
        }
        if number_of_trailers == 0 && body.is_empty() {
            return Ok(Self { status, source: Copied { headers, rest: None } });
        }
        let trailers = match number_of_trailers {
            0 => Pairs::default(),
            _ => fields(MapType::HTTP_CALL_RESPONSE_TRAILERS).map_err(CalloutError::Refused)?,
        };
        Ok(Self { status, source: Copied { headers, rest: Some(Box::new(Rest { body, trailers })) } })
    }
}

impl<S: ResponseSource> HttpCallResponse<S> {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns whether the status, 500 to 599, means that the service is down. Any other status is
    /// a decision of the service.
    pub const fn is_outage(&self) -> bool {
        is_outage(self.status)
    }

    /// Returns the response, borrowed or owned. Fails with an outage if its status, 500 to 599,
    /// means that the service is down.
    ///
    /// The remaining `Ok` responses are success and denial. A completion distinguishes three cases,
    /// and so does a function that awaits the call:
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    /// use proxy_filter::callout::{HttpCallResponse, InHost};
    ///
    /// fn decide(
    ///     request: &mut RequestHeaders,
    ///     response: Result<&HttpCallResponse<InHost>, CalloutError>,
    /// ) -> Result<FilterHeadersStatus> {
    ///     match response.and_then(HttpCallResponse::outage_for_status) {
    ///         Ok(response) if response.status() == 200 => Ok(FilterHeadersStatus::Continue),
    ///         Ok(_) => request.reply(LocalReply::new(403)),
    ///         Err(CalloutError::Outage(_)) => request.reply(LocalReply::new(503)), // or the policy for outages
    ///         Err(CalloutError::Refused(error)) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Outage::Status`].
    #[doc(alias = "error_for_status")]
    #[inline]
    pub fn outage_for_status<R: Borrow<Self>>(response: R) -> Result<R, CalloutError> {
        let status = response.borrow().status;
        if is_outage(status) { Err(Outage::Status(status).into()) } else { Ok(response) }
    }

    /// The first value of a header. Repeated headers are in [`headers`](Self::headers).
    ///
    /// # Errors
    /// Fails if the host refuses the read. Does not fail if the call was awaited.
    pub fn header(&self, name: impl AsRef<[u8]>) -> Result<Option<HeaderValue>> {
        self.source.header(name.as_ref())
    }

    /// All headers, `:status` among them.
    ///
    /// # Errors
    /// Fails if the host refuses the read. Does not fail if the call was awaited.
    pub fn headers(&self) -> Result<Pairs> {
        self.source.headers()
    }

    /// The number of bytes in the body. No host call.
    pub fn body_len(&self) -> usize {
        self.source.body_len()
    }

    /// The whole body.
    ///
    /// # Errors
    /// Fails if the host refuses the read, for example because the module is out of memory. Does
    /// not fail if the call was awaited.
    #[inline]
    pub fn body(&self) -> Result<Cow<'_, [u8]>> {
        self.source.body()
    }

    /// The whole body, without a copy of an awaited one.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    #[inline]
    pub fn into_body(self) -> Result<Vec<u8>> {
        self.source.into_body()
    }

    /// The body as a type, read as JSON. With the feature `json`.
    ///
    /// # Errors
    /// As [`json::from_slice`](crate::json::from_slice), and as [`body`](Self::body).
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        crate::host::json::from_slice(&self.body()?)
    }

    /// Returns the trailers, which are empty if the service sent none.
    ///
    /// # Errors
    /// Fails if the host refuses the read. Does not fail if the call was awaited.
    pub fn trailers(&self) -> Result<Pairs> {
        self.source.trailers()
    }
}

/// Envoy marks every response that a service sent with this header.
const FROM_A_SERVICE: &str = "x-envoy-upstream-service-time";

/// Returns whether the host itself may make a response with this status because the service sent
/// none.
const fn may_be_the_hosts(status: u16) -> bool {
    matches!(status, 503 | 504)
}

/// Converts a response that the host made itself. Its body contains the reason.
#[cold]
fn no_response(status: u16, why: &[u8]) -> Outage {
    if status == 504 {
        return Outage::Timeout;
    }
    Outage::Unavailable(plain_text(why).unwrap_or("the host's message is not printable").into())
}

#[inline]
fn body(size: u32) -> Result<Vec<u8>> {
    buffer::whole(BufferType::HTTP_CALL_RESPONSE_BODY, size)
}

#[inline]
fn fields(map: MapType) -> Result<Pairs> {
    match sys::proxy_get_header_map_pairs(map.raw()) {
        Ok(bytes) => Ok(Pairs::unchecked(bytes)),
        Err(status) => Err(Error::host("proxy_get_header_map_pairs", status)),
    }
}

#[inline]
fn get(map: MapType, name: &[u8]) -> Result<Option<HeaderValue>> {
    crate::fields::header_map::HeaderMap::new(map).get(name)
}

/// A status in digits; 0 for anything else.
#[inline]
fn number(text: &[u8]) -> u16 {
    match *text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => 0,
    }
}
