//! Two filters of one module in one VM: `guard` refuses requests, `stamp` says in each response how
//! many were refused.

#[cfg(test)]
mod tests;

mod guard;
mod stamp;

use std::cell::Cell;

thread_local! {
    /// Both filters see it, because plugins with the same `vm_config` share a VM, and with it its
    /// memory. Each of Envoy's workers has a VM of its own, and so a number of its own.
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

proxy_filter::module!(guard::Guard, stamp::Stamp);
