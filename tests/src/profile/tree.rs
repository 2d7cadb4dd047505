//! What one VM has executed: a tree of calls.

use super::code::{AMOUNT, BACK, Code, DEPTH, ENTER};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The frames of a deep recursion: those above have the same caller.
const DEEPEST: usize = 256;
/// The run of a function that has none yet.
const NO_RUN: u32 = u32::MAX;

/// A function that was called, from one place of one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileFrame {
    /// The index of the function in the module, imported functions included.
    pub function: u32,
    /// The caller's position in the list of frames, and the address of the call. `None` for a
    /// function that the host called.
    pub caller: Option<(usize, u64)>,
    /// The number of calls.
    pub calls: u64,
    /// The instructions that were executed at each address, without those of functions that it
    /// calls. An address counts from the begin of the code section's contents, as in DWARF.
    pub instructions: BTreeMap<u64, u64>,
}

struct Node {
    function: u32,
    caller: Option<(usize, u32)>,
    calls: u64,
    /// How often each run was executed.
    runs: HashMap<u32, u64>,
}

/// A call that has not returned: its node, and the run that is executed.
#[derive(Clone, Copy)]
struct Active {
    node: usize,
    run: u32,
}

/// The calls of one VM.
pub(super) struct Tree {
    code: Arc<Code>,
    nodes: Vec<Node>,
    /// The nodes by their caller, its run and their function.
    known: HashMap<(Option<(usize, u32)>, u32), usize>,
    stack: Vec<Active>,
    pub(super) instructions: u64,
}

impl Tree {
    pub(super) fn new(code: Arc<Code>) -> Self {
        Self { code, nodes: Vec::new(), known: HashMap::new(), stack: Vec::new(), instructions: 0 }
    }

    /// Takes a report of the module.
    pub(super) fn step(&mut self, report: u32, value: u32) -> u32 {
        match report {
            ENTER => self.enter(value),
            DEPTH => {}
            BACK => self.stack.truncate(value as usize),
            _ if report & AMOUNT != 0 => self.execute(report & !AMOUNT, value),
            run => {
                self.stack.truncate(value as usize);
                if let Some(active) = self.stack.last_mut() {
                    active.run = run;
                }
                self.execute(run, 1);
            }
        }
        u32::try_from(self.stack.len()).unwrap_or(u32::MAX)
    }

    fn enter(&mut self, function: u32) {
        let nearest = self.stack.len().min(DEEPEST).checked_sub(1).and_then(|position| self.stack.get(position));
        let caller = nearest.map(|active| (active.node, active.run));
        let node = *self.known.entry((caller, function)).or_insert_with(|| {
            self.nodes.push(Node { function, caller, calls: 0, runs: HashMap::new() });
            self.nodes.len() - 1
        });
        if let Some(node) = self.nodes.get_mut(node) {
            node.calls += 1;
        }
        self.stack.push(Active { node, run: NO_RUN });
    }

    fn execute(&mut self, run: u32, times: u32) {
        self.instructions += u64::from(times) * self.code.run(run).len() as u64;
        if let Some(node) = self.stack.last().and_then(|active| self.nodes.get_mut(active.node)) {
            *node.runs.entry(run).or_default() += u64::from(times);
        }
    }

    /// Appends the frames to a list.
    pub(super) fn frames(&self, frames: &mut Vec<ProfileFrame>) {
        let first = frames.len();
        for node in &self.nodes {
            let mut instructions = BTreeMap::new();
            for (run, times) in &node.runs {
                for address in self.code.run(*run) {
                    *instructions.entry(*address).or_default() += times;
                }
            }
            // A call is the last instruction of its run.
            let caller = node
                .caller
                .map(|(caller, run)| (first + caller, self.code.run(run).last().copied().unwrap_or_default()));
            frames.push(ProfileFrame { function: node.function, caller, calls: node.calls, instructions });
        }
    }
}
