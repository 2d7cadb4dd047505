//! [`NetworkFilterStatus`], the return value of the callbacks of a connection, and [`PeerType`].

use crate::error::denial::{Denial, Raw};

/// What the host does after `on_new_connection`, `on_downstream_data` or `on_upstream_data`.
///
/// | value | Envoy |
/// |---|---|
/// | [`Continue`](Self::Continue) | forwards the data as the filter has edited it, everything that was buffered before, and the end of the direction |
/// | [`StopIteration`](Self::StopIteration) | buffers the data; the next callback of this direction sees the buffered and the new data |
/// | [`Close`](Self::Close) | closes the connection on both sides; drops the data of this callback and the buffered data. Data that was forwarded earlier is sent |
///
/// The next `Continue` of the same direction forwards the buffered data. In two cases there is no
/// next callback:
///
/// - Data that is paused in the callback with `end_of_stream` is never sent. Data from the client
///   is the exception, if it is paused with [`pause_for`](crate::tcp::DownstreamData::pause_for):
///   Envoy cannot resume the upstream's direction. A connection of which both ends are paused stays
///   open until the idle timeout of `tcp_proxy`.
/// - If a filter buffers more than `per_connection_buffer_limit_bytes` (default 1 MiB) of a
///   direction, Envoy stops reading: neither more data nor the end arrives. A filter that waits for
///   more data therefore needs a limit: close the connection or return `Continue` when
///   [`len`](crate::tcp::StreamData::len) exceeds it.
///
/// Source: ABI 0.2.1, `proxy_on_downstream_data`; Envoy 1.40, `Network::FilterStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "FilterStatus")]
#[must_use = "a status does nothing unless the callback returns it"]
pub enum NetworkFilterStatus {
    /// Forwards everything.
    Continue,
    /// Buffers the data.
    StopIteration,
    /// Closes the connection.
    #[doc(alias = "proxy_close_stream")]
    #[doc(alias = "closeDownstream")]
    #[doc(alias = "close_downstream")]
    Close,
}

impl NetworkFilterStatus {
    /// Buffers the data until a later callback of the same direction returns `Continue`.
    #[allow(non_upper_case_globals, reason = "it is used beside the variant `Continue`")]
    pub const Pause: Self = Self::StopIteration;

    /// Returns the value for the host.
    #[inline]
    pub(crate) const fn into_raw(self) -> Raw {
        match self {
            Self::Continue => Ok(0),
            Self::StopIteration => Ok(1),
            Self::Close => Err(Denial::Close),
        }
    }
}

/// The side that closed a connection.
///
/// Source: ABI 0.2.1, `proxy_peer_type_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "CloseType")]
pub enum PeerType {
    /// The host does not report which.
    Unknown,
    /// The host.
    Local,
    /// The peer.
    Remote,
}

impl PeerType {
    pub(crate) const fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Local,
            2 => Self::Remote,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::status::PeerType;
    use crate::tcp::status::PeerType::{Local, Remote, Unknown};

    #[test]
    fn an_unspecified_peer_is_unknown() {
        let peers = [0, 1, 2, 3, u32::MAX].map(PeerType::from_raw);
        assert_eq!(peers, [Unknown, Local, Remote, Unknown, Unknown]);
    }
}
