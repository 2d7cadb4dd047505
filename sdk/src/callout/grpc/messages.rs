//! Messages of gRPC streams that callbacks wait for, one at a time.

use crate::callout::completion::{Callout, Completion};
use crate::callout::grpc::connected::{Arrivals, Inbox, NextGrpcMessage};
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::callout::pending::Pendings;
use crate::callout::ready;
use crate::engine::edit::edit;
use core::convert::Infallible;
use std::cell::Cell;
use std::rc::Rc;

thread_local! {
    /// Who waits for a message, by a number of the SDK's.
    static WAITING: Pendings<Completion<Arrival>> = const { Pendings::new() };
    static LAST: Cell<u32> = const { Cell::new(0) };
    /// What something has come into while the handler of the stream ran.
    static ARRIVED: Cell<Vec<Rc<dyn Arrivals>>> = const { Cell::new(Vec::new()) };
}

/// That a message, or the end, has come. What it is, who waits takes out of the stream's inbox.
pub(crate) struct Arrival(Infallible);

impl Callout for Arrival {
    type Answer<'a> = ();
    type Started = u32;

    #[inline]
    fn start(self) -> Result<u32, ()> {
        match self.0 {}
    }

    #[inline]
    fn is_ready(waiting: Completion<Self>, (): ()) {
        drop(waiting);
    }

    #[inline]
    fn wait(number: u32, context_id: u32, waiting: Completion<Self>) {
        WAITING.with(|all| all.insert(number, context_id, waiting));
    }
}

impl<Sent: 'static, Received: GrpcMessage> Callout for NextGrpcMessage<Sent, Received> {
    type Answer<'a> = Option<Result<Received, GrpcError>>;
    type Started = (u32, Self);

    fn start(self) -> Result<Self::Started, Self::Answer<'static>> {
        let has_come = self.has_come();
        if has_come && !ready::is_completion() {
            return Err(self.take());
        }
        let number = LAST.get().wrapping_add(1);
        LAST.set(number);
        self.inbox().wait(number);
        if has_come {
            // After the completion that runs.
            arrived(self.inbox());
            ready::note();
        }
        Ok((number, self))
    }

    fn is_ready(waiting: Completion<Self>, answer: Self::Answer<'static>) {
        // Not reached: `start` returns no answer while a completion runs.
        drop((waiting, answer));
    }

    fn wait((number, next): Self::Started, context_id: u32, waiting: Completion<Self>) {
        // The completion has the stream: it lives as long as somebody waits.
        Arrival::wait(number, context_id, waiting.after(move |()| next.take()));
    }
}

/// Something has come into this inbox.
pub(crate) fn arrived<Received: 'static>(inbox: &Rc<Inbox<Received>>) {
    ARRIVED.with(|cell| edit(cell, |arrived| arrived.push(Rc::<Inbox<Received>>::clone(inbox))));
}

/// Drops what a context that is gone waits for.
#[inline]
pub(crate) fn forget(owner: u32) {
    WAITING.with(|all| all.forget(owner));
}

/// Runs `complete` for each completion that waits for something that has arrived.
pub(crate) fn deliver(mut complete: impl FnMut(u32, Completion<Arrival>)) {
    for inbox in ARRIVED.take() {
        while let Some(number) = inbox.next() {
            if let Some((owner, completion)) = WAITING.with(|all| all.take(number)) {
                complete(owner, completion);
            }
        }
    }
}
