//! Waiting for several futures together.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

/// Runs two futures at once, and returns both outputs.
///
/// Callouts need no `into_future`. Both calls of this filter are in flight at the same time:
///
/// ```
/// use proxy_filter::future::join;
/// use proxy_filter::prelude::*;
///
/// #[proxy_filter::filter]
/// async fn enrich(mut exchange: Exchange) -> Result<()> {
///     let request = exchange.request_headers().await?;
///     let user = HttpCall::get("users", "/whoami");
///     let plan = HttpCall::get("billing", "/plan");
///     let (user, plan) = join(user, plan).await;
///     request.replace("x-user", user?.into_body()?)?;
///     request.replace("x-plan", plan?.into_body()?)
/// }
/// # fn main() {}
/// ```
///
/// A future is dropped when it is ready. Dropping the whole drops both. For a `Result`, an `Err` of
/// one does not end the other.
pub async fn join<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> (A::Output, B::Output) {
    let mut a = pin!(Some(a.into_future()));
    let mut b = pin!(Some(b.into_future()));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        step(a.as_mut(), &mut first, context);
        step(b.as_mut(), &mut second, context);
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            outputs => {
                (first, second) = outputs;
                Poll::Pending
            }
        }
    })
    .await
}

/// Runs any number of futures of one type at once, and returns their outputs in the same order.
///
/// ```
/// use proxy_filter::future::join_all;
/// use proxy_filter::prelude::*;
///
/// /// How many of the backends are healthy.
/// async fn healthy(clusters: &[String]) -> usize {
///     let calls = clusters.iter().map(|cluster| HttpCall::get(cluster, "/healthz"));
///     let responses = join_all(calls).await;
///     responses.iter().flatten().filter(|response| response.status() == 200).count()
/// }
/// ```
///
/// Every pending future is polled whenever the function runs. A poll of a callout that is in flight
/// takes a few instructions. For hundreds of futures that do more, use `FuturesUnordered` of the
/// crate `futures`.
pub async fn join_all<F: IntoFuture>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(Some(future.into_future())), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            step(future.as_mut(), output, context);
            pending |= output.is_none();
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(futures.drain(..).filter_map(|(_, output)| output).collect())
    })
    .await
}

/// Polls a future that is not ready yet. One that is ready is dropped.
fn step<F: Future>(mut future: Pin<&mut Option<F>>, output: &mut Option<F::Output>, context: &mut Context<'_>) {
    if let Some(Poll::Ready(ready)) = future.as_mut().as_pin_mut().map(|future| future.poll(context)) {
        *output = Some(ready);
        future.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Waker;
    use std::cell::Cell;
    use std::rc::Rc;

    /// Is ready at its poll number `at`, and counts its drops.
    fn ready(at: u32, dropped: &Rc<Cell<u32>>) -> impl Future<Output = u32> + use<> {
        struct Dropped(Rc<Cell<u32>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let guard = Dropped(Rc::clone(dropped));
        let mut polls = 0;
        poll_fn(move |_| {
            let _ = &guard;
            polls += 1;
            assert!(polls <= at, "it is not polled again after it was ready");
            if polls == at { Poll::Ready(at) } else { Poll::Pending }
        })
    }

    #[test]
    fn a_future_is_dropped_when_it_is_ready_and_not_polled_again() {
        let dropped = Rc::new(Cell::new(0));
        let mut context = Context::from_waker(Waker::noop());
        for (a, b) in [(1, 3), (3, 1)] {
            dropped.set(0);
            let mut both = pin!(join(ready(a, &dropped), ready(b, &dropped)));
            assert!(both.as_mut().poll(&mut context).is_pending());
            assert_eq!(dropped.get(), 1);
            assert!(both.as_mut().poll(&mut context).is_pending());
            assert_eq!(both.as_mut().poll(&mut context), Poll::Ready((a, b)));
        }
        dropped.set(0);
        let mut all = pin!(join_all([2, 1, 3].map(|at| ready(at, &dropped))));
        for drops in [1, 2] {
            assert!(all.as_mut().poll(&mut context).is_pending());
            assert_eq!(dropped.get(), drops);
        }
        assert_eq!(all.as_mut().poll(&mut context), Poll::Ready(vec![2, 1, 3]));
        assert_eq!(dropped.get(), 3);
    }

    #[test]
    fn joining_no_futures_completes_at_once() {
        let mut none = pin!(join_all(Vec::<core::future::Ready<u8>>::new()));
        assert_eq!(none.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(vec![]));
    }
}
