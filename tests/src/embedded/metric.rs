//! Metrics, as Envoy 1.40 keeps them.

use proxy_filter::Status;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The two low bits of an id are the metric's type; each type counts on its own.
const STEP: u32 = 4;

/// What a metric is, by the number of the ABI.
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;

/// The metrics of a process: values by type and name. Values of histograms are not stored, because
/// no module can read them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Arc<Mutex<ByName>>);

type ByName = BTreeMap<(u32, Vec<u8>), u64>;

impl Values {
    fn lock(&self) -> MutexGuard<'_, ByName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of all names.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().keys().map(|(_, name)| name.len()).sum()
    }

    /// The counters and gauges with their values.
    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        let values = self.lock();
        let readable = values.iter().filter(|((kind, _), _)| *kind == COUNTER || *kind == GAUGE);
        readable.map(|((_, name), value)| (String::from_utf8_lossy(name).into_owned(), *value)).collect()
    }

    /// The value of a counter or gauge, as an operator sees it.
    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        let values = self.lock();
        let find = |kind| values.get(&(kind, name.as_bytes().to_vec())).copied();
        find(COUNTER).or_else(|| find(GAUGE))
    }
}

/// The metrics as one VM knows them.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    values: Values,
    /// What each id stands for. A name that is defined again gets another id.
    ids: BTreeMap<u32, (u32, Vec<u8>)>,
    next: [u32; 3],
}

impl Metrics {
    pub(crate) fn new(values: Values) -> Self {
        Self { values, ..Self::default() }
    }

    pub(crate) fn define(&mut self, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let next = self.next.get_mut(kind as usize).ok_or(Status::BAD_ARGUMENT)?;
        *next += STEP;
        let id = *next | kind;
        self.values.lock().entry((kind, name.to_vec())).or_default();
        self.ids.insert(id, (kind, name.to_vec()));
        Ok(id)
    }

    /// Reads or changes a value.
    fn value<T>(&self, id: u32, body: impl FnOnce(&mut u64) -> T) -> Result<T, Status> {
        let metric = self.ids.get(&id).ok_or(Status::NOT_FOUND)?;
        self.values.lock().get_mut(metric).map(body).ok_or(Status::NOT_FOUND)
    }

    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        match id % STEP {
            COUNTER => {
                let offset = u64::try_from(offset).ok().filter(|offset| *offset > 0);
                self.value(id, |value| match offset {
                    Some(offset) => {
                        *value = value.wrapping_add(offset);
                        Ok(())
                    }
                    None => Err(Status::BAD_ARGUMENT),
                })?
            }
            GAUGE => self.value(id, |value| *value = value.wrapping_add_signed(offset)),
            _ => Err(Status::BAD_ARGUMENT),
        }
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        self.value(id, |metric| match id % STEP {
            COUNTER => *metric = metric.wrapping_add(value),
            GAUGE => *metric = value,
            _ => {}
        })
    }

    pub(crate) fn get(&mut self, id: u32) -> Result<u64, Status> {
        match id % STEP {
            COUNTER | GAUGE => self.value(id, |value| *value),
            _ => Err(Status::BAD_ARGUMENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTOGRAM: u32 = 2;

    #[test]
    fn ids_count_by_type_and_a_name_defined_again_has_another_id_of_one_metric() {
        let mut metrics = Metrics::default();
        let ids: Vec<_> = [COUNTER, GAUGE, HISTOGRAM, COUNTER].map(|kind| metrics.define(kind, b"m").unwrap()).into();
        assert_eq!(ids, [4, 5, 6, 8]);
        assert_eq!(metrics.define(3, b"m"), Err(Status::BAD_ARGUMENT));
        metrics.increment(4, 2).unwrap();
        metrics.record(8, 3).unwrap();
        assert_eq!((metrics.get(4), metrics.get(8), metrics.get(5)), (Ok(5), Ok(5), Ok(0)));
    }

    #[test]
    fn metrics_that_envoy_refuses_are_refused() {
        let mut metrics = Metrics::default();
        for kind in [COUNTER, GAUGE, HISTOGRAM] {
            metrics.define(kind, b"m").unwrap();
        }
        for (id, offset) in [(4, 0), (4, -1), (6, 1), (7, 1)] {
            assert_eq!(metrics.increment(id, offset), Err(Status::BAD_ARGUMENT), "{id} {offset}");
        }
        assert_eq!(metrics.increment(400, 1), Err(Status::NOT_FOUND));
        assert_eq!(metrics.record(403, 1), Err(Status::NOT_FOUND));
        assert_eq!((metrics.get(6), metrics.get(403)), (Err(Status::BAD_ARGUMENT), Err(Status::BAD_ARGUMENT)));
        metrics.increment(5, -1).unwrap();
        assert_eq!(metrics.get(5), Ok(u64::MAX), "a gauge wraps");
    }
}
