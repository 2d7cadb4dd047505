//! [`SharedCell`] and [`SharedCounter`]: shared values with a type, and updates that are never
//! lost.

use crate::error::Result;
use crate::host::shared_data::value::SharedValue;
use crate::host::shared_data::{Entry, compare_and_set, contention, get, insert_if_absent, set};
use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

/// The maximum number of attempts of an update. An attempt fails only if an attempt of another
/// thread succeeded in the meantime. A thread that competes for the host's lock can fail dozens of
/// times in a row, and a module cannot yield.
const ATTEMPTS: u32 = 1_000;

/// A typed value that VMs and threads share under a key.
///
/// ```
/// use proxy_filter::Result;
/// use proxy_filter::shared_data::SharedCell;
///
/// static HIGHEST: SharedCell<u32> = SharedCell::new("highest-status");
///
/// fn note(status: u32) -> Result<u32> {
///     HIGHEST.update(|highest| status.max(highest.unwrap_or(0)))
/// }
///
/// /// A key made at run time. Keys are never removed: their number must have a bound.
/// fn owner(shard: u8) -> SharedCell<String> {
///     SharedCell::named(format!("owner-{shard}"))
/// }
/// ```
///
/// Source: as for [`get`] and [`compare_and_set`].
pub struct SharedCell<T> {
    key: Cow<'static, [u8]>,
    value: PhantomData<fn() -> T>,
}

impl<T: SharedValue> SharedCell<T> {
    /// Creates a value under a constant key, for a `static`.
    pub const fn new(key: &'static str) -> Self {
        Self { key: Cow::Borrowed(key.as_bytes()), value: PhantomData }
    }

    /// Creates a value under a key that is computed at run time.
    pub fn named(key: impl Into<Vec<u8>>) -> Self {
        Self { key: Cow::Owned(key.into()), value: PhantomData }
    }

    /// Returns the value, or `None` if it was never set.
    ///
    /// # Errors
    /// Those of [`get`]; [`Malformed`](crate::ErrorKind::Malformed) if the bytes are not a value of
    /// this type.
    #[doc(alias = "proxy_get_shared_data")]
    pub fn get(&self) -> Result<Option<T>> {
        get(&self.key)?.map(|entry| T::decode(entry.value)).transpose()
    }

    /// Replaces the value unconditionally.
    ///
    /// # Errors
    /// Those of [`set`], and of the value's encoding.
    #[doc(alias = "proxy_set_shared_data")]
    pub fn set(&self, value: &T) -> Result<()> {
        set(&self.key, value.encode()?)
    }

    /// Sets the value if it was never set, and returns whether it did.
    ///
    /// # Errors
    /// Those of [`insert_if_absent`], and of the value's encoding.
    pub fn insert_if_absent(&self, value: &T) -> Result<bool> {
        insert_if_absent(&self.key, value.encode()?)
    }

    /// Computes the new value from the old one (`None` if it was never set), and returns it. No
    /// update of any thread is lost.
    ///
    /// If another thread changes the value during the update, the closure runs again, at most 1,000
    /// times. The closure must have no side effects.
    ///
    /// # Errors
    /// Fails with [`Conflict`](crate::ErrorKind::Conflict) if other threads changed the value
    /// during every attempt; the value is then not written. In an async filter,
    /// [`timer::retry`](crate::timer::retry) repeats the update after a pause. Also fails as
    /// [`get`](Self::get) and [`set`](Self::set) do.
    pub fn update(&self, mut change: impl FnMut(Option<T>) -> T) -> Result<T> {
        self.update_if(|before| Some(change(before)))?.ok_or(contention())
    }

    /// Like [`update`](Self::update), but the closure may return `None` to leave the value
    /// unchanged. This method then returns `None` too.
    ///
    /// ```
    /// # use proxy_filter::Result;
    /// # use proxy_filter::shared_data::SharedCell;
    /// # static TOKENS: SharedCell<u32> = SharedCell::new("tokens");
    /// fn take_token() -> Result<bool> {
    ///     let left = TOKENS.update_if(|tokens| tokens.unwrap_or(10).checked_sub(1))?;
    ///     Ok(left.is_some())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_if(&self, mut change: impl FnMut(Option<T>) -> Option<T>) -> Result<Option<T>> {
        for _ in 0..ATTEMPTS {
            let (before, version) = match get(&self.key)? {
                Some(Entry { value, version }) => (Some(T::decode(value)?), Some(version)),
                None => (None, None),
            };
            let Some(after) = change(before) else { return Ok(None) };
            let bytes = after.encode()?;
            let written = match version {
                Some(version) => compare_and_set(&self.key, &bytes, version)?,
                None => insert_if_absent(&self.key, &bytes)?,
            };
            if written {
                return Ok(Some(after));
            }
        }
        Err(contention())
    }
}

impl<T> fmt::Debug for SharedCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedCell({})", crate::log::escaped::escaped(&self.key))
    }
}

/// A number that VMs and threads count together. It starts at 0 and stops at [`u64::MAX`].
///
/// Unlike a [metric](crate::metric), it is exact over all threads, so a filter can base decisions
/// on it.
///
/// ```
/// use proxy_filter::Result;
/// use proxy_filter::shared_data::SharedCounter;
///
/// static SOLD: SharedCounter = SharedCounter::new("tickets-sold");
///
/// /// Whether there was a ticket left, over all threads.
/// fn sell(tickets: u64) -> Result<bool> {
///     Ok(SOLD.add_within(1, tickets)?.is_some())
/// }
/// ```
///
/// The value is stored as a `u64` in 8 bytes, little endian.
#[derive(Debug)]
pub struct SharedCounter(pub(super) SharedCell<u64>);

impl SharedCounter {
    /// Creates a number under a constant key, for a `static`.
    pub const fn new(key: &'static str) -> Self {
        Self(SharedCell::new(key))
    }

    /// Creates a number under a key that is computed at run time.
    pub fn named(key: impl Into<Vec<u8>>) -> Self {
        Self(SharedCell::named(key))
    }

    /// Returns the number; 0 before the first addition.
    ///
    /// # Errors
    /// As [`SharedCell::get`].
    #[inline]
    pub fn get(&self) -> Result<u64> {
        Ok(self.0.get()?.unwrap_or(0))
    }

    /// Sets the number unconditionally.
    ///
    /// # Errors
    /// As [`SharedCell::set`].
    #[inline]
    pub fn set(&self, value: u64) -> Result<()> {
        self.0.set(&value)
    }

    /// Adds to the number, and returns the sum. It stops at [`u64::MAX`].
    ///
    /// # Errors
    /// As [`SharedCell::update`].
    #[inline]
    pub fn add(&self, n: u64) -> Result<u64> {
        self.0.update(|before| before.unwrap_or(0).saturating_add(n))
    }

    /// Adds to the number if the sum is at most `limit`, and returns the sum. Otherwise returns
    /// `None` and leaves the number unchanged.
    ///
    /// # Errors
    /// As [`SharedCell::update`].
    #[inline]
    pub fn add_within(&self, n: u64, limit: u64) -> Result<Option<u64>> {
        self.0.update_if(|before| before.unwrap_or(0).checked_add(n).filter(|sum| *sum <= limit))
    }
}
