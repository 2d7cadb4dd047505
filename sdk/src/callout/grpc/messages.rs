//! Receiving messages of gRPC streams one at a time, in callbacks and futures.

use crate::callout::completion::{Callout, Completion};
use crate::callout::grpc::arrival::Arrival;
use crate::callout::grpc::connected::{Arrivals, GrpcReceive, Inbox};
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::ready;
use crate::engine::edit::edit;
use std::cell::Cell;
use std::rc::Rc;

thread_local! {
    /// The inboxes that got a message while the handler of the stream ran.
    static ARRIVED: Cell<Vec<Rc<dyn Arrivals>>> = const { Cell::new(Vec::new()) };
}

impl<Sent: 'static, Received: GrpcMessage> Callout for GrpcReceive<Sent, Received> {
    type Response<'a> = Option<Result<Received, GrpcError>>;
    type Started = (u32, Self);

    fn start(self) -> Result<Self::Started, Self::Response<'static>> {
        let has_come = self.has_come();
        if has_come && !ready::is_completion() {
            return Err(self.take());
        }
        let number = self.inbox().wait();
        if has_come {
            // After the completion that runs.
            arrived(self.inbox());
            ready::note();
        }
        Ok((number, self))
    }

    fn is_ready(completion: Completion<Self>, response: Self::Response<'static>) {
        // Not reached: `start` returns no response while a completion runs.
        drop((completion, response));
    }

    fn wait((number, next): Self::Started, context_id: u32, completion: Completion<Self>) {
        // The completion owns the stream, which stays open while a receive is pending.
        Arrival::wait(number, context_id, completion.after(move |()| next.take()));
    }
}

/// Records that a message, or the end, has arrived in this inbox.
pub(crate) fn arrived<Received: 'static>(inbox: &Rc<Inbox<Received>>) {
    ARRIVED.with(|cell| edit(cell, |arrived| arrived.push(Rc::<Inbox<Received>>::clone(inbox))));
}

/// Runs `complete` with the number of each completion whose message has arrived. `complete` returns
/// whether it was in flight.
pub(crate) fn deliver(mut complete: impl FnMut(u32)) {
    for inbox in ARRIVED.take() {
        while let Some(number) = inbox.next() {
            complete(number);
        }
    }
}
