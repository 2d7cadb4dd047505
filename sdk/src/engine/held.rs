//! The paused parts of a stream.

/// A part of a stream that a callback can pause and a completion can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    DownstreamData,
}

impl Part {
    /// Returns whether it is a part of the request, or data from the client of a connection.
    #[inline]
    pub(crate) const fn is_request(self) -> bool {
        !matches!(self, Self::ResponseHeaders | Self::ResponseBody | Self::ResponseTrailers)
    }

    /// The parts of one message, apart from each other.
    #[inline]
    pub(crate) const fn held(self) -> Held {
        match self {
            Self::RequestHeaders | Self::ResponseHeaders => Held::HEADERS,
            Self::RequestBody | Self::ResponseBody | Self::DownstreamData => Held::BODY,
            Self::RequestTrailers | Self::ResponseTrailers => Held::TRAILERS,
        }
    }
}

/// The paused parts of a message: a callback paused them, and they were not resumed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held(u32);

impl Held {
    pub(crate) const NOTHING: Self = Self(0);
    pub(crate) const HEADERS: Self = Self(1);
    pub(crate) const BODY: Self = Self(1 << 1);
    pub(crate) const TRAILERS: Self = Self(1 << 2);

    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline]
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
