//! [`LogOutOfMemory`]: the line in the host's log that names the reason when memory runs out.

use crate::abi::log_level::LogLevel;
#[cfg(all(target_family = "wasm", feature = "log-out-of-memory", not(feature = "wee_alloc")))]
use crate::sys::small_blocks::SmallBlocks;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU32, Ordering};

/// A global allocator that logs when the inner allocator is out of memory.
///
/// Without memory, Rust executes a bare `unreachable` instruction: no panic, no hook, no log line.
/// This allocator first logs `out of memory` at [`LogLevel::Critical`]. An allocation that may
/// fail, such as `Vec::try_reserve`, logs the same line, and the module continues. The line is
/// logged for the first failure of a VM, the second, the fourth, the eighth and so on. A client can
/// therefore not fill the log.
///
/// The feature `log-out-of-memory` is on by default. It makes this the global allocator of each
/// wasm module, around the one of the standard library. Between the two, freed blocks of up to 256
/// bytes are kept for the next allocations of their size, and blocks that grow are copied. A filter
/// with an allocator of its own turns the default features off, and may wrap its own:
///
/// ```toml
/// proxy-filter = { version = "0.1", default-features = false, features = ["panic-hook"] }
/// ```
///
/// ```
/// use proxy_filter::log::LogOutOfMemory;
/// use std::alloc::System; // or another allocator
///
/// #[cfg(target_family = "wasm")]
/// #[global_allocator]
/// static ALLOCATOR: LogOutOfMemory<System> = LogOutOfMemory(System);
/// ```
///
/// Envoy gives a VM 1 GiB of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogOutOfMemory<A>(
    /// The allocator that has the memory.
    pub A,
);

// Not inlined: a copy of the allocator in each of its callers would be 1 KB of a module.
// `alloc_zeroed` is the provided one, which calls `alloc`. SAFETY: every call goes to the allocator
// inside as it is, and its result is returned as it is.
unsafe impl<A: GlobalAlloc> GlobalAlloc for LogOutOfMemory<A> {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of this method, which is also that of the inner
        // one.
        checked(unsafe { self.0.alloc(layout) })
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { self.0.realloc(block, layout, size) })
    }
}

#[inline]
fn checked(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        report();
    }
    block
}

static FAILURES: AtomicU32 = AtomicU32::new(0);

/// Allocates no memory, and calls only `proxy_log`: Envoy traps other host functions while it
/// allocates memory in the module.
#[cold]
#[inline(never)]
fn report() {
    let failures = FAILURES.load(Ordering::Relaxed).wrapping_add(1);
    FAILURES.store(failures, Ordering::Relaxed);
    if failures.is_power_of_two() {
        let _ = super::proxy_log(LogLevel::Critical.raw(), b"out of memory");
    }
}

#[cfg(all(target_family = "wasm", feature = "wee_alloc"))]
#[global_allocator]
static ALLOCATOR: LogOutOfMemory<wee_alloc::WeeAlloc<'static>> = LogOutOfMemory(wee_alloc::WeeAlloc::INIT);

#[cfg(all(target_family = "wasm", feature = "log-out-of-memory", not(feature = "wee_alloc")))]
#[global_allocator]
static ALLOCATOR: LogOutOfMemory<SmallBlocks<std::alloc::System>> =
    LogOutOfMemory(SmallBlocks::new(std::alloc::System));

#[cfg(test)]
mod tests {
    use crate::sys::allocator::LogOutOfMemory;
    use std::alloc::{GlobalAlloc, Layout, System};

    /// Has the memory of the system, for small blocks.
    struct Small;

    // SAFETY: blocks are the system's, or null.
    unsafe impl GlobalAlloc for Small {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller upholds the contract.
            if layout.size() > 64 { core::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[test]
    fn blocks_are_those_of_the_allocator_inside() {
        let allocator = LogOutOfMemory(Small);
        let layout = |size| Layout::array::<u8>(size).unwrap();
        // SAFETY: the layouts are not empty, and each block is freed once with the layout it has.
        unsafe {
            let block = allocator.alloc_zeroed(layout(8));
            assert_eq!(block.read(), 0);
            let block = allocator.realloc(block, layout(8), 64);
            assert!(!block.is_null());
            assert!(allocator.realloc(block, layout(64), 65).is_null());
            assert!(allocator.alloc(layout(65)).is_null());
            allocator.dealloc(block, layout(64));
        }
    }
}
