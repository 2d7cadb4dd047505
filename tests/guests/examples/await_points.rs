//! A function that waits at one point of the stream, and a filter after it that may answer itself.

use futures_util::future::join3;
use proxy_filter::grpc::{GrpcBytes, GrpcStream};
use proxy_filter::prelude::*;
use proxy_filter::timer::timeout;
use std::time::Duration;

/// Calls the host while it is dropped.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        log::info!("gone");
    }
}

async fn call() -> Result<()> {
    let answer = HttpCall::get("service", "/").timeout(Duration::from_millis(300)).await;
    log::debug!("{}", answer.is_ok());
    Ok(())
}

async fn sleep(longer: u32) -> Result<()> {
    Timer::after(Duration::from_millis(40) * longer).await
}

/// A gRPC stream whose service says nothing.
async fn talk(longer: u32) -> Result<()> {
    let mut talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
    talk.send(&GrpcBytes(Vec::new()))?;
    let said = timeout(Duration::from_millis(80) * longer, talk.next()).await;
    log::debug!("{}", said.is_ok());
    Ok(())
}

/// Waits where the request says.
#[proxy_filter::filter(root_id = "points")]
pub async fn points(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let point = request.get("x-wait")?.unwrap_or_default().to_string();
    if request.get("x-unroutable")?.is_some() {
        request.remove(":path")?;
    }
    // A client that leaves finds everybody waiting.
    let longer = if request.get("x-end")?.is_some_and(|end| end == "ClientLeaves") { 10 } else { 1 };
    log::info!("begun");
    let guard = Guard;
    match point.as_str() {
        "call" => call().await?,
        "sleep" => sleep(longer).await?,
        "grpc" => talk(longer).await?,
        "call_grpc_and_sleep" => {
            let (called, talked, slept) = join3(call(), talk(longer), sleep(longer)).await;
            called.and(talked).and(slept)?;
        }
        "request_body" => drop(exchange.request_body(1000).await?.len()),
        "call_in_body" => {
            exchange.request_body(1000).await?;
            call().await?;
        }
        "request_chunk" => while exchange.request_chunk().await?.is_some() {},
        "sleep_in_chunk" => {
            while exchange.request_chunk().await?.is_some() {
                sleep(longer).await?;
            }
        }
        "request_trailers" => drop(exchange.request_trailers().await?.is_some()),
        "response_headers" => drop(exchange.response_headers().await?.status()?),
        "call_in_response" => {
            exchange.response_headers().await?;
            call().await?;
        }
        "grpc_in_response" => {
            exchange.response_headers().await?;
            talk(longer).await?;
        }
        "response_body" => drop(exchange.response_body(1000).await?.len()),
        "response_chunk" => while exchange.response_chunk().await?.is_some() {},
        "sleep_in_response" => {
            while exchange.response_chunk().await?.is_some() {
                sleep(longer).await?;
            }
        }
        "response_trailers" => drop(exchange.response_trailers().await?.is_some()),
        _ => {}
    }
    log::info!("resumed");
    exchange.log_context().await?;
    log::info!("finished");
    drop(guard);
    Ok(())
}

#[derive(Default)]
struct Replier;

#[proxy_filter::root(root_id = "replier")]
impl RootContext for Replier {
    type Context = Reply;

    fn new_context(&self) -> Reply {
        Reply { in_body: false }
    }
}

struct Reply {
    in_body: bool,
}

#[proxy_filter::context]
impl Context for Reply {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let reply = request.get("x-reply")?.unwrap_or_default();
        self.in_body = reply == "body";
        if reply == "headers" {
            return request.reply(LocalReply::new(418).body("from the filter after it\n"));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, _: bool) -> Result<FilterDataStatus> {
        if self.in_body {
            return body.reply(LocalReply::new(418).body("from the filter after it\n"));
        }
        Ok(FilterDataStatus::Continue)
    }
}

proxy_filter::module!(Points, Replier);
