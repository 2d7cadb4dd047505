//! [`ResponseFlags`]: what Envoy noticed about a response.

use core::fmt;
use core::ops::BitOr;

/// What Envoy noticed about a response or a connection: a set of flags, empty for an ordinary one.
///
/// ```
/// use proxy_filter::stream_info::{self, ResponseFlags};
///
/// fn blame() -> proxy_filter::Result<&'static str> {
///     let flags = stream_info::response().flags()?.unwrap_or_default();
///     Ok(if flags.contains(ResponseFlags::UPSTREAM_CONNECTION_FAILURE) {
///         "upstream"
///     } else {
///         "nobody"
///     })
/// }
/// let flags =
///     ResponseFlags::NO_HEALTHY_UPSTREAM | ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
/// assert_eq!(flags.to_string(), "UH,URX", "as in access logs");
/// assert!(ResponseFlags::default().is_empty());
/// ```
///
/// Source: Envoy 1.40, `CoreResponseFlag` and `%RESPONSE_FLAGS%`. [`bits`](Self::bits) also
/// contains flags that this list does not name.
#[doc(alias = "%RESPONSE_FLAGS%")]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u64);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal;)*) => {
        impl ResponseFlags {
            $($(#[$doc])* #[doc = concat!("`", $short, "` in access logs.")] pub const $name: Self = Self(1 << $bit);)*

            /// The short names of the flags in the order of their bits, as access logs print them.
            #[inline]
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$name, $short)),*].into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
            }
        }
    };
}

flags! {
    /// The host's own health check failed.
    FAILED_LOCAL_HEALTH_CHECK = 0, "LH";
    /// The cluster has no healthy host.
    NO_HEALTHY_UPSTREAM = 1, "UH";
    /// The upstream took longer than the route allows.
    UPSTREAM_REQUEST_TIMEOUT = 2, "UT";
    /// Envoy reset the stream.
    LOCAL_RESET = 3, "LR";
    /// The upstream reset the stream.
    UPSTREAM_REMOTE_RESET = 4, "UR";
    /// The upstream could not be connected to.
    UPSTREAM_CONNECTION_FAILURE = 5, "UF";
    /// The upstream closed the connection.
    UPSTREAM_CONNECTION_TERMINATION = 6, "UC";
    /// A circuit breaker of the cluster was open.
    UPSTREAM_OVERFLOW = 7, "UO";
    /// No route for the request.
    NO_ROUTE_FOUND = 8, "NR";
    /// The fault filter delayed the request.
    DELAY_INJECTED = 9, "DI";
    /// The fault filter aborted the request.
    FAULT_INJECTED = 10, "FI";
    /// The rate limit filter refused the request.
    RATE_LIMITED = 11, "RL";
    /// The external authorization service refused the request.
    UNAUTHORIZED_EXTERNAL_SERVICE = 12, "UAEX";
    /// The rate limit service failed.
    RATE_LIMIT_SERVICE_ERROR = 13, "RLSE";
    /// The client closed the connection.
    DOWNSTREAM_CONNECTION_TERMINATION = 14, "DC";
    /// The request was tried as often as the route allows.
    UPSTREAM_RETRY_LIMIT_EXCEEDED = 15, "URX";
    /// The idle timeout of the stream elapsed.
    STREAM_IDLE_TIMEOUT = 16, "SI";
    /// An `x-envoy-…` header had a bad value, and the configuration refuses such requests.
    INVALID_ENVOY_REQUEST_HEADERS = 17, "IH";
    /// The client broke the rules of HTTP.
    DOWNSTREAM_PROTOCOL_ERROR = 18, "DPE";
    /// The upstream stream lived longer than it may.
    UPSTREAM_MAX_STREAM_DURATION_REACHED = 19, "UMSDR";
    /// The cache filter sent the response.
    RESPONSE_FROM_CACHE_FILTER = 20, "RFCF";
    /// The configuration of a filter did not arrive in time.
    NO_FILTER_CONFIG_FOUND = 21, "NFCF";
    /// The connection lived longer than it may.
    DURATION_TIMEOUT = 22, "DT";
    /// The upstream broke the rules of HTTP.
    UPSTREAM_PROTOCOL_ERROR = 23, "UPE";
    /// The route's cluster does not exist.
    NO_CLUSTER_FOUND = 24, "NC";
    /// The overload manager ended the stream.
    OVERLOAD_MANAGER = 25, "OM";
    /// A name could not be resolved.
    DNS_RESOLUTION_FAILED = 26, "DF";
    /// Dropped by the cluster's `drop_overloads`.
    DROP_OVERLOAD = 27, "DO";
    /// The client reset the stream.
    DOWNSTREAM_REMOTE_RESET = 28, "DR";
    /// Dropped by `drop_overloads` of 100 percent.
    UNCONDITIONAL_DROP_OVERLOAD = 29, "UDO";
}

impl ResponseFlags {
    /// The set with these bits, Envoy's numbering.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the set, Envoy's numbering.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for ResponseFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for ResponseFlags {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ResponseFlags {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseFlags({:#x} {self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::host::stream_info::response_flags::ResponseFlags;

    #[test]
    fn flags_have_their_names_of_access_logs_and_unknown_flags_are_preserved() {
        let flags = ResponseFlags::from_bits(1 << 5 | 1 << 29 | 1 << 40);
        assert_eq!(flags.to_string(), "UF,UDO");
        assert_eq!(format!("{flags:?}"), "ResponseFlags(0x10020000020 UF,UDO)");
        assert_eq!(flags.bits() >> 40, 1);
        assert_eq!(ResponseFlags::default().to_string(), "");
        assert_eq!(ResponseFlags::from_bits(u64::MAX).names().count(), 30);
    }
}
