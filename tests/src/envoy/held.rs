//! Exchanges that a test holds while it does something else, and new configurations.

use super::process::DRAIN;
use super::{FIRST_EVENT, Running, SETTLE, bootstrap, send};
use crate::backend::{Answer, ConfigureError, Settings};
use crate::message::{Received, Request};
use crate::record::{Event, Record};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an old root context may take to come to its end after its connections have been drained.
const END_OF_ROOT: Duration = Duration::from_secs(3);

/// An exchange under way, with its client on a thread of its own.
pub(super) struct Held {
    client: JoinHandle<io::Result<Option<Received>>>,
    /// Dropping it lets the upstream answer.
    gate: Option<Sender<()>>,
    /// Whether the upstream has the request.
    reached: bool,
    received: Option<Received>,
    before: Vec<Event>,
    /// Stream contexts that exist while it waits, those of exchanges around it included.
    streams: usize,
}

/// An answer that tells of the request, and does not come until the gate is opened.
fn held_back(answer: &Answer, reached: Sender<()>, gate: Receiver<()>) -> Answer {
    let answer = Arc::clone(answer);
    let (reached, gate) = (Mutex::new(reached), Mutex::new(gate));
    Arc::new(move |request| {
        // Nobody listens any more if the test is over.
        let _ = reached.lock().unwrap_or_else(PoisonError::into_inner).send(());
        let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
        answer(request)
    })
}

impl Running {
    /// How many requests are held at the upstream.
    pub(super) fn held(&self) -> usize {
        self.open.iter().filter(|held| held.reached).count()
    }

    /// How many stream contexts exist because exchanges are held.
    pub(super) fn held_streams(&self) -> usize {
        self.open.last().map_or(0, |held| held.streams)
    }

    pub(super) fn begin(&mut self, request: &Request, answer: &Answer) -> bool {
        let (reached_sender, reached_receiver) = channel();
        let (gate, gate_receiver) = channel();
        self.calls();
        self.expect(&held_back(answer, reached_sender, gate_receiver));
        let (listener, sent) = (self.process.listener(), request.clone());
        let client = std::thread::spawn(move || send(listener, &sent));
        let mut reached = false;
        while !reached && !client.is_finished() {
            reached = reached_receiver.recv_timeout(Duration::from_millis(5)).is_ok();
        }
        if reached {
            self.process.journal().wait_for_events(FIRST_EVENT);
            self.process.journal().settle(SETTLE);
        }
        let received = if reached { self.received() } else { None };
        let before = if reached { self.process.journal().take() } else { Vec::new() };
        let streams = if reached { self.process.journal().streams() } else { self.held_streams() };
        self.open.push(Held { client, gate: Some(gate), reached, received, before, streams });
        reached
    }

    pub(super) fn finish(&mut self) -> Option<Record> {
        let mut held = self.open.pop()?;
        held.gate = None;
        let response = held.client.join().unwrap_or_else(|_| Err(io::Error::other("the client's thread panicked")));
        self.wait_for_the_end();
        self.wait_for_retired();
        let upstream = held.received.or(self.received());
        let mut record = self.record(response, upstream);
        record.events.splice(..0, held.before);
        Some(record)
    }

    /// Moves a new listener in place of the old one.
    pub(super) fn reconfigure(&mut self, settings: &Settings) -> io::Result<Result<Record, ConfigureError>> {
        let listeners = bootstrap::listeners(settings, &self.module);
        if !self.process.update(&listeners)? {
            self.process.journal().settle(SETTLE);
            let events = self.process.journal().trial();
            return Ok(Err(ConfigureError { events, reason: self.process.complaints() }));
        }
        self.settings = settings.clone();
        self.retiring = true;
        if self.told {
            self.process.journal().wait_for_events(FIRST_EVENT);
        }
        self.process.journal().settle(SETTLE);
        self.wait_for_retired();
        Ok(Ok(self.aside()))
    }

    /// Waits for the end of old root contexts, unless a stream needs them.
    fn wait_for_retired(&mut self) {
        if !self.retiring || !self.open.is_empty() {
            return;
        }
        self.retiring = false;
        if self.told {
            let roots = self.settings.plugins().len() * self.settings.workers.max(1);
            self.process.journal().wait_for_roots(roots, DRAIN + END_OF_ROOT);
        } else {
            std::thread::sleep(DRAIN);
        }
        self.process.journal().settle(SETTLE);
    }
}
