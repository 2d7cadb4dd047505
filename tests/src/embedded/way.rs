//! How far a message has come on its way through the filters: what each of them holds of it.

use super::fields::Map;
use super::stream::Which;

/// A message after all of it has passed the filters.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Map>,
}

/// What a callback of a filter has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    /// What it was called for. What comes next is told all the same.
    Part,
    /// The headers, and all that comes after them: nothing is told.
    All,
}

/// One filter, and what has come to it and not gone on.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "what waits is any of them")]
pub(super) struct Stage {
    /// The filter's context.
    pub(super) filter: u32,
    pub(super) hold: Hold,
    /// The headers wait here.
    pub(super) headers: bool,
    /// Bytes of the body, or its end, wait here.
    pub(super) data: bool,
    /// The trailers wait here.
    pub(super) trailers: bool,
    /// The bytes that wait: the filter has seen them, unless everything is held.
    pub(super) held: Vec<u8>,
    /// The end of the body is among what waits.
    pub(super) ended: bool,
    /// The filter can see all the bytes that wait.
    pub(super) buffering: bool,
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) which: Which,
    /// The message ends with its headers.
    pub(super) only_headers: bool,
    /// There are trailers, from their sender or from a filter.
    pub(super) has_trailers: bool,
    /// In the order in which the message passes them.
    pub(super) stages: Vec<Stage>,
    pub(super) passed: Passed,
}

impl Stage {
    const fn new(filter: u32) -> Self {
        Self {
            filter,
            hold: Hold::Nothing,
            headers: false,
            data: false,
            trailers: false,
            held: Vec::new(),
            ended: false,
            buffering: false,
        }
    }

    /// Takes out the bytes that wait, which go on.
    pub(super) fn let_go(&mut self) -> Vec<u8> {
        (self.data, self.buffering) = (false, false);
        std::mem::take(&mut self.held)
    }
}

impl Way {
    /// A message that has not come to the first of these filters.
    pub(super) fn new(which: Which, filters: Vec<u32>, only_headers: bool) -> Self {
        let stages = filters.into_iter().map(Stage::new).collect();
        Self { which, only_headers, has_trailers: false, stages, passed: Passed::default() }
    }

    pub(super) fn stage(&mut self, index: usize) -> Option<&mut Stage> {
        self.stages.get_mut(index)
    }

    /// Whether one of the filters before this one, which holds something, holds bytes of the body.
    pub(super) fn is_held_before(&self, index: usize) -> bool {
        let holds = self.stages.get(index).is_some_and(|stage| stage.hold != Hold::Nothing);
        holds && self.stages.iter().take(index).any(|stage| stage.hold == Hold::Part && !stage.held.is_empty())
    }

    /// Takes out the bytes that filters after this one hold, if this one holds something.
    pub(super) fn take_held_after(&mut self, index: usize) -> Vec<u8> {
        let holds = self.stages.get(index).is_some_and(|stage| stage.hold != Hold::Nothing);
        let later = self.stages.iter_mut().skip(index + 1).filter(|stage| holds && stage.hold == Hold::Part);
        later.flat_map(|stage| std::mem::take(&mut stage.held)).collect()
    }

    /// Whether no filter holds anything.
    pub(super) fn is_free(&self) -> bool {
        self.stages.iter().all(|stage| stage.hold == Hold::Nothing)
    }

    /// Whether a filter holds all that comes.
    pub(super) fn is_closed(&self) -> bool {
        self.stages.iter().any(|stage| stage.hold == Hold::All)
    }

    /// Whether a filter that has seen the end of the body holds it.
    pub(super) fn holds_the_end(&self) -> bool {
        self.stages.iter().any(|stage| stage.hold == Hold::Part && stage.data && stage.ended)
    }

    /// The filters whose buffers are within their reach while nothing is told; with those that hold
    /// something else of a body, once all of the message has come.
    pub(super) fn in_reach(&self, complete: bool) -> Vec<usize> {
        let reach = |stage: &Stage| stage.hold == Hold::Part && stage.data && (stage.buffering || complete);
        self.stages.iter().enumerate().filter(|(_, stage)| reach(stage)).map(|(index, _)| index).collect()
    }
}
