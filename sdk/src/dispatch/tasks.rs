//! Running the futures of async filters that were woken outside of the callbacks of their streams.

use crate::abi::stream_type::StreamType;
use crate::current::{self, Callback};
use crate::dispatch::complete::{end, resume};
use crate::dispatch::contexts::{Contexts, Found};
use crate::dispatch::failure::{self, CONTINUE, Refusal};
use crate::dispatch::uses::LifeOf;
use crate::dispatch::wake;
use crate::engine::life::Life;
use crate::engine::message_state::{Facts, MessageState};
use crate::engine::point::Point;
use crate::engine::{effective, executor};
use crate::error::policy::FailurePolicy;
use crate::exchange::task::{self, Next, Running};
use crate::plugin::registration::NewContext;

/// The maximum number of futures polled in one callback. Futures that wake each other endlessly
/// continue in the next callback.
const TURNS: u32 = 10_000;

/// Polls every woken future. Called in callbacks of root contexts only, so that a local reply to
/// one stream does not affect another.
#[inline(never)]
pub(crate) fn run_woken<R: NewContext>(contexts: &Contexts<R>, root: u32) {
    for _ in 0..TURNS {
        let Some(number) = executor::next_woken() else { return };
        run_task(contexts, number);
    }
    effective::back_to(root);
    wake::run_later::<R>();
}

/// Runs one future.
#[inline(never)]
pub(crate) fn run_task<R: NewContext>(contexts: &Contexts<R>, number: u32) {
    let Some(task) = task::find(number) else { return };
    let owner = task.owner();
    // Also back from a stream that ran before.
    if !effective::choose(owner) {
        return;
    }
    if let Some(stream) = contexts.find_stream(owner) {
        return resume_task(contexts, task, owner, stream);
    }
    current::enter(Callback::TASK, owner);
    current::set_root_id(owner);
    if let Err(error) = task::poll_root(task) {
        failure::report(Callback::TASK, owner, &error, "");
    }
}

fn resume_task<R: NewContext>(contexts: &Contexts<R>, task: Running, id: u32, stream: Found<R>) {
    let stage = &task.data;
    contexts.with_stream(Callback::TASK, id, stream, |context| {
        let Some(context) = context else { return };
        let messages = &stream.messages;
        let (request, response) = (&messages.request, &messages.response);
        let refusal = if stage.here().is_request() { Refusal::Reply } else { Refusal::of_response(response) };
        let next = task::resume(task);
        let resume_request = |context: &R::Context| {
            if !stage.drops(Point::RequestBody) || LifeOf::<R>::failure_policy(context, false) == FailurePolicy::Open {
                resume(request, StreamType::HTTP_REQUEST);
            }
        };
        match next {
            Next::Forward => {
                resume_request(context);
                resume(response, StreamType::HTTP_RESPONSE);
            }
            Next::Pause(point) if point.is_request() => {}
            Next::Pause(_) => resume_request(context),
            // The headers were forwarded or paused already.
            Next::Buffer(point) if point.is_headers() && point.is_request() => {}
            Next::Buffer(point) if point.is_headers() => resume_request(context),
            Next::Buffer(point) if point.is_request() => buffer(request, StreamType::HTTP_REQUEST),
            Next::Buffer(_) => {
                resume_request(context);
                buffer(response, StreamType::HTTP_RESPONSE);
            }
            Next::Deny(denial) => {
                end(messages);
                denial.carry_out(Callback::TASK, id);
            }
            Next::Failed(error) => {
                let policy = LifeOf::<R>::failure_policy(context, !stage.asked().is_request());
                if failure::fail_function(Callback::TASK, id, error, policy, refusal) == CONTINUE {
                    resume_request(context);
                    resume(response, StreamType::HTTP_RESPONSE);
                } else {
                    end(messages);
                }
            }
        }
    });
}

/// The headers are forwarded so that the body arrives. The body that has arrived stays buffered.
#[inline]
fn buffer(state: &MessageState, stream: StreamType) {
    if !state.has(Facts::BODY) {
        resume(state, stream);
    }
}
