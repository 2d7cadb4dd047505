//! The callbacks of a connection: its beginning, the data of both directions, and its ends.

use super::failure::{CONTINUE, Raw, Refusal, Refuse, STOP};
use super::held::Held;
use super::stream::has;
use super::{CallbackSet, Http, NewContext, Runtime, wrong_kind};
use crate::abi::StreamType;
use crate::denial::{Denial, close};
use crate::error::{Denied, Result};
use crate::runtime::Callback;
use crate::tcp::{DownstreamData, NetworkFilterStatus, PeerType, StreamContext, UpstreamData};

/// A connection is refused by closing it.
#[derive(Clone, Copy)]
pub(super) struct Close;

impl Refuse for Close {
    const GOES_ON: &'static str = "; the connection goes on";
    const CLOSED: &'static str = "; the connection is closed";
    const STREAM: StreamType = StreamType::DOWNSTREAM;

    #[inline]
    fn replies(self) -> bool {
        false
    }

    #[inline]
    fn deny(_: Callback, _: u32, _: Denial) {
        close(Self::STREAM);
    }

    #[inline]
    fn deny_with(_: Callback, _: u32, _: &mut dyn Denied) {
        close(Self::STREAM);
    }
}

impl<R: NewContext> Runtime<R>
where
    R::Context: StreamContext,
{
    /// `proxy_on_new_connection`.
    #[inline]
    pub fn on_new_connection(&self, context_id: u32) -> u32 {
        self.flow(Callback::NEW_CONNECTION, context_id, StreamContext::on_new_connection)
    }

    /// `proxy_on_downstream_data`.
    #[inline]
    pub fn on_downstream_data(&self, context_id: u32, data_size: u32, end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Callback::DOWNSTREAM_DATA, context_id, stream, Close, |context| {
            let mut data = DownstreamData::new(data_size as usize);
            let status = context.on_downstream_data(&mut data, end_of_stream != 0);
            let status = status.inspect_err(|_| stream.request.let_go())?;
            if has::<R::Context>(CallbackSet::COMPLETIONS) {
                let side = &stream.request;
                let holds = status == NetworkFilterStatus::StopIteration;
                side.hold(if holds { Held::BODY } else { Held::NOTHING });
                side.buffered.set(if holds { data.len() } else { 0 });
            }
            Ok(status.into_raw())
        })
    }

    /// `proxy_on_upstream_data`.
    #[inline]
    pub fn on_upstream_data(&self, context_id: u32, data_size: u32, end_of_stream: u32) -> u32 {
        self.flow(Callback::UPSTREAM_DATA, context_id, |context| {
            context.on_upstream_data(&mut UpstreamData::new(data_size as usize), end_of_stream != 0)
        })
    }

    /// `proxy_on_downstream_connection_close`.
    #[inline]
    pub fn on_downstream_connection_close(&self, context_id: u32, peer: u32) {
        self.observe(Callback::DOWNSTREAM_CLOSE, context_id, |context| {
            context.on_downstream_close(PeerType::from_raw(peer))
        });
    }

    /// `proxy_on_upstream_connection_close`.
    #[inline]
    pub fn on_upstream_connection_close(&self, context_id: u32, peer: u32) {
        self.observe(Callback::UPSTREAM_CLOSE, context_id, |context| {
            context.on_upstream_close(PeerType::from_raw(peer))
        });
    }

    /// `proxy_on_request_headers` of a module whose filters are all of connections: a request that
    /// passed would pass without the filter.
    #[inline]
    pub fn refuse_request(&self, context_id: u32, _number_of_headers: u32, _end_of_stream: u32) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(Callback::REQUEST_HEADERS, context_id, stream, Refusal::Reply, |_| Err(wrong_kind::<Http>()))
    }

    /// Runs a callback that decides how the connection goes on.
    #[inline]
    fn flow(
        &self,
        callback: Callback,
        context_id: u32,
        body: impl FnOnce(&mut R::Context) -> Result<NetworkFilterStatus>,
    ) -> u32 {
        let Some(stream) = self.stream(context_id) else { return CONTINUE };
        self.run(callback, context_id, stream, Close, |context| body(context).map(NetworkFilterStatus::into_raw))
    }
}

impl NetworkFilterStatus {
    /// What is to be told the host.
    #[inline]
    pub(super) const fn into_raw(self) -> Raw {
        match self {
            Self::Continue => Ok(CONTINUE),
            Self::StopIteration => Ok(STOP),
            Self::Close => Err(Denial::Close),
        }
    }
}
