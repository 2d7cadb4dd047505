//! Streams that wait for the plugin to be ready.

use crate::callout::timer::Timer;
use crate::engine::edit::edit;
use crate::engine::point::Points;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::exchange::task::RootTask;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

/// So many streams wait; more are refused by the failure policy.
const WAITING: usize = 1000;
/// So long a stream waits.
const LONGEST: Duration = Duration::from_secs(10);

/// What streams wait at until the plugin's own function has returned. A gate that nothing was put
/// behind is open.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<State>);

#[derive(Default)]
struct State {
    closed: Cell<bool>,
    failed: Cell<bool>,
    /// Those that wait now, with their numbers.
    waiting: Cell<Vec<(u32, Waker)>>,
    /// The number of the last that has come.
    last: Cell<u32>,
}

impl core::fmt::Debug for State {
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("closed", &self.closed).field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// A stream that waits. It leaves its place when it is dropped.
struct Place<'a> {
    state: &'a State,
    number: u32,
}

impl<'a> Place<'a> {
    fn new(state: &'a State) -> Self {
        state.last.set(state.last.get().wrapping_add(1));
        Self { state, number: state.last.get() }
    }

    /// Waits with this waker, the latest of the stream. False if too many others wait.
    fn wait(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let (waits, before) = edit(&self.state.waiting, |waiting| {
            if let Some((_, last)) = waiting.iter_mut().find(|(number, _)| *number == self.number) {
                return (true, Some(core::mem::replace(last, waker)));
            }
            if waiting.len() >= WAITING {
                return (false, Some(waker));
            }
            waiting.push((self.number, waker));
            (true, None)
        });
        // Outside of the list: dropping a waker may run code of the author's.
        drop(before);
        waits
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = edit(&self.state.waiting, |waiting| {
            let place = waiting.iter().position(|(number, _)| *number == self.number)?;
            Some(waiting.swap_remove(place))
        });
        drop(left);
    }
}

impl Gate {
    /// Closes the gate until this future is over: with `Ok` it is open, with an `Err`, which is
    /// logged, every stream is refused.
    pub fn open_after(&mut self, points: Points, future: impl Future<Output = Result<()>> + 'static) -> RootTask {
        // Streams of an earlier configuration keep theirs.
        *self = Self::default();
        let state = Rc::clone(&self.0);
        state.closed.set(true);
        RootTask::new(points, async move {
            let result = future.await;
            state.failed.set(result.is_err());
            state.closed.set(false);
            for (_, waker) in state.waiting.take() {
                waker.wake();
            }
            result
        })
    }

    /// Waits until the gate is open: at most 10 seconds, and with at most 1,000 others.
    ///
    /// # Errors
    /// The plugin is not ready, and will not be in time.
    #[inline]
    pub async fn pass(&self) -> Result<()> {
        let state = &*self.0;
        if state.closed.get() {
            let mut timeout = pin!(Timer::after(LONGEST).into_future());
            let place = Place::new(state);
            poll_fn(|context| {
                if !state.closed.get() {
                    return Poll::Ready(Ok(()));
                }
                if let Poll::Ready(elapsed) = timeout.as_mut().poll(context) {
                    return Poll::Ready(elapsed.and_then(|()| Err(not_ready("the plugin was not ready in time"))));
                }
                if !place.wait(context.waker()) {
                    return Poll::Ready(Err(not_ready("too many streams wait for the plugin to be ready")));
                }
                Poll::Pending
            })
            .await?;
        }
        if state.failed.get() { Err(not_ready("the plugin could not be made ready")) } else { Ok(()) }
    }
}

#[cold]
#[inline]
fn not_ready(why: &'static str) -> Error {
    Error::refused(ErrorKind::Configuration, why)
}
