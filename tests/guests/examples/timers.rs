//! Timers of every length: of requests as their paths say, and of the root context as its
//! configuration says: `10` for a timer of 10 seconds, `every 3` for an interval of 3.

use proxy_filter::prelude::*;
use proxy_filter::timer::Interval;
use std::time::Duration;

#[derive(Default)]
struct Root;

#[proxy_filter::root(timers)]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        for part in text.split(", ") {
            let (is_interval, seconds) = match part.strip_prefix("every ") {
                Some(seconds) => (true, seconds),
                None => (false, part),
            };
            let Ok(seconds) = seconds.parse() else { continue };
            let duration = Duration::from_secs(seconds);
            if is_interval {
                Interval::new(duration).run(self, move |_| {
                    log::info!("{seconds} seconds are over again");
                    Ok(())
                })?;
            } else {
                Timer::after(duration).run(self, move |_| {
                    log::info!("{seconds} seconds are over");
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context(timers)]
impl Context for Stream {
    /// `/nanoseconds/…`: waits for each of these, one after the other.
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default().to_string();
        let mut parts: Vec<u64> = path.split('/').filter_map(|part| part.parse().ok()).collect();
        parts.reverse();
        next(self, request, parts)
    }
}

fn next(stream: &mut Stream, request: &mut RequestHeaders, mut left: Vec<u64>) -> Result<FilterHeadersStatus> {
    let Some(nanoseconds) = left.pop() else { return Ok(FilterHeadersStatus::Continue) };
    request.pause_for(stream, Timer::after(Duration::from_nanos(nanoseconds)), move |stream, request, elapsed| {
        elapsed?;
        log::info!("{nanoseconds} ns are over");
        next(stream, request, left)
    })
}
