//! Streams that wake the root task when they are over.

use proxy_filter::prelude::*;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What streams and root task share.
#[derive(Default, serde::Deserialize)]
struct Shared {
    #[serde(skip)]
    over: Cell<u32>,
    #[serde(skip)]
    waker: Cell<Option<Waker>>,
}

/// Counts on drop.
struct Counted(Rc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.over.set(self.0.over.get() + 1);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

async fn count(shared: Rc<Shared>) -> Result<()> {
    let mut said = 0;
    poll_fn(|context| {
        let over = shared.over.get();
        if over != said {
            said = over;
            log::info!("streams that are over: {over}");
        }
        shared.waker.set(Some(context.waker().clone()));
        Poll::<Result<()>>::Pending
    })
    .await
}

#[proxy_filter::filter(root_task = count)]
async fn woken(mut exchange: Exchange<Shared>) -> Result<()> {
    let _counted = Counted(exchange.config());
    exchange.request_headers().await?;
    HttpCall::get("service", "/").await?;
    Ok(())
}
