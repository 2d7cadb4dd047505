//! Filters that are one type, beside filters of two types and functions.

mod stamp {
    use proxy_filter::prelude::*;
    use std::time::Duration;

    #[derive(serde::Deserialize)]
    pub struct Config {
        milliseconds: u64,
    }

    pub struct Stamp {
        pause: Duration,
    }

    impl From<&Config> for Stamp {
        fn from(config: &Config) -> Self {
            Self { pause: Duration::from_millis(config.milliseconds) }
        }
    }

    #[proxy_filter::filter(root_id = "stamp", config = Config, timers)]
    impl Context for Stamp {
        fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
            let pause = self.pause;
            request.pause_for(self, Timer::after(pause), |_, _, elapsed| {
                elapsed?;
                Ok(FilterHeadersStatus::Continue)
            })
        }
    }
}

mod guard {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub struct Guard {
        seen: usize,
    }

    #[proxy_filter::filter(root_id = "guard")]
    impl StreamContext for Guard {
        fn on_downstream_data(&mut self, data: &mut DownstreamData, _: bool) -> Result<NetworkFilterStatus> {
            self.seen += data.len();
            Ok(if self.seen > 10 { NetworkFilterStatus::Close } else { NetworkFilterStatus::Continue })
        }
    }
}

mod function {
    use proxy_filter::prelude::*;

    #[proxy_filter::filter(root_id = "function")]
    async fn function(mut exchange: Exchange) -> Result<()> {
        exchange.response_headers().await?.add("x-function", "1")
    }
}

use guard::Guard;
use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "two")]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}

proxy_filter::module!(stamp::Stamp, Guard, function::Function, Root);

fn main() {}
