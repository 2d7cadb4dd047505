//! Plugins that are made ready by a timer, a tick, a call, and by each other.

use proxy_filter::prelude::*;
use proxy_filter::timer::{Interval, Timer};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// What a plugin is configured with.
#[derive(serde::Deserialize)]
struct Config {
    /// What it waits for: `timer`, `ticks`, `call`, `limit`, `other`, or nothing.
    #[serde(default)]
    waits: String,
}

thread_local! {
    /// The plugins that wait for another one of the module, and whether one has been made ready.
    static OTHERS: RefCell<(Vec<Waker>, bool)> = const { RefCell::new((Vec::new(), false)) };
}

async fn prepare(config: Rc<Config>) -> Result<()> {
    let pause = Duration::from_millis(30);
    match config.waits.as_str() {
        "timer" => Timer::after(pause).await?,
        "ticks" => {
            let mut ticks = Interval::new(pause).ticks()?;
            for _ in 0..3 {
                ticks.tick().await?;
            }
        }
        "call" => {
            HttpCall::get("service", "/").await?;
        }
        // The call has no response in time: the timer is what wakes.
        "limit" => {
            let call = HttpCall::get("slow", "/").timeout(Duration::from_secs(60)).into_future();
            if proxy_filter::timer::timeout(pause, call).await.is_ok() {
                return Err(Error::other("the slow service was quick"));
            }
        }
        "other" => {
            poll_fn(|context| {
                OTHERS.with_borrow_mut(|(wakers, ready)| {
                    if *ready {
                        return Poll::Ready(());
                    }
                    wakers.push(context.waker().clone());
                    Poll::Pending
                })
            })
            .await;
        }
        _ => {}
    }
    if config.waits != "other" {
        let wakers = OTHERS.with_borrow_mut(|(wakers, ready)| {
            *ready = true;
            std::mem::take(wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
    Ok(())
}

async fn stamp(mut exchange: Exchange<Config>, name: &str) -> Result<()> {
    let config = exchange.config();
    exchange.request_headers().await?.replace(name, &config.waits)
}

#[proxy_filter::filter(root_id = "first", configure = prepare)]
async fn first(exchange: Exchange<Config>) -> Result<()> {
    stamp(exchange, "x-first").await
}

#[proxy_filter::filter(root_id = "second", configure = prepare)]
async fn second(exchange: Exchange<Config>) -> Result<()> {
    stamp(exchange, "x-second").await
}

#[proxy_filter::filter(root_id = "third", configure = prepare)]
async fn third(exchange: Exchange<Config>) -> Result<()> {
    stamp(exchange, "x-third").await
}

proxy_filter::module!(First, Second, Third);
