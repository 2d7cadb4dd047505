//! What a callback of a connection returns, and who closed it.

use crate::error::denial::{Denial, Raw};

/// What the host does after `on_new_connection`, `on_downstream_data` or `on_upstream_data`.
///
/// | value | Envoy |
/// |---|---|
/// | [`Continue`](Self::Continue) | the data, as the filter leaves it, and all that was held before it goes on, and so does the end of the direction |
/// | [`StopIteration`](Self::StopIteration) | the data is held; the next callback of this direction sees all of it, with what has come since |
/// | [`Close`](Self::Close) | the connection is closed at both sides; the data of this callback, and what is held, is dropped, and what went on before is sent |
///
/// What is held is released by the next `Continue` of the same direction. There may be none:
///
/// - Data that is stopped in the callback with `end_of_stream` is never sent, unless it comes from the client and is held with
///   [`pause_for`](crate::DownstreamData::pause_for). Envoy cannot continue the direction from the upstream. A connection whose ends are both
///   stopped stays open until `tcp_proxy`'s idle timeout.
/// - Envoy stops reading when a filter holds more than `per_connection_buffer_limit_bytes` (1 MiB unless configured) of a direction: nothing more
///   comes, not even the end. So a filter that waits for something says how long: it closes, or continues, when
///   [`len`](crate::StreamData::len) is more than it wants to keep.
///
/// Source: ABI 0.2.1, `proxy_on_downstream_data`; Envoy 1.40, `Network::FilterStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "FilterStatus")]
#[must_use = "a status does nothing unless the callback returns it"]
pub enum NetworkFilterStatus {
    /// Everything goes on.
    Continue,
    /// The data is held.
    StopIteration,
    /// The connection is closed.
    #[doc(alias = "proxy_close_stream")]
    #[doc(alias = "closeDownstream")]
    #[doc(alias = "close_downstream")]
    Close,
}

impl NetworkFilterStatus {
    /// Holds the data until a later callback of the same direction returns `Continue`.
    pub const PAUSE: Self = Self::StopIteration;

    /// What the host is told.
    #[inline]
    pub(crate) const fn into_raw(self) -> Raw {
        match self {
            Self::Continue => Ok(0),
            Self::StopIteration => Ok(1),
            Self::Close => Err(Denial::Close),
        }
    }
}

/// Who closed a connection.
///
/// Source: ABI 0.2.1, `proxy_peer_type_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "CloseType")]
pub enum PeerType {
    /// The host does not say.
    Unknown,
    /// The host.
    Local,
    /// The other side.
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
    fn a_peer_that_no_specification_knows_is_unknown() {
        let peers = [0, 1, 2, 3, u32::MAX].map(PeerType::from_raw);
        assert_eq!(peers, [Unknown, Local, Remote, Unknown, Unknown]);
    }
}
