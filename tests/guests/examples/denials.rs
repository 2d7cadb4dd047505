//! Filters that deny in each of their callbacks and completions, in each way: `/place/way`.

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// Where a stream is, and in which way the filter denies there.
struct Plan {
    place: Box<str>,
    way: Box<str>,
}

impl Plan {
    fn of(request: &RequestHeaders) -> Result<Self> {
        let path = request.path()?.unwrap_or_default().to_string();
        let (place, way) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        Ok(Self { place: place.into(), way: way.into() })
    }

    fn at(&self, place: &str) -> &str {
        if *self.place == *place { &self.way } else { "" }
    }
}

/// The errors among the ways.
fn fail(way: &str) -> Result<()> {
    match way {
        "error" => Err(LocalReply::new(403).body("denied\n").into()),
        "cause" => Err(Error::other("not allowed").with_reply(LocalReply::new(403).body("denied\n"))),
        "fail" => Err(Error::other("failed as asked")),
        _ => Ok(()),
    }
}

/// What a callback returns if the filter denies so.
fn act<S: From<LocalReply>>(way: &str, close: S, go_on: S) -> Result<S> {
    match way {
        "reply" => Ok(LocalReply::new(403).body("denied\n").into()),
        "bad-reply" => Ok(LocalReply::new(403).header("x-why", "a\nb").header("x-ok", "1").body("denied\n").into()),
        "odd-reply" => Ok(LocalReply::new(1000).into()),
        "close" => Ok(close),
        _ => fail(way).map(|()| go_on),
    }
}

macro_rules! filter {
    ($root:ident, $stream:ident, $root_id:literal, $policy:ident) => {
        #[derive(Default)]
        struct $root {
            /// What `on_create` of the streams does.
            create: Box<str>,
        }

        #[proxy_filter::root(root_id = $root_id, timers)]
        impl RootContext for $root {
            type Context = $stream;

            fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
                self.create = String::from_utf8(configuration.bytes()?)?.into();
                Ok(())
            }

            fn new_context(&self) -> $stream {
                $stream(Plan { place: "create".into(), way: self.create.clone() })
            }
        }

        struct $stream(Plan);

        impl $stream {
            /// Holds the headers or the body at a place of this name.
            fn holds(&self, place: &str) -> bool {
                self.0.place.strip_prefix("held-").is_some_and(|held| held == place)
            }

            fn act<S: From<LocalReply>>(&self, close: S, go_on: S) -> Result<S> {
                act(&self.0.way, close, go_on)
            }
        }

        #[proxy_filter::context(timers)]
        impl Context for $stream {
            fn on_create(&mut self) -> Result<()> {
                fail(&self.0.way)
            }

            fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
                self.0 = Plan::of(request)?;
                if self.holds("request-headers") {
                    return request.pause_for(self, Timer::after(Duration::from_millis(10)), |stream, _, elapsed| {
                        elapsed?;
                        stream.act(FilterHeadersStatus::CloseStream, FilterHeadersStatus::Continue)
                    });
                }
                if self.0.at("free-completion") != "" {
                    Timer::after(Duration::from_millis(10)).run(self, |stream| fail(&stream.0.way))?;
                    // Something else holds the stream.
                    return request.pause_for(self, Timer::after(Duration::from_millis(500)), |_, _, elapsed| {
                        elapsed.map(|()| FilterHeadersStatus::Continue)
                    });
                }
                act(self.0.at("request-headers"), FilterHeadersStatus::CloseStream, FilterHeadersStatus::Continue)
            }

            fn on_request_body(&mut self, body: &mut RequestBody, _: bool) -> Result<FilterDataStatus> {
                if self.holds("request-body") {
                    return body.pause_for(self, Timer::after(Duration::from_millis(10)), |stream, _, elapsed| {
                        elapsed?;
                        stream.act(FilterDataStatus::CloseStream, FilterDataStatus::Continue)
                    });
                }
                act(self.0.at("request-body"), FilterDataStatus::CloseStream, FilterDataStatus::Continue)
            }

            fn on_request_trailers(&mut self, _: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
                act(self.0.at("request-trailers"), FilterTrailersStatus::CloseStream, FilterTrailersStatus::Continue)
            }

            fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
                if self.holds("response-headers") {
                    return response.pause_for(self, Timer::after(Duration::from_millis(10)), |stream, _, elapsed| {
                        elapsed?;
                        stream.act(FilterHeadersStatus::CloseStream, FilterHeadersStatus::Continue)
                    });
                }
                act(self.0.at("response-headers"), FilterHeadersStatus::CloseStream, FilterHeadersStatus::Continue)
            }

            fn on_response_body(&mut self, _: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
                act(self.0.at("response-body"), FilterDataStatus::CloseStream, FilterDataStatus::Continue)
            }

            fn on_response_trailers(&mut self, _: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
                act(self.0.at("response-trailers"), FilterTrailersStatus::CloseStream, FilterTrailersStatus::Continue)
            }

            fn failure_policy(&self) -> FailurePolicy {
                FailurePolicy::$policy
            }
        }
    };
}

filter!(Closed, ClosedStream, "closed", Closed);
filter!(Open, OpenStream, "open", Open);

/// The same as one async function.
async fn play<T>(mut exchange: Exchange<T>) -> Result<()> {
    let plan = Plan::of(exchange.request_headers().await?)?;
    match &*plan.place {
        "held-request-headers" => Timer::after(Duration::from_millis(10)).await?,
        "request-body" => drop(exchange.request_body(1000).await?),
        "held-request-body" => {
            exchange.request_body(1000).await?;
            Timer::after(Duration::from_millis(10)).await?;
        }
        "response-headers" => drop(exchange.response_headers().await?),
        "held-response-headers" => {
            exchange.response_headers().await?;
            Timer::after(Duration::from_millis(10)).await?;
        }
        "response-body" => drop(exchange.response_body(1000).await?),
        "large-request" => drop(exchange.request_body(3).await?),
        "large-response" => drop(exchange.response_body(3).await?),
        "large-held-response" => {
            exchange.response_headers_with_body(3).await?;
        }
        "outage" => drop(HttpCall::get("nowhere", "/").await?),
        _ => {}
    }
    match &*plan.way {
        "reply" => exchange.reply(LocalReply::new(403).body("denied\n")),
        "bad-reply" => {
            exchange.reply(LocalReply::new(403).header("x-why", "a\nb").header("x-ok", "1").body("denied\n"))
        }
        "odd-reply" => exchange.reply(LocalReply::new(1000)),
        // Nothing that a function does after a reply makes it a pass.
        "ignored-reply" => {
            let _ = exchange.reply(LocalReply::new(403).body("denied\n"));
            Ok(())
        }
        "close" => exchange.close_stream(),
        way => fail(way),
    }
}

#[proxy_filter::filter(root_id = "function")]
async fn function(exchange: Exchange) -> Result<()> {
    play(exchange).await
}

#[proxy_filter::filter(root_id = "open-function", fail_open)]
async fn open_function(exchange: Exchange) -> Result<()> {
    play(exchange).await
}

/// The failure policies of the two sides, as operators write them.
#[derive(Deserialize)]
struct Policies {
    request: FailurePolicy,
    response: FailurePolicy,
}

impl Policies {
    fn of_request(&self) -> FailurePolicy {
        self.request
    }
}

#[proxy_filter::filter(root_id = "configured-function", failure_policy = Policies::of_request, response_failure_policy = |policies| policies.response)]
async fn configured_function(exchange: Exchange<Policies>) -> Result<()> {
    play(exchange).await
}

/// The same made of callbacks.
#[derive(Default)]
struct Configured {
    policies: Option<Rc<Policies>>,
}

#[proxy_filter::root(root_id = "configured", timers)]
impl RootContext for Configured {
    type Context = ConfiguredStream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.policies = Some(Rc::new(configuration.json()?));
        Ok(())
    }

    fn new_context(&self) -> ConfiguredStream {
        ConfiguredStream { policies: self.policies.clone(), plan: Plan { place: "".into(), way: "".into() } }
    }
}

struct ConfiguredStream {
    policies: Option<Rc<Policies>>,
    plan: Plan,
}

#[proxy_filter::context(timers)]
impl Context for ConfiguredStream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        self.plan = Plan::of(request)?;
        if !self.plan.at("held-request-headers").is_empty() {
            return request.pause_for(self, Timer::after(Duration::from_millis(10)), |stream, _, _| {
                fail(&stream.plan.way).map(|()| FilterHeadersStatus::Continue)
            });
        }
        fail(self.plan.at("request-headers")).map(|()| FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, _: &mut RequestBody, _: bool) -> Result<FilterDataStatus> {
        fail(self.plan.at("request-body")).map(|()| FilterDataStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if !self.plan.at("held-response-headers").is_empty() {
            return response.pause_for(self, Timer::after(Duration::from_millis(10)), |stream, _, _| {
                fail(&stream.plan.way).map(|()| FilterHeadersStatus::Continue)
            });
        }
        fail(self.plan.at("response-headers")).map(|()| FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        self.policies.as_ref().map_or(FailurePolicy::Closed, |policies| policies.request)
    }

    fn response_failure_policy(&self) -> FailurePolicy {
        self.policies.as_ref().map_or(FailurePolicy::Closed, |policies| policies.response)
    }
}

proxy_filter::module!(Closed, Open, Function, OpenFunction, ConfiguredFunction, Configured);
