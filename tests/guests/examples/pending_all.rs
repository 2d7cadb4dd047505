//! Holds every request for an HTTP call, a gRPC stream and a timer at once: a guest for streams
//! that end meanwhile.

use futures_util::future::join3;
use proxy_filter::grpc::{GrpcBytes, GrpcStream};
use proxy_filter::prelude::*;
use std::time::Duration;

/// Calls the host while it is dropped.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        log::error!("gone");
    }
}

/// The filter.
#[proxy_filter::filter]
async fn pending_all(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await?;
    let _guard = Guard;
    let mut talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
    talk.send(&GrpcBytes(vec![0; 100]))?;
    let call = HttpCall::post("service", "/").body(vec![0; 100]);
    let _ = join3(call.into_future(), talk.next(), Timer::after(Duration::from_secs(3600)).into_future()).await;
    log::error!("something was delivered");
    Ok(())
}
