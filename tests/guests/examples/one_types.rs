//! Filters that are one type each, in one module: of requests and of connections, with and without
//! a configuration, beside one that is a function.

mod stamp {
    use proxy_filter::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    pub(crate) struct Config {
        value: u32,
    }

    #[derive(Debug)]
    pub(crate) struct Stamp {
        value: u32,
    }

    impl From<&Config> for Stamp {
        fn from(config: &Config) -> Self {
            Self { value: config.value }
        }
    }

    #[proxy_filter::filter(root_id = "stamp", config = Config, timers)]
    impl Context for Stamp {
        fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
            request.pause_for(self, Timer::after(std::time::Duration::from_millis(1)), |stamp, request, elapsed| {
                elapsed?;
                request.replace("x-stamp", stamp.value.to_string())?;
                Ok(FilterHeadersStatus::Continue)
            })
        }
    }
}

mod plain {
    use proxy_filter::prelude::*;

    #[derive(Debug, Default)]
    pub(crate) struct Plain;

    #[proxy_filter::filter(root_id = "plain")]
    impl Context for Plain {
        fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
            response.replace("x-plain", "1")?;
            Ok(FilterHeadersStatus::Continue)
        }
    }
}

mod guard {
    use proxy_filter::prelude::*;

    #[derive(Debug, Default)]
    pub(crate) struct Guard {
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
        exchange.response_headers().await?.replace("x-function", "1")
    }
}

proxy_filter::module!(stamp::Stamp, plain::Plain, guard::Guard, function::Function);
