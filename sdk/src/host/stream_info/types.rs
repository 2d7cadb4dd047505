//! The types of attributes that have no type in the standard library.

use crate::fields::header_value::HeaderValue;
use core::net::{IpAddr, SocketAddr};

/// The address of one end of a connection.
///
/// ```
/// use proxy_filter::stream_info::{self, Address};
///
/// fn is_local() -> proxy_filter::Result<bool> {
///     Ok(stream_info::source()
///         .address()?
///         .and_then(|address| address.ip())
///         .is_some_and(|ip| ip.is_loopback()))
/// }
/// assert_eq!(Address::from("[::1]:80").socket_addr(), Some("[::1]:80".parse()?));
/// assert_eq!(Address::from("/run/a.sock"), Address::Other("/run/a.sock".into()));
/// # Ok::<(), proxy_filter::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address with a port.
    Ip(SocketAddr),
    /// Anything else as the host writes it: the path of a Unix domain socket (`@` first for an
    /// abstract one), or Envoy's `envoy://…` for an internal listener.
    Other(HeaderValue),
}

impl Address {
    #[inline]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        match core::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()) {
            Some(address) => Self::Ip(address),
            None => Self::Other(bytes.into()),
        }
    }

    /// The address and port, unless it is no IP address.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Other(_) => None,
        }
    }

    /// The address without the port, unless it is no IP address.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Other(_) => None,
        }
    }
}

impl From<&str> for Address {
    #[inline]
    fn from(text: &str) -> Self {
        Self::from_bytes(text.into())
    }
}

/// The version of HTTP a client speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    Http11,
    /// `HTTP/2`
    Http2,
    /// `HTTP/3`
    Http3,
    /// Another one, as the host writes it.
    Other(HeaderValue),
}

impl Protocol {
    #[inline]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        match bytes.as_slice() {
            b"HTTP/1.0" => Self::Http10,
            b"HTTP/1.1" => Self::Http11,
            b"HTTP/2" => Self::Http2,
            b"HTTP/3" => Self::Http3,
            _ => Self::Other(bytes.into()),
        }
    }
}

/// The direction of a listener's traffic, from its configuration (`traffic_direction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// Not configured.
    Unspecified,
    /// To the workload beside the proxy.
    Inbound,
    /// From the workload beside the proxy.
    Outbound,
}

impl Direction {
    pub(super) const fn from_raw(raw: i64) -> Option<Self> {
        Some(match raw {
            0 => Self::Unspecified,
            1 => Self::Inbound,
            2 => Self::Outbound,
            _ => return None,
        })
    }
}

/// The location of a host, from its cluster's configuration. Parts that are not configured are
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Locality {
    /// For example `europe-west1`.
    pub region: HeaderValue,
    /// For example `europe-west1-b`.
    pub zone: HeaderValue,
    /// For example a rack.
    pub sub_zone: HeaderValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_parsed_and_others_are_preserved() {
        for text in ["127.0.0.1:0", "255.255.255.255:65535", "[::1]:80", "[2001:db8::1]:443", "[fe80::1%2]:1"] {
            assert_eq!(Address::from(text).socket_addr(), Some(text.parse().unwrap()), "{text}");
        }
        for text in ["", "/run/a.sock", "@abstract", "envoy://internal/", "127.0.0.1", "[::1]", "1.2.3.4:65536"] {
            assert_eq!(Address::from(text), Address::Other(text.into()));
        }
        assert_eq!(Address::from_bytes(vec![0xff]), Address::Other(HeaderValue::from(vec![0xff])));
        assert_eq!(Address::from("[::1]:80").ip(), Some("::1".parse().unwrap()));
    }

    #[test]
    fn an_unknown_protocol_is_preserved() {
        assert_eq!(Protocol::from_bytes(b"HTTP/2".to_vec()), Protocol::Http2);
        assert_eq!(Protocol::from_bytes(b"HTTP/4".to_vec()), Protocol::Other("HTTP/4".into()));
    }
}
