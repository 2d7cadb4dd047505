//! The host functions as wasm imports from module `env`, and the allocator that the host calls.

use crate::abi::status::Status;
use core::ptr::NonNull;
use std::alloc::Layout;

/// Bytes the host wrote into memory it got from [`proxy_on_memory_allocate`].
struct Buffer {
    pointer: *mut u8,
    size: usize,
}

impl Buffer {
    /// A host that writes no outs with `Ok` means an empty value.
    const EMPTY: Self = Self { pointer: core::ptr::null_mut(), size: 0 };

    /// Takes ownership of the bytes. A null pointer or length 0 is the empty value, for which hosts
    /// allocate no memory.
    fn adopt(self) -> Vec<u8> {
        if self.pointer.is_null() || self.size == 0 {
            return Vec::new();
        }
        // SAFETY: this is an out pointer of a call that returned Ok. By the ABI, it is a block that
        // the host got from `proxy_on_memory_allocate(size)` for this value, and does not use
        // again. That function used the global allocator with the layout of `[u8; size]`, which is
        // the layout that a `Vec<u8>` of capacity `size` frees. The host initialised the whole
        // block. `self` is consumed, so the block is adopted once.
        #[allow(clippy::same_length_and_capacity, reason = "the host's block is exactly as large as its value")]
        unsafe {
            Vec::from_raw_parts(self.pointer, self.size, self.size)
        }
    }
}

/// Allocates memory for a value that the host returns. Returns null without memory; the host
/// function then returns `InvalidMemoryAccess`.
///
/// Hosts call this during a host function; it makes no host call itself, which Envoy would trap.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the layout is not of size 0.
        Ok(layout) if size > 0 => unsafe { std::alloc::alloc(layout) },
        _ => core::ptr::null_mut(),
    }
}

/// Returns `count` `None`s that live as long as the module. Like `vec![None; count].leak()`, but
/// without the panic for a count that overflows. That panic would add the panic machinery to
/// modules without other panics. Without memory the module traps, as it does elsewhere.
pub(crate) fn leak_none<T>(count: usize) -> &'static mut [Option<NonNull<T>>] {
    let Ok(layout) = Layout::array::<Option<NonNull<T>>>(count.max(1)) else { core::arch::wasm32::unreachable() };
    #[allow(clippy::cast_ptr_alignment, reason = "the layout is aligned for it")]
    // SAFETY: the layout is not of size 0.
    let places = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Option<NonNull<T>>>();
    if places.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    // SAFETY: the block has the size and alignment of `count` slots, no other code uses it, and it
    // is never freed. A null pointer is `None` for an optional `NonNull`, as the language
    // guarantees.
    unsafe { core::slice::from_raw_parts_mut(places, count) }
}

/// Runs the constructors of the module. Only linked C and C++ code has constructors. The reference
/// to this function also prevents the linker from running them before each export.
pub fn call_constructors() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker defines the function; it is called once, from `_initialize`, before any
    // other code runs.
    unsafe { __wasm_call_ctors() }
}

/// Fills bytes with random ones, at most 64 KiB: `random_get` of WASI preview 1.
#[inline]
pub fn random_get(bytes: &mut [u8]) -> Result<(), Status> {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn random_get(bytes: *mut u8, size: usize) -> u32;
    }
    // SAFETY: the signature is that of WASI. The host writes into the live slice during the call
    // only.
    crate::sys::wasi::check_wasi(unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) })
}

/// Turns the list into one import and one safe wrapper for each function. Parameters and results
/// are lowered one after the other: `[declared imports] [arguments]` grow until both lists are
/// empty.
macro_rules! imports {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        $(imports!(@lower $name [$($parameter: $kind,)*] [$($out: $out_kind,)*] [$($parameter: $kind,)*] [$($out: $out_kind,)*] [] []);)*
    };
    (@lower $name:ident $p:tt $o:tt [$x:ident: Bytes, $($rest:tt)*] $outs:tt [$($import:tt)*] [$($argument:tt)*]) => {
        imports!(@lower $name $p $o [$($rest)*] $outs [$($import)* _: *const u8, _: usize,] [$($argument)* $x.as_ptr(), $x.len(),]);
    };
    (@lower $name:ident $p:tt $o:tt [$x:ident: $int:ident, $($rest:tt)*] $outs:tt [$($import:tt)*] [$($argument:tt)*]) => {
        imports!(@lower $name $p $o [$($rest)*] $outs [$($import)* _: $int,] [$($argument)* $x,]);
    };
    (@lower $name:ident $p:tt $o:tt [] [$x:ident: Buffer, $($rest:tt)*] [$($import:tt)*] [$($argument:tt)*]) => {
        imports!(@lower $name $p $o [] [$($rest)*] [$($import)* _: *mut *mut u8, _: *mut usize,]
            [$($argument)* &raw mut $x.pointer, &raw mut $x.size,]);
    };
    (@lower $name:ident $p:tt $o:tt [] [$x:ident: $int:ident, $($rest:tt)*] [$($import:tt)*] [$($argument:tt)*]) => {
        imports!(@lower $name $p $o [] [$($rest)*] [$($import)* _: *mut $int,] [$($argument)* &raw mut $x,]);
    };
    (@lower $name:ident [$($parameter:ident: $kind:ident,)*] [$($out:ident: $out_kind:ident,)*] [] [] [$($import:tt)*] [$($argument:tt)*]) => {
        #[inline]
        pub fn $name($($parameter: imports!(@parameter $kind)),*) -> Result<($(imports!(@out $out_kind)),*), Status> {
            #[link(wasm_import_module = "env")]
            unsafe extern "C" {
                fn $name($($import)*) -> u32;
            }
            $(let mut $out = imports!(@initial $out_kind);)*
            // SAFETY: the signature is that of the ABI. Every pointer comes from a live slice or a
            // live local, and the host uses it during the call only. A returned number is checked
            // before it becomes a type.
            Status::check(unsafe { $name($($argument)*) })?;
            Ok(($(imports!(@adopt $out_kind $out)),*))
        }
    };
    (@parameter Bytes) => { &[u8] };
    (@parameter $int:ident) => { $int };
    (@out Buffer) => { Vec<u8> };
    (@out $int:ident) => { $int };
    (@initial Buffer) => { Buffer::EMPTY };
    (@initial $int:ident) => { 0 };
    (@adopt Buffer $out:ident) => { $out.adopt() };
    (@adopt $int:ident $out:ident) => { $out };
}

#[allow(unused_parens, reason = "a list of one out is no tuple")]
mod functions {
    use crate::abi::status::Status;
    use crate::sys::wasm::Buffer;
    crate::__for_each_host_function!(imports);
}
pub use functions::*;
