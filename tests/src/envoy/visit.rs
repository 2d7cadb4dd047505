//! One connection to a server behind Envoy, and what the server knows.

use crate::grpc::{GrpcStreamAnswer, GrpcStreamReply};
use crate::message::{Answer, Answered, Received, Reply};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a server knows, for all of its connections.
#[derive(Default)]
pub(super) struct State {
    pub(super) answer: Option<Answer>,
    /// How it responds to the clients of exchanges in flight, and when; the latest last.
    pub(super) clients: Vec<(SocketAddr, Answer, Answered)>,
    /// How a server of gRPC streams responds to messages.
    pub(super) turns: Option<GrpcStreamAnswer>,
    /// What came, with the number of its connection: Envoy makes them in the order in which it
    /// calls, but their threads race.
    pub(super) received: Vec<(usize, Received)>,
    /// The clients of these connections, as far as Envoy names them.
    pub(super) senders: BTreeMap<usize, SocketAddr>,
    /// The panic of a reply function: a failed assertion in a test, which must be raised on the
    /// test's own thread.
    pub(super) panic: Option<Box<dyn Any + Send>>,
    pub(super) accepted: usize,
    pub(super) active: usize,
    /// The number of active connections with a delayed response.
    pub(super) waiting: usize,
    pub(super) stopping: bool,
}

impl State {
    /// The client of an exchange in flight that a connection belongs to. Envoy may name another
    /// address than the client's, for example that in `x-forwarded-for`.
    pub(super) fn owner(&self, connection: usize) -> Option<&(SocketAddr, Answer, Answered)> {
        let sender = self.senders.get(&connection)?;
        self.clients.iter().rev().find(|(client, ..)| client == sender).or(self.clients.last())
    }
}

/// One connection of a client.
pub(super) struct Visit {
    pub(super) number: usize,
    /// The cluster whose port the connection came to; empty for the server of a called cluster.
    pub(super) cluster: String,
    pub(super) state: Arc<Mutex<State>>,
}

impl Visit {
    /// Keeps what has come on this connection, in place of what had come before.
    pub(super) fn note(&self, request: &Received) {
        let mut state = lock(&self.state);
        state.received.retain(|(number, _)| *number != self.number);
        state.received.push((self.number, self.routed(request)));
    }

    /// The request with the cluster that it was routed to.
    fn routed(&self, request: &Received) -> Received {
        Received { cluster: self.cluster.clone(), ..request.clone() }
    }

    /// The response to this request. `None`: no response.
    pub(super) fn answer(&self, request: &Received) -> Option<Reply> {
        self.note(request);
        let answer = {
            let state = lock(&self.state);
            let of_client = state.owner(self.number).map(|(_, answer, answered)| (Answer::clone(answer), *answered));
            let of_all = || state.answer.clone().map(|answer| (answer, Answered::Complete));
            let (answer, answered) = of_client.or_else(of_all)?;
            Some(answer).filter(|_| request.complete || answered != Answered::Complete)?
        };
        let request = self.routed(request);
        let reply = self.guarded(|| answer(&request))?;
        self.sleep(reply.after);
        Some(reply)
    }

    /// The response to this message of a stream. `None`: no response.
    pub(super) fn turn(&self, message: &[u8]) -> Option<GrpcStreamReply> {
        let turns = lock(&self.state).turns.clone()?;
        let turn = self.guarded(|| turns(message))?;
        self.sleep(turn.after);
        Some(turn)
    }

    /// Runs a part of the test, which may panic.
    fn guarded<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        catch_unwind(AssertUnwindSafe(body)).map_err(|panic| lock(&self.state).panic = Some(panic)).ok()
    }

    fn sleep(&self, time: Duration) {
        if !time.is_zero() {
            self.wait(|| std::thread::sleep(time));
        }
    }

    /// Does something that takes its time, without waiting for it.
    pub(super) fn wait<T>(&self, body: impl FnOnce() -> T) -> T {
        lock(&self.state).waiting += 1;
        let result = body();
        lock(&self.state).waiting -= 1;
        result
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
