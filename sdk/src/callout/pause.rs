//! Pausing a part of a stream until a callout completes.

use crate::callout::completion::{Callout, Completion, OnMessage};
use crate::callout::ready;
use crate::engine::callbacks::Declares;
use crate::engine::message_state::{MessageState, Part};
use crate::error::Result;
use crate::error::denial::Raw;

/// The handle of a part that a callback can pause.
pub(crate) trait Paused: Sized {
    /// The part.
    const PART: Part;
    /// What callbacks about it return.
    type Status: Status;

    /// The handle in a completion, when the message is in this state.
    fn again(state: &MessageState) -> Self;
    /// Notes what the completion did with it.
    fn leave(&self, state: &MessageState);
}

/// What a callback returns about the part.
pub(crate) trait Status: Sized {
    /// The part stays until the stream is continued.
    const PAUSE: Self;

    /// The status as the host receives it.
    fn into_raw(self) -> Raw;
}

/// Starts a callout and pauses the part until the callout completes. If it completed at once, runs
/// the completion now.
#[inline]
pub(crate) fn pause<C, A, P, F>(part: &mut P, context: &mut C, callout: A, then: F) -> Result<P::Status>
where
    C: Declares<A>,
    A: Callout,
    P: Paused,
    F: for<'a> FnOnce(&mut C, &mut P, A::Response<'a>) -> Result<P::Status> + 'static,
{
    match callout.start() {
        Err(response) if !ready::is_completion() => ready::completion(|| then(context, part, response)),
        started => {
            let then: Box<OnMessage<A>> = Box::new(move |context, state, response| {
                // The number was another context's: a host that uses one twice.
                let Some(context) = context.downcast_mut() else { return Ok(P::Status::PAUSE.into_raw()) };
                let mut part = P::again(state);
                let status = then(context, &mut part, response)?;
                part.leave(state);
                Ok(status.into_raw())
            });
            ready::wait(started, Completion::Message(P::PART, then));
            Ok(P::Status::PAUSE)
        }
    }
}

/// The public method of a handle.
macro_rules! pause_for {
    ($($handle:ident -> $status:ident),* $(,)?) => {
        $(impl $handle {
            /// Pauses this part of the stream, and all after it, until `callout` completes.
            ///
            /// The callback must return the status that this method returns.
            ///
            /// `then` runs when the callout completes. It receives the context (`self` of the
            /// callback), this handle in its current state, and the response. It returns what the
            /// callback would return: `Continue` resumes the stream, a local reply ends it, and
            /// another pause keeps it paused. If the callout cannot be started, `then` runs at
            /// once; inside another completion, it runs after that completion.
            ///
            /// Several callouts may pause the same part: return the status of the last one. The
            /// first completion that returns `Continue` resumes the stream and cancels the others.
            /// They are also cancelled if the stream ends first.
            ///
            /// # Errors
            /// Fails with the error of `then` when `then` runs at once. The failure policy handles
            /// an `Err` that `then` returns later, as it handles an `Err` of the callback.
            pub fn pause_for<C, A, F>(&mut self, context: &mut C, callout: A, then: F) -> Result<$status>
            where
                C: Declares<A>,
                A: Callout,
                F: for<'a> FnOnce(&mut C, &mut Self, A::Response<'a>) -> Result<$status> + 'static,
            {
                pause::pause(self, context, callout, then)
            }
        })*
    };
}

pub(crate) use pause_for;
