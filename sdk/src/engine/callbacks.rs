//! Which callbacks a stream context has: known at compile time, so that a module pays only for
//! those.

use crate::engine::life::Life;
use core::any::Any;

/// A set of callbacks of [`Context`](crate::Context) or
/// [`StreamContext`](crate::tcp::StreamContext).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackSet(u32);

macro_rules! callbacks {
    ($($name:ident = $bit:literal),* $(,)?) => {
        /// The callbacks, one by one.
        #[allow(missing_docs, reason = "each is named as its callback")]
        impl CallbackSet {
            $(pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

callbacks! {
    ON_CREATE = 0,
    ON_REQUEST_HEADERS = 1,
    ON_REQUEST_BODY = 2,
    ON_REQUEST_TRAILERS = 3,
    ON_RESPONSE_HEADERS = 4,
    ON_RESPONSE_BODY = 5,
    ON_RESPONSE_TRAILERS = 6,
    ON_DONE = 7,
    ON_LOG = 8,
    ON_DELETE = 9,
    HTTP_CALLS = 10,
    TIMERS = 11,
    ON_NEW_CONNECTION = 12,
    ON_DOWNSTREAM_DATA = 13,
    ON_UPSTREAM_DATA = 14,
    ON_DOWNSTREAM_CLOSE = 15,
    ON_UPSTREAM_CLOSE = 16,
    GRPC_CALLS = 20,
    GRPC_STREAMS = 21,
    ON_REQUEST_METADATA = 24,
    ON_RESPONSE_METADATA = 25,
    ON_FOREIGN_FUNCTION = 26,
    TASKS = 17,
    QUEUES = 18,
    SEVERAL = 19,
    ON_TICK = 22,
    WAKES = 23,
}

impl CallbackSet {
    /// Completions. They need to know which parts of the stream are paused.
    pub const COMPLETIONS: Self = Self::HTTP_CALLS.union(Self::TIMERS).union(Self::TASKS).union(Self::GRPC);

    /// The callouts of callbacks.
    pub(crate) const CALLOUTS: Self = Self::HTTP_CALLS.union(Self::TIMERS).union(Self::GRPC);

    /// The callouts over gRPC.
    pub const GRPC: Self = Self::GRPC_CALLS.union(Self::GRPC_STREAMS);

    /// Returns whether only futures use callouts: the context belongs to one filter, which is an
    /// async function.
    pub(crate) const fn are_only_futures(self) -> bool {
        self.intersects(Self::TASKS) && !self.intersects(Self::SEVERAL)
    }

    /// No callback.
    pub const EMPTY: Self = Self(0);

    /// The callbacks of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a callback is in both sets.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The callbacks that the impl of a stream's context contains. `#[proxy_filter::context]` and
/// `#[proxy_filter::stream_context]` implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not registered as a stream context",
    label = "no `#[proxy_filter::context]` on `impl Context for {Self}`, nor `#[proxy_filter::stream_context]` on `impl StreamContext for {Self}`"
)]
pub trait Callbacks: Sized + 'static {
    /// The callbacks.
    const SET: CallbackSet;
    /// The trait that the context implements: [`Http`](crate::engine::life::Http) or
    /// [`Tcp`](crate::engine::life::Tcp).
    type Kind: Life<Self>;

    /// The callbacks of this context: fewer than [`SET`](Self::SET) in the type that stands for all
    /// contexts of a module.
    #[inline]
    fn set(&self) -> CallbackSet {
        Self::SET
    }

    /// The author's type, for completions that name it: one of several in the type that stands for
    /// all contexts of a module.
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Contexts that can use callouts of type `A`. The arguments of their attribute implement this
/// trait, and export the callback with which the host reports the completion.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare that it uses a `{A}`",
    label = "the module would not export the callback of its completion",
    note = "name it in the attribute on its impl: `#[proxy_filter::context(http_calls)]` or `#[proxy_filter::root(http_calls)]` for an `HttpCall`, `timers` for a `Timer`, `grpc_calls` for a `GrpcCall`, `grpc_streams` for a `GrpcStream`"
)]
pub trait Declares<A>: 'static {}

/// Stream contexts that a registered root context creates. The registration of a root context
/// implements it.
#[diagnostic::on_unimplemented(
    message = "no root context creates `{Self}`",
    label = "a stream context without a root context",
    note = "add `#[proxy_filter::root] impl RootContext for … {{ type Context = {Self}; … }}`"
)]
pub trait CreatedByRoot {}

/// Compiles only for stream contexts that a registered root context creates.
pub const fn assert_created_by_root<C: CreatedByRoot>() {}
