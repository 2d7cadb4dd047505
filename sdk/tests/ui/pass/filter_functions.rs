//! Filters that are functions, beside one that has callbacks, in one module.

use proxy_filter::prelude::*;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(serde::Deserialize)]
struct Config {
    _name: String,
}

mod functions {
    use super::*;

    #[proxy_filter::filter(root_id = "authorize", fail_open)]
    pub async fn authorize(mut exchange: Exchange<Config>) -> Result<()> {
        exchange.request_headers().await?;
        Ok(())
    }

    #[proxy_filter::filter(root_id = "ready", configure = load, root_task = refresh)]
    async fn r#ready_when_loaded(mut exchange: proxy_filter::Exchange<Config>) -> Result<()> {
        helper(&mut exchange).await
    }

    async fn load(_config: Rc<Config>) -> Result<()> {
        Ok(())
    }

    async fn refresh(_config: Rc<Config>) -> Result<()> {
        loop {
            Timer::after(std::time::Duration::from_secs(60)).await?;
        }
    }

    /// The constant of another place, and a function that must complete first.
    #[proxy_filter::filter(root_id = "bounded", deadline = SECOND, configure = load)]
    async fn bounded(mut exchange: Exchange<Config>) -> Result<()> {
        helper(&mut exchange).await
    }

    async fn helper<T>(exchange: &mut Exchange<T>) -> Result<()> {
        exchange.request_headers().await?;
        Ok(())
    }
}

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "callbacks")]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}

proxy_filter::module!(functions::Authorize, functions::ReadyWhenLoaded, functions::Bounded, Root);

fn main() {
    let exports: Vec<_> = __proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert!(exports.contains(&"proxy_on_tick") && exports.contains(&"proxy_on_http_call_response"));
    // The helper has the exchange, so it may await every part.
    assert!(exports.contains(&"proxy_on_request_body"));
}
