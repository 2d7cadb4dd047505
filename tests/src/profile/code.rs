//! What an instrumented module reports to the host, and what the reports mean.

/// The import that the module calls.
pub(super) const MODULE: &str = "proxy_filter_profile";
pub(super) const HOOK: &str = "step";

/// A function begins: the second argument is its index. The result is the depth of its frame.
pub(super) const ENTER: u32 = 1 << 31;
/// The host calls a function: the result is the current depth.
pub(super) const DEPTH: u32 = ENTER | 1;
/// A function that the host called returns: the second argument is the depth before the call.
pub(super) const BACK: u32 = ENTER | 2;
/// With the number of a run: the second argument is the number of times that it is executed. Other
/// runs are executed once, and their second argument is the depth of the function.
pub(super) const AMOUNT: u32 = 1 << 30;

/// The runs of instructions of a module: those of a run are executed together.
#[derive(Debug, Default)]
pub(super) struct Code {
    runs: Vec<Vec<u64>>,
}

impl Code {
    /// Begins a run. Returns its number.
    pub(super) fn begin(&mut self) -> usize {
        self.runs.push(Vec::new());
        self.runs.len() - 1
    }

    /// Adds an instruction to a run, by its address in the code section.
    pub(super) fn add(&mut self, run: usize, address: u64) {
        if let Some(run) = self.runs.get_mut(run) {
            run.push(address);
        }
    }

    /// The addresses of the instructions of a run.
    pub(super) fn run(&self, run: u32) -> &[u64] {
        self.runs.get(run as usize).map_or(&[], Vec::as_slice)
    }
}
