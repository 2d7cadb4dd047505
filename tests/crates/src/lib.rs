//! The modules of the page `docs/crates.md`: each example uses one crate, and runs as a module that
//! Envoy loads.
//!
//! The package is not a member of the workspace, because its dependencies are none of the
//! repository's. `tests/tests/modules.rs` builds it.

/// A module that runs an expression over bytes that the compiler does not know.
#[macro_export]
macro_rules! module {
    (|$input:ident| $run:expr) => {
        /// The version of the ABI.
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_abi_version_0_2_1() {}

        /// Returns memory for the host.
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_on_memory_allocate(size: u32) -> *mut u8 {
            Box::leak(vec![0; size as usize].into_boxed_slice()).as_mut_ptr()
        }

        /// Runs the expression.
        #[unsafe(no_mangle)]
        pub extern "C" fn proxy_on_vm_start(seed: u32, size: u32) -> u32 {
            let bytes: Vec<u8> = (0..size).map(|at| at.wrapping_mul(seed).to_le_bytes()[0]).collect();
            let $input = bytes.as_slice();
            let result: bool = $run;
            u32::from(result)
        }
    };
}
