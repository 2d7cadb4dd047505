//! The exchanges that are in flight, and the order in which they and their VMs take their steps.

use super::callouts::Noted;
use super::event;
use super::http::{Exchange, Waits};
use super::machine::Machine;
use super::stream::Stream;
use crate::record::Record;
use crate::spent::Spent;
use std::time::Duration;

/// An exchange that was begun and not finished.
pub(super) struct Flight {
    /// What the test calls it.
    pub(super) id: u64,
    /// The index of its VM.
    pub(super) machine: usize,
    pub(super) exchange: Exchange,
    /// What has happened at its beginning.
    pub(super) before: Record,
    /// The calls that were made then. Some may be pending.
    pub(super) calls: Noted,
    /// What the VMs had done before.
    pub(super) spent: Spent,
    /// The contexts of its stream.
    pub(super) contexts: Vec<u32>,
    /// What callbacks had asked for when it took its last step.
    seen: Asked,
}

/// What callbacks have asked for a stream to which nothing was done: how often each message is
/// continued, a local reply, the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked(usize, usize, bool, bool);

impl Asked {
    fn of(stream: &Stream) -> Self {
        let continued = (stream.request.continued.len(), stream.response.continued.len());
        Self(continued.0, continued.1, stream.local_reply.is_some(), stream.closed)
    }
}

impl Flight {
    /// An exchange that has not taken its first step.
    pub(super) fn new(id: u64, machine: usize, exchange: Exchange, contexts: Vec<u32>, spent: Spent) -> Self {
        let (before, calls, seen) = (Record::default(), Noted::default(), Asked::default());
        Self { id, machine, exchange, before, calls, spent, contexts, seen }
    }

    /// When it takes its next step if there is no event before.
    fn due(&self) -> Option<Duration> {
        match self.exchange.waits() {
            Waits::Until(time) if !self.exchange.has_ended() => Some(time),
            _ => None,
        }
    }

    /// Plays as far as nothing is waited for.
    pub(super) fn step(&mut self, machines: &mut [Machine], happened: bool) {
        let Some(machine) = machines.get_mut(self.machine) else { return };
        machine.functions.state().stream = None;
        if let Some(number) = self.exchange.stream() {
            machine.functions.state().unpark(|stream| stream.number == number);
        }
        self.exchange.step(happened);
        let mut state = machine.functions.state();
        self.seen = state.stream.as_deref().map(Asked::of).unwrap_or_default();
        state.park();
        drop(state);
        if self.exchange.has_ended() {
            machine.end_retired();
        }
    }

    /// Whether a callback of another stream has asked for something for this one.
    fn is_stirred(&self, machines: &[Machine]) -> bool {
        let (Some(machine), Some(number), Some(_)) = (machines.get(self.machine), self.exchange.stream(), self.due())
        else {
            return false;
        };
        let state = machine.functions.state();
        let stream = state.parked.iter().find(|stream| stream.number == number);
        stream.is_some_and(|stream| Asked::of(stream) != self.seen)
    }
}

/// The next step.
enum Next {
    /// An event of the VM with this index.
    Event(usize),
    /// The time is up that the exchange with this index waits for.
    Exchange(usize),
}

/// The next step, and its time. Of events at the same time those of the VMs come first.
fn next(flights: &[Flight], machines: &[Machine]) -> Option<(Duration, Next)> {
    let event = |(index, machine): (usize, &Machine)| {
        event::due(&machine.vm, &machine.functions).map(|due| (due, Next::Event(index)))
    };
    let exchange = |(index, flight): (usize, &Flight)| flight.due().map(|due| (due, Next::Exchange(index)));
    let events = machines.iter().enumerate().filter_map(event);
    events.chain(flights.iter().enumerate().filter_map(exchange)).min_by_key(|(due, _)| *due)
}

/// Plays the next event of the VMs, if it is not later than this. Returns whether there was one.
pub(super) fn play_next(machines: &[Machine], end: Duration) -> bool {
    let Some((due, Next::Event(index))) = next(&[], machines).filter(|(due, _)| *due <= end) else { return false };
    machines.get(index).is_some_and(|machine| event::next(&machine.vm, &machine.functions, due))
}

/// Lets those exchanges take a step for which callbacks have asked for something.
fn stir(flights: &mut [Flight], machines: &mut [Machine]) {
    while let Some(stirred) = flights.iter_mut().find(|flight| flight.is_stirred(machines)) {
        stirred.step(machines, true);
    }
}

/// Plays what comes until this time, in its order, or until `enough`.
pub(super) fn play(
    flights: &mut [Flight],
    machines: &mut [Machine],
    end: Duration,
    enough: impl Fn(&[Flight]) -> bool,
) {
    loop {
        stir(flights, machines);
        if enough(flights) {
            return;
        }
        let Some((due, next)) = next(flights, machines).filter(|(due, _)| *due <= end) else { return };
        match next {
            Next::Event(index) => {
                if let Some(machine) = machines.get(index) {
                    event::next(&machine.vm, &machine.functions, due);
                }
                for flight in flights.iter_mut().filter(|flight| flight.machine == index && flight.due().is_some()) {
                    flight.step(machines, true);
                }
            }
            Next::Exchange(index) => {
                let Some(flight) = flights.get_mut(index) else { return };
                if let Some(machine) = machines.get(flight.machine) {
                    machine.functions.state().clock.go_on_to(due);
                }
                flight.step(machines, false);
            }
        }
    }
}
