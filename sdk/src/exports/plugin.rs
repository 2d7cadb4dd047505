//! Callbacks of root contexts: their configuration, the tick, and items of queues.

use crate::callout::queue::shared_queue::{self, Item, SharedQueue};
use crate::callout::timer::{Timer, timers};
use crate::current::{self, Callback};
use crate::dispatch::arrive::arrive;
use crate::dispatch::complete::{self, enter_root};
use crate::dispatch::contexts::Contexts;
use crate::dispatch::uses::Uses;
use crate::dispatch::{run, wake};
use crate::engine::callbacks::CallbackSet;
use crate::host::configuration::{Configuration, VmConfiguration};
use crate::plugin::registration::NewContext;

/// `proxy_on_vm_start`.
pub fn on_vm_start<R: NewContext>(contexts: &Contexts<R>, context_id: u32, configuration_size: u32) -> u32 {
    current::advance_epoch();
    enter_root::<R>(context_id);
    let Some(root) = contexts.root(context_id) else { return 0 };
    let result = root.start(VmConfiguration::new(configuration_size));
    run::after_root_callback(contexts, context_id);
    result
}

/// `proxy_on_configure`.
pub fn on_configure<R: NewContext>(contexts: &Contexts<R>, context_id: u32, configuration_size: u32) -> u32 {
    current::advance_epoch();
    enter_root::<R>(context_id);
    let Some(root) = contexts.root(context_id) else { return 0 };
    let result = root.configure(Configuration::new(configuration_size));
    run::after_root_callback(contexts, context_id);
    result
}

/// `proxy_on_tick`.
pub fn on_tick<R: NewContext>(contexts: &Contexts<R>, context_id: u32) {
    current::advance_epoch();
    enter_root::<R>(context_id);
    if Uses::<R>::TIMERS {
        shared_tick(contexts, context_id);
    } else if R::AWAITS.intersects(CallbackSet::ON_TICK) {
        contexts.notify_root(Callback::TICK, context_id, R::on_tick);
    } else if Uses::<R>::WAKES {
        wake::stop_tick(context_id);
    }
    run::after_root_callback(contexts, context_id);
}

/// Runs the completions of the timers that are due, and `on_tick` if that is.
fn shared_tick<R: NewContext>(contexts: &Contexts<R>, root: u32) {
    current::enter(Callback::TIMER, root);
    current::set_root_id(root);
    let complete = |number| {
        arrive::<R, Timer>(
            contexts,
            root,
            number,
            || (),
            |owner, completion, ()| {
                complete::complete(contexts, Callback::TIMER, owner, completion, Ok(()));
            },
        );
    };
    let tick = || contexts.notify_root(Callback::TICK, root, R::on_tick);
    timers::run_due(root, complete, R::AWAITS.intersects(CallbackSet::ON_TICK).then_some(tick));
}

/// `proxy_on_queue_ready`.
pub fn on_queue_ready<R: NewContext>(contexts: &Contexts<R>, context_id: u32, queue: u32) {
    enter_root::<R>(context_id);
    contexts.notify_root(Callback::QUEUE_READY, context_id, |root| root.on_queue_ready(&SharedQueue::from_id(queue)));
    if Uses::<R>::TASKS {
        for number in shared_queue::waiting_for(queue) {
            arrive::<R, Item>(contexts, context_id, number, || (), |_, never, ()| match never {});
        }
    }
    run::after_root_callback(contexts, context_id);
}
