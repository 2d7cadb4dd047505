//! The points of a stream's life, and those at which the host calls the module.

/// Why something with this name cannot be awaited. Each is one text of the module: code that joins
/// the parts would be longer than most modules' texts.
macro_rules! not_exported {
    ($name:literal) => {
        concat!("the module does not export what `", $name, "` waits for")
    };
}

pub(crate) use not_exported;

/// A point of a stream's life, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Created,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Log,
}

impl Point {
    #[inline]
    pub(crate) fn is_request(self) -> bool {
        self < Self::ResponseHeaders
    }

    #[inline]
    pub(crate) fn is_headers(self) -> bool {
        matches!(self, Self::RequestHeaders | Self::ResponseHeaders)
    }

    /// The message of the error in a module that does not export its callback. It names
    /// the method of `Exchange` that awaits it.
    pub(crate) const fn not_exported(self) -> &'static str {
        match self {
            Self::Created | Self::RequestHeaders => not_exported!("request_headers"),
            Self::RequestBody => not_exported!("request_body"),
            Self::RequestTrailers => not_exported!("request_trailers"),
            Self::ResponseHeaders => not_exported!("response_headers"),
            Self::ResponseBody => not_exported!("response_body"),
            Self::ResponseTrailers => not_exported!("response_trailers"),
            Self::Log => not_exported!("log_context"),
        }
    }

    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The points at which the host calls for the module.
#[derive(Clone, Copy, Debug)]
pub struct Points(u32);

#[allow(missing_docs, reason = "each is named as a method of `Exchange`")]
impl Points {
    pub const REQUEST_BODY: Self = Self(Point::RequestBody.bit());
    pub const REQUEST_TRAILERS: Self = Self(Point::RequestTrailers.bit());
    pub const RESPONSE_HEADERS: Self = Self(Point::ResponseHeaders.bit());
    pub const RESPONSE_BODY: Self = Self(Point::ResponseBody.bit());
    pub const RESPONSE_TRAILERS: Self = Self(Point::ResponseTrailers.bit());
    pub const FINISHED: Self = Self(Point::Log.bit());
    /// What every filter has.
    pub const FIRST: Self = Self(Point::RequestHeaders.bit());

    /// Completions of HTTP calls.
    pub const HTTP_CALLS: Self = Self(1 << 16);
    /// The tick.
    pub const TIMERS: Self = Self(1 << 17);
    /// Completions of gRPC calls.
    pub const GRPC_CALLS: Self = Self(1 << 19);
    /// Events of gRPC streams.
    pub const GRPC_STREAMS: Self = Self(1 << 20);
    /// Items in queues.
    pub const QUEUES: Self = Self(1 << 18);
    pub const NONE: Self = Self(0);

    pub(crate) const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.has(other.0)
    }

    /// Those that do not belong to a stream: callouts and queues.
    pub(crate) const fn without_stream(self) -> Self {
        Self(self.0 & !(Self::HTTP_CALLS.0 - 1))
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
