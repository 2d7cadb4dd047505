//! Errors that carry the reply that denies.

use super::{Error, ErrorKind, Why};
use crate::abi::LogLevel;
use crate::denial::Denial;
use crate::local_reply::LocalReply;
use crate::runtime::Callback;
use crate::runtime::line::Line;

/// A reply in an error.
pub(crate) trait Denied {
    /// The reply, until it is sent.
    fn reply(&self) -> Option<&LocalReply>;
    /// The error that the reply was added to.
    fn cause(&self) -> Option<&Error>;
    /// Sends the reply, and logs the cause at debug level.
    fn carry_out(&mut self, callback: Callback, context_id: u32);
    /// Writes why, without the formatting machinery.
    fn write_to(&self, line: &mut Line);
}

struct WithReply {
    reply: Option<LocalReply>,
    cause: Option<Error>,
}

impl Denied for WithReply {
    fn reply(&self) -> Option<&LocalReply> {
        self.reply.as_ref()
    }

    fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }

    fn carry_out(&mut self, callback: Callback, context_id: u32) {
        if let Some(cause) = &self.cause {
            cause.report(LogLevel::Debug, callback, context_id, "; the stream is denied", 0);
        }
        if let Some(reply) = self.reply.take() {
            Denial::Reply(reply).carry_out(callback, context_id);
        }
    }

    fn write_to(&self, line: &mut Line) {
        if let Some(cause) = &self.cause {
            return cause.write_to(line);
        }
        line.push(DENIED);
        line.push_number(self.reply.as_ref().map_or(0, LocalReply::status).into());
    }
}

/// What a denial without a cause is logged as, where it cannot be sent.
pub(super) const DENIED: &str = "denied with status ";

impl Error {
    /// The same error as a denial: the client gets `reply` under every failure policy, and the error is logged at debug level.
    ///
    /// A reply that the error carried already is replaced.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// fn quantity(request: &RequestHeaders) -> Result<u32> {
    ///     let text = request.get("x-quantity")?.unwrap_or_default().to_string();
    ///     text.parse().map_err(|error| Error::other(error).with_reply(LocalReply::new(400)))
    /// }
    /// ```
    #[cold]
    #[must_use = "an error denies only if the callback returns it"]
    pub fn with_reply(self, reply: LocalReply) -> Self {
        let (kind, status) = (self.kind(), reply.status());
        // An error without a reply, or the denial that the new reply takes the place of.
        let denied = WithReply { reply: Some(reply), cause: Some(self) };
        Self::new(kind, status, Why::Denied(Box::new(denied)))
    }

    /// The reply that the error carries; `None` for a failure, which the failure policy decides about.
    pub fn reply(&self) -> Option<&LocalReply> {
        match &self.0.why {
            Why::Denied(denied) => denied.reply(),
            _ => None,
        }
    }

    /// Whether the error carries a reply.
    #[inline]
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self.0.why, Why::Denied(_))
    }

    /// What denies, if the error carries a reply.
    #[inline]
    pub(crate) fn denial(&mut self) -> Option<&mut dyn Denied> {
        match &mut self.0.why {
            Why::Denied(denied) => Some(&mut **denied),
            _ => None,
        }
    }
}

impl From<LocalReply> for Error {
    #[cold]
    fn from(reply: LocalReply) -> Self {
        Self::new(
            ErrorKind::Denied,
            reply.status(),
            Why::Denied(Box::new(WithReply { reply: Some(reply), cause: None })),
        )
    }
}
