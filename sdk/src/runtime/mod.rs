//! What stands between the exports and the contexts: the table of contexts, what they wait for, and which callback of which context
//! runs now.
//! No unsafe code, no host call, and nothing is borrowed while user code runs.

mod answers;
pub(crate) mod current;
mod deadlines;
mod edit;
pub(crate) mod executor;
pub(crate) mod line;
mod pending;
pub(crate) mod shared;
mod table;

pub(crate) use answers::{Answers, Ticket};
pub(crate) use current::Callback;
pub use current::ignored_events;
pub(crate) use deadlines::{DEADLINES, Deadlines};
pub(crate) use edit::edit;
pub(crate) use executor::{Executor, Task};
pub(crate) use pending::{NOBODY, Pendings};
pub(crate) use shared::{Shared, share};
pub(crate) use table::{Entry, Table};
