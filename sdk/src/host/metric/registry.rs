//! The ids under which this VM has defined its metrics.
//!
//! An id belongs to a VM. On wasm, the module's memory belongs to one VM, so a static stores the
//! id. Natively, all threads share statics and each thread may be a VM, so each thread stores its
//! ids until it gets another host.

use crate::abi::metric_type::MetricType;
use crate::error::Result;
use crate::host::metric::calls::define;
use std::cell::RefCell;

/// A metric without labels.
#[derive(Debug)]
pub(super) struct Single {
    kind: MetricType,
    name: &'static str,
    /// The id plus 1; 0 if the metric is not defined yet.
    #[cfg(target_family = "wasm")]
    id: core::sync::atomic::AtomicU32,
}

impl Single {
    pub(super) const fn new(kind: MetricType, name: &'static str) -> Self {
        Self {
            kind,
            name,
            #[cfg(target_family = "wasm")]
            id: core::sync::atomic::AtomicU32::new(0),
        }
    }

    /// Returns the metric's id. Defines the metric in the host if it has no id.
    #[cfg(target_family = "wasm")]
    #[inline]
    pub(super) fn id(&self) -> Result<u32> {
        use core::sync::atomic::Ordering::Relaxed;
        if let Some(id) = self.id.load(Relaxed).checked_sub(1) {
            return Ok(id);
        }
        let id = define(self.kind, self.name.as_bytes())?;
        self.id.store(id.wrapping_add(1), Relaxed);
        Ok(id)
    }

    /// Returns the metric's id. Defines the metric in the host if it has no id.
    #[cfg(not(target_family = "wasm"))]
    #[inline]
    pub(super) fn id(&self) -> Result<u32> {
        let series = self.name.as_bytes();
        match find(self.kind, self.name, series, usize::MAX) {
            Found::Id(id) => Ok(id),
            Found::Room | Found::Full => add(self.kind, self.name, series),
        }
    }
}

/// The series of one metric with labels.
struct Family {
    kind: MetricType,
    name: &'static str,
    /// Each series by its full name, in order, and its id.
    series: Vec<(Box<[u8]>, u32)>,
}

/// The state of a series.
pub(super) enum Found {
    /// The id of the series.
    Id(u32),
    /// The series has no id, and another one may be added.
    Room,
    /// The series has no id, and the limit is reached.
    Full,
}

thread_local! {
    static FAMILIES: RefCell<Vec<Family>> = const { RefCell::new(Vec::new()) };
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    /// The host that gave the ids.
    static HOST: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Drops ids that another host gave.
#[cfg(not(target_family = "wasm"))]
#[inline]
fn forget_other_hosts(families: &mut Vec<Family>) {
    let host = crate::sys::generation();
    if HOST.replace(host) != host {
        families.clear();
    }
}

/// Calls `body` with the family, which is created if needed. Returns `None` while the thread ends.
/// `body` makes no host call.
fn with_family<T>(kind: MetricType, name: &'static str, body: impl FnOnce(&mut Family) -> T) -> Option<T> {
    let found = FAMILIES.try_with(|families| {
        let mut families = families.try_borrow_mut().ok()?;
        #[cfg(not(target_family = "wasm"))]
        forget_other_hosts(&mut families);
        let known = families.iter().position(|family| family.kind == kind && family.name == name);
        let index = known.unwrap_or_else(|| {
            families.push(Family { kind, name, series: Vec::new() });
            families.len() - 1
        });
        families.get_mut(index).map(body)
    });
    found.ok().flatten()
}

/// Looks for a series of a family that may have `limit` of them.
#[inline]
pub(super) fn find(kind: MetricType, family: &'static str, series: &[u8], limit: usize) -> Found {
    let found = with_family(kind, family, |family| match family.place(series) {
        Ok(place) => family.series.get(place).map_or(Found::Room, |(_, id)| Found::Id(*id)),
        Err(_) if family.series.len() < limit => Found::Room,
        Err(_) => Found::Full,
    });
    found.unwrap_or(Found::Room)
}

/// Defines a series in the host and stores its id.
#[inline]
pub(super) fn add(kind: MetricType, family: &'static str, series: &[u8]) -> Result<u32> {
    let id = define(kind, series)?;
    with_family(kind, family, |family| {
        if let Err(place) = family.place(series) {
            family.series.insert(place, (series.into(), id));
        }
    });
    Ok(id)
}

impl Family {
    /// Where the series is, or else where it goes.
    #[inline]
    fn place(&self, series: &[u8]) -> core::result::Result<usize, usize> {
        self.series.binary_search_by(|(name, _)| (**name).cmp(series))
    }
}
