//! gRPC calls in a filter that is one async function: one, or two at once; and streams.

use futures_util::future::join;
use proxy_filter::grpc::{GrpcBytes, GrpcError, GrpcStream};
use proxy_filter::prelude::*;

fn call(method: &str) -> GrpcCall<GrpcBytes> {
    GrpcCall::new("service", "pkg.Service", method, &GrpcBytes(method.into()))
}

fn line(answer: core::result::Result<GrpcBytes, GrpcError>) -> String {
    match answer {
        Ok(message) => escaped(&message.0).to_string(),
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
        "/stream" => {
            let mut stream = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
            let mut lines = Vec::new();
            for message in ["\x0a\x03one", "\x0a\x03end"] {
                stream.send(&GrpcBytes(message.into()))?;
                lines.extend(stream.next().await.map(line));
            }
            while let Some(answer) = stream.next().await {
                lines.push(line(answer));
            }
            lines.join("; ")
        }
        "/closed" => {
            let mut stream = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
            stream.close()?;
            format!("{:?}", stream.next().await.map(line))
        }
        "/dropped" => {
            let mut stream = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "pkg.Service", "Talk").connect()?;
            stream.send(&GrpcBytes("once".into()))?;
            stream.next().await.map_or_else(String::new, line)
        }
        "/nobody" => match GrpcStream::<GrpcBytes, GrpcBytes>::new("empty", "pkg.Service", "Talk").connect() {
            Ok(_) => "connected".into(),
            Err(why) => why.to_string(),
        },
        "/refused" => line(GrpcCall::new("", "pkg.Service", "A", &GrpcBytes::default()).await),
        method => line(call(method.trim_start_matches('/')).await),
    };
    request.replace("x-answer", answer)
}
