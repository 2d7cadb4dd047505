//! Streams that wait for the plugin to be ready.

use super::stage::Points;
use super::task::RootTask;
use crate::error::{Error, ErrorKind, Result};
use crate::timer::Timer;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// So many streams wait; more are refused by the failure policy.
const WAITING: usize = 1000;
/// So long a stream waits.
const LONGEST: Duration = Duration::from_secs(10);

/// What streams wait at until the plugin's own function has returned. A gate that nothing was put behind is open.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<State>);

#[derive(Debug, Default)]
struct State {
    closed: Cell<bool>,
    failed: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    /// Closes the gate until this future is over: with `Ok` it is open, with an `Err`, which is logged, every stream is refused.
    pub fn open_after(&mut self, points: Points, future: impl Future<Output = Result<()>> + 'static) -> RootTask {
        // Streams of an earlier configuration keep theirs.
        *self = Self::default();
        let state = Rc::clone(&self.0);
        state.closed.set(true);
        RootTask::new(points, async move {
            let result = future.await;
            state.failed.set(result.is_err());
            state.closed.set(false);
            for waker in state.waiting.take() {
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
            poll_fn(|context| {
                if !state.closed.get() {
                    return Poll::Ready(Ok(()));
                }
                if let Poll::Ready(elapsed) = timeout.as_mut().poll(context) {
                    return Poll::Ready(elapsed.and_then(|()| Err(not_ready("the plugin was not ready in time"))));
                }
                // No code of the filter runs meanwhile: a list that is in use would be a bug here, and costs a place in it.
                let Ok(mut waiting) = state.waiting.try_borrow_mut() else { return Poll::Pending };
                if waiting.len() >= WAITING {
                    return Poll::Ready(Err(not_ready("too many streams wait for the plugin to be ready")));
                }
                waiting.push(context.waker().clone());
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
