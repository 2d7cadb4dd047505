//! gRPC calls in a filter that is one async function: one, or two at once.

use futures_util::future::join;
use proxy_filter::prelude::*;
use proxy_filter::{GrpcBytes, GrpcError};

fn call(method: &str) -> GrpcCall<GrpcBytes> {
    GrpcCall::new("service", "pkg.Service", method, &GrpcBytes(method.into()))
}

fn line(answer: core::result::Result<GrpcBytes, GrpcError>) -> String {
    match answer {
        Ok(message) => printable(&message.0).to_string(),
        Err(why) => why.to_string(),
    }
}

/// The filter.
#[proxy_filter::filter]
async fn grpc_exchange(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default().to_string();
    let answer = match path.as_str() {
        "/both" => {
            let (a, b) = join(call("A").into_future(), call("B").into_future()).await;
            format!("{}, {}", line(a), line(b))
        }
        "/refused" => line(GrpcCall::new("", "pkg.Service", "A", &GrpcBytes::default()).await),
        method => line(call(method.trim_start_matches('/')).await),
    };
    request.replace("x-answer", answer)
}
