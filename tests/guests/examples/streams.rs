//! Streams and combinators of the crate `futures`, as they are. What the filter does is what the
//! path of the request says.

use futures::future::{Either, join, join_all, select};
use futures::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use proxy_filter::prelude::*;
use proxy_filter::{
    grpc::{GrpcBytes, GrpcStream},
    timer::Interval,
};
use std::rc::Rc;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

async fn ask(path: impl Into<Vec<u8>>) -> Result<String> {
    let answer = HttpCall::post("service", "/").body(path).timeout(ms(900)).await?;
    Ok(escaped(&answer.body()?).to_string())
}

/// Two queues at once, in a root task.
async fn events(_config: Rc<()>) -> Result<()> {
    let [first, second] = [SharedQueue::register("first")?, SharedQueue::register("second")?];
    let mut both = stream::select(first.items(), second.items());
    while let Some(item) = both.next().await {
        log::info!("item {}", escaped(&item?));
    }
    Ok(())
}

/// The filter.
#[proxy_filter::filter(root_task = events)]
async fn streams(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default();
    let answer = match path.to_str()? {
        "/ticks" => {
            let ticks = Interval::new(ms(40)).ticks()?.take(3).try_fold(0, async |sum, ()| Ok(sum + 1));
            ticks.await?.to_string()
        }
        "/merged" => {
            // The ticks stop when the service has said all it will.
            let mut talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
            talk.send(&GrpcBytes(b"go".to_vec()))?;
            talk.close()?;
            let words = talk.by_ref().map_ok(|word| escaped(&word.0).to_string()).map_err(Error::from);
            let ticks = Interval::new(ms(400)).ticks()?.map_ok(|()| "tick".to_owned()).take(1);
            stream::select(words, ticks).try_collect::<Vec<_>>().await?.join(" ")
        }
        "/selected" => {
            let mut ticks = Interval::new(ms(500)).ticks()?;
            match select(ticks.next(), Box::pin(ask("quick"))).await {
                Either::Left(_) => "tick".to_owned(),
                Either::Right((answer, _)) => answer?,
            }
        }
        "/unordered" => {
            let calls: FuturesUnordered<_> = ["300", "100", "200"].into_iter().map(ask).collect();
            calls.try_collect::<Vec<_>>().await?.join(" ")
        }
        "/many" => {
            // `join_all` of so many polls those that were woken only.
            let answers = join_all((0..60).map(|number| ask(number.to_string()))).await;
            answers.into_iter().collect::<Result<Vec<_>>>()?.len().to_string()
        }
        "/body" => {
            let (body, answer) = join(exchange.request_body(100), ask("20")).await;
            log::info!("{} {}", body?.len(), answer?);
            return Ok(());
        }
        "/chunks" => {
            let tell = async |piece: Vec<u8>| ask(piece).await;
            let told = exchange.request_chunks().map_ok(tell).try_buffered(2).try_collect::<Vec<_>>();
            log::info!("{}", told.await?.join(" "));
            return Ok(());
        }
        "/some" => {
            let first = exchange.request_chunks().try_next().await?.unwrap_or_default();
            Timer::after(ms(120)).await?;
            let second = exchange.request_chunk().await?.map(|chunk| chunk.to_bytes()).transpose()?.unwrap_or_default();
            let rest = exchange.request_chunks().try_concat().await?;
            log::info!("{}{}{}", escaped(&first), escaped(&second), escaped(&rest));
            return Ok(());
        }
        "/response" => {
            let pieces = exchange.response_chunks().map_ok(|piece| piece.len()).try_collect::<Vec<_>>().await?;
            log::info!("{} bytes", pieces.iter().sum::<usize>());
            return Ok(());
        }
        "/both" => {
            let (a, b) = join(ask("a"), ask("b")).await;
            [a?, b?].join(" ")
        }
        path => {
            if let Some((queue, item)) = path.trim_start_matches('/').split_once('/') {
                SharedQueue::resolve("", queue)?.ok_or("no queue")?.enqueue(item)?;
            }
            String::new()
        }
    };
    request.replace("x-answer", answer)
}
