//! The functions that are driven: each awaits what its script says, and notes what it gets.

use super::host::{Truth, Which, truth};
use futures::TryStreamExt as _;
use proxy_filter::future::{Either, join, select};
use proxy_filter::prelude::*;
use std::cell::{Cell, RefCell};

/// What a function does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Part(Which, Part),
    /// The part or an HTTP call, whichever comes first; the other one is dropped.
    Race(Which, Part),
    /// The part and an HTTP call.
    Both(Which, Part),
    /// An HTTP call, which pauses the stream.
    Call,
    ForwardRequest,
    Finished,
}

/// What can be awaited of a message, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Headers,
    HeadersWithBody,
    Body,
    /// One chunk.
    Chunk,
    /// One chunk after the other, until there are no more.
    Chunks,
    /// The same as a stream of the crate `futures`.
    Stream,
    End,
    Trailers,
}

impl Part {
    pub(crate) const ALL: [Self; 8] = [
        Self::Headers,
        Self::HeadersWithBody,
        Self::Body,
        Self::Chunk,
        Self::Chunks,
        Self::Stream,
        Self::End,
        Self::Trailers,
    ];
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// It is awaited.
    Nothing,
    Headers,
    Chunk(Vec<u8>),
    Whole(Vec<u8>),
    /// There are no more chunks.
    End,
    Trailers(bool),
    Done,
    Error(ErrorKind),
}

/// What became of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    NotYet,
    Ok,
    Err(ErrorKind),
}

/// A step, what came of it, and how far the messages were then.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) step: Step,
    pub(crate) got: Got,
    pub(crate) truth: Truth,
}

thread_local! {
    pub(crate) static SCRIPT: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
    /// Whether a function that gets an error takes the next step; otherwise it returns the error.
    pub(crate) static GOES_ON: Cell<bool> = const { Cell::new(false) };
    /// What a function writes into each chunk, after it has read it.
    pub(crate) static EDIT: Cell<Option<&'static [u8]>> = const { Cell::new(None) };
    pub(crate) static NOTES: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
    pub(crate) static RETURNED: Cell<Returned> = const { Cell::new(Returned::NotYet) };
}

fn note(step: Step, got: Got) {
    let note = Note { step, got, truth: truth() };
    NOTES.with(|notes| notes.borrow_mut().push(note));
}

async fn part(exchange: &mut Exchange, which: Which, part: Part) -> Result<Got> {
    let got = match which {
        Which::Request => request(exchange, part).await,
        Which::Response => response(exchange, part).await,
    };
    note(Step::Part(which, part), got.as_ref().map_or_else(|error| Got::Error(error.kind()), Got::clone));
    got
}

async fn play(exchange: &mut Exchange) -> Result<()> {
    for step in SCRIPT.with(|script| script.borrow().clone()) {
        note(step, Got::Nothing);
        let taken = match step {
            Step::Part(which, awaited) => part(exchange, which, awaited).await,
            Step::Race(which, awaited) => {
                match select(part(exchange, which, awaited), HttpCall::get("service", "/")).await {
                    Either::First(got) => got,
                    Either::Second(_) => Ok(Got::Done),
                }
            }
            Step::Both(which, awaited) => join(part(exchange, which, awaited), HttpCall::get("service", "/")).await.0,
            Step::Call => {
                let _ = HttpCall::get("service", "/").await;
                Ok(Got::Done)
            }
            Step::ForwardRequest => {
                exchange.forward_request();
                Ok(Got::Done)
            }
            Step::Finished => exchange.log_context().await.map(|_| Got::Done),
        };
        // What came of a part was noted when it came.
        if !matches!(step, Step::Part(..)) {
            note(step, taken.as_ref().map_or_else(|error| Got::Error(error.kind()), |_| Got::Done));
        }
        if !GOES_ON.get() {
            taken?;
        }
    }
    Ok(())
}

/// Reads a chunk, and edits it if it can be edited.
fn read(chunk: &mut Body) -> Result<Vec<u8>> {
    let bytes = chunk.to_bytes()?;
    if let Some(edit) = EDIT.get() {
        // A chunk that came while an earlier one was paused cannot be edited.
        let _ = chunk.replace(edit);
    }
    Ok(bytes)
}

macro_rules! message {
    ($name:ident, $Which:ident: $headers:ident, $held:ident, $body:ident, $chunk:ident, $chunks:ident, $end:ident, $trailers:ident) => {
        async fn $name(exchange: &mut Exchange, part: Part) -> Result<Got> {
            let step = Step::Part(Which::$Which, part);
            Ok(match part {
                Part::Headers => {
                    let headers = exchange.$headers().await?;
                    headers.get("x-known")?;
                    if EDIT.get().is_some() {
                        headers.remove("content-length")?;
                    }
                    Got::Headers
                }
                Part::HeadersWithBody => {
                    let (headers, body) = exchange.$held(100).await?;
                    headers.get("x-known")?;
                    Got::Whole(body.to_bytes()?)
                }
                Part::Body => Got::Whole(exchange.$body(100).await?.to_bytes()?),
                Part::Chunk => match exchange.$chunk().await? {
                    Some(chunk) => Got::Chunk(read(chunk)?),
                    None => Got::End,
                },
                Part::Chunks => {
                    while let Some(chunk) = exchange.$chunk().await? {
                        note(step, Got::Chunk(read(chunk)?));
                    }
                    Got::End
                }
                Part::Stream => {
                    let mut chunks = exchange.$chunks();
                    while let Some(chunk) = chunks.try_next().await? {
                        note(step, Got::Chunk(chunk));
                    }
                    Got::End
                }
                Part::End => {
                    exchange.$end()?;
                    Got::End
                }
                Part::Trailers => Got::Trailers(match exchange.$trailers().await? {
                    Some(trailers) => trailers.get("x-known")?.is_some(),
                    None => false,
                }),
            })
        }
    };
}

message!(request, Request: request_headers, request_headers_with_body, request_body, request_chunk, request_chunks,
    request_body_end, request_trailers);
message!(response, Response: response_headers, response_headers_with_body, response_body, response_chunk, response_chunks,
    response_body_end, response_trailers);

async fn run(mut exchange: Exchange) -> Result<()> {
    let result = play(&mut exchange).await;
    RETURNED.set(result.as_ref().err().map_or(Returned::Ok, |error| Returned::Err(error.kind())));
    result
}

macro_rules! filter {
    ($name:ident, $root_id:literal $(, $policy:ident)?) => {
        #[proxy_filter::filter(root_id = $root_id $(, $policy)?)]
        async fn $name(exchange: Exchange) -> Result<()> {
            run(exchange).await
        }
    };
}

filter!(closed, "closed");
filter!(open, "open", fail_open);
proxy_filter::module!(Closed, Open);
