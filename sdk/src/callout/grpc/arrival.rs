//! Pending receives of messages of gRPC streams.

use crate::callout::completion::{Callout, Completion};
use crate::callout::registry::{Kind, Registry};
use core::convert::Infallible;

thread_local! {
    static WAITING: Registry<Arrival> = const { Registry::new() };
}

/// The notification that a message, or the end of the stream, has arrived. The completion or future
/// then reads the stream's inbox.
pub(crate) struct Arrival(Infallible);

impl Kind for Arrival {
    type Completion = Completion<Self>;
    type Arrived = ();
    type Output = ();
    type Ready = Infallible;

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        WAITING.try_with(body).ok()
    }

    #[inline]
    fn copy((): ()) {}
}

impl Callout for Arrival {
    type Response<'a> = ();
    type Started = u32;

    #[inline]
    fn start(self) -> Result<u32, ()> {
        match self.0 {}
    }

    #[inline]
    fn is_ready(completion: Completion<Self>, (): ()) {
        drop(completion);
    }

    #[inline]
    fn wait(number: u32, context_id: u32, completion: Completion<Self>) {
        WAITING.with(|all| all.insert(number, context_id, completion));
    }
}
