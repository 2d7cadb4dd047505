//! Filter state of every span: tells what a request finds, and sets it.

use proxy_filter::filter_state::{self, Declaration, Span};
use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

const SPANS: [(&str, Span, &str); 3] = [
    ("chain", Span::FilterChain, "envoy.network.upstream_server_name"),
    ("request", Span::DownstreamRequest, "envoy.tcp_proxy.cluster"),
    ("connection", Span::DownstreamConnection, "envoy.network.upstream_subject_alt_names"),
];

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        for (name, span, _) in SPANS {
            Declaration::new(name).text().span(span).declare(&configuration)?;
        }
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

#[derive(Default)]
struct Stream {
    found: Vec<String>,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        for (name, span, object) in SPANS {
            let own = filter_state::get(name)?.is_some();
            let envoys = filter_state::get_envoy(object)?.is_some();
            self.found.push(format!("{name} {own} {envoys}"));
            filter_state::set(name, "set")?;
            filter_state::set_envoy(object, "set.example.com", span)?;
            self.found.push(format!(
                "then {} {}",
                filter_state::get(name)?.is_some(),
                filter_state::get_envoy(object)?.is_some()
            ));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.add("x-found", self.found.join(", "))?;
        Ok(FilterHeadersStatus::Continue)
    }
}
