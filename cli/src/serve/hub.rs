//! The exchanges that the page shows, and the pages that show them.

use super::recording::Recording;
use crate::view;
use proxy_filter_host::{Event, Fields, Protocol};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// The maximum number of exchanges that are kept.
const EXCHANGES: usize = 5_000;
/// The maximum number of bytes that are kept of exchanges that are over.
const BYTES: usize = 64 << 20;
/// The maximum number of events of plugins that are kept.
const EVENTS: usize = 1_000;
/// How many messages may wait for a page. A page that is slower gets a new list.
const WAITING: usize = 4_096;

#[derive(Default)]
struct State {
    begun: u64,
    /// The latest exchanges in order, with the bytes that are kept of each.
    exchanges: VecDeque<(Arc<Recording>, usize)>,
    bytes: usize,
    /// The latest events of plugins outside of exchanges.
    events: VecDeque<Value>,
}

/// The exchanges of a server.
pub(super) struct Hub {
    state: Mutex<State>,
    messages: broadcast::Sender<Arc<str>>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), messages: broadcast::channel(WAITING).0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an exchange. The oldest one is dropped if there are too many.
    pub(super) fn begin(
        &self,
        replay_of: Option<u64>,
        protocol: Protocol,
        headers: &Fields,
        end: bool,
    ) -> Arc<Recording> {
        let mut state = self.state();
        state.begun += 1;
        let recording = Recording::begin(state.begun, replay_of, protocol, headers, end);
        state.exchanges.push_back((Arc::clone(&recording), 0));
        while state.exchanges.len() > EXCHANGES {
            state.drop_oldest();
        }
        self.publish("exchange", || recording.summary());
        recording
    }

    /// Ends an exchange.
    pub(super) fn end(&self, recording: &Recording) {
        let size = recording.end();
        let mut state = self.state();
        let first = state.exchanges.front().map_or(0, |(first, _)| first.number);
        let index = recording.number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some((_, kept)) = index.and_then(|index| state.exchanges.get_mut(index)) {
            *kept = size;
            state.bytes += size;
        }
        while state.bytes > BYTES && state.exchanges.len() > 1 {
            state.drop_oldest();
        }
        self.publish("exchange", || recording.summary());
    }

    /// Notes what a plugin has done outside of exchanges.
    pub(super) fn events(&self, stage: usize, events: &[(Instant, Event)]) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0;
        let mut kept = self.state();
        for (_, event) in events {
            let mut shown = view::event(event);
            if let Some(map) = shown.as_object_mut() {
                map.insert("time".into(), time.into());
                map.insert("filter".into(), stage.into());
            }
            kept.events.push_back(shown);
        }
        let surplus = kept.events.len().saturating_sub(EVENTS);
        kept.events.drain(..surplus);
    }

    /// Tells the pages what has happened to the server.
    pub(super) fn announce(&self, text: &str) {
        self.publish("reload", || text.into());
    }

    /// The events of plugins.
    pub(super) fn plugin_events(&self) -> Vec<Value> {
        self.state().events.iter().cloned().collect()
    }

    /// An exchange, unless it was dropped.
    pub(super) fn exchange(&self, number: u64) -> Option<Arc<Recording>> {
        let state = self.state();
        let found = state.exchanges.iter().find(|(recording, _)| recording.number == number);
        found.map(|(recording, _)| Arc::clone(recording))
    }

    /// The list of all exchanges, and the messages that follow it.
    pub(super) fn subscribe(&self) -> (String, broadcast::Receiver<Arc<str>>) {
        let state = self.state();
        let receiver = self.messages.subscribe();
        let summaries: Vec<_> = state.exchanges.iter().map(|(recording, _)| recording.summary()).collect();
        (message("exchanges", &json!(summaries)), receiver)
    }

    /// Sends a message to the pages, if there are any.
    fn publish(&self, name: &str, data: impl FnOnce() -> Value) {
        if self.messages.receiver_count() > 0 {
            let _ = self.messages.send(message(name, &data()).into());
        }
    }
}

impl State {
    fn drop_oldest(&mut self) {
        if let Some((_, size)) = self.exchanges.pop_front() {
            self.bytes -= size;
        }
    }
}

/// A server-sent event.
fn message(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
