//! Futures that run independently of the stream that started them.

use crate::current::{self, Callback};
use crate::engine::declared::{self, Points};
use crate::engine::edit::edit;
use crate::engine::executor;
use crate::error::Result;
use crate::exchange::Exchange;
use crate::exchange::task::{self, RootTask};
use core::future::poll_fn;
use core::marker::PhantomData;
use core::task::Poll;
use std::cell::Cell;

const DETACHED: &str = "a future that was spawned cannot await parts of an exchange, or end its stream: do this in the \
    function of the filter, and move copies into the future";

thread_local! {
    /// The futures that were spawned, each with the id of its root context.
    static SPAWNED: Cell<Vec<(u32, RootTask)>> = const { Cell::new(Vec::new()) };
}

/// Runs futures independently of the stream.
///
/// [`Exchange::spawner`](crate::Exchange::spawner) creates it.
/// Use it for calls that no request waits for, such as audit records and mirrored traffic:
///
/// ```
/// use proxy_filter::future::Spawner;
/// use proxy_filter::prelude::*;
///
/// #[proxy_filter::filter]
/// async fn audit(mut exchange: Exchange) -> Result<()> {
///     let spawner = exchange.spawner();
///     let request = exchange.request_headers().await?;
///     record(&spawner, request.path()?.unwrap_or_default());
///     Ok(())
/// }
///
/// fn record(spawner: &Spawner, path: HeaderValue) {
///     let record = HttpCall::post("audit", "/records").header("x-path", path);
///     spawner.spawn(async {
///         record.await?;
///         Ok(())
///     });
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Spawner {
    root: u32,
    /// What the module of the function exports.
    points: Points,
    /// A root context belongs to a thread, also where filters run natively.
    of_thread: PhantomData<*const ()>,
}

impl<T> Exchange<T> {
    /// Returns what runs futures independently of the stream, for example audit calls.
    ///
    /// Like [`config`](Self::config), it does not borrow the exchange: take it before the first
    /// part is awaited. Functions that spawn futures take it as an argument.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner::of_function()
    }
}

impl Spawner {
    /// For the function that runs.
    fn of_function() -> Self {
        Self { root: current::root_id(), points: declared::detach(DETACHED), of_thread: PhantomData }
    }

    /// Runs a future to its end, independently of the stream that starts it.
    ///
    /// The future starts at once, and runs until it first waits. The function and its stream then
    /// continue. When the stream ends, the future keeps running.
    ///
    /// The future belongs to the root context of the stream. If the root context ends first, the
    /// future is dropped at its current await point. An `Err` is logged and has no other effect.
    ///
    /// The future runs in callbacks of several contexts, so it must not read messages, properties
    /// or other state of a stream. Copy what it needs before. An [`Exchange`](crate::Exchange) that
    /// is moved into it returns [`WrongPhase`](crate::ErrorKind::WrongPhase) for every part that is
    /// awaited, and its [`reply`](crate::Exchange::reply) does not deny: the stream continues
    /// without the function.
    ///
    /// Nothing limits the number of such futures. A call ends at its timeout, which bounds them by
    /// the rate of requests multiplied by that time.
    pub fn spawn(&self, future: impl Future<Output = Result<()>> + 'static) {
        let root = self.root;
        let (task, start) = RootTask::of(root, self.points, async {
            let result = future.await;
            finish(poll_fn(|context| Poll::Ready(executor::task_of(context.waker()))).await);
            result
        });
        SPAWNED.with(|spawned| edit(spawned, |spawned| spawned.push((root, task))));
        current::inside(|| {
            current::enter(Callback::TASK, root);
            if let Err(error) = start.run() {
                error.report(error.level(), Callback::TASK, root, "", 0);
            }
        });
    }
}

/// Releases the slot of a completed future once it has returned.
fn finish(number: u32) {
    let Some(running) = task::find(number) else { return };
    let over = take(|(_, task)| task.is(running));
    drop(over);
}

/// Takes some of the futures out of the list. They are dropped outside of it, because destructors
/// may run code of the filter.
fn take(is_taken: impl Fn(&(u32, RootTask)) -> bool) -> Vec<(u32, RootTask)> {
    let split = |spawned: &mut Vec<_>| {
        let (taken, kept) = core::mem::take(spawned).into_iter().partition(is_taken);
        *spawned = kept;
        taken
    };
    // The list may already be destroyed when a native thread ends with live root contexts.
    SPAWNED.try_with(|spawned| edit(spawned, split)).unwrap_or_default()
}

/// Drops the futures of a root context with it. It is a field of the root contexts of filters that
/// spawn.
#[derive(Debug)]
pub struct Spawned {
    root: u32,
}

impl Default for Spawned {
    /// For the root context that is being created.
    fn default() -> Self {
        Self { root: current::context_id() }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        drop(take(|(root, _)| *root == self.root));
    }
}
