use proxy_filter::prelude::*;

struct Config;

#[proxy_filter::filter]
async fn filter(mut exchange: Exchange<Config>) -> Result<()> {
    exchange.request_headers().await?;
    Ok(())
}

fn main() {}
