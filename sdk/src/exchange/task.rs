//! The futures of streams and root contexts, and what their callbacks do with them.

use super::Exchange;
use super::stage::{Point, Points, Stage, Wanted};
use crate::error::{Error, Result};
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::local_reply::LocalReply;
use crate::runtime::{Executor, current, executor};
use core::task::Poll;
use std::cell::Cell;
use std::rc::Rc;

thread_local! {
    static EXECUTOR: Executor<Result<()>, Rc<Stage>> = const { Executor::new() };
    /// What the module exports, as far as the future that runs is concerned.
    static DECLARED: Cell<Points> = const { Cell::new(Points::NONE) };
}

/// A future may wake itself so often in one callback; after that it waits for the next one.
const TURNS: u32 = 64;

/// What becomes of a stream after its future has run.
pub(crate) enum Next {
    /// Everything goes on.
    LetGo,
    /// The whole body of this point is waited for.
    Gather(Point),
    /// The stream stays where it is; the point is the one that the future was given last.
    Hold(Point),
    /// The client is answered.
    Reply(LocalReply),
    /// The future is over.
    Failed(Error),
}

/// The future of a stream. It is dropped with this.
#[derive(Debug)]
pub struct StreamTask {
    number: u32,
    stage: Rc<Stage>,
}

impl StreamTask {
    /// Makes the future of the stream that is being created. It does not run yet.
    pub fn new<T: 'static, F>(config: Option<Rc<T>>, points: Points, filter: impl FnOnce(Exchange<T>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let stage = Rc::new(Stage::new(points));
        let (owner, data) = (current::context_id(), Rc::clone(&stage));
        let number = EXECUTOR.with(|executor| match config {
            Some(config) => executor.spawn(owner, data, filter(Exchange::new(config, Rc::clone(&stage)))),
            // No host creates streams of a plugin that it has not configured.
            None => executor.spawn(owner, data, async { Err(Error::from("the plugin was not configured")) }),
        });
        Self { number, stage }
    }

    /// Lets the future run if a callback at this point concerns it.
    #[inline]
    fn step(&self, point: Point) -> Next {
        if self.stage.concerns(point) { run(self.number, &self.stage) } else { Next::LetGo }
    }

    #[inline]
    fn headers(&self, point: Point, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.stage.arrive_headers(point, end_of_stream);
        match self.step(point) {
            Next::LetGo | Next::Gather(_) => Ok(FilterHeadersStatus::Continue),
            Next::Hold(_) => Ok(FilterHeadersStatus::PAUSE),
            Next::Reply(reply) => Ok(FilterHeadersStatus::LocalReply(reply)),
            Next::Failed(error) => Err(error),
        }
    }

    #[inline]
    fn body(&self, point: Point, size: usize, end_of_stream: bool) -> Result<FilterDataStatus> {
        self.stage.arrive_body(point, size, end_of_stream);
        match self.step(point) {
            Next::Gather(wanted) if wanted == point => Ok(FilterDataStatus::StopIterationAndBuffer),
            Next::LetGo | Next::Gather(_) => {
                self.stage.let_go(point);
                Ok(FilterDataStatus::Continue)
            }
            Next::Hold(_) => {
                self.stage.progress(point).held.set(true);
                Ok(FilterDataStatus::PAUSE)
            }
            Next::Reply(reply) => Ok(FilterDataStatus::LocalReply(reply)),
            Next::Failed(error) => Err(error),
        }
    }

    #[inline]
    fn trailers(&self, point: Point) -> Result<FilterTrailersStatus> {
        self.stage.arrive(point);
        match self.step(point) {
            Next::LetGo | Next::Gather(_) => Ok(FilterTrailersStatus::Continue),
            Next::Hold(_) => Ok(FilterTrailersStatus::PAUSE),
            Next::Reply(reply) => Ok(FilterTrailersStatus::LocalReply(reply)),
            Next::Failed(error) => Err(error),
        }
    }

    /// `Context::on_request_headers`.
    #[inline]
    pub fn on_request_headers(&self, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.headers(Point::RequestHeaders, end_of_stream)
    }

    /// `Context::on_request_body`.
    #[inline]
    pub fn on_request_body(&self, size: usize, end_of_stream: bool) -> Result<FilterDataStatus> {
        self.body(Point::RequestBody, size, end_of_stream)
    }

    /// `Context::on_request_trailers`.
    #[inline]
    pub fn on_request_trailers(&self) -> Result<FilterTrailersStatus> {
        self.trailers(Point::RequestTrailers)
    }

    /// `Context::on_response_headers`.
    #[inline]
    pub fn on_response_headers(&self, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.headers(Point::ResponseHeaders, end_of_stream)
    }

    /// `Context::on_response_body`.
    #[inline]
    pub fn on_response_body(&self, size: usize, end_of_stream: bool) -> Result<FilterDataStatus> {
        self.body(Point::ResponseBody, size, end_of_stream)
    }

    /// `Context::on_response_trailers`.
    #[inline]
    pub fn on_response_trailers(&self) -> Result<FilterTrailersStatus> {
        self.trailers(Point::ResponseTrailers)
    }

    /// `Context::on_log`.
    #[inline]
    pub fn on_log(&self) -> Result<()> {
        self.stage.arrive(Point::Log);
        // Whoever waits for anything else waits in vain, and is dropped.
        let over = self.stage.progress(Point::Log).ended.get();
        match self.stage.wanted() {
            Wanted::Point(Point::Log) => {}
            Wanted::Point(Point::ResponseTrailers) if over => {}
            _ => return Ok(()),
        }
        match run(self.number, &self.stage) {
            Next::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for StreamTask {
    #[inline]
    fn drop(&mut self) {
        remove(self.number);
    }
}

/// The future of a root context. It is dropped with this.
#[derive(Debug)]
pub struct RootTask {
    number: u32,
}

impl RootTask {
    /// Makes a future of the root context that is being configured, and has it run after the callback.
    pub fn new(points: Points, future: impl Future<Output = Result<()>> + 'static) -> Self {
        let stage = Rc::new(Stage::new(points));
        let number = EXECUTOR.with(|executor| executor.spawn(current::context_id(), stage, future));
        executor::wake(number);
        Self { number }
    }
}

impl Drop for RootTask {
    #[inline]
    fn drop(&mut self) {
        remove(self.number);
    }
}

#[inline]
fn remove(number: u32) {
    // Contexts alive at the end of a native thread are dropped when there may be no executor any more.
    let _ = EXECUTOR.try_with(|executor| executor.remove(number));
}

/// The context of a task, and how far its stream is.
#[inline]
pub(crate) fn describe(number: u32) -> Option<(u32, Rc<Stage>)> {
    EXECUTOR.with(|executor| executor.describe(number))
}

/// Lets a stream's future run that was woken outside of the stream's callbacks.
#[inline]
pub(crate) fn resume(number: u32, stage: &Stage) -> Next {
    let next = run(number, stage);
    match &next {
        Next::LetGo => {
            stage.let_go(Point::RequestBody);
            stage.let_go(Point::ResponseBody);
        }
        Next::Hold(point) if !point.is_request() => stage.let_go(Point::RequestBody),
        _ => {}
    }
    next
}

/// Lets a root context's future run.
#[inline]
pub(crate) fn poll_root(number: u32, stage: &Stage) -> Result<()> {
    match run(number, stage) {
        Next::Failed(error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether the future that runs may wait for this.
#[inline]
pub(crate) fn is_declared(points: Points) -> bool {
    DECLARED.get().intersects(points)
}

#[inline]
fn run(number: u32, stage: &Stage) -> Next {
    let outer = DECLARED.replace(stage.points());
    let next = run_declared(number, stage);
    DECLARED.set(outer);
    next
}

#[inline]
fn run_declared(number: u32, stage: &Stage) -> Next {
    for _ in 0..TURNS {
        executor::take_woken(number);
        stage.want(Wanted::Nothing);
        let result = EXECUTOR.with(|executor| executor.poll(number));
        if let Some(reply) = stage.take_reply() {
            remove(number);
            stage.want(Wanted::Point(Point::Log));
            return Next::Reply(reply);
        }
        match result {
            Some(Poll::Pending) => {}
            over => {
                // Nothing concerns it any more.
                stage.want(Wanted::Point(Point::Log));
                return match over {
                    Some(Poll::Ready(Err(error))) => Next::Failed(error),
                    _ => Next::LetGo,
                };
            }
        }
        if !executor::is_woken(number) {
            break;
        }
    }
    match stage.wanted() {
        Wanted::Nothing => Next::Hold(stage.taken()),
        Wanted::Point(_) => Next::LetGo,
        Wanted::Whole(point) => Next::Gather(point),
    }
}
