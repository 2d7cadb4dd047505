//! gRPC calls: their completions, and the host's callbacks about them.

use crate::abi::buffer_type::BufferType;
use crate::callout::completion::{Callout, Completion};
use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
use crate::callout::pending::Pendings;
use crate::callout::ready::{Ready, ReadyList};
use crate::callout::start;
use crate::current;
use crate::engine::callbacks::Awaits;
use crate::error::Result;
use crate::host::buffer;
use crate::sys;

thread_local! {
    static CALLS: Pendings<Call> = const { Pendings::new() };
    static READY: ReadyList<GrpcCall<GrpcBytes>> = const { ReadyList::new() };
}

/// A call that is under way, with what to do with the bytes that answer it. Dropping it cancels the call.
struct Call {
    token: u32,
    /// The root context that the host will tell the answer to, in modules with futures.
    root: u32,
    waiting: Option<Completion<GrpcCall<GrpcBytes>>>,
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if self.waiting.is_some() {
            // The host may be in the middle of forgetting it as well.
            let _ = sys::proxy_grpc_cancel(self.token);
        }
    }
}

impl<Reply: GrpcMessage> Callout for GrpcCall<Reply> {
    type Answer<'a> = Result<Reply, GrpcError>;
    type Started = u32;

    fn start(self) -> Result<u32, Self::Answer<'static>> {
        Self::start(self).map_err(Err)
    }

    fn is_ready(waiting: Completion<Self>, answer: Self::Answer<'static>) {
        // Nothing has come that would have to be decoded: it was refused.
        if let Err(why) = answer {
            READY.with(|ready| ready.add(waiting.after(decode), Err(why)));
        }
    }

    fn wait(number: u32, context_id: u32, waiting: Completion<Self>) {
        let waiting = Some(waiting.after(decode));
        CALLS.with(|calls| {
            // A host that uses a token again has forgotten the old call, and must not cancel the new one.
            if let Some((_, mut old)) = calls.take(number) {
                old.waiting = None;
            }
            calls.insert(number, context_id, Call { token: number, root: current::root_id(), waiting });
        });
    }
}

fn decode<Reply: GrpcMessage>(answer: Result<GrpcBytes, GrpcError>) -> Result<Reply, GrpcError> {
    answer.and_then(|message| Reply::from_wire(message.0).map_err(GrpcError::Malformed))
}

/// Cancels the calls of a context that is gone.
#[inline]
pub(crate) fn forget(owner: u32) {
    CALLS.with(|calls| calls.forget(owner));
}

/// Nobody waits for this answer any more.
#[inline]
pub(crate) fn give_up(number: u32) {
    // Contexts alive at the end of a native thread are dropped when there may be no table any more.
    drop(CALLS.try_with(|calls| calls.take(number)));
}

/// The context that made a call, and its completion.
#[inline]
pub(crate) fn take(token: u32) -> Option<(u32, Completion<GrpcCall<GrpcBytes>>)> {
    let (owner, mut call) = CALLS.with(|calls| calls.take(token))?;
    Some((owner, call.waiting.take()?))
}

/// The message that the running callback is about.
#[inline]
pub(crate) fn message(size: u32) -> Result<GrpcBytes, GrpcError> {
    buffer::whole(BufferType::GRPC_MESSAGE, size).map(GrpcBytes).map_err(GrpcError::Refused)
}

/// Why the call or stream ended that the running callback is about.
#[inline]
pub(crate) fn end(code: u32) -> GrpcError {
    GrpcError::ended(code, &sys::proxy_get_status().unwrap_or_default().1)
}

/// Takes a completion of a call that was refused while another completion ran.
pub(crate) fn take_ready() -> Option<Box<Ready<GrpcCall<GrpcBytes>>>> {
    READY.with(ReadyList::take)
}

/// A root context is gone, and the host's calls for it with it: takes one that only a future waits for.
#[cold]
pub(crate) fn take_abandoned(root: u32) -> Option<Completion<GrpcCall<GrpcBytes>>> {
    let mut call = CALLS.with(|calls| calls.take_of_nobody(|call| call.root == root))?;
    call.waiting.take()
}

impl<Reply: GrpcMessage> GrpcCall<Reply> {
    /// Makes the call and goes on. `then` runs when the answer is there, or at once if the call cannot be made, and not at all if the
    /// context is gone first: the call is cancelled then.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there. Nothing of a stream is in reach of the completion: it
    /// does not know which part of it there is then. [`pause_for`](crate::RequestHeaders::pause_for) does.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use proxy_filter::GrpcBytes;
    /// # #[derive(Default)] struct Root { keys: Vec<u8> }
    /// # #[proxy_filter::root(grpc_calls)] impl RootContext for Root { type Context = Stream; fn new_context(&self) -> Stream { Stream }
    /// fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///     let call = GrpcCall::<GrpcBytes>::new("keys", "keys.Keys", "Current", &GrpcBytes::default());
    ///     call.send(self, |root, answer| {
    ///         root.keys = answer?.0;
    ///         Ok(())
    ///     })
    /// }
    /// # }
    /// # struct Stream;
    /// # #[proxy_filter::context] impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// What `then` returns when it runs at once. An `Err` it returns later is logged, and nothing else happens.
    pub fn send<C, F>(self, context: &mut C, then: F) -> Result<()>
    where
        C: Awaits<Self>,
        F: FnOnce(&mut C, Result<Reply, GrpcError>) -> Result<()> + 'static,
    {
        start::send(context, self, then)
    }
}
