//! Several filters in one module, each of which uses what it is told to: two of callbacks, one
//! async function, and one of connections.
//!
//! Every event is counted under the filter, the context and the kind that it was for. A context
//! checks first that host functions are about it: those of a root context see no path, those of a
//! stream their own.

use proxy_filter::prelude::*;
use proxy_filter::{
    grpc::{GrpcBytes, GrpcCall, GrpcDuplex, GrpcEvent, GrpcSender, GrpcStream},
    property,
    timer::Interval,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static EVENTS: RefCell<BTreeMap<String, u32>> = const { RefCell::new(BTreeMap::new()) };
}

const PERIOD: Duration = Duration::from_millis(100);

/// What host functions are about: the path of a stream, nothing in a root context.
fn about() -> String {
    let path = property::get(&["request", "path"]).ok().flatten().unwrap_or_default();
    if path.is_empty() { "root".into() } else { String::from_utf8_lossy(&path).into_owned() }
}

/// Counts an event of this kind for a context; a stream is known by its path.
fn note(filter: &str, context: &str, kind: &str) {
    let wrong = if about() == context { String::new() } else { format!(" (about {})", about()) };
    EVENTS.with_borrow_mut(|events| *events.entry(format!("{filter} {context} {kind}{wrong}")).or_default() += 1);
}

/// All that was counted since this was called last; more than `x-at-most` count as so many.
fn report(request: &RequestHeaders) -> Result<LocalReply> {
    let at_most = request.get("x-at-most")?.and_then(|most| most.to_str().ok()?.parse().ok()).unwrap_or(u32::MAX);
    let events = EVENTS.take().into_iter().map(|(event, times)| format!("{event}: {}\n", times.min(at_most)));
    Ok(LocalReply::new(200).body(events.collect::<Vec<_>>().concat()))
}

fn http() -> HttpCall {
    HttpCall::get("service", "/")
}

fn grpc() -> GrpcCall<GrpcBytes> {
    GrpcCall::new("grpc", "p.S", "Call", &GrpcBytes::default())
}

type Talk = GrpcStream<GrpcBytes, GrpcBytes>;

fn talk() -> Talk {
    Talk::new("talk", "p.S", "Talk")
}

/// A filter of callbacks.
macro_rules! callbacks {
    ($module:ident, $root_id:literal) => {
        mod $module {
            use super::*;

            #[derive(Default)]
            pub(crate) struct Root {
                open: Option<GrpcSender<GrpcBytes>>,
            }

            #[proxy_filter::root(root_id = $root_id, http_calls, timers, grpc_calls, grpc_streams)]
            impl RootContext for Root {
                type Context = Stream;

                /// Its words say what the root context uses.
                fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
                    for word in String::from_utf8(configuration.bytes()?)?.split_whitespace() {
                        match word {
                            "tick" => proxy_filter::timer::set_tick_period(PERIOD)?,
                            "interval" => {
                                Interval::new(PERIOD).run(self, |_| Ok(note($root_id, "root", "interval")))?;
                            }
                            "timer" => Timer::after(PERIOD).run(self, |_| Ok(note($root_id, "root", "timer")))?,
                            "http" => http().send(self, |_, answer| {
                                answer?;
                                Ok(note($root_id, "root", "http"))
                            })?,
                            "grpc" => grpc().send(self, |_, answer| {
                                answer?;
                                Ok(note($root_id, "root", "grpc"))
                            })?,
                            "talk" => {
                                let open = talk().open(self, |_, event| {
                                    if let GrpcEvent::Message(_) = event {
                                        note($root_id, "root", "talk");
                                    }
                                    Ok(())
                                })?;
                                open.send(&GrpcBytes::default())?;
                                self.open = Some(open);
                            }
                            "queue" => SharedQueue::register($root_id)?.enqueue("item")?,
                            other => return Err(Error::other(format_args!("no such word: {other}"))),
                        }
                    }
                    Ok(())
                }

                fn on_tick(&mut self) -> Result<()> {
                    Ok(note($root_id, "root", "tick"))
                }

                fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
                    while queue.dequeue()?.is_some() {
                        note($root_id, "root", "queue");
                    }
                    Ok(())
                }

                fn new_context(&self) -> Stream {
                    Stream { path: String::new(), talk: None }
                }
            }

            pub(crate) struct Stream {
                path: String,
                talk: Option<GrpcDuplex<GrpcBytes, GrpcBytes>>,
            }

            impl Stream {
                fn done(&self, kind: &str, result: Result<()>) -> Result<FilterHeadersStatus> {
                    result?;
                    note($root_id, &self.path, kind);
                    Ok(FilterHeadersStatus::Continue)
                }
            }

            #[proxy_filter::context(http_calls, timers, grpc_calls, grpc_streams)]
            impl Context for Stream {
                /// The header with the name of the filter says what the stream waits for.
                fn on_request_headers(
                    &mut self,
                    request: &mut RequestHeaders,
                    _end_of_stream: bool,
                ) -> Result<FilterHeadersStatus> {
                    self.path = request.path()?.unwrap_or_default().to_string();
                    if self.path == "/report" {
                        return request.reply(report(request)?);
                    }
                    let word = request.get(concat!("x-", $root_id))?.unwrap_or_default().to_string();
                    match word.as_str() {
                        "timer" => request
                            .pause_for(self, Timer::after(PERIOD), |stream, _, elapsed| stream.done("timer", elapsed)),
                        "http" => request.pause_for(self, http(), |stream, _, answer| {
                            stream.done("http", answer.map(drop).map_err(Error::from))
                        }),
                        "grpc" => request.pause_for(self, grpc(), |stream, _, answer| {
                            stream.done("grpc", answer.map(drop).map_err(Error::from))
                        }),
                        "talk" => {
                            let talk = talk().connect_in(self)?;
                            talk.send(&GrpcBytes::default())?;
                            let next = talk.receive();
                            self.talk = Some(talk);
                            request.pause_for(self, next, |stream, _, message| {
                                stream.done("talk", message.transpose().map(drop).map_err(Error::from))
                            })
                        }
                        _ => Ok(FilterHeadersStatus::Continue),
                    }
                }
            }
        }
    };
}

callbacks!(first, "first");
callbacks!(second, "second");

mod third {
    use super::{
        Error, Exchange, GrpcBytes, Interval, PERIOD, Rc, Result, SharedQueue, Timer, grpc, http, note, report, talk,
    };

    #[derive(serde::Deserialize)]
    pub(crate) struct Config {
        words: String,
    }

    /// What the root context uses, all at once.
    async fn root(config: Rc<Config>) -> Result<()> {
        let each = config.words.split_whitespace().map(|word| async move {
            match word {
                "interval" => {
                    let mut ticks = Interval::new(PERIOD).ticks()?;
                    loop {
                        ticks.tick().await?;
                        note("third", "root", "interval");
                    }
                }
                "queue" => {
                    let queue = SharedQueue::register("third")?;
                    queue.enqueue("item")?;
                    loop {
                        queue.receive().await?;
                        note("third", "root", "queue");
                    }
                }
                word => once(word).await?,
            }
            note("third", "root", word);
            Ok::<_, Error>(())
        });
        futures::future::try_join_all(each).await.map(drop)
    }

    async fn once(word: &str) -> Result<()> {
        match word {
            "timer" => Timer::after(PERIOD).await?,
            "http" => drop(http().await?),
            "grpc" => drop(grpc().await?),
            "talk" => {
                let mut talk = talk().connect()?;
                talk.send(&GrpcBytes::default())?;
                talk.next().await.transpose()?;
            }
            other => return Err(Error::other(format_args!("no such word: {other}"))),
        }
        Ok(())
    }

    #[proxy_filter::filter(root_id = "third", root_task = root)]
    async fn third(mut exchange: Exchange<Config>) -> Result<()> {
        let request = exchange.request_headers().await?;
        let path = request.path()?.unwrap_or_default().to_string();
        if path == "/report" {
            return {
                let report = report(request)?;
                exchange.reply(report)
            };
        }
        let word = request.get("x-third")?.unwrap_or_default().to_string();
        if !word.is_empty() {
            once(&word).await?;
            note("third", &path, &word);
        }
        Ok(())
    }
}

mod fourth {
    use super::{
        DownstreamData, Error, NetworkFilterStatus, PERIOD, Result, RootContext, StreamContext, Timer, grpc, http,
    };

    #[derive(Default)]
    pub(crate) struct Root;

    #[proxy_filter::root(root_id = "fourth")]
    impl RootContext for Root {
        type Context = Connection;

        fn new_context(&self) -> Connection {
            Connection
        }
    }

    pub(crate) struct Connection;

    #[proxy_filter::stream_context(http_calls, timers, grpc_calls)]
    impl StreamContext for Connection {
        /// The data says what the connection waits for; `report` is answered by the upstream, so
        /// the log has the events.
        fn on_downstream_data(&mut self, data: &mut DownstreamData, _end: bool) -> Result<NetworkFilterStatus> {
            match data.to_bytes()?.as_slice() {
                b"timer" => data.pause_for(self, Timer::after(PERIOD), |_, _, elapsed| done("timer", elapsed)),
                b"http" => {
                    data.pause_for(self, http(), |_, _, answer| done("http", answer.map(drop).map_err(Error::from)))
                }
                b"grpc" => {
                    data.pause_for(self, grpc(), |_, _, answer| done("grpc", answer.map(drop).map_err(Error::from)))
                }
                _ => Ok(NetworkFilterStatus::Continue),
            }
        }
    }

    fn done(kind: &str, result: Result<()>) -> Result<NetworkFilterStatus> {
        result?;
        log::info!("fourth {kind}");
        Ok(NetworkFilterStatus::Continue)
    }
}

proxy_filter::module!(first::Root, second::Root, third::Third, fourth::Root);
