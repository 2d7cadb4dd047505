//! The return values of the callbacks of a stream: [`FilterHeadersStatus`], [`FilterDataStatus`],
//! [`FilterTrailersStatus`].

use crate::error::denial::Denial;
use crate::error::local_reply::LocalReply;

/// What the host does after `on_request_headers` or `on_response_headers`.
///
/// | value | Envoy | nginx (`ngx_wasm_module`) |
/// |---|---|---|
/// | [`Continue`](Self::Continue) | forwards the headers | the same |
/// | [`StopIteration`](Self::StopIteration) | like `StopAllIterationAndWatermark`. With `allow_on_headers_stop_iteration: true` in the plugin's configuration (Envoy 1.35 and later), pauses only the headers: the body callbacks are called, until one of them returns `Continue` | pauses in request headers only |
/// | [`ContinueAndEndStream`](Self::ContinueAndEndStream) | treated as `Continue` | an error |
/// | [`StopAllIterationAndBuffer`](Self::StopAllIterationAndBuffer) | pauses the message: no further callback is called, and the body is buffered up to the limit (above it, 413) | an error |
/// | [`StopAllIterationAndWatermark`](Self::StopAllIterationAndWatermark) | pauses the message: no further callback is called, and the sender gets backpressure | an error |
/// | [`LocalReply`](Self::LocalReply) | sends the reply to the client, and nothing to the upstream | the same |
/// | [`CloseStream`](Self::CloseStream) | resets the stream after the callback | **traps**: `proxy_close_stream` is missing |
///
/// To pause a message, return [`Pause`](Self::Pause). It means the same in Envoy with and without
/// `allow_on_headers_stop_iteration`; `StopIteration` does not. With that setting, Envoy before
/// 1.40 loses bytes of a body that a filter buffers after the headers were forwarded (according to
/// its changelog; not tested here).
///
/// Source: ABI 0.2.1, `proxy_on_request_headers`; Envoy 1.40, `FilterHeadersStatus`.
#[derive(Debug)]
#[must_use = "a status does nothing unless the callback returns it"]
#[non_exhaustive]
pub enum FilterHeadersStatus {
    /// Forwards the headers.
    Continue,
    /// Pauses the headers. The table above says what this means for the body: it depends on the
    /// host's configuration.
    StopIteration,
    /// Treated as `Continue` by Envoy: a module cannot end a message early.
    ContinueAndEndStream,
    /// Pauses the message, and buffers its body up to the host's limit.
    StopAllIterationAndBuffer,
    /// Pauses the message. The sender gets backpressure once the host's buffers are full.
    StopAllIterationAndWatermark,
    /// Sends a local reply and ends the stream: what `request.reply(…)` returns.
    LocalReply(LocalReply),
    /// Resets the stream: what `request.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterHeadersStatus {
    /// Pauses the whole message until the stream is resumed. In Envoy it means the same with every
    /// configuration.
    #[allow(non_upper_case_globals, reason = "it is used beside the variant `Continue`")]
    pub const Pause: Self = Self::StopAllIterationAndWatermark;

    /// Returns whether the headers are forwarded.
    #[inline]
    pub(crate) const fn lets_go(&self) -> bool {
        matches!(self, Self::Continue | Self::ContinueAndEndStream)
    }

    /// Returns whether the headers stay paused until the stream is resumed, whatever body callbacks
    /// return.
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
/// | [`Continue`](Self::Continue) | forwards this chunk, and everything that was buffered before it | the same |
/// | [`StopIterationAndBuffer`](Self::StopIterationAndBuffer) | buffers the chunk; the next callback sees everything buffered so far. Above the host's limit, Envoy replies to a request with 413 and resets a response | the same for responses |
/// | [`StopIterationAndWatermark`](Self::StopIterationAndWatermark) | buffers the chunk, but the next callback sees only the next chunk; the sender gets backpressure | an error |
/// | [`StopIterationNoBuffer`](Self::StopIterationNoBuffer) | **drops** the chunk | an error |
/// | [`LocalReply`](Self::LocalReply) | sends the reply if no response headers were sent yet; otherwise resets the stream | the same |
/// | [`CloseStream`](Self::CloseStream) | resets the stream after the callback | **traps**: `proxy_close_stream` is missing |
///
/// `Continue` and `StopIterationAndBuffer` mean the same everywhere. [`Pause`](Self::Pause) is the
/// latter.
///
/// For responses, prefer to return `Continue` for each chunk, and to keep in the filter what it
/// needs of earlier chunks. A tunnel (an upgrade that was accepted, or `CONNECT`) has no end over
/// HTTP/1: what a callback buffers of it is never forwarded. If a filter nearer to the upstream
/// ends the body with trailers of its own, as Envoy's decompressor always does, Envoy drops a
/// buffered body, and the client waits until a timeout.
///
/// Source: ABI 0.2.1, `proxy_on_request_body`; Envoy 1.40, `FilterDataStatus`.
#[derive(Debug)]
#[must_use = "a status does nothing unless the callback returns it"]
#[non_exhaustive]
pub enum FilterDataStatus {
    /// Forwards this chunk, and everything that was buffered before it.
    Continue,
    /// Buffers the chunk. The next callback sees everything buffered so far.
    StopIterationAndBuffer,
    /// Buffers the chunk in the host, but the next callback sees only the next chunk.
    StopIterationAndWatermark,
    /// Drops the chunk.
    StopIterationNoBuffer,
    /// Sends a local reply and ends the stream: what `body.reply(…)` returns.
    LocalReply(LocalReply),
    /// Resets the stream: what `body.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterDataStatus {
    /// Buffers the body until the stream is resumed, or until a later callback returns `Continue`.
    #[allow(non_upper_case_globals, reason = "it is used beside the variant `Continue`")]
    pub const Pause: Self = Self::StopIterationAndBuffer;

    /// Returns whether the body is forwarded.
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
    /// Forwards the trailers, and everything that was buffered before them.
    Continue,
    /// Pauses the message until the stream is resumed.
    StopIteration,
    /// Sends a local reply if no response headers were sent yet; otherwise resets the stream. This
    /// is what `trailers.reply(…)` returns.
    LocalReply(LocalReply),
    /// Resets the stream: what `trailers.close_stream()` returns.
    #[doc(alias = "proxy_close_stream")]
    CloseStream,
}

impl FilterTrailersStatus {
    /// Pauses the message until the stream is resumed.
    #[allow(non_upper_case_globals, reason = "it is used beside the variant `Continue`")]
    pub const Pause: Self = Self::StopIteration;

    /// Returns whether the trailers are forwarded.
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
