//! Keeps something of each request, or forgets that a host call can fail, as the path says.

#![allow(clippy::unwrap_used, reason = "what a trap does is one of the scenarios")]

use proxy_filter::metric::CounterVec;
use proxy_filter::prelude::*;
use proxy_filter::shared_data;
use proxy_filter::sys;
use std::cell::{Cell, RefCell};

static PATHS: CounterVec<1> = CounterVec::new("paths", ["path"], 100_000);

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
}

#[derive(Default)]
struct Root;

#[proxy_filter::root(http_calls)]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default().to_str()?.to_owned();
        let number = REQUESTS.get();
        REQUESTS.set(number + 1);
        match path.as_str() {
            "/memory" => KEPT.with_borrow_mut(|kept| kept.push(vec![1; 1024])),
            "/cache" => KEPT.with_borrow_mut(|kept| {
                kept.truncate(100);
                kept.push(vec![1; 1024]);
            }),
            "/shared-data" => shared_data::set(format!("key-{number}"), "value")?,
            "/queue" => SharedQueue::register("items")?.enqueue("item")?,
            "/metric" => PATHS.increment([number.to_string().as_str()], 1)?,
            // It lives as long as the plugin.
            "/call" => HttpCall::get("slow", "/").send(self, |_, _| Ok(()))?,
            "/denied" => return request.reply(LocalReply::new(403)),
            // The denial is forgotten if the header cannot be read.
            "/opens" if request.get("x-token").is_ok_and(|token| token.is_none()) => {
                return request.reply(LocalReply::new(403));
            }
            "/replies-twice" => {
                let first = sys::proxy_send_local_response(403, b"", b"", b"", -1);
                let second = sys::proxy_send_local_response(404, b"", b"", b"", -1);
                log::info!("{first:?} {second:?}");
                return Ok(FilterHeadersStatus::StopIteration);
            }
            "/traps" => request.add("x-seen", "1").unwrap(),
            "/stops" if request.add("x-seen", "1").is_err() => return Ok(FilterHeadersStatus::StopIteration),
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
