//! Filters of TCP connections: [`StreamContext`], the return values of its callbacks, and the data
//! of a connection.

pub(crate) mod data;
pub(crate) mod pause;
pub(crate) mod status;

pub use crate::tcp::data::{DownstreamData, StreamData, UpstreamData};
pub use crate::tcp::status::{NetworkFilterStatus, PeerType};

use crate::error::Result;
use crate::error::policy::FailurePolicy;

/// The context of one TCP connection from a client (*downstream*), and of the connection that the
/// host makes to an upstream for it.
///
/// Implement the callbacks that the filter needs, and put
/// [`#[proxy_filter::stream_context]`](macro@crate::stream_context) on the implementation. A
/// [`RootContext`](crate::RootContext) whose `type Context` is this type makes a network filter; in
/// Envoy, it is configured as `envoy.filters.network.wasm`. [`module!`](crate::module) may list
/// roots of both kinds.
///
/// The module exports these callbacks, and also `proxy_on_request_headers`. If the filter is
/// configured as an HTTP filter by mistake, requests get a 500, and a log line names the right
/// configuration.
///
/// The order of callbacks in Envoy, if `envoy.filters.network.tcp_proxy` follows the filter:
///
/// 1. `on_create`, `on_new_connection`.
/// 2. `on_downstream_data` and `on_upstream_data`, when data arrives. Each direction ends
///    separately with `end_of_stream`, and data can still arrive in the other direction (a
///    half-closed connection).
/// 3. `on_upstream_close`, as soon as the upstream has ended its direction.
/// 4. `on_downstream_close`, when both directions have ended, or at once after a reset or
///    [`Close`](NetworkFilterStatus::Close). If the upstream resets, Envoy does not call
///    `on_upstream_close`.
/// 5. `on_done`, `on_log`, `on_delete`.
///
/// [`stream_info`](crate::stream_info) describes the connection: `source()`, `destination()`,
/// `connection()`, and, when the upstream is connected, `upstream()`. A TCP connection has no
/// headers and no local reply: a filter refuses a connection by closing it.
///
/// If a callback returns an `Err`, only this connection is affected:
/// [`failure_policy`](Self::failure_policy) selects what happens to it.
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
///     fn on_downstream_data(
///         &mut self,
///         data: &mut DownstreamData,
///         end_of_stream: bool,
///     ) -> Result<NetworkFilterStatus> {
///         if self.accepted {
///             return Ok(NetworkFilterStatus::Continue);
///         }
///         if data.len() < 4 && !end_of_stream {
///             return Ok(NetworkFilterStatus::StopIteration); // buffered until the next callback
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
    /// Called when the connection begins. Its properties are not available yet.
    ///
    /// # Errors
    /// An `Err` is logged, and the failure policy applies at the connection's next callback.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "onCreate")]
    #[inline]
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when a client has connected. The upstream is not connected yet.
    ///
    /// Envoy reads nothing from the client until its `tcp_proxy` has connected to the upstream,
    /// which happens after this callback. If this callback returns
    /// [`StopIteration`](NetworkFilterStatus::StopIteration), no data arrives, and Envoy does not
    /// detect that the client disconnects. To make a connection wait, return `Continue` here and
    /// pause its data.
    #[doc(alias = "proxy_on_new_connection")]
    #[doc(alias = "onNewConnection")]
    #[inline]
    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        Ok(NetworkFilterStatus::Continue)
    }

    /// Called for data from the client, and for the end of this direction (`end_of_stream`).
    ///
    /// A chunk is what the host has read at once. Its size is unrelated to the writes of the
    /// client.
    #[doc(alias = "proxy_on_downstream_data")]
    #[doc(alias = "onDownstreamData")]
    #[inline]
    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let _ = (data, end_of_stream);
        Ok(NetworkFilterStatus::Continue)
    }

    /// Called for data from the upstream, and for the end of this direction, like
    /// [`on_downstream_data`](Self::on_downstream_data).
    #[doc(alias = "proxy_on_upstream_data")]
    #[doc(alias = "onUpstreamData")]
    #[inline]
    fn on_upstream_data(&mut self, data: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let _ = (data, end_of_stream);
        Ok(NetworkFilterStatus::Continue)
    }

    /// Called when the client's connection is closed. `peer` is the side that closed it. It is
    /// [`Local`](PeerType::Local) for the host, also if the host closes it because the upstream
    /// did.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    #[doc(alias = "proxy_on_downstream_connection_close")]
    #[doc(alias = "onDownstreamConnectionClose")]
    #[doc(alias = "on_downstream_connection_close")]
    #[inline]
    fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
        let _ = peer;
        Ok(())
    }

    /// Called when the upstream has ended its direction; it may still read. In Envoy, `peer` is
    /// always [`Unknown`](PeerType::Unknown).
    ///
    /// Envoy calls it after the [`on_upstream_data`](Self::on_upstream_data) with `end_of_stream`.
    /// It does not call it if the upstream resets the connection.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    #[doc(alias = "proxy_on_upstream_connection_close")]
    #[doc(alias = "onUpstreamConnectionClose")]
    #[doc(alias = "on_upstream_connection_close")]
    #[inline]
    fn on_upstream_close(&mut self, peer: PeerType) -> Result<()> {
        let _ = peer;
        Ok(())
    }

    /// Called by a foreign function of the host for this connection, like
    /// [`RootContext::on_foreign_function`](crate::RootContext::on_foreign_function).
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    #[inline]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// Called when the connection has ended.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    #[inline]
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when the connection has ended, to log it: [`stream_info`](crate::stream_info) can be
    /// read.
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    #[inline]
    fn on_log(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called before the context is dropped.
    #[doc(alias = "proxy_on_delete")]
    #[doc(alias = "onDelete")]
    #[inline]
    fn on_delete(&mut self) -> Result<()> {
        Ok(())
    }

    /// Selects what happens to the connection when one of its callbacks returns an `Err`. Defaults
    /// to
    /// [`FailurePolicy::Closed`]: the connection is closed.
    #[inline]
    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Closed
    }
}
