//! Says what happens to its root contexts and streams. The configuration is a name and words after
//! it; a request's path says what to do.

use proxy_filter::metric::Counter;
use proxy_filter::prelude::*;
use proxy_filter::shared_data::SharedCounter;
use proxy_filter::{plugin, timer};
use std::rc::Rc;
use std::time::Duration;

static CONFIGURED: Counter = Counter::new("configured");
static TICKS: Counter = Counter::new("ticks");
static ITEMS: Counter = Counter::new("items");
static SHARED: SharedCounter = SharedCounter::new("configured");

#[derive(Default)]
struct Root {
    words: Vec<String>,
    name: Rc<str>,
}

impl Root {
    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
        log::info!("start {}", escaped(&configuration.bytes()?));
        Ok(())
    }

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        self.words = text.split(' ').map(str::to_owned).collect();
        self.name = self.words.first().map_or("", String::as_str).into();
        log::info!("configure {}", self.name);
        CONFIGURED.increment(1)?;
        if self.has("count") {
            // In a real Envoy other VMs may have counted before.
            SHARED.add(1)?;
        }
        if self.has("refuse") {
            return Err(Error::other("refused as configured"));
        }
        if self.has("queue") {
            SharedQueue::register("work")?;
        }
        if self.has("tick") {
            timer::set_tick_period(Duration::from_millis(300))?;
        }
        if self.has("slow-tick") {
            timer::set_tick_period(Duration::from_secs(5))?;
        }
        Ok(())
    }

    fn on_tick(&mut self) -> Result<()> {
        log::info!("{} ticks", self.name);
        TICKS.increment(1)?;
        timer::set_tick_period(Duration::ZERO)
    }

    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        for item in queue.drain() {
            let item = item?;
            log::info!("{} takes {}", self.name, escaped(&item));
            ITEMS.increment(1)?;
            if item == b"done" {
                log::info!("{} is done: {:?}", self.name, plugin::done().map_err(|error| error.kind()));
                log::info!("again: {:?}", plugin::done().map_err(|error| error.kind()));
            }
        }
        Ok(())
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let path = log.request_headers().get(":path")?.unwrap_or_default();
        let status = log.response_headers().get(":status")?.unwrap_or_default();
        let details = proxy_filter::stream_info::response().code_details()?.unwrap_or_default();
        log::info!("{} logs {path} {status} {}", self.name, escaped(&details));
        if path == "/fail" {
            return Err(Error::other("the log failed as asked"));
        }
        Ok(())
    }

    fn on_done(&mut self) -> bool {
        log::info!("{} root done", self.name);
        if self.has("tick-at-the-end") {
            let _ = timer::set_tick_period(Duration::from_millis(300));
        }
        !self.has("stay")
    }

    fn new_context(&self) -> Stream {
        Stream { name: Rc::clone(&self.name), path: HeaderValue::default() }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        log::info!("{} root drop", self.name);
    }
}

struct Stream {
    name: Rc<str>,
    path: HeaderValue,
}

impl Stream {
    fn is(&self, what: &str) -> bool {
        self.path == format!("/{}-{what}", self.name).as_str()
    }
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_create(&mut self) -> Result<()> {
        log::info!("{} create", self.name);
        Ok(())
    }

    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default();
        log::info!("{} request headers", self.name);
        request.add("x-filters", &*self.name)?;
        if let Some(item) = self.path.to_str().ok().and_then(|path| path.strip_prefix("/enqueue/")) {
            if let Some(queue) = SharedQueue::resolve("", "work")? {
                queue.enqueue(item)?;
            }
        }
        if self.path == "/done" {
            log::info!("{} is not done: {:?}", self.name, plugin::done().map_err(|error| error.kind()));
        }
        if self.is("replies") {
            return request.reply(LocalReply::new(403).body("no"));
        }
        if self.is("closes-request") {
            return request.close_stream();
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end: bool) -> Result<FilterDataStatus> {
        log::info!("{} request body {} {end}", self.name, body.len());
        if self.is("closes-request-body") {
            return body.close_stream();
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        log::info!("{} request trailers", self.name);
        if self.is("closes-request-trailers") {
            return trailers.close_stream();
        }
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        log::info!("{} response headers", self.name);
        response.add("x-filters", &*self.name)?;
        if self.path == "/shared" {
            response.add("x-shared", SHARED.get()?.to_string())?;
        }
        if self.is("closes-response") {
            return response.close_stream();
        }
        if self.is("replies-late") {
            return response.reply(LocalReply::new(502).body("late"));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end: bool) -> Result<FilterDataStatus> {
        log::info!("{} response body {} {end}", self.name, body.len());
        if self.is("closes-response-body") {
            return body.close_stream();
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        log::info!("{} response trailers", self.name);
        if self.is("closes-response-trailers") {
            return trailers.close_stream();
        }
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        log::info!("{} log", self.name);
        Ok(())
    }

    fn on_done(&mut self) -> Result<()> {
        log::info!("{} done", self.name);
        Ok(())
    }

    fn on_delete(&mut self) -> Result<()> {
        log::info!("{} delete", self.name);
        Ok(())
    }
}
