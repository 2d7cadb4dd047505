//! Filters that are one async function: their futures, when they are woken outside of the callbacks of their streams.

use super::completion::{end, let_go};
use super::failure::{self, CONTINUE, Refusal, Refuse};
use super::held::Held;
use super::stream::{LifeOf, Side, Stream as Kept, has};
use super::{CallbackSet, Life, NewContext, Runtime, timers};
use crate::abi::StreamType;
use crate::exchange::{self, Next, Stage};
use crate::runtime::{Callback, Entry, Shared, current, executor};
use crate::sys;

/// So many futures run in one callback; those that wake each other without end wait for the next one.
const TURNS: u32 = 10_000;

impl<R: NewContext> Runtime<R> {
    /// Whether a module has such filters.
    pub(super) const TASKS: bool = has::<R::Context>(CallbackSet::TASKS);

    /// Lets every future run that was woken. In callbacks of root contexts only: what one stream is answered with there does not stop another.
    pub(super) fn run_woken(&self) {
        for _ in 0..TURNS {
            let Some(number) = executor::next_woken() else { return };
            let Some((owner, stage)) = exchange::describe(number) else { continue };
            // Also back from a stream that ran before.
            if sys::proxy_set_effective_context(owner).is_err() {
                continue;
            }
            if let Some(stream) = self.streams.get(owner) {
                self.resume(number, owner, stream, &stage);
                continue;
            }
            current::enter(Callback::TASK, owner);
            current::set_root_id(owner);
            if let Err(error) = exchange::poll_root(number, &stage) {
                failure::report(Callback::TASK, owner, &error, "");
            }
        }
        Self::run_later();
    }

    fn resume(&self, number: u32, id: u32, stream: Shared<Entry<Kept<R::Context>>>, stage: &Stage) {
        self.with_context(Callback::TASK, id, stream, |context| {
            let Some(context) = context else { return };
            let (request, response) = (&stream.request, &stream.response);
            let refusal = if stage.here().is_request() { Refusal::Reply } else { response.refusal() };
            match exchange::resume(number, stage) {
                Next::LetGo => {
                    let_go(request, StreamType::HTTP_REQUEST);
                    let_go(response, StreamType::HTTP_RESPONSE);
                }
                Next::Hold(point) if point.is_request() => {}
                Next::Hold(_) => let_go(request, StreamType::HTTP_REQUEST),
                Next::Gather(point) if point.is_request() => gather(request, StreamType::HTTP_REQUEST),
                Next::Gather(_) => {
                    let_go(request, StreamType::HTTP_REQUEST);
                    gather(response, StreamType::HTTP_RESPONSE);
                }
                Next::Reply(reply) => {
                    end(request, response);
                    Refusal::reply(Callback::TASK, id, reply, LifeOf::<R>::failure_policy(context));
                }
                Next::Failed(error) => {
                    let policy = LifeOf::<R>::failure_policy(context);
                    if failure::fail(Callback::TASK, id, &error, policy, refusal) == CONTINUE {
                        let_go(request, StreamType::HTTP_REQUEST);
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
