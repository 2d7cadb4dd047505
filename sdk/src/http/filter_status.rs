//! What a callback tells the host to do with the stream: [`FilterHeadersStatus`], [`FilterDataStatus`], [`FilterTrailersStatus`].

use crate::error::denial::Denial;
use crate::error::local_reply::LocalReply;

/// What the host does after `on_request_headers` or `on_response_headers`.
///
/// | value | Envoy | nginx (`ngx_wasm_module`) |
/// |---|---|---|
/// | [`Continue`](Self::Continue) | the headers go on | the same |
/// | [`StopIteration`](Self::StopIteration) | as `StopAllIterationAndWatermark`; with `allow_on_headers_stop_iteration: true` in the plugin's configuration (Envoy 1.35 and later) the headers are held and the body callbacks come, until one of them returns `Continue` | pauses in request headers only |
/// | [`ContinueAndEndStream`](Self::ContinueAndEndStream) | treated as `Continue` | an error |
/// | [`StopAllIterationAndBuffer`](Self::StopAllIterationAndBuffer) | the headers are held, no further callback comes, the body is buffered up to the limit (then 413) | an error |
/// | [`StopAllIterationAndWatermark`](Self::StopAllIterationAndWatermark) | the headers are held, no further callback comes, the sender is slowed down | an error |
/// | [`LocalReply`](Self::LocalReply) | the client gets the reply, and the upstream nothing | the same |
/// | [`CloseStream`](Self::CloseStream) | the stream is reset once the callback has returned | **traps**: `proxy_close_stream` is missing |
///
/// To wait for something, return [`PAUSE`](Self::PAUSE): it means the same in Envoy with and without
/// `allow_on_headers_stop_iteration`, which `StopIteration` does not. With that setting, Envoy before 1.40 loses bytes of a body that a filter buffers
/// after the headers were forwarded (its changelog; not run here).
///
/// Source: ABI 0.2.1, `proxy_on_request_headers`; Envoy 1.40, `FilterHeadersStatus`.
#[derive(Debug)]
#[must_use = "a status does nothing unless the callback returns it"]
#[non_exhaustive]
pub enum FilterHeadersStatus {
    /// The headers go on.
    Continue,
    /// The headers are held. What that means for the body depends on the host's configuration: see the table.
    StopIteration,
    /// In Envoy the same as `Continue`: a module cannot end a message early.
    ContinueAndEndStream,
    /// Everything is held, and the body buffered up to the host's limit.
    StopAllIterationAndBuffer,
    /// Everything is held, and the sender slowed down once the host's buffers are full.
    StopAllIterationAndWatermark,
    /// The client is answered, and the stream ends here: what `request.reply(…)` returns.
    LocalReply(LocalReply),
    /// The stream is reset: what `request.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterHeadersStatus {
    /// Holds the whole message until the stream is continued; the same in Envoy whatever its configuration.
    pub const PAUSE: Self = Self::StopAllIterationAndWatermark;

    /// Whether the headers go on.
    #[inline]
    pub(crate) const fn lets_go(&self) -> bool {
        matches!(self, Self::Continue | Self::ContinueAndEndStream)
    }

    /// Whether they stay until the stream is continued, whatever body callbacks return.
    #[inline]
    pub(crate) const fn holds_all(&self) -> bool {
        matches!(self, Self::StopAllIterationAndBuffer | Self::StopAllIterationAndWatermark)
    }

    pub(crate) fn into_raw(self) -> Result<u32, Denial> {
        Ok(match self {
            Self::Continue => 0,
            Self::StopIteration => 1,
            Self::ContinueAndEndStream => 2,
            Self::StopAllIterationAndBuffer => 3,
            Self::StopAllIterationAndWatermark => 4,
            Self::LocalReply(reply) => return Err(Denial::Reply(reply)),
            Self::CloseStream => return Err(Denial::Close),
        })
    }
}

/// What the host does after `on_request_body` or `on_response_body`.
///
/// | value | Envoy | nginx (`ngx_wasm_module`) |
/// |---|---|---|
/// | [`Continue`](Self::Continue) | this piece, and all that was held before it, goes on | the same |
/// | [`StopIterationAndBuffer`](Self::StopIterationAndBuffer) | the piece is kept; the next callback sees everything kept so far; above the host's limit a request is answered with 413 and a response reset | the same for responses |
/// | [`StopIterationAndWatermark`](Self::StopIterationAndWatermark) | the piece is kept by the host, but the next callback sees the next piece only; the sender is slowed down | an error |
/// | [`StopIterationNoBuffer`](Self::StopIterationNoBuffer) | the piece is **dropped** | an error |
/// | [`LocalReply`](Self::LocalReply) | the client gets the reply if no response headers were sent yet; otherwise the stream is reset | the same |
/// | [`CloseStream`](Self::CloseStream) | the stream is reset once the callback has returned | **traps**: `proxy_close_stream` is missing |
///
/// `Continue` and `StopIterationAndBuffer` mean the same everywhere. [`PAUSE`](Self::PAUSE) is the latter.
///
/// Prefer `Continue` for each chunk of a response, and keep in the filter what it needs of the earlier ones. If a filter
/// nearer to the upstream ends the body with trailers of its own, as Envoy's decompressor always does,
/// Envoy drops a body that is buffered, and the client waits for it until a timeout.
///
/// Source: ABI 0.2.1, `proxy_on_request_body`; Envoy 1.40, `FilterDataStatus`.
#[derive(Debug)]
#[must_use = "a status does nothing unless the callback returns it"]
#[non_exhaustive]
pub enum FilterDataStatus {
    /// This piece, and all that was held before it, goes on.
    Continue,
    /// The piece is kept; the next callback sees everything kept so far.
    StopIterationAndBuffer,
    /// The piece is kept by the host, but the next callback sees the next piece only.
    StopIterationAndWatermark,
    /// The piece is dropped.
    StopIterationNoBuffer,
    /// The client is answered, and the stream ends here: what `body.reply(…)` returns.
    LocalReply(LocalReply),
    /// The stream is reset: what `body.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterDataStatus {
    /// Keeps the body until the stream is continued or a later piece returns `Continue`.
    pub const PAUSE: Self = Self::StopIterationAndBuffer;

    /// Whether the body goes on.
    #[inline]
    pub(crate) const fn lets_go(&self) -> bool {
        matches!(self, Self::Continue)
    }

    pub(crate) fn into_raw(self) -> Result<u32, Denial> {
        Ok(match self {
            Self::Continue => 0,
            Self::StopIterationAndBuffer => 1,
            Self::StopIterationAndWatermark => 2,
            Self::StopIterationNoBuffer => 3,
            Self::LocalReply(reply) => return Err(Denial::Reply(reply)),
            Self::CloseStream => return Err(Denial::Close),
        })
    }
}

/// What the host does after `on_request_trailers` or `on_response_trailers`.
///
/// `Continue` and `StopIteration` mean the same in every host that has trailers; nginx has none.
///
/// Source: ABI 0.2.1, `proxy_on_request_trailers`; Envoy 1.40, `FilterTrailersStatus`.
#[derive(Debug)]
#[must_use = "a status does nothing unless the callback returns it"]
#[non_exhaustive]
pub enum FilterTrailersStatus {
    /// The trailers, and all that was held before them, go on.
    Continue,
    /// The trailers are held until the stream is continued.
    StopIteration,
    /// The client is answered if no response headers were sent yet; otherwise the stream is reset: what `trailers.reply(…)` returns.
    LocalReply(LocalReply),
    /// The stream is reset: what `trailers.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterTrailersStatus {
    /// Holds the trailers until the stream is continued.
    pub const PAUSE: Self = Self::StopIteration;

    /// Whether the trailers go on.
    #[inline]
    pub(crate) const fn lets_go(&self) -> bool {
        matches!(self, Self::Continue)
    }

    pub(crate) fn into_raw(self) -> Result<u32, Denial> {
        Ok(match self {
            Self::Continue => 0,
            Self::StopIteration => 1,
            Self::LocalReply(reply) => return Err(Denial::Reply(reply)),
            Self::CloseStream => return Err(Denial::Close),
        })
    }
}

macro_rules! into_status {
    ($($status:ident),*) => {
        $(impl From<LocalReply> for $status {
            #[inline]
            fn from(reply: LocalReply) -> Self {
                Self::LocalReply(reply)
            }
        }

        impl From<Denial> for $status {
            #[inline]
            fn from(denial: Denial) -> Self {
                match denial {
                    Denial::Reply(reply) => Self::LocalReply(reply),
                    Denial::Close => Self::CloseStream,
                }
            }
        })*
    };
}

into_status!(FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus);
