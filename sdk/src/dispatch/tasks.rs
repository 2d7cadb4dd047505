//! Filters that are one async function: their futures, when they are woken outside of the callbacks of their streams.

use super::completion::{end, let_go};
use super::failure::{self, CONTINUE, Refusal};
use super::held::Held;
use super::stream::{LifeOf, Side, Stream as Kept, has};
use super::{CallbackSet, Callbacks, Life, NewContext, Runtime, timers};
use crate::abi::StreamType;
use crate::exchange::{self, Next, Point, Running, Stage};
use crate::filter_status::FailurePolicy;
use crate::runtime::{Callback, Entry, Shared, current, executor};
use crate::sys;

/// So many futures run in one callback; those that wake each other without end wait for the next one.
const TURNS: u32 = 10_000;

impl<R: NewContext> Runtime<R> {
    /// Whether a module has such filters.
    pub(super) const TASKS: bool = has::<R::Context>(CallbackSet::TASKS);

    /// Whether nothing but such filters waits for answers.
    pub(super) const ONLY_FUTURES: bool = <R::Context as Callbacks>::SET.are_only_futures();

    /// Lets every future run that was woken. In callbacks of root contexts only: what one stream is answered with there does not stop another.
    pub(super) fn run_woken(&self) {
        for _ in 0..TURNS {
            let Some(number) = executor::next_woken() else { return };
            self.run_task(number);
        }
        Self::run_later();
    }

    /// Lets one future run.
    pub(super) fn run_task(&self, number: u32) {
        let Some((task, owner, stage)) = exchange::find(number) else { return };
        // Also back from a stream that ran before.
        if sys::proxy_set_effective_context(owner).is_err() {
            return;
        }
        if let Some(stream) = self.streams.get(owner) {
            return self.resume(task, owner, stream, &stage);
        }
        current::enter(Callback::TASK, owner);
        current::set_root_id(owner);
        if let Err(error) = exchange::poll_root(task, &stage) {
            failure::report(Callback::TASK, owner, &error, "");
        }
    }

    fn resume(&self, task: Running, id: u32, stream: Shared<Entry<Kept<R::Context>>>, stage: &Stage) {
        self.with_context(Callback::TASK, id, stream, |context| {
            let Some(context) = context else { return };
            let (request, response) = (&stream.request, &stream.response);
            let refusal = if stage.here().is_request() { Refusal::Reply } else { response.refusal() };
            let next = exchange::resume(task, stage);
            let let_go_request = |context: &R::Context| {
                if !stage.drops(Point::RequestBody) || LifeOf::<R>::failure_policy(context) == FailurePolicy::Open {
                    let_go(request, StreamType::HTTP_REQUEST);
                }
            };
            match next {
                Next::LetGo => {
                    let_go_request(context);
                    let_go(response, StreamType::HTTP_RESPONSE);
                }
                Next::Hold(point) if point.is_request() => {}
                Next::Hold(_) => let_go_request(context),
                // It has been said what becomes of the headers.
                Next::Gather(point) if point.is_headers() && point.is_request() => {}
                Next::Gather(point) if point.is_headers() => let_go_request(context),
                Next::Gather(point) if point.is_request() => gather(request, StreamType::HTTP_REQUEST),
                Next::Gather(_) => {
                    let_go_request(context);
                    gather(response, StreamType::HTTP_RESPONSE);
                }
                Next::Deny(denial) => {
                    end(request, response);
                    denial.carry_out(Callback::TASK, id);
                }
                Next::Failed(error) => {
                    let policy = LifeOf::<R>::failure_policy(context);
                    if failure::fail(Callback::TASK, id, error, policy, refusal) == CONTINUE {
                        let_go_request(context);
                        let_go(response, StreamType::HTTP_RESPONSE);
                    } else {
                        end(request, response);
                    }
                }
            }
        });
    }

    /// Has the futures that were woken in a callback of a stream run soon, in one of its root context.
    pub(super) fn run_later() {
        if Self::TIMERS && executor::is_any_woken() {
            timers::soon();
        }
    }
}

/// The headers go on, so that the body comes; what there is of it stays.
#[inline]
fn gather(side: &Side, stream: StreamType) {
    if !side.held().has(Held::BODY) {
        let_go(side, stream);
    }
}
