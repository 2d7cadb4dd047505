//! A stream that waits for another one, which wakes it from a callback of its own.

use futures::channel::oneshot;
use futures::future::{Either, select};
use proxy_filter::prelude::*;
use std::cell::Cell;
use std::pin::pin;

thread_local! {
    static WAITS: Cell<Option<oneshot::Sender<()>>> = const { Cell::new(None) };
}

/// `/waits` waits for its response and for `/wakes`. The response says which came first.
pub(super) async fn run<C>(mut exchange: Exchange<C>) -> Result<()> {
    let path = exchange.request_headers().await?.path()?.unwrap_or_default();
    if path == "/wakes" {
        if let Some(waits) = WAITS.take() {
            let _ = waits.send(());
        }
        return Ok(());
    }
    let (sender, receiver) = oneshot::channel();
    WAITS.set(Some(sender));
    let when = match select(pin!(exchange.response_headers()), receiver).await {
        Either::Left(_) => "with the response",
        Either::Right(_) => "before the response",
    };
    exchange.response_headers().await?.add("x-ran", when)
}
