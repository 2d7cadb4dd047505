//! Values that VMs and threads share: bytes under keys ([`get`], [`set`], [`compare_and_set`],
//! [`insert_if_absent`]), and with types ([`SharedCell`], [`SharedCounter`]).
//!
//! Every VM with the same `vm_id` sees the same values, on every thread: in Envoy, the main thread
//! and every worker of one process, but not another Envoy. The values exist until the last VM with
//! that `vm_id` ends. A key cannot be removed, only emptied: keys that contain data from clients
//! (an address, a token) fill the proxy's memory.
//!
//! Every callback may read and write. Each VM of a plugin runs `on_configure`, and so does the
//! canary VM: [`insert_if_absent`] sets what only the first of them should set.
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

/// The version of a shared value that [`get`] returned. It changes with every write, even of an
/// equal value.
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

/// Returns the value under a key, or `None` if it was never set.
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
/// An error status of the host.
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

/// Sets the value under a key unconditionally.
///
/// Between a [`get`] and this call, another thread may have written. To write a value that depends
/// on the old one, use [`compare_and_set`] or [`SharedCell::update`].
///
/// # Errors
/// An error status of the host.
///
/// Source: ABI 0.2.1, `proxy_set_shared_data` with `cas` 0.
#[doc(alias = "proxy_set_shared_data")]
#[doc(alias = "setSharedData")]
pub fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
    if write(key.as_ref(), value.as_ref(), UNCONDITIONAL)? { Ok(()) } else { Err(contention()) }
}

/// Sets the value under a key if it was not written since [`get`] returned this version. Returns
/// whether it did.
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
/// An error status of the host; [`Malformed`](ErrorKind::Malformed) if the host returned no version
/// for the value, because the write would then be unconditional.
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

/// Sets the value under a key that was never set. Returns whether it did.
///
/// # Errors
/// An error status of the host.
///
/// Source: Envoy 1.40, `SharedData::set`: a `cas` that is not 0 is ignored for a missing key, and
/// does not match that of an existing one. The ABI's text does not define it for a missing key; on
/// a host that refuses it, the result is `Ok(false)`.
pub fn insert_if_absent(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
    write(key.as_ref(), value.as_ref(), NEVER)
}

/// The `cas` for an unconditional write.
const UNCONDITIONAL: u32 = 0;
/// A `cas` that no value has: Envoy counts writes of the whole process, beginning with 1.
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
    Error::refused(ErrorKind::Conflict, "other threads changed the shared value during every attempt")
}
#[cold]
fn no_version() -> Error {
    Error::refused(ErrorKind::Malformed, "the host gave the shared value no version, so it cannot be compared")
}
