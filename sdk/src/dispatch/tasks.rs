//! Filters that are one async function: their futures, when they are woken outside of the callbacks of their streams.

use super::completion::{end, let_go};
use super::failure::{self, CONTINUE, Refusal};
use super::held::Held;
use super::stream::{LifeOf, Side, Stream as Kept, has};
use super::{CallbackSet, Callbacks, Life, NewContext, Runtime, effective, timers};
use crate::abi::{LogLevel, StreamType};
use crate::exchange::{self, Next, Point, Running, Stage};
use crate::filter_status::FailurePolicy;
use crate::runtime::{Callback, Entry, Shared, current, executor};
use crate::{log, timer};
use std::cell::Cell;

/// So many futures run in one callback; those that wake each other without end wait for the next one.
const TURNS: u32 = 10_000;

/// What is logged if a host gives no tick.
const NO_TICK: &str = "; what was woken waits for the next answer to a call";
/// What is logged if the module does not export it.
const NOT_EXPORTED: &str =
    "a future was woken and cannot run yet: the module has no tick; write `#[proxy_filter::filter(timers)]`";

thread_local! {
    /// It was logged.
    static WARNED: Cell<bool> = const { Cell::new(false) };
    /// The root context whose tick was set for futures that were woken.
    static SOON: Cell<u32> = const { Cell::new(0) };
}

impl<R: NewContext> Runtime<R> {
    /// Whether a module has such filters.
    pub(super) const TASKS: bool = has::<R::Context>(CallbackSet::TASKS);

    /// Whether the futures of one root context or of several may find each other, and wake each other outside of callbacks of root contexts.
    pub(super) const WAKES: bool = R::AWAITS.intersects(CallbackSet::WAKES);

    /// Whether nothing but such filters waits for answers.
    pub(super) const ONLY_FUTURES: bool = <R::Context as Callbacks>::SET.are_only_futures();

    /// Lets every future run that was woken. In callbacks of root contexts only: what one stream is answered with there does not stop another.
    #[inline(never)]
    pub(super) fn run_woken(&self, root: u32) {
        for _ in 0..TURNS {
            let Some(number) = executor::next_woken() else { return };
            self.run_task(number);
        }
        effective::back_to(root);
        Self::run_later();
    }

    /// Lets one future run.
    #[inline(never)]
    pub(super) fn run_task(&self, number: u32) {
        let Some((task, owner, stage)) = exchange::find(number) else { return };
        // Also back from a stream that ran before.
        if !effective::choose(owner) {
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
                if !stage.drops(Point::RequestBody)
                    || LifeOf::<R>::failure_policy(context, false) == FailurePolicy::Open
                {
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
                    let policy = LifeOf::<R>::failure_policy(context, !stage.asked().is_request());
                    if failure::fail_function(Callback::TASK, id, error, policy, refusal) == CONTINUE {
                        let_go_request(context);
                        let_go(response, StreamType::HTTP_RESPONSE);
                    } else {
                        end(request, response);
                    }
                }
            }
        });
    }

    /// Has the futures that were woken outside of callbacks of root contexts run soon, on a tick of the running context's root.
    #[inline]
    pub(super) fn run_later() {
        if executor::is_any_woken() {
            Self::tick_soon();
        }
    }

    #[cold]
    #[inline(never)]
    fn tick_soon() {
        let set = if Self::TIMERS {
            timers::soon()
        } else if Self::WAKES {
            SOON.set(current::root_id());
            timer::set_tick(1)
        } else {
            // Once is enough: it is the same for every stream.
            if !WARNED.replace(true) {
                log::write(LogLevel::Error, NOT_EXPORTED.as_bytes());
            }
            return;
        };
        if let Err(error) = set {
            failure::report(Callback::TASK, current::context_id(), &error, NO_TICK);
        }
    }

    /// Stops the tick that is not shared with anything, if it was set for what was woken.
    #[inline]
    pub(super) fn stop_tick(root: u32) {
        if SOON.get() == root {
            SOON.set(0);
            // A tick more runs nothing.
            let _ = timer::set_tick(0);
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
