//! Every part that can be awaited, in every order of events: what it gives, and what is forwarded
//! meanwhile.
//!
//! The oracle is what the host has given to the filter and forwarded. It says nothing about how the
//! SDK works.
#![cfg(feature = "futures")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

mod host;
mod orders;
mod script;

use host::{Host, Side, Truth, Which, truth};
use orders::Order;
use proxy_filter::{ErrorKind, FailurePolicy};
use script::{EDIT, GOES_ON, Got, NOTES, Note, Part, RETURNED, Returned, SCRIPT, Step};
use std::fmt;

/// One run of a function.
#[derive(Debug)]
struct Run<'a> {
    policy: FailurePolicy,
    script: &'a [Step],
    goes_on: bool,
    order: &'a Order,
    /// So many events come before a call is answered.
    lag: usize,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    notes: Vec<Note>,
    returned: Returned,
    truth: Truth,
}

impl Run<'_> {
    fn play(&self, host: &mut Host) -> Outcome {
        SCRIPT.with(|script| *script.borrow_mut() = self.script.to_vec());
        GOES_ON.set(self.goes_on);
        NOTES.take();
        RETURNED.set(Returned::NotYet);
        host.begin(if self.policy == FailurePolicy::Closed { 1 } else { 2 });
        let mut waits = 0;
        for (which, event) in &self.order.events {
            host.deliver(*which, *event);
            while Host::calls() > 0 && waits >= self.lag {
                host.complete_call();
                waits = 0;
            }
            waits = if Host::calls() > 0 { waits + 1 } else { 0 };
        }
        while !self.order.is_cut && Host::calls() > 0 {
            host.complete_call();
        }
        let truth = truth();
        host.end();
        let notes = NOTES.take();
        Outcome { notes, returned: RETURNED.get(), truth }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Note { step, got, .. } in &self.notes {
            writeln!(f, "  {step:?}: {got:?}")?;
        }
        writeln!(f, "  returned: {:?}\n{:#?}", self.returned, self.truth)
    }
}

/// What the function has seen of a message.
#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    /// It was given the whole body, or its end.
    all: bool,
    /// It was given a chunk, which was or will be forwarded.
    chunk: bool,
}

/// How far a function is: the message and the part that it has awaited last in their order.
fn rank(which: Which, part: Part) -> (Which, u32) {
    let rank = match part {
        Part::Headers => 0,
        // Headers that are paused with their body can be awaited again.
        Part::HeadersWithBody | Part::Body | Part::Chunk | Part::Chunks | Part::Stream | Part::End => 1,
        Part::Trailers => 2,
    };
    (which, rank)
}

/// Follows the notes of a run, and checks each of them.
#[derive(Debug, Default)]
struct Checker {
    request: Seen,
    response: Seen,
    /// The last part in the order of the messages that was awaited.
    furthest: Option<(Which, u32)>,
    /// How many bytes of the request were forwarded when the function was told of the early
    /// response.
    early: Option<usize>,
    /// It forwards the rest all the same.
    forwards: bool,
    calls: u32,
    awaited: Option<Step>,
    /// Only headers that are paused with their body were awaited since.
    paused: Option<Which>,
}

impl Checker {
    fn seen(&mut self, which: Which) -> &mut Seen {
        if which == Which::Request { &mut self.request } else { &mut self.response }
    }

    fn note(&mut self, note: &Note) {
        let step = match (note.step, &note.got) {
            (step, Got::Nothing) => {
                self.awaited = Some(step);
                return;
            }
            (Step::Part(which, part), got) => {
                self.part(which, part, got, &note.truth);
                note.step
            }
            (step, _) => {
                self.calls += u32::from(matches!(step, Step::Call | Step::Race(..) | Step::Both(..)));
                self.forwards |= step == Step::ForwardRequest && self.early.is_some();
                step
            }
        };
        if let Step::Race(which, part) = step {
            // It was awaited, whether it came or not.
            (self.furthest, self.paused) = (self.furthest.max(Some(rank(which, part))), None);
        }
        let Step::Part(which, part) = step else {
            self.awaited = None;
            return;
        };
        let is_all = !matches!((part, &note.got), (Part::Chunks | Part::Stream, Got::Chunk(_)));
        if is_all && !matches!(self.awaited, Some(Step::Race(..) | Step::Both(..))) {
            self.awaited = None;
        }
        if !matches!(note.got, Got::Error(ErrorKind::EarlyResponse)) {
            self.furthest = self.furthest.max(Some(rank(which, part)));
        }
        self.paused = match part {
            Part::HeadersWithBody if note.got != Got::Error(ErrorKind::WrongPhase) => Some(which),
            Part::Headers => self.paused,
            _ => None,
        };
    }

    fn part(&mut self, which: Which, part: Part, got: &Got, truth: &Truth) {
        let side = truth.side(which);
        let furthest = self.furthest;
        let (calls, paused) = (self.calls, self.paused);
        let seen = self.seen(which);
        match got {
            Got::Headers => assert!(side.begun && !side.headers_forwarded, "headers that are not here"),
            Got::Chunk(bytes) => {
                seen.bytes.extend_from_slice(bytes);
                seen.chunk = true;
                assert!(side.delivered.starts_with(&seen.bytes), "chunks are the body from its beginning: {seen:?}");
                assert!(!bytes.is_empty(), "an empty chunk");
            }
            Got::Whole(bytes) => {
                assert!(side.ended, "a body that has not ended is not whole");
                assert_eq!(*bytes, side.delivered, "the whole body");
                assert!(side.forwarded.is_empty(), "a whole body of which a part was forwarded");
                if part == Part::HeadersWithBody {
                    assert!(!side.headers_forwarded, "headers that are not here");
                }
                (seen.bytes, seen.all) = (bytes.clone(), true);
            }
            Got::End => {
                assert!(side.ended, "the end of a message that has not ended");
                assert_eq!(seen.bytes, side.delivered, "the end of a body that was not seen");
                seen.all = true;
            }
            Got::Trailers(some) => {
                assert!(side.ended, "trailers, or none, of a message that has not ended");
                assert_eq!(*some, side.trailers, "whether there are trailers");
            }
            Got::Error(ErrorKind::EarlyResponse) => {
                assert_eq!(which, Which::Request, "only a request's rest can be missed");
                assert!(truth.response.begun, "the response has not begun");
                // A local reply may come while the headers are paused, whether a body follows them
                // or not.
                let overtaken = !side.ended || !side.headers_forwarded;
                assert!(overtaken || self.early.is_some(), "the request had ended");
                let reads = furthest <= Some(rank(which, Part::Body)) && part != Part::Trailers;
                if reads && self.early.is_none() {
                    assert!(self.request.bytes.starts_with(&side.forwarded), "bytes were forwarded unseen");
                }
                self.early.get_or_insert(side.forwarded.len());
            }
            Got::Error(ErrorKind::WrongPhase) => {
                // Headers are given with their body only while they are here.
                let needed = if part == Part::HeadersWithBody { Part::Headers } else { part };
                let later = furthest > Some(rank(which, needed)) && paused != Some(which);
                let partly = part == Part::Body && seen.chunk;
                let unread = part == Part::End && !(seen.all && seen.bytes == side.delivered);
                // What becomes of the body is said in the callback of the headers.
                let decided = part == Part::HeadersWithBody && calls > 0 && paused != Some(which);
                assert!(later || partly || unread || decided, "it can be given: {self:?}");
            }
            got => panic!("{got:?}"),
        }
    }
}

impl Outcome {
    fn check(&self, run: &Run<'_>) {
        let mut checker = Checker::default();
        for note in &self.notes {
            checker.note(note);
        }
        let Truth { request, response, refusals, failures } = &self.truth;
        // A response that begins early is no failure.
        let fails = matches!(self.returned, Returned::Err(kind) if kind != ErrorKind::EarlyResponse);
        assert_eq!(failures.is_empty(), !fails, "{failures:?}");
        let refuses = fails && run.policy == FailurePolicy::Closed;
        assert_eq!(refusals.is_empty(), !refuses, "{refusals:?}");
        self.check_forwarded(run, &checker);
        if refuses || run.order.is_cut {
            return;
        }
        // All that can come has come: nothing waits for anything else, and nothing is held.
        let is_over = |side: &Side| side.ended || side.is_stopped();
        match checker.awaited {
            Some(Step::Finished) | None => {}
            Some(Step::Part(which, _)) => {
                let side = self.truth.side(which);
                assert!(which == Which::Response && !is_over(side), "it waits for ever: {checker:?}");
            }
            Some(step) => panic!("{step:?} is awaited"),
        }
        if is_over(response) {
            assert!(!response.is_held(), "the response is held");
        }
        // What is buffered of a request that was not forwarded in time goes with the next part of
        // it.
        let drops = !checker.forwards && run.policy == FailurePolicy::Closed || !request.ended;
        let drops = checker.early.is_some() && drops;
        if !drops && (request.ended || self.returned != Returned::NotYet) && response.begun {
            assert!(!request.is_held(), "the request is held");
        }
    }

    /// Of a request whose response began early, nothing is forwarded that the function has not
    /// seen.
    fn check_forwarded(&self, run: &Run<'_>, checker: &Checker) {
        let request = &self.truth.request;
        if let Some(before) = checker.early {
            if run.policy == FailurePolicy::Closed && !checker.forwards {
                let forwarded = request.forwarded.len();
                assert!(forwarded <= before.max(checker.request.bytes.len()), "bytes were forwarded unseen");
                assert!(!request.end_forwarded, "the end of a request was forwarded that has lost a part");
            }
        } else if run.policy == FailurePolicy::Closed && self.returned == Returned::NotYet {
            let reads = checker.furthest <= Some(rank(Which::Request, Part::Body));
            if reads && matches!(checker.awaited, Some(Step::Part(Which::Request, part)) if part != Part::Trailers) {
                assert!(checker.request.bytes.starts_with(&request.forwarded), "bytes were forwarded unseen");
            }
        }
    }
}

/// Every part of both messages.
fn parts() -> impl Iterator<Item = Step> {
    [Which::Request, Which::Response]
        .into_iter()
        .flat_map(|which| Part::ALL.into_iter().map(move |part| Step::Part(which, part)))
}

/// Runs a script in an order, under both policies and with and without errors that end it.
fn check(host: &mut Host, script: &[Step], order: &Order, lags: &[usize]) -> usize {
    let mut runs = 0;
    for policy in [FailurePolicy::Closed, FailurePolicy::Open] {
        for goes_on in [false, true] {
            for lag in lags {
                let run = Run { policy, script, goes_on, order, lag: *lag };
                let outcome = run.play(host);
                let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outcome.check(&run)));
                assert!(checked.is_ok(), "{run:?}\n{outcome}");
                runs += 1;
            }
        }
    }
    runs
}

#[test]
fn every_part_in_every_order_of_events_and_ends_has_the_expected_content() {
    let (mut host, mut runs) = (Host::new(script::__proxy_filter::module()), 0);
    for order in orders::all() {
        for part in parts() {
            for cut in orders::cut(&order).chain([order.clone()]) {
                runs += check(&mut host, &[part], &cut, &[0]);
            }
            runs += check(&mut host, &[Step::Call, part, Step::Finished], &order, &[0, 1, 2]);
        }
    }
    println!("{runs} runs");
}

#[test]
fn every_part_after_every_other_has_the_expected_content() {
    let (mut host, mut runs) = (Host::new(script::__proxy_filter::module()), 0);
    for order in orders::some() {
        for first in parts() {
            for second in parts() {
                runs += check(&mut host, &[first, second], &order, &[0]);
                runs += check(&mut host, &[first, Step::Call, second], &order, &[0, 2]);
                runs += check(&mut host, &[first, Step::ForwardRequest, second], &order, &[0]);
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn a_part_awaited_together_with_a_call_has_the_expected_content() {
    let (mut host, mut runs) = (Host::new(script::__proxy_filter::module()), 0);
    for order in orders::some() {
        for first in parts() {
            let Step::Part(which, part) = first else { unreachable!() };
            for together in [Step::Race(which, part), Step::Both(which, part)] {
                for second in parts() {
                    runs += check(&mut host, &[together, second], &order, &[0, 2]);
                    runs += check(&mut host, &[together, Step::Call, second], &order, &[1]);
                }
                for cut in orders::cut(&order) {
                    runs += check(&mut host, &[together, first, Step::Finished], &cut, &[0, 1]);
                }
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn edited_chunks_hide_no_later_chunk() {
    let (mut host, mut runs) = (Host::new(script::__proxy_filter::module()), 0);
    for edit in [&b""[..], b"x", b"longer"] {
        EDIT.set(Some(edit));
        for order in orders::some() {
            for which in [Which::Request, Which::Response] {
                for first in [Part::Chunk, Part::Chunks] {
                    // A whole body is as the function has left it: the oracle does not know it.
                    for second in [Part::Chunk, Part::Chunks, Part::Stream, Part::End, Part::Trailers] {
                        let [headers, chunk, then] = [Part::Headers, first, second].map(|part| Step::Part(which, part));
                        for between in [Step::Call, Step::Race(which, Part::Chunk), Step::Both(which, Part::Chunk)] {
                            runs += check(&mut host, &[headers, chunk, between, then], &order, &[0, 1, 2]);
                        }
                    }
                }
            }
        }
    }
    EDIT.set(None);
    println!("{runs} runs");
}
