// A failure policy that depends on the configuration.
use proxy_filter::prelude::*;

fn by_number(_config: &()) -> u32 {
    1
}

fn from_nothing() -> FailurePolicy {
    FailurePolicy::Open
}

#[proxy_filter::filter(root_id = "both", fail_open, failure_policy = by_number)]
async fn both(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await.map(drop)
}

#[proxy_filter::filter(root_id = "number", failure_policy = by_number)]
async fn number(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await.map(drop)
}

#[proxy_filter::filter(root_id = "nothing", response_failure_policy = from_nothing)]
async fn nothing(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await.map(drop)
}

#[proxy_filter::filter(root_id = "value", failure_policy)]
async fn value(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await.map(drop)
}

#[proxy_filter::filter(root_id = "policy", failure_policy = FailurePolicy::Open)]
async fn policy(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await.map(drop)
}

proxy_filter::module!(Both, Number, Nothing, Value, Policy);

fn main() {}
