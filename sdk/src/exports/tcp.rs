//! Callbacks of connections: their beginning, the data of both directions, and their ends.

use crate::abi::log_level::LogLevel;
use crate::current::Callback;
use crate::dispatch::contexts::Contexts;
use crate::dispatch::failure::{CONTINUE, Close, Refusal};
use crate::dispatch::run;
use crate::dispatch::uses::has;
use crate::engine::callbacks::CallbackSet;
use crate::engine::life::{Http, wrong_kind};
use crate::engine::message_state::Facts;
use crate::error::Result;
use crate::log;
use crate::plugin::registration::NewContext;
use crate::tcp::StreamContext;
use crate::tcp::data::{DownstreamData, UpstreamData};
use crate::tcp::status::{NetworkFilterStatus, PeerType};
use std::cell::Cell;

/// `proxy_on_new_connection`.
#[inline]
pub fn on_new_connection<R: NewContext>(contexts: &Contexts<R>, context_id: u32) -> u32
where
    R::Context: StreamContext,
{
    flow(contexts, Callback::NEW_CONNECTION, context_id, StreamContext::on_new_connection)
}

/// `proxy_on_downstream_data`.
#[inline]
pub fn on_downstream_data<R: NewContext>(
    contexts: &Contexts<R>,
    context_id: u32,
    data_size: u32,
    end_of_stream: u32,
) -> u32
where
    R::Context: StreamContext,
{
    let Some(stream) = contexts.stream(context_id) else { return CONTINUE };
    run::decide(contexts, Callback::DOWNSTREAM_DATA, context_id, stream, Close, |context| {
        let mut data = DownstreamData::new(data_size as usize);
        let status = context.on_downstream_data(&mut data, end_of_stream != 0);
        let status = status.inspect_err(|_| stream.messages.request.forward())?;
        if has::<R::Context>(CallbackSet::COMPLETIONS) {
            let pauses = status == NetworkFilterStatus::StopIteration;
            stream.messages.request.pause(Facts::BODY.given(pauses));
            stream.messages.request.size.set(if pauses { data.len() } else { 0 });
        }
        Ok(status.into_raw())
    })
}

/// `proxy_on_upstream_data`.
#[inline]
pub fn on_upstream_data<R: NewContext>(
    contexts: &Contexts<R>,
    context_id: u32,
    data_size: u32,
    end_of_stream: u32,
) -> u32
where
    R::Context: StreamContext,
{
    flow(contexts, Callback::UPSTREAM_DATA, context_id, |context| {
        context.on_upstream_data(&mut UpstreamData::new(data_size as usize), end_of_stream != 0)
    })
}

/// `proxy_on_downstream_connection_close`.
#[inline]
pub fn on_downstream_connection_close<R: NewContext>(contexts: &Contexts<R>, context_id: u32, peer: u32)
where
    R::Context: StreamContext,
{
    run::notify(contexts, Callback::DOWNSTREAM_CLOSE, context_id, |context| {
        context.on_downstream_close(PeerType::from_raw(peer))
    });
}

/// `proxy_on_upstream_connection_close`.
#[inline]
pub fn on_upstream_connection_close<R: NewContext>(contexts: &Contexts<R>, context_id: u32, peer: u32)
where
    R::Context: StreamContext,
{
    run::notify(contexts, Callback::UPSTREAM_CLOSE, context_id, |context| {
        context.on_upstream_close(PeerType::from_raw(peer))
    });
}

/// `proxy_on_request_headers` of a module that has only filters of connections. It denies the
/// request, which would otherwise be forwarded without the filter.
#[inline]
pub fn refuse_request<R: NewContext>(
    contexts: &Contexts<R>,
    context_id: u32,
    _number_of_headers: u32,
    _end_of_stream: u32,
) -> u32
where
    R::Context: StreamContext,
{
    let Some(stream) = contexts.stream(context_id) else { return CONTINUE };
    run::decide(contexts, Callback::REQUEST_HEADERS, context_id, stream, Refusal::Reply, |_| Err(wrong_kind::<Http>()))
}

/// `FilterStatus::StopIteration` of Envoy.
const PAUSE: u32 = 1;

/// `proxy_on_new_connection` and `proxy_on_downstream_data` of a module that has only filters of
/// requests. The connection, which would otherwise be forwarded without the filter, stays paused.
///
/// Each module contains this function, so it neither formats nor allocates.
#[cold]
#[inline(never)]
pub fn refuse_connection() -> u32 {
    thread_local! {
        static LOGGED: Cell<bool> = const { Cell::new(false) };
    }
    if !LOGGED.replace(true) {
        log::write(LogLevel::Error, b"filters HTTP, not TCP: list it in http_filters");
    }
    PAUSE
}

/// Runs a callback that decides about the connection.
#[inline]
fn flow<R: NewContext>(
    contexts: &Contexts<R>,
    callback: Callback,
    context_id: u32,
    body: impl FnOnce(&mut R::Context) -> Result<NetworkFilterStatus>,
) -> u32
where
    R::Context: StreamContext,
{
    let Some(stream) = contexts.stream(context_id) else { return CONTINUE };
    run::decide(contexts, callback, context_id, stream, Close, |context| {
        body(context).map(NetworkFilterStatus::into_raw)
    })
}
