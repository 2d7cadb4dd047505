//! The calls that foreign functions make back to the module.

use crate::foreign::Back;
use std::collections::VecDeque;
use std::time::Duration;

/// The calls that foreign functions make back, each with its context.
#[derive(Debug, Default)]
pub(crate) struct Backs {
    /// Inside of the host function that runs now.
    pub(super) inside: VecDeque<(u32, Back)>,
    pub(super) later: Vec<(Duration, u32, Back)>,
    /// Of the callback that runs now.
    pub(super) arguments: Option<Vec<u8>>,
}

impl Backs {
    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.later.iter().map(|(due, ..)| *due).min()
    }
}
