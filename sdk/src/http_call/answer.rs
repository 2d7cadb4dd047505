use super::HttpCallResponse;
use crate::callout_error::CalloutError;
use crate::header_value::Pairs;
use crate::headers::HeaderMap;

/// The answer to an [`HttpCall`](crate::HttpCall) that was awaited: a copy of what the host had.
///
/// ```
/// # use proxy_filter::prelude::*;
/// # use proxy_filter::HttpAnswer;
/// async fn is_allowed(path: &HeaderValue) -> Result<bool> {
///     let answer: HttpAnswer = HttpCall::get("authz", path).await?;
///     Ok(answer.status() == 200 && answer.header("x-denied").is_none())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    status: u16,
    headers: Pairs,
    body: Vec<u8>,
    trailers: Pairs,
}

impl HttpAnswer {
    pub(crate) fn copy(response: &HttpCallResponse) -> Result<Self, CalloutError> {
        let trailers = response.trailers().map_or_else(|| Ok(Pairs::default()), HeaderMap::pairs);
        Ok(Self {
            status: response.status(),
            headers: response.headers().pairs().map_err(CalloutError::Refused)?,
            body: response.body().map_err(CalloutError::Refused)?,
            trailers: trailers.map_err(CalloutError::Refused)?,
        })
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header.
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.headers.get(name)
    }

    /// All headers, `:status` among them.
    pub const fn headers(&self) -> &Pairs {
        &self.headers
    }

    /// The whole body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The whole body, without copying it.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The trailers; empty if the service sent none.
    pub const fn trailers(&self) -> &Pairs {
        &self.trailers
    }
}
