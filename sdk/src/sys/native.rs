//! The host functions on targets that are not wasm: a host installed for the current thread answers them.
//!
//! This is what makes `cargo test` run a filter without wasm, under a debugger or Miri. No unsafe code is involved.

use crate::abi::status::Status;
use core::ptr::NonNull;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static HOST: RefCell<Option<Rc<dyn HostFunctions>>> = const { RefCell::new(None) };
    static GENERATION: Cell<u32> = const { Cell::new(0) };
}

/// Makes `host` answer the host functions on this thread, or nobody.
pub fn install(host: Option<Rc<dyn HostFunctions>>) {
    GENERATION.set(GENERATION.get().wrapping_add(1));
    HOST.with(|cell| *cell.borrow_mut() = host);
}

/// A number that is another for another host: what one host gave, such as a metric's id, is nothing to the next.
pub(crate) fn generation() -> u32 {
    GENERATION.get()
}

/// Whether a host answers on this thread.
pub fn is_installed() -> bool {
    installed().is_some()
}

/// The host of this thread; none while the thread ends, when contexts that are still alive are dropped.
fn installed() -> Option<Rc<dyn HostFunctions>> {
    HOST.try_with(|cell| cell.borrow().clone()).ok().flatten()
}

/// So many `None`s that live as long as the process.
pub(crate) fn leak_none<T>(count: usize) -> &'static mut [Option<NonNull<T>>] {
    vec![None; count].leak()
}

/// Native modules have no constructors of their own to run.
pub fn call_constructors() {}

/// `nosys` of WASI.
const NOT_IMPLEMENTED: u32 = 52;

/// Fills bytes with random ones, at most 64 KiB: `random_get` of WASI preview 1, answered by the installed host.
pub fn random_get(bytes: &mut [u8]) -> Result<(), Status> {
    crate::sys::wasi::check_wasi(installed().map_or(NOT_IMPLEMENTED, |host| host.random_get(bytes)))
}

macro_rules! natives {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        /// What a host provides. A function it does not provide answers `Unimplemented`.
        #[allow(unused_variables, reason = "the default bodies use no parameter")]
        pub trait HostFunctions {
            $(
                #[doc = concat!("`", stringify!($name), "` of ABI 0.2.1.")]
                fn $name(&self, $($parameter: natives!(@type $kind)),*) -> Result<($(natives!(@type out $out_kind)),*), Status> {
                    Err(Status::UNIMPLEMENTED)
                }
            )*

            /// `random_get` of WASI preview 1: the number of an error.
            fn random_get(&self, bytes: &mut [u8]) -> u32 {
                NOT_IMPLEMENTED
            }
        }

        $(
            #[doc = concat!("`", stringify!($name), "` of ABI 0.2.1, answered by the installed host.")]
            pub fn $name($($parameter: natives!(@type $kind)),*) -> Result<($(natives!(@type out $out_kind)),*), Status> {
                // The host may call back into the module, which calls host functions again: nothing is borrowed meanwhile.
                match installed() {
                    Some(host) => host.$name($($parameter),*),
                    None => Err(Status::UNIMPLEMENTED),
                }
            }
        )*
    };
    (@type Bytes) => { &[u8] };
    (@type $int:ident) => { $int };
    (@type out Buffer) => { Vec<u8> };
    (@type out $int:ident) => { $int };
}

#[allow(unused_parens, reason = "a list of one out is no tuple")]
mod functions {
    use crate::abi::status::Status;
    use crate::sys::native::{NOT_IMPLEMENTED, installed};
    crate::__for_each_host_function!(natives);
}
pub use functions::*;
