//! Waiting for the first of two futures.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

/// Which of two futures was ready first, with its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first argument of [`select`].
    First(A),
    /// The second argument of [`select`].
    Second(B),
}

/// Runs two futures until one of them is ready, and drops the other one.
///
/// A callout that is dropped is cancelled. If both are ready, the first wins.
///
/// ```
/// use proxy_filter::future::{Either, select};
/// use proxy_filter::prelude::*;
/// use std::time::Duration;
///
/// /// Asks the near cluster, and the far one if the near one takes longer than 50 ms.
/// async fn rules() -> Result<Vec<u8>> {
///     let mut near = HttpCall::get("near", "/rules").into_future();
///     let response = match select(&mut near, Timer::after(Duration::from_millis(50))).await {
///         Either::First(response) => response?,
///         Either::Second(elapsed) => {
///             elapsed?;
///             let far = HttpCall::get("far", "/rules");
///             match select(near, far).await {
///                 Either::First(response) | Either::Second(response) => response?,
///             }
///         }
///     };
///     response.into_body()
/// }
/// ```
///
/// As here, a future that is passed as `&mut` is not dropped: it can be awaited again.
pub async fn select<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> Either<A::Output, B::Output> {
    let mut a = pin!(a.into_future());
    let mut b = pin!(b.into_future());
    poll_fn(|context| match a.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Either::First(output)),
        Poll::Pending => b.as_mut().poll(context).map(Either::Second),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::{pending, ready};
    use core::task::{Context, Waker};

    #[test]
    fn the_first_wins_if_both_are_ready() {
        let mut context = Context::from_waker(Waker::noop());
        let mut both = pin!(select(ready(1), ready(2)));
        assert_eq!(both.as_mut().poll(&mut context), Poll::Ready(Either::First(1)));
        let mut second = pin!(select(pending::<u8>(), ready(2)));
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(Either::Second(2)));
        let mut neither = pin!(select(pending::<u8>(), pending::<u8>()));
        assert_eq!(neither.as_mut().poll(&mut context), Poll::Pending);
    }
}
