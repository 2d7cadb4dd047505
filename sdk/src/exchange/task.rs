//! The futures of streams and root contexts, and how callbacks run them.

use crate::current;
use crate::engine::declared;
use crate::engine::executor::{BoxFuture, Executor, Task};
use crate::engine::message_state::{Facts, Messages};
use crate::engine::point::{Point, Points};
use crate::engine::shared::Shared;
use crate::error::denial::Denial;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::exchange::Exchange;
use crate::exchange::held;
use crate::exchange::stage::{Stage, StageHandle, Wanted, early_response};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use core::task::Poll;
use std::rc::Rc;

/// The future of a stream or of a root context.
pub(crate) type Running = Shared<Task<Result<()>, Stage>>;

thread_local! {
    static EXECUTOR: Executor<Result<()>, Stage> = const { Executor::new() };
}

/// A future may wake itself this often in one callback; then it waits for the next one.
const TURNS: u32 = 64;

/// What happens to a stream after its future was polled.
pub(crate) enum Next {
    /// Everything is forwarded.
    Forward,
    /// The future waits for the whole body of this point. If the point is headers, it is the body
    /// that follows them, and the headers are paused.
    Buffer(Point),
    /// The stream is paused. The point is the one that the future received last.
    Pause(Point),
    /// The client gets a local reply, or the stream is reset.
    Deny(Denial),
    /// The future has failed.
    Failed(Error),
}

/// The future of a stream. Dropping this drops the future.
#[derive(Debug)]
pub struct StreamTask {
    task: Running,
}

impl StreamTask {
    /// Creates the future of the stream that begins, without polling it.
    pub fn new<T: 'static, F>(config: Option<Rc<T>>, points: Points, filter: impl FnOnce(Exchange<T>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let task = spawn(current::context_id(), points, Messages::created(), |stage| match config {
            Some(config) => Box::pin(filter(Exchange::new(config, stage))),
            // No host creates streams of a plugin that it has not configured.
            None => Box::pin(async { Err(Error::from("the plugin was not configured")) }),
        });
        Self { task }
    }

    #[inline]
    const fn stage(&self) -> &'static Stage {
        &self.task.data
    }

    /// Polls the future if a callback at this point concerns it.
    #[inline]
    fn step(&self, point: Point) -> Next {
        if self.stage().concerns(point) { run(self.task) } else { Next::Forward }
    }

    #[inline]
    fn headers(&self, point: Point) -> Result<FilterHeadersStatus> {
        self.stage().arrive_headers(point);
        match self.step(point) {
            Next::Buffer(wanted) if wanted == point => Ok(FilterHeadersStatus::StopIteration),
            Next::Forward | Next::Buffer(_) => Ok(FilterHeadersStatus::Continue),
            Next::Pause(_) => Ok(FilterHeadersStatus::Pause),
            Next::Deny(denial) => Ok(denial.into()),
            Next::Failed(error) => Err(error),
        }
    }

    #[inline]
    fn body(&self, point: Point, size: usize) -> Result<FilterDataStatus> {
        let message = self.stage().message(point);
        let bodiless = message.has(Facts::BODILESS);
        if !bodiless {
            if self.stage().drops(point) {
                return Err(early_response());
            }
            self.stage().arrive_body(point);
        }
        let ends = message.has(Facts::ENDED) && !message.has(Facts::TRAILS);
        let next = if ends && self.stage().concerns_end(point) {
            run(self.task)
        } else if bodiless {
            // The headers had `end_of_stream`, and are still available.
            Next::Forward
        } else {
            self.step(point)
        };
        match next {
            Next::Buffer(wanted) if wanted == point => Ok(FilterDataStatus::StopIterationAndBuffer),
            Next::Forward | Next::Buffer(_) => {
                if self.stage().reading(point).told_empty.get() && size > 0 {
                    return Err(bytes_of_an_upgrade());
                }
                self.stage().let_go(point);
                Ok(FilterDataStatus::Continue)
            }
            Next::Pause(_) => Ok(FilterDataStatus::Pause),
            Next::Deny(denial) => Ok(denial.into()),
            Next::Failed(error) => Err(error),
        }
    }

    #[inline]
    fn trailers(&self, point: Point) -> Result<FilterTrailersStatus> {
        if self.stage().drops(point) {
            return Err(early_response());
        }
        self.stage().arrive(point);
        match self.step(point) {
            Next::Forward | Next::Buffer(_) => {
                self.stage().let_go(point);
                Ok(FilterTrailersStatus::Continue)
            }
            Next::Pause(_) => Ok(FilterTrailersStatus::Pause),
            Next::Deny(denial) => Ok(denial.into()),
            Next::Failed(error) => Err(error),
        }
    }

    /// Records whether the request asks for a tunnel, for functions that await a whole response:
    /// when that comes, hosts do not show the request any more.
    #[inline]
    pub fn note_tunnel(&self, end_of_stream: bool) {
        if !end_of_stream {
            held::note_tunnel(self.stage());
        }
    }

    /// `Context::on_request_headers`.
    #[inline]
    pub fn on_request_headers(&self, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.headers(Point::RequestHeaders)
    }

    /// `Context::on_request_body`.
    #[inline]
    pub fn on_request_body(&self, size: usize, _end_of_stream: bool) -> Result<FilterDataStatus> {
        self.body(Point::RequestBody, size)
    }

    /// `Context::on_request_trailers`.
    #[inline]
    pub fn on_request_trailers(&self) -> Result<FilterTrailersStatus> {
        self.trailers(Point::RequestTrailers)
    }

    /// `Context::on_response_headers`.
    #[inline]
    pub fn on_response_headers(&self, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.headers(Point::ResponseHeaders)
    }

    /// `Context::on_response_body`.
    #[inline]
    pub fn on_response_body(&self, size: usize, _end_of_stream: bool) -> Result<FilterDataStatus> {
        self.body(Point::ResponseBody, size)
    }

    /// `Context::on_response_trailers`.
    #[inline]
    pub fn on_response_trailers(&self) -> Result<FilterTrailersStatus> {
        self.trailers(Point::ResponseTrailers)
    }

    /// `Context::on_log`.
    #[inline]
    pub fn on_log(&self) -> Result<()> {
        self.stage().arrive(Point::Log);
        // If the function awaits anything else, it never completes: it is dropped.
        if self.stage().wanted() != Wanted::Point(Point::Log) {
            return Ok(());
        }
        match run(self.task) {
            Next::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for StreamTask {
    #[inline]
    fn drop(&mut self) {
        self.stage().end();
        remove(self.task);
    }
}

/// The future of a root context. Dropping this drops the future.
#[derive(Debug)]
pub struct RootTask {
    task: Running,
}

impl RootTask {
    /// Creates a future of the root context that is being configured, and schedules it to run after
    /// the callback.
    pub fn new(points: Points, future: impl Future<Output = Result<()>> + 'static) -> Self {
        let (task, _) = Self::of(current::context_id(), points, future);
        task.task.wake();
        task
    }

    /// Creates a future of a root context, and what runs it for the first time.
    pub(crate) fn of(root: u32, points: Points, future: impl Future<Output = Result<()>> + 'static) -> (Self, Start) {
        let task = spawn(root, points, Messages::none(), |_| Box::pin(future));
        (Self { task }, Start { task })
    }

    /// Whether this is the future.
    pub(crate) fn is(&self, task: Running) -> bool {
        core::ptr::eq(self.task, task)
    }
}

/// Runs a future of a root context for the first time, in the callback in which it was created.
pub(crate) struct Start {
    task: Running,
}

impl Start {
    /// Runs it until it first waits.
    pub(crate) fn run(self) -> Result<()> {
        poll_root(self.task)
    }
}

impl Drop for RootTask {
    #[inline]
    fn drop(&mut self) {
        remove(self.task);
    }
}

/// A client sends a body although it began the request as an upgrade, which has no body.
#[cold]
fn bytes_of_an_upgrade() -> Error {
    Error::deserving(400, ErrorKind::Malformed, "bytes follow a body that began as that of an upgrade, without one")
}

#[inline]
fn remove(task: Running) {
    // When a native thread ends, contexts may be dropped after the executor.
    let _ = EXECUTOR.try_with(|executor| executor.remove(task));
}

/// Creates a future with its stage.
#[inline]
fn spawn(
    owner: u32,
    points: Points,
    messages: Shared<Messages>,
    future: impl FnOnce(StageHandle) -> BoxFuture<Result<()>>,
) -> Running {
    let (new, again) = (|| Stage::new(points, messages), |stage: &Stage| stage.begin_again(points, messages));
    EXECUTOR.with(|executor| executor.spawn(owner, new, again, future))
}

/// Returns the task with this number.
#[inline]
pub(crate) fn find(number: u32) -> Option<Running> {
    EXECUTOR.with(|executor| executor.find(number))
}

/// Polls a stream's future that was woken outside of the stream's callbacks.
#[inline]
pub(crate) fn resume(task: Running) -> Next {
    let (stage, next) = (&task.data, run(task));
    match &next {
        Next::Forward => {
            stage.let_go(Point::RequestBody);
            stage.let_go(Point::ResponseBody);
        }
        Next::Pause(point) if !point.is_request() => stage.let_go(Point::RequestBody),
        _ => {}
    }
    next
}

/// Polls a root context's future.
#[inline]
pub(crate) fn poll_root(task: Running) -> Result<()> {
    match run(task) {
        Next::Failed(error) => Err(error),
        _ => Ok(()),
    }
}

#[inline]
fn run(task: Running) -> Next {
    let outer = declared::declare(task.data.points());
    let next = run_declared(task);
    declared::declare(outer);
    next
}

#[inline]
fn run_declared(task: Running) -> Next {
    let stage = &task.data;
    for _ in 0..TURNS {
        task.take_woken();
        stage.want(Wanted::Nothing);
        let result = EXECUTOR.with(|executor| executor.poll(task));
        if let Some(denial) = stage.take_denial() {
            Executor::stop(task);
            stage.want(Wanted::Point(Point::Log));
            return Next::Deny(denial);
        }
        match result {
            Some(Poll::Pending) => {}
            over => {
                // No further callback concerns the future.
                stage.want(Wanted::Point(Point::Log));
                return match over {
                    Some(Poll::Ready(Err(error))) => Next::Failed(error),
                    _ => Next::Forward,
                };
            }
        }
        if !task.is_woken() {
            break;
        }
    }
    match stage.wanted() {
        Wanted::Nothing => Next::Pause(stage.asked()),
        Wanted::Point(_) => Next::Forward,
        Wanted::Whole(point) => Next::Buffer(point),
    }
}
