//! What a module uses, known when it is compiled: what it does not use is no code in it.

use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::plugin::registration::NewContext;
use core::marker::PhantomData;

/// Whether a context has one of these callbacks.
pub(crate) const fn has<C: Callbacks>(callbacks: CallbackSet) -> bool {
    C::SET.intersects(callbacks)
}

/// The callbacks that read or write the state of a message.
pub(crate) const USING_MESSAGE_STATE: CallbackSet =
    CallbackSet::ON_REQUEST_BODY.union(CallbackSet::ON_RESPONSE_BODY).union(CallbackSet::COMPLETIONS);

/// The life of the contexts of a root.
pub(crate) type LifeOf<R> = <<R as crate::plugin::root_context::RootContext>::Context as Callbacks>::Kind;

/// What the module of these root contexts uses.
pub(crate) struct Uses<R>(PhantomData<R>);

impl<R: NewContext> Uses<R> {
    /// The kinds of callouts that contexts of the module use.
    pub(crate) const AWAITED: CallbackSet = R::AWAITS.union(<R::Context as Callbacks>::SET);

    /// Whether the module needs the root context of a callback: it has timers, futures that may
    /// wake each other, or gRPC.
    pub(crate) const ROOTS: bool = Self::TIMERS || Self::WAKES || Self::AWAITED.intersects(CallbackSet::GRPC);

    /// Whether the host's tick is shared: any context of the module has timers, or a root has
    /// `on_tick` beside futures, which are woken on ticks.
    pub(crate) const TIMERS: bool = {
        let all = Self::AWAITED;
        all.intersects(CallbackSet::TIMERS)
            || all.intersects(CallbackSet::TASKS) && all.intersects(CallbackSet::ON_TICK)
    };

    /// Whether the module has filters that are async functions.
    pub(crate) const TASKS: bool = has::<R::Context>(CallbackSet::TASKS);

    /// Whether the futures of one root context or of several may find each other, and wake each
    /// other outside of callbacks of root contexts.
    pub(crate) const WAKES: bool = R::AWAITS.intersects(CallbackSet::WAKES);

    /// Whether only async functions use callouts.
    pub(crate) const ONLY_FUTURES: bool = <R::Context as Callbacks>::SET.are_only_futures();

    /// Whether completions of callbacks may be ready.
    pub(crate) const COMPLETIONS: bool = !Self::ONLY_FUTURES && Self::AWAITED.intersects(CallbackSet::CALLOUTS);
}
