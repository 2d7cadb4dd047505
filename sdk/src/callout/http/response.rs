use crate::abi::buffer_type::BufferType;
use crate::abi::map_type::MapType;
use crate::callout::error::is_outage;
use crate::callout::error::{CalloutError, Outage};
use crate::error::Result;
use crate::fields::header_map::HeaderMap;
use crate::fields::header_value::HeaderValue;
use crate::host::buffer;
use crate::log::line::plain_text;

/// The answer to an [`HttpCall`](crate::HttpCall), while its completion runs.
///
/// The host keeps it; what is read is copied from there. It cannot be kept: copy what is needed later.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::HttpCallResponse;
/// fn user(answer: &HttpCallResponse) -> Result<String> {
///     match answer.status() {
///         200 => Ok(String::from_utf8(answer.body()?)?),
///         status => Err(Error::other(format_args!("the user service answered {status}"))),
///     }
/// }
/// ```
///
/// Source: ABI 0.2.1, `proxy_on_http_call_response`.
#[derive(Debug)]
pub struct HttpCallResponse {
    status: u16,
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
    body_size: u32,
}

impl HttpCallResponse {
    /// What the host tells with the answer, and its status.
    #[inline]
    pub(crate) fn new(body_size: u32, number_of_trailers: u32) -> Self {
        let headers = HeaderMap::new(MapType::HTTP_CALL_RESPONSE_HEADERS);
        let trailers = (number_of_trailers > 0).then(|| HeaderMap::new(MapType::HTTP_CALL_RESPONSE_TRAILERS));
        let status = headers.get(":status").ok().flatten();
        Self { status: status.map_or(0, |status| number(&status)), headers, trailers, body_size }
    }

    /// The answer, unless it is none: cut off, or made by the host itself in the place of a service that gave none.
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
            Ok(None) => Err(no_answer(self.status, &self.body().unwrap_or_default()).into()),
            _ => Ok(self),
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status says that the service is down: 500 to 599. Any other is the service's decision.
    pub const fn is_outage(&self) -> bool {
        is_outage(self.status)
    }

    /// The response, unless its status says that the service is down: 500 to 599.
    ///
    /// What is left as `Ok` is success or a refusal; a completion tells three cases apart:
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    /// use proxy_filter::HttpCallResponse;
    ///
    /// fn decide(
    ///     request: &mut RequestHeaders,
    ///     response: Result<&HttpCallResponse, CalloutError>,
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
    pub fn outage_for_status(&self) -> Result<&Self, CalloutError> {
        if self.is_outage() { Err(Outage::Status(self.status).into()) } else { Ok(self) }
    }

    /// The first value of a header; repeated headers are in [`headers`](Self::headers).
    ///
    /// # Errors
    /// A refusal of the host.
    pub fn header(&self, name: impl AsRef<[u8]>) -> Result<Option<HeaderValue>> {
        self.headers.get(name)
    }

    /// All headers, `:status` among them.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The number of bytes in the body. No host call.
    pub const fn body_len(&self) -> usize {
        self.body_size as usize
    }

    /// The whole body.
    ///
    /// # Errors
    /// A refusal of the host: the module is out of memory, for one.
    #[inline]
    pub fn body(&self) -> Result<Vec<u8>> {
        body(self.body_size)
    }

    /// The trailers, if the service sent some.
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }
}

/// Envoy marks every answer that came from a service with this header.
pub(crate) const FROM_A_SERVICE: &str = "x-envoy-upstream-service-time";

/// Whether the host answers so itself, when the service gives no answer.
pub(crate) const fn may_be_the_hosts(status: u16) -> bool {
    matches!(status, 503 | 504)
}

/// What the host's own answer means; its body says why.
#[cold]
pub(crate) fn no_answer(status: u16, why: &[u8]) -> Outage {
    if status == 504 {
        return Outage::Timeout;
    }
    Outage::Unavailable(plain_text(why).unwrap_or("the host says why in words that cannot be printed").into())
}

/// The body of the answer that the host tells now.
#[inline]
pub(crate) fn body(size: u32) -> Result<Vec<u8>> {
    buffer::whole(BufferType::HTTP_CALL_RESPONSE_BODY, size)
}

/// A status in digits; 0 for anything else.
#[inline]
pub(crate) fn number(text: &[u8]) -> u16 {
    match *text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => 0,
    }
}
