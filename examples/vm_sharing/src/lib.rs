//! Two filters of one module in one VM. `guard` refuses requests, and `stamp` adds their number to
//! each response.

#[cfg(test)]
mod tests;

mod guard;
mod stamp;

use std::cell::Cell;

thread_local! {
    /// Both filters see it, because plugins with the same `vm_config` share a VM and its memory.
    /// Each of Envoy's workers has its own VM, and so its own number.
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

proxy_filter::module!(guard::Guard, stamp::Stamp);
