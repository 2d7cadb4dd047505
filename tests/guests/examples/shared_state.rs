//! Clock, tick, metrics, shared data and queues, as the path of the request says: a guest for
//! scenarios.

use proxy_filter::metric::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec};
use proxy_filter::prelude::*;
use proxy_filter::shared_data::{self, Json, SharedCell, SharedCounter};
use proxy_filter::{clock, timer};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

static REQUESTS: Counter = Counter::new("requests");
static LATE: Counter = Counter::new("late");
static IN_FLIGHT: Gauge = Gauge::new("in_flight");
static LATENCY: Histogram = Histogram::new("latency_ms");
static RESPONSES: CounterVec<2> = CounterVec::new("responses", ["method", "status"], 2);
static OPEN: GaugeVec<1> = GaugeVec::new("open", ["side"], 2);
static BODY: HistogramVec<1> = HistogramVec::new("body_bytes", ["side"], 2);

static CELL: SharedCell<u32> = SharedCell::new("cell");
static COUNTER: SharedCounter = SharedCounter::new("counter");
static WINDOW: SharedCell<Json<Window>> = SharedCell::new("window");

#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
struct Window {
    start: u64,
    requests: Vec<String>,
}

#[derive(Default)]
struct Root {
    shared: Rc<Shared>,
}

/// What the root context and its streams know together.
#[derive(Default)]
struct Shared {
    queue: Cell<Option<SharedQueue>>,
    ticks: Cell<u32>,
    started: Cell<Option<SystemTime>>,
    fails: Cell<bool>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        match configuration.bytes()?.as_slice() {
            b"queue" => self.shared.queue.set(Some(SharedQueue::register("configured")?)),
            b"tick" => timer::set_tick_period(Duration::from_millis(600))?,
            b"define" => {
                REQUESTS.define()?;
                IN_FLIGHT.define()?;
                LATENCY.define()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn on_tick(&mut self) -> Result<()> {
        let ticks = self.shared.ticks.get() + 1;
        self.shared.ticks.set(ticks);
        log::info!("tick {ticks}");
        if ticks == 3 {
            timer::set_tick_period(Duration::ZERO)?;
        }
        if let Some(queue) = self.shared.queue.get() {
            queue.enqueue(format!("from tick {ticks}"))?;
        }
        if self.shared.fails.get() { Err(Error::other("the tick failed as asked")) } else { Ok(()) }
    }

    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        let own = self.shared.queue.get() == Some(*queue);
        let item = queue.dequeue()?;
        log::info!("ready, own {own}: {:?}", item.map(HeaderValue::from));
        if self.shared.fails.get() { Err(Error::other("the queue failed as asked")) } else { Ok(()) }
    }

    fn new_context(&self) -> Stream {
        Stream { shared: Rc::clone(&self.shared), path: String::new() }
    }
}

struct Stream {
    shared: Rc<Shared>,
    path: String,
}

fn text(value: Option<Vec<u8>>) -> Option<HeaderValue> {
    value.map(HeaderValue::from)
}

fn metrics() -> Result<()> {
    REQUESTS.increment(2)?;
    REQUESTS.increment(0)?;
    REQUESTS.increment(1)?;
    LATE.increment(0)?;
    IN_FLIGHT.increment(5)?;
    IN_FLIGHT.increment(-2)?;
    log::info!("requests {} in flight {}", REQUESTS.get()?, IN_FLIGHT.get()?);
    IN_FLIGHT.record(10)?;
    IN_FLIGHT.increment(0)?;
    LATENCY.record(12)?;
    log::info!("in flight {}", IN_FLIGHT.get()?);
    log::info!("{:?}", REQUESTS.increment(u64::MAX).map_err(|error| error.kind()));
    log::info!("{:?}", IN_FLIGHT.increment(i64::MIN).map_err(|error| error.kind()));
    Ok(())
}

fn labels() -> Result<()> {
    for (method, status) in [("GET", "200"), ("GET", "200"), ("a.b", ""), ("PUT", "200"), ("PUT", "500")] {
        RESPONSES.increment([method, status], 1)?;
    }
    RESPONSES.increment(["x".repeat(65).as_str(), "200"], 1)?;
    log::info!("GET 200: {}", RESPONSES.get(["GET", "200"])?);
    OPEN.increment(["request"], 3)?;
    OPEN.record(["response"], 7)?;
    log::info!("open {} {}", OPEN.get(["request"])?, OPEN.get(["response"])?);
    BODY.record(["request"], 1000)
}

fn data() -> Result<()> {
    log::info!("missing: {:?}", shared_data::get("k")?);
    log::info!("inserted: {}", shared_data::insert_if_absent("k", "1")?);
    log::info!("inserted: {}", shared_data::insert_if_absent("k", "2")?);
    let Some(entry) = shared_data::get("k")? else { return Err(Error::other("not there")) };
    log::info!("{} {}", escaped(&entry.value), shared_data::compare_and_set("k", "3", entry.version)?);
    log::info!("{} {:?}", shared_data::compare_and_set("k", "4", entry.version)?, text(value("k")?));
    shared_data::set("k", "")?;
    log::info!("empty: {:?}", text(value("k")?));
    shared_data::set("", b"\xff")?;
    log::info!("empty key: {:?}", text(value("")?));
    Ok(())
}

fn value(key: &str) -> Result<Option<Vec<u8>>> {
    Ok(shared_data::get(key)?.map(|entry| entry.value))
}

fn cells() -> Result<()> {
    log::info!("{:?} {}", CELL.get()?, CELL.update(|before| before.unwrap_or(40) + 1)?);
    // Somebody else is faster twice.
    let mut faster = 2;
    let after = CELL.update(|before| {
        if faster > 0 {
            faster -= 1;
            let _ = CELL.set(&100);
        }
        before.unwrap_or_default() + 1
    })?;
    log::info!("after a race: {after} {:?}", CELL.get()?);
    let mut attempts = 0;
    let result = CELL.update(|_| {
        attempts += 1;
        let _ = CELL.set(&7);
        8
    });
    log::info!("{:?} after {attempts} attempts, {:?}", result.map_err(|error| error.kind()), CELL.get()?);
    log::info!("left: {:?} {:?}", CELL.update_if(|_| None)?, CELL.insert_if_absent(&1)?);
    log::info!("{} {}", COUNTER.get()?, COUNTER.add(3)?);
    log::info!("{:?} {:?} {}", COUNTER.add_within(2, 5)?, COUNTER.add_within(1, 5)?, COUNTER.get()?);
    COUNTER.set(u64::MAX)?;
    log::info!("{} {:?}", COUNTER.add(9)? == u64::MAX, COUNTER.add_within(1, u64::MAX)?);
    let Json(window) = WINDOW.update(|before| {
        let Json(mut window) = before.unwrap_or_default();
        window.requests.push("/".into());
        Json(window)
    })?;
    log::info!("{} requests, {:?}", window.requests.len(), text(value("window")?));
    let named = SharedCell::<String>::named(b"window".to_vec());
    log::info!("{:?}", named.get()?.map(|text| text.len()));
    let other = SharedCell::<u64>::named("window");
    log::info!("{:?} {:?}", other.get().map_err(|error| error.kind()), other);
    Ok(())
}

fn queue(shared: &Shared) -> Result<()> {
    log::info!("{:?}", SharedQueue::resolve("", "named")?);
    let queue = SharedQueue::register("named")?;
    shared.queue.set(Some(queue));
    let again = SharedQueue::register("named")?;
    log::info!("{} {}", queue == again, SharedQueue::resolve("vm", "named")? == Some(queue));
    log::info!("{:?}", SharedQueue::resolve("no such vm", "named")?);
    log::info!("{:?}", queue.dequeue()?);
    for item in ["one", "", "three"] {
        queue.enqueue(item)?;
    }
    Ok(())
}

fn drain(shared: &Shared) -> Result<()> {
    let Some(queue) = shared.queue.get() else { return Err(Error::other("no queue")) };
    for number in 0..3_u64 {
        queue.enqueue_value(&number)?;
    }
    log::info!("{:?}", queue.dequeue_value::<u64>()?);
    let rest = queue.drain().collect::<Result<Vec<_>>>()?;
    log::info!("{} items, then {:?}", rest.len(), queue.drain().next().is_none());
    Ok(())
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default().to_string();
        match self.path.as_str() {
            "/clock" => {
                let now = clock::now()?;
                let year = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 31_556_952 + 1970;
                log::info!("after 2024: {}", year > 2024);
                self.shared.started.set(Some(now));
            }
            "/clock-again" => {
                let started = self.shared.started.get().unwrap_or(SystemTime::UNIX_EPOCH);
                let passed = clock::now()?.duration_since(started).unwrap_or_default();
                let as_waited = (Duration::from_millis(300)..Duration::from_secs(30)).contains(&passed);
                log::info!("300 ms have passed: {as_waited}");
            }
            "/tick" => timer::set_tick_period(Duration::from_millis(300))?,
            "/tick-long" => {
                let result = timer::set_tick_period(Duration::from_secs(u64::from(u32::MAX)));
                log::info!("{:?}", result.map_err(|error| error.kind()));
                timer::set_tick_period(Duration::from_millis(u64::from(u32::MAX)))?;
            }
            "/fail" => self.shared.fails.set(true),
            "/metrics" => metrics()?,
            "/labels" => labels()?,
            "/data" => data()?,
            "/cells" => cells()?,
            "/queue" => queue(&self.shared)?,
            "/drain" => drain(&self.shared)?,
            "/enqueue-in-request" => self.enqueue("request")?,
            "/enqueue-in-reply" => {
                self.enqueue("reply")?;
                return request.reply(LocalReply::new(200).body("local"));
            }
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, _body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if self.path == "/enqueue-in-request-body" && end_of_stream {
            self.enqueue("request-body")?;
        }
        if self.path == "/enqueue-in-pieces" {
            self.enqueue("piece")?;
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        _response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        if self.path == "/enqueue-in-response" {
            self.enqueue("response")?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, _body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if self.path == "/enqueue-in-response-body" && end_of_stream {
            self.enqueue("response-body")?;
        }
        if self.path == "/enqueue-in-pieces" {
            self.enqueue("piece")?;
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_log(&mut self, _log: &LogContext) -> Result<()> {
        if self.path == "/enqueue-in-log" {
            self.enqueue("log")?;
        }
        Ok(())
    }
}

impl Stream {
    fn enqueue(&self, item: &str) -> Result<()> {
        match self.shared.queue.get() {
            Some(queue) => queue.enqueue(item),
            None => Err(Error::other("no queue")),
        }
    }
}
