//! Starting a callout for a context.

use crate::callout::completion::{Callout, Completion, OnContext};
use crate::callout::ready;
use crate::engine::callbacks::Declares;
use crate::error::Result;

/// Starts a callout without pausing a message.
pub(crate) fn send<C, A, F>(context: &mut C, callout: A, then: F) -> Result<()>
where
    C: Declares<A>,
    A: Callout,
    F: for<'a> FnOnce(&mut C, A::Response<'a>) -> Result<()> + 'static,
{
    match callout.start() {
        Err(response) if !ready::is_completion() => ready::completion(|| then(context, response)),
        started => {
            let then: Box<OnContext<A>> = Box::new(move |context, response| match context.downcast_mut() {
                Some(context) => then(context, response),
                // The number was another context's: a host that uses one twice.
                None => Ok(()),
            });
            ready::wait(started, Completion::Context(then));
            Ok(())
        }
    }
}
