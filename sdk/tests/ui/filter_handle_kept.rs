use proxy_filter::prelude::*;

#[proxy_filter::filter]
async fn filter(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let response = exchange.response_headers().await?;
    request.replace("x-too-late", "1")?;
    response.add("x", "y")
}

async fn after_a_reply(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    exchange.reply(LocalReply::new(403))?;
    request.replace("x-too-late", "1")?;
    exchange.response_headers().await?;
    Ok(())
}

async fn after_the_body(mut exchange: Exchange) -> Result<()> {
    let (request, mut body) = exchange.request_headers_with_body(100).await?;
    exchange.response_headers().await?;
    body.append("too late")?;
    request.replace("x-too-late", "1")
}

fn main() {}
