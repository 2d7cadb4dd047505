//! Values that VMs and threads share: bytes under keys ([`get`], [`set`], [`compare_and_set`],
//! [`insert_if_absent`]), and with types ([`SharedCell`], [`SharedCounter`]).
//!
//! Every VM with the same `vm_id` sees the same values, on whatever thread it runs: in Envoy the
//! main thread and every worker of one process, but not another Envoy. Values live in the host's
//! memory until the last VM with that `vm_id` is gone. A key cannot be removed, only emptied: keys
//! made from what clients send (an address, a token) fill the memory of the proxy.
//!
//! Every callback may read and write. In `on_configure`, remember that each VM of a plugin runs it,
//! and one more that is thrown away: [`insert_if_absent`] sets what only the first should.
//!
//! Source: context API, "Shared data API"; ABI 0.2.1, "Shared key-value store"; Envoy 1.40,
//! `SharedData`.

pub(crate) mod cell;
pub(crate) mod value;

pub use crate::host::shared_data::cell::{SharedCell, SharedCounter};
#[cfg(feature = "json")]
pub use crate::host::shared_data::value::Json;
pub use crate::host::shared_data::value::SharedValue;

use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;

/// The state of a shared value, as [`get`] found it: it is another after every write, whatever is
/// written.
///
/// Hosts call it the compare-and-swap number, `cas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "cas")]
pub struct Version(u32);

/// A shared value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The bytes. An empty value is a value.
    pub value: Vec<u8>,
    /// The version, for [`compare_and_set`].
    pub version: Version,
}

/// What is under a key, or `None` if nothing was ever set there.
///
/// ```
/// use proxy_filter::{Result, shared_data};
///
/// fn banner() -> Result<Option<Vec<u8>>> {
///     Ok(shared_data::get("banner")?.map(|entry| entry.value))
/// }
/// ```
///
/// # Errors
/// A refusal of the host.
///
/// Source: ABI 0.2.1, `proxy_get_shared_data`.
#[doc(alias = "proxy_get_shared_data")]
#[doc(alias = "getSharedData")]
pub fn get(key: impl AsRef<[u8]>) -> Result<Option<Entry>> {
    match sys::proxy_get_shared_data(key.as_ref()) {
        Ok((value, cas)) => Ok(Some(Entry { value, version: Version(cas) })),
        Err(Status::NOT_FOUND) => Ok(None),
        Err(status) => Err(Error::host("proxy_get_shared_data", status)),
    }
}

/// Puts a value under a key, whatever is there.
///
/// Between a [`get`] and this, another thread may have written: what depends on the old value is
/// written with [`compare_and_set`], or with [`SharedCell::update`].
///
/// # Errors
/// A refusal of the host.
///
/// Source: ABI 0.2.1, `proxy_set_shared_data` with `cas` 0.
#[doc(alias = "proxy_set_shared_data")]
#[doc(alias = "setSharedData")]
pub fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
    if write(key.as_ref(), value.as_ref(), UNCONDITIONAL)? { Ok(()) } else { Err(contention()) }
}

/// Puts a value under a key if nobody has written there since [`get`] returned this version.
/// Whether it did.
///
/// ```
/// use proxy_filter::{Result, shared_data};
///
/// /// Whether this call, of all VMs and threads, is the one that takes the lock.
/// fn take_lock() -> Result<bool> {
///     match shared_data::get("lock")? {
///         None => shared_data::insert_if_absent("lock", "taken"),
///         Some(entry) if entry.value == b"free" => {
///             shared_data::compare_and_set("lock", "taken", entry.version)
///         }
///         Some(_) => Ok(false),
///     }
/// }
/// ```
///
/// # Errors
/// A refusal of the host; [`Malformed`](ErrorKind::Malformed) if the host gave the value no
/// version, for then it would write in any case.
///
/// Source: ABI 0.2.1, `proxy_set_shared_data`.
#[doc(alias = "proxy_set_shared_data")]
#[doc(alias = "setSharedData")]
pub fn compare_and_set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, version: Version) -> Result<bool> {
    if version.0 == UNCONDITIONAL {
        return Err(no_version());
    }
    write(key.as_ref(), value.as_ref(), version.0)
}

/// Puts a value under a key where nothing was ever set. Whether it did.
///
/// # Errors
/// A refusal of the host.
///
/// Source: Envoy 1.40, `SharedData::set`: a `cas` that is not 0 is ignored for a missing key, and
/// does not match that of an existing one. The ABI's text leaves the missing key open; a host that
/// refuses it answers `Ok(false)` here.
pub fn insert_if_absent(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
    write(key.as_ref(), value.as_ref(), NEVER)
}

/// The `cas` that writes in any case.
const UNCONDITIONAL: u32 = 0;
/// A `cas` that no value has: Envoy counts up from 1 for the whole process, one for each write.
const NEVER: u32 = u32::MAX;

#[inline]
fn write(key: &[u8], value: &[u8], cas: u32) -> Result<bool> {
    match sys::proxy_set_shared_data(key, value, cas) {
        Ok(()) => Ok(true),
        Err(Status::CAS_MISMATCH) => Ok(false),
        Err(status) => Err(Error::host("proxy_set_shared_data", status)),
    }
}

#[cold]
fn contention() -> Error {
    Error::refused(ErrorKind::Contention, "other threads have changed the shared value again and again meanwhile")
}
#[cold]
fn no_version() -> Error {
    Error::refused(ErrorKind::Malformed, "the host gave the shared value no version, so it cannot be compared")
}
