//! Several streams wait for the same: one of them starts it, and any of them may end first.

use futures::future::{Either, FutureExt as _, LocalBoxFuture, Shared, select};
use proxy_filter::grpc::{GrpcBytes, GrpcCall, GrpcStream};
use proxy_filter::prelude::*;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

type Flight = Shared<LocalBoxFuture<'static, Result<u32, ()>>>;

#[derive(serde::Deserialize)]
struct Config {
    /// The streams of all root contexts share it.
    beyond_roots: bool,
    #[serde(skip)]
    flight: RefCell<Option<Flight>>,
}

thread_local! {
    static BEYOND_ROOTS: RefCell<Option<Flight>> = const { RefCell::new(None) };
}

/// What the path says.
async fn start(kind: String) -> Result<u32, ()> {
    match kind.as_str() {
        "/timer" => Timer::after(Duration::from_millis(200)).await.map(|()| 1).map_err(drop),
        "/http" => HttpCall::get("service", "/").await.map(|answer| answer.status().into()).map_err(drop),
        "/grpc" => GrpcCall::<GrpcBytes>::new("grpc", "p.S", "M", &GrpcBytes::default()).await.map(|_| 2).map_err(drop),
        "/talk" => {
            let talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "p.S", "Talk").connect();
            let mut talk = talk.map_err(drop)?;
            talk.send(&GrpcBytes::default()).map_err(drop)?;
            talk.next().await.and_then(Result::ok).map(|_| 3).ok_or(())
        }
        "/queue" => {
            let queue = SharedQueue::register("flight").map_err(drop)?;
            queue.receive().await.map(|_| 4).map_err(drop)
        }
        _ => Err(()),
    }
}

/// The flight, which is started if there is none.
fn flight(config: &Config, kind: &str) -> Flight {
    let start = || start(kind.to_owned()).boxed_local().shared();
    if config.beyond_roots {
        BEYOND_ROOTS.with_borrow_mut(|flight| flight.get_or_insert_with(start).clone())
    } else {
        config.flight.borrow_mut().get_or_insert_with(start).clone()
    }
}

fn land(config: &Config) {
    let landed = (config.flight.take(), BEYOND_ROOTS.take());
    drop(landed);
}

#[proxy_filter::filter]
async fn shared_futures(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default().to_string();
    if path == "/enqueue" {
        SharedQueue::register("flight")?.enqueue("item")?;
        return Ok(());
    }
    if let Some(kind) = path.strip_suffix("/first") {
        // The first to poll it, and gone before it is complete.
        let waits = select(flight(&config, kind), Timer::after(Duration::from_millis(50)).into_future());
        let _ = select(pin!(exchange.response_headers()), waits).await;
        return Ok(());
    }
    if let Some(kind) = path.strip_suffix("/beside") {
        let got = match select(pin!(exchange.response_headers()), flight(&config, kind)).await {
            Either::Left(_) => "the response came first".to_owned(),
            Either::Right((got, _)) => got.map_or_else(|()| "nothing".to_owned(), |got| got.to_string()),
        };
        return exchange.response_headers().await?.add("x-got", got);
    }
    let mut got = flight(&config, &path).await;
    land(&config);
    if got.is_err() {
        // What was started for a root context that is gone.
        request.replace("x-again", "1")?;
        got = flight(&config, &path).await;
        land(&config);
    }
    request.replace("x-got", got.map_or_else(|()| "nothing".to_owned(), |got| got.to_string()))
}
