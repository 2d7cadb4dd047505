//! A filter in a chain of filters of connections. Its configuration is its name, and a word for
//! each connection that says what it does: `-/ph/c` for the new connection, the client's data and
//! the upstream's data, one letter a callback. Later callbacks forward. The first filter is `a`.
//!
//! The letters: `-` forwards, `h` pauses, `m` adds the name to the data, `d` drops the data, `w`
//! resumes the connection or the client's data 20 ms later, with the name added, `l` as well and
//! adds nothing, `r` resumes the client's data in the callback and pauses, `s` tells other VMs of
//! the data, `c` closes.

use proxy_filter::metric::Counter;
use proxy_filter::prelude::*;
use proxy_filter::shared_data::SharedCounter;
use proxy_filter::sys;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The least time that a filter waits.
const WAIT: Duration = Duration::from_millis(20);
static CHUNKS: Counter = Counter::new("chunks");
static SHARED: SharedCounter = SharedCounter::new("chunks");

thread_local! {
    /// How many connections came to the first filter.
    static CONNECTIONS: Cell<usize> = const { Cell::new(0) };
}

#[derive(Default)]
struct Root {
    name: Rc<str>,
    plans: Vec<String>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        let mut words = text.split(' ').map(str::to_owned);
        self.name = words.next().unwrap_or_default().into();
        self.plans = words.collect();
        if &*self.name == "a" {
            SharedQueue::register("chunks")?;
        }
        Ok(())
    }

    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        for item in queue.drain() {
            log::info!("{} takes {}", self.name, escaped(&item?));
        }
        Ok(())
    }

    fn new_context(&self) -> Stream {
        let connections = CONNECTIONS.get() + usize::from(&*self.name == "a");
        CONNECTIONS.set(connections);
        let mut plans = self.plans.iter().cycle().skip(connections.saturating_sub(1));
        let mut plan = plans.next().map_or("", String::as_str).split('/').map(str::to_owned);
        let mut next = || plan.next().unwrap_or_default().chars().collect::<Vec<_>>().into_iter();
        Stream { name: Rc::clone(&self.name), new: next(), down: next(), up: next() }
    }
}

struct Stream {
    name: Rc<str>,
    new: std::vec::IntoIter<char>,
    down: std::vec::IntoIter<char>,
    up: std::vec::IntoIter<char>,
}

/// Resumes what the client's direction has paused.
fn resume() {
    let _ = sys::proxy_continue_stream(2);
}

impl Stream {
    /// Does what is the same for both directions.
    fn treat(&self, letter: char, data: &mut StreamData) -> Result<NetworkFilterStatus> {
        match letter {
            'h' => return Ok(NetworkFilterStatus::Pause),
            'c' => return Ok(NetworkFilterStatus::Close),
            'm' => data.append(&*self.name)?,
            'd' => data.replace("")?,
            'r' => {
                resume();
                return Ok(NetworkFilterStatus::Pause);
            }
            's' if !data.is_empty() => {
                CHUNKS.increment(1)?;
                SHARED.add(1)?;
                if let Some(queue) = SharedQueue::resolve("", "chunks")? {
                    queue.enqueue(data.to_bytes()?)?;
                }
            }
            _ => {}
        }
        Ok(NetworkFilterStatus::Continue)
    }
}

#[proxy_filter::stream_context(timers)]
impl StreamContext for Stream {
    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        log::info!("{} new", self.name);
        match self.new.next() {
            Some('h') => Ok(NetworkFilterStatus::Pause),
            Some('c') => Ok(NetworkFilterStatus::Close),
            Some('r') => {
                resume();
                Ok(NetworkFilterStatus::Pause)
            }
            Some('w') => {
                Timer::after(WAIT).run(self, |stream| {
                    log::info!("{} resumes the connection", stream.name);
                    resume();
                    Ok(())
                })?;
                Ok(NetworkFilterStatus::Pause)
            }
            _ => Ok(NetworkFilterStatus::Continue),
        }
    }

    fn on_downstream_data(&mut self, data: &mut DownstreamData, end: bool) -> Result<NetworkFilterStatus> {
        log::info!("{} down {} {end}", self.name, escaped(&data.to_bytes()?));
        let letter = self.down.next().unwrap_or('-');
        if matches!(letter, 'w' | 'l') {
            return data.pause_for(self, Timer::after(WAIT), move |stream, data, elapsed| {
                elapsed?;
                log::info!("{} resumes {}", stream.name, escaped(&data.to_bytes()?));
                if letter == 'w' {
                    data.append(&*stream.name)?;
                }
                Ok(NetworkFilterStatus::Continue)
            });
        }
        self.treat(letter, data)
    }

    fn on_upstream_data(&mut self, data: &mut UpstreamData, end: bool) -> Result<NetworkFilterStatus> {
        log::info!("{} up {} {end}", self.name, escaped(&data.to_bytes()?));
        let letter = self.up.next().unwrap_or('-');
        self.treat(letter, data)
    }

    fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
        log::info!("{} downstream closed by {peer:?}", self.name);
        Ok(())
    }

    fn on_upstream_close(&mut self, peer: PeerType) -> Result<()> {
        log::info!("{} upstream closed by {peer:?}", self.name);
        Ok(())
    }

    fn on_done(&mut self) -> Result<()> {
        log::info!("{} done", self.name);
        Ok(())
    }

    fn on_log(&mut self) -> Result<()> {
        log::info!("{} log", self.name);
        Ok(())
    }

    fn on_delete(&mut self) -> Result<()> {
        log::info!("{} delete", self.name);
        Ok(())
    }
}
