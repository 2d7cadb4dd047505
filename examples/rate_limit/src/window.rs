//! [`Window`]: the value that workers share.

use proxy_filter::shared_data::SharedValue;
use proxy_filter::{Error, Result};

/// A time window, and the number of requests in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Windows are numbered since 1970.
    pub(crate) number: u64,
    pub(crate) used: u32,
}

impl Window {
    /// Returns the window for a request in the window with this number.
    ///
    /// A worker that read the clock just before the end of a window may be late. If another worker
    /// has begun the next window, the request counts in that one. If the stored number is further
    /// ahead, the clock was set back, and the stored count is ignored.
    pub(crate) const fn at(self, now: u64) -> Self {
        if now == self.number || now + 1 == self.number { self } else { Self { number: now, used: 0 } }
    }

    pub(crate) const fn with_one_more(self) -> Self {
        Self { used: self.used.saturating_add(1), ..self }
    }
}

impl SharedValue for Window {
    fn encode(&self) -> Result<Vec<u8>> {
        Ok([&self.number.to_le_bytes()[..], &self.used.to_le_bytes()].concat())
    }

    fn decode(bytes: Vec<u8>) -> Result<Self> {
        match bytes.split_at_checked(8) {
            Some((number, used)) => {
                Ok(Self { number: u64::from_le_bytes(number.try_into()?), used: u32::from_le_bytes(used.try_into()?) })
            }
            None => Err(Error::other("the shared bytes are not a window")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_empty_and_a_late_worker_counts_in_the_next() {
        let used = Window { number: 7, used: 3 };
        assert_eq!(used.at(7), used);
        assert_eq!(used.at(8), Window { number: 8, used: 0 });
        assert_eq!(used.at(6), used, "late");
        assert_eq!(used.at(5), Window { number: 5, used: 0 }, "the clock was set back");
    }

    #[test]
    fn other_bytes_are_no_window() {
        let window = Window { number: u64::MAX, used: 1 };
        assert_eq!(Window::decode(window.encode().unwrap()).unwrap(), window);
        for length in [0, 7, 8, 11, 13] {
            assert!(Window::decode(vec![1; length]).is_err(), "{length}");
        }
    }
}
