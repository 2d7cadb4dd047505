//! Random bytes and numbers, from the host.
//!
//! ```
//! use proxy_filter::{Result, random};
//!
//! fn nonce() -> Result<String> {
//!     Ok(format!("{:016x}{:016x}", random::u64()?, random::u64()?))
//! }
//!
//! fn one_in(share: u64) -> Result<bool> {
//!     Ok(random::u64()? % share == 0)
//! }
//! ```
//!
//! Their quality is that of the host: Envoy uses the generator of its TLS library, which is
//! suitable for keys and tokens. The embedded host of `proxy-filter-host` has a generator with a
//! fixed seed (`Host::random_seed`), so that a test has the same result each time.
//!
//! The functions work in every callback, but not in destructors and allocations during a host call.
//!
//! # Hosts
//!
//! The ABI has no such function. Envoy, and other hosts with the same library, implement
//! `random_get` of WASI preview 1. A module imports `wasi_snapshot_preview1.random_get` only if its
//! filter uses this module; a host without the function then refuses the Wasm module.
//!
//! # `uuid`, `rand`, and other users of `getrandom`
//!
//! The crate `getrandom` does not support this target, and fails to compile with the message that
//! the target needs a backend. The feature `getrandom` of this crate is a backend for its versions
//! 0.3 and 0.4. The filter's package needs the feature,
//!
//! ```toml
//! [dependencies]
//! proxy-filter = { version = "0.1", features = ["getrandom"] }
//! uuid = { version = "1", features = ["v4", "rng-getrandom"] }
//! rand = { version = "0.10", default-features = false, features = ["std", "std_rng", "sys_rng", "thread_rng"] }
//! ```
//!
//! and a line in its `.cargo/config.toml` that selects the backend:
//!
//! ```toml
//! [target.wasm32-unknown-unknown]
//! rustflags = ["--cfg", "getrandom_backend=\"custom\""]
//! ```
//!
//! Then `Uuid::new_v4()` and `rand::rng()` work as on every other target. If the host has no random
//! bytes, `getrandom` returns its error, and functions that cannot return one panic: call [`fill`]
//! in [`on_configure`](crate::RootContext::on_configure) to refuse such a host.
//!
//! Native tests use the operating system's generator for these crates, because the feature has an
//! effect on wasm only. A test cannot expect certain values.
//!
//! Source: WASI preview 1, `random_get`; Envoy 1.40, which serves it for at most 64 KiB at once.

use crate::error::{Error, Result};
use crate::sys;

/// Fills `bytes` with random bytes, in any length. After an error, a part may be filled.
///
/// ```
/// use proxy_filter::{Result, random};
///
/// fn key() -> Result<[u8; 32]> {
///     let mut key = [0; 32];
///     random::fill(&mut key)?;
///     Ok(key)
/// }
/// ```
///
/// # Errors
/// [`Unimplemented`](crate::ErrorKind::Unimplemented) if the host has no random bytes, or does not
/// permit the module to use them; [`Refused`](crate::ErrorKind::Refused) for any other error of
/// WASI.
///
/// Source: WASI preview 1, `random_get`.
#[doc(alias = "random_get")]
#[doc(alias = "getrandom")]
#[inline]
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    sys::fill_random(bytes).map_err(|status| Error::host("random_get", status))
}

/// Returns a random number; all are equally probable.
///
/// # Errors
/// As [`fill`].
#[doc(alias = "random_get")]
#[inline]
pub fn u64() -> Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::status::Status;
    use crate::error::kind::ErrorKind;
    use crate::sys::AT_ONCE;
    use crate::sys::HostFunctions;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Records the requested sizes. Fills with the number of the call, or returns an error.
    #[derive(Default)]
    struct Host {
        error: u32,
        sizes: RefCell<Vec<usize>>,
    }

    impl HostFunctions for Host {
        fn random_get(&self, bytes: &mut [u8]) -> u32 {
            let mut sizes = self.sizes.borrow_mut();
            sizes.push(bytes.len());
            bytes.fill(u8::try_from(sizes.len()).unwrap());
            self.error
        }
    }

    fn with(error: u32, body: impl FnOnce()) -> Vec<usize> {
        let host = Rc::new(Host { error, ..Host::default() });
        sys::install(Some(Rc::<Host>::clone(&host)));
        body();
        sys::install(None);
        host.sizes.take()
    }

    #[test]
    fn no_request_exceeds_the_size_that_a_host_fills_at_once() {
        for (size, expected) in [
            (0, &[][..]),
            (1, &[1]),
            (AT_ONCE, &[AT_ONCE]),
            (AT_ONCE + 1, &[AT_ONCE, 1]),
            (3 * AT_ONCE - 1, &[AT_ONCE, AT_ONCE, AT_ONCE - 1]),
        ] {
            let mut bytes = vec![0; size];
            assert_eq!(with(0, || fill(&mut bytes).unwrap()), expected);
            assert!(!bytes.contains(&0), "{size}");
        }
        assert_eq!(with(0, || assert_eq!(u64().unwrap(), 0x0101_0101_0101_0101)), [8]);
    }

    #[test]
    fn a_host_without_random_bytes_is_an_error() {
        sys::install(None);
        assert_eq!(u64().unwrap_err().kind(), ErrorKind::Unimplemented);
        for (error, kind) in [
            (52, ErrorKind::Unimplemented),
            (58, ErrorKind::Unimplemented),
            (76, ErrorKind::Unimplemented),
            (21, ErrorKind::Refused(Status::INTERNAL_FAILURE)),
            (28, ErrorKind::Refused(Status::INTERNAL_FAILURE)),
            (u32::MAX, ErrorKind::Refused(Status::INTERNAL_FAILURE)),
        ] {
            let sizes = with(error, || {
                let error = fill(&mut vec![0; 2 * AT_ONCE]).unwrap_err();
                assert_eq!((error.kind(), error.host_function()), (kind, Some("random_get")));
            });
            assert_eq!(sizes.len(), 1, "the rest is not asked for");
        }
    }
}
