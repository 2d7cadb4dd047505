//! TCP connections: [`StreamContext`], what its callbacks return, and the data they are handed.

pub(crate) mod data;
pub(crate) mod pause;
pub(crate) mod status;

pub(crate) use crate::tcp::status::{NetworkFilterStatus, PeerType};
pub(crate) use data::{DownstreamData, UpstreamData};

use crate::error::Result;
use crate::error::policy::FailurePolicy;

/// The context of one TCP connection: the client's (*downstream*), and the one the host makes to an upstream for it.
///
/// Implement the callbacks you need and put [`#[proxy_filter::stream_context]`](macro@crate::stream_context) on the implementation. The module then
/// exports those, and `proxy_on_request_headers`: if the filter is configured as an HTTP filter by mistake, requests get a 500 and
/// a log line says where the filter belongs. A [`RootContext`](crate::RootContext) whose `type Context` is such a type makes a network filter, in Envoy
/// `envoy.filters.network.wasm`. [`module!`](crate::module) may list roots of both kinds.
///
/// Order in Envoy, with `envoy.filters.network.tcp_proxy` behind the filter:
///
/// 1. `on_create`, `on_new_connection`;
/// 2. `on_downstream_data` and `on_upstream_data`, as data comes. Each direction ends by itself, with `end_of_stream`, while the other may
///    go on: connections close by halves;
/// 3. `on_upstream_close`, as soon as the upstream has ended its direction;
/// 4. `on_downstream_close`, when both directions have ended, or at once after a reset or [`Close`](NetworkFilterStatus::Close). An upstream that
///    resets is not told by `on_upstream_close`;
/// 5. `on_done`, `on_log`, `on_delete`.
///
/// What is known about the connection is in [`stream_info`](crate::stream_info): `source()`, `destination()`, `connection()`, and, once there is
/// one, `upstream()`. There are no headers, and no local reply: a filter refuses a connection by closing it.
///
/// A callback that returns an `Err` harms this connection only, as [`failure_policy`](Self::failure_policy) says.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// #[derive(Default)]
/// struct Root;
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Guard;
///
///     fn new_context(&self) -> Guard {
///         Guard { accepted: false }
///     }
/// }
///
/// /// Closes the connections of clients that do not begin with `SSH-`.
/// struct Guard {
///     accepted: bool,
/// }
///
/// #[proxy_filter::stream_context]
/// impl StreamContext for Guard {
///     fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
///         if self.accepted {
///             return Ok(NetworkFilterStatus::Continue);
///         }
///         if data.len() < 4 && !end_of_stream {
///             return Ok(NetworkFilterStatus::StopIteration); // the host keeps it, and shows it again with what comes next
///         }
///         if data.bytes(0, 4)? != b"SSH-" {
///             return Ok(NetworkFilterStatus::Close);
///         }
///         self.accepted = true;
///         Ok(NetworkFilterStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// Source: ABI 0.2.1, "TCP streams"; Envoy 1.40.
pub trait StreamContext: Sized + 'static {
    /// The connection exists. Nothing of it can be read yet.
    ///
    /// # Errors
    /// An `Err` is logged, and the failure policy applies at the connection's next callback.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "onCreate")]
    #[inline]
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    /// A client has connected. The upstream is not connected yet.
    ///
    /// Envoy reads nothing from the client until its `tcp_proxy` has a connection to the upstream, which it makes after this callback. So after
    /// [`StopIteration`](NetworkFilterStatus::StopIteration) here no data comes, and not even the client's end is noticed: to hold a connection, stop
    /// its data.
    #[doc(alias = "proxy_on_new_connection")]
    #[doc(alias = "onNewConnection")]
    #[inline]
    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        Ok(NetworkFilterStatus::Continue)
    }

    /// Data from the client is here, or its end. `end_of_stream`: no more will come in this direction.
    ///
    /// Pieces are what the host has read at once: they have nothing to do with what the client has written at once.
    #[doc(alias = "proxy_on_downstream_data")]
    #[doc(alias = "onDownstreamData")]
    #[inline]
    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let _ = (data, end_of_stream);
        Ok(NetworkFilterStatus::Continue)
    }

    /// Data from the upstream is here, or its end. As [`on_downstream_data`](Self::on_downstream_data).
    #[doc(alias = "proxy_on_upstream_data")]
    #[doc(alias = "onUpstreamData")]
    #[inline]
    fn on_upstream_data(&mut self, data: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let _ = (data, end_of_stream);
        Ok(NetworkFilterStatus::Continue)
    }

    /// The connection of the client is closed. `peer` says who closed it: [`Local`](PeerType::Local) is the host, also when it only follows the
    /// upstream.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    #[doc(alias = "proxy_on_downstream_connection_close")]
    #[doc(alias = "onDownstreamConnectionClose")]
    #[doc(alias = "on_downstream_connection_close")]
    #[inline]
    fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
        let _ = peer;
        Ok(())
    }

    /// The upstream has ended its direction; it may still read. `peer` is always [`Unknown`](PeerType::Unknown) in Envoy.
    ///
    /// Envoy calls it after the [`on_upstream_data`](Self::on_upstream_data) that has `end_of_stream`, and not for an upstream that resets.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    #[doc(alias = "proxy_on_upstream_connection_close")]
    #[doc(alias = "onUpstreamConnectionClose")]
    #[doc(alias = "on_upstream_connection_close")]
    #[inline]
    fn on_upstream_close(&mut self, peer: PeerType) -> Result<()> {
        let _ = peer;
        Ok(())
    }

    /// A foreign function of the host calls back for this connection. As [`RootContext::on_foreign_function`](crate::RootContext::on_foreign_function).
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    #[inline]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// The connection is over.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    #[inline]
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    /// The connection is over, and what is known about it can be read from [`stream_info`](crate::stream_info).
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    #[inline]
    fn on_log(&mut self) -> Result<()> {
        Ok(())
    }

    /// The context is about to be dropped.
    #[doc(alias = "proxy_on_delete")]
    #[doc(alias = "onDelete")]
    #[inline]
    fn on_delete(&mut self) -> Result<()> {
        Ok(())
    }

    /// What happens to the connection when one of its callbacks returns an `Err`: it is closed, unless the filter says otherwise.
    #[inline]
    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Closed
    }
}
