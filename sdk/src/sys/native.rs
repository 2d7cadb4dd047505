//! The host functions on targets other than wasm. A host that is installed for the current thread
//! implements them.
//!
//! With this module, `cargo test` runs a filter without wasm, under a debugger or Miri. It contains
//! no unsafe code.

use crate::abi::status::Status;
use core::ptr::NonNull;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static HOST: RefCell<Option<Rc<dyn HostFunctions>>> = const { RefCell::new(None) };
    static GENERATION: Cell<u32> = const { Cell::new(0) };
}

/// Installs `host` for the host functions on this thread, or removes the installed host.
pub fn install(host: Option<Rc<dyn HostFunctions>>) {
    GENERATION.set(GENERATION.get().wrapping_add(1));
    HOST.with(|cell| *cell.borrow_mut() = host);
}

/// A number that changes with the installed host. Values of one host, such as a metric's id, are
/// not valid for the next.
pub(crate) fn generation() -> u32 {
    GENERATION.get()
}

/// Returns whether a host is installed on this thread.
pub fn is_installed() -> bool {
    installed().is_some()
}

/// Returns the host of this thread. Returns `None` while the thread ends, when remaining contexts
/// are dropped.
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

/// Fills `bytes` with random bytes, at most 64 KiB. The installed host implements this `random_get`
/// of WASI preview 1.
pub fn random_get(bytes: &mut [u8]) -> Result<(), Status> {
    crate::sys::wasi::check_wasi(installed().map_or(NOT_IMPLEMENTED, |host| host.random_get(bytes)))
}

macro_rules! natives {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        /// The functions of a host. The default implementation of each function returns
        /// `Unimplemented`.
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
            #[doc = concat!("`", stringify!($name), "` of ABI 0.2.1, implemented by the installed host.")]
            pub fn $name($($parameter: natives!(@type $kind)),*) -> Result<($(natives!(@type out $out_kind)),*), Status> {
                // The host may call the module, which calls host functions again. No borrow is held
                // during the call.
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
