use crate::abi::map_type::MapType;
use crate::callout::error::is_outage;
use crate::callout::error::{CalloutError, Outage};
use crate::callout::http::response;
use crate::error::Error;
use crate::fields::header_value::Pairs;
use crate::sys;

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
    /// Most answers to a question of yes or no have none: an answer is passed on several times, so that it should be small.
    rest: Option<Box<Rest>>,
}

#[derive(Clone, Debug)]
struct Rest {
    body: Vec<u8>,
    trailers: Pairs,
}

static NO_TRAILERS: Pairs = Pairs::unchecked(Vec::new());

impl HttpAnswer {
    /// Copies the answer that the host tells now.
    #[inline]
    pub(crate) fn fetch((body_size, number_of_trailers): (u32, u32)) -> Result<Self, CalloutError> {
        let headers = fields(MapType::HTTP_CALL_RESPONSE_HEADERS)?;
        // Hosts tell it first.
        let first = headers.iter().next().filter(|(name, _)| *name == b":status").map(|(_, status)| status);
        let status = first.or_else(|| headers.find(b":status")).map_or(0, response::number);
        let body = response::body(body_size).map_err(CalloutError::Refused)?;
        if status == 0 {
            return Err(Outage::Reset.into());
        }
        if response::may_be_the_hosts(status) && headers.find(response::FROM_A_SERVICE.as_bytes()).is_none() {
            return Err(response::no_answer(status, &body).into());
        }
        if number_of_trailers == 0 && body.is_empty() {
            return Ok(Self { status, headers, rest: None });
        }
        let trailers = match number_of_trailers {
            0 => Pairs::default(),
            _ => fields(MapType::HTTP_CALL_RESPONSE_TRAILERS)?,
        };
        Ok(Self { status, headers, rest: Some(Box::new(Rest { body, trailers })) })
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
    /// What is left as `Ok` is success or a refusal; [`CalloutError`] has an example.
    ///
    /// # Errors
    /// [`Outage::Status`].
    #[doc(alias = "error_for_status")]
    #[inline]
    pub fn outage_for_status(self) -> Result<Self, CalloutError> {
        if self.is_outage() { Err(Outage::Status(self.status).into()) } else { Ok(self) }
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
    #[inline]
    pub fn body(&self) -> &[u8] {
        self.rest.as_ref().map_or(&[], |rest| &rest.body)
    }

    /// The whole body, without copying it.
    #[inline]
    pub fn into_body(self) -> Vec<u8> {
        self.rest.map_or_else(Vec::new, |rest| rest.body)
    }

    /// The trailers; empty if the service sent none.
    pub const fn trailers(&self) -> &Pairs {
        match &self.rest {
            Some(rest) => &rest.trailers,
            None => &NO_TRAILERS,
        }
    }
}

#[inline]
fn fields(map: MapType) -> Result<Pairs, CalloutError> {
    match sys::proxy_get_header_map_pairs(map.raw()) {
        Ok(bytes) => Ok(Pairs::unchecked(bytes)),
        Err(status) => Err(CalloutError::Refused(Error::host("proxy_get_header_map_pairs", status))),
    }
}
