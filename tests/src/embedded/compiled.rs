//! The CEL expressions that root contexts have compiled.

use cel::Program;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The expressions of root contexts: each numbers its own, from 0.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) compiled: BTreeMap<(u32, u32), Arc<Program>>,
    pub(super) next: BTreeMap<u32, u32>,
}
