//! Running several futures at once: [`join`], [`join_all`], [`select`], and [`Spawner`].
//!
//! They work in filters that are async functions, and in their root tasks. `join` and `select` poll
//! every future whenever the function runs. They therefore also work with the futures of an
//! [`Exchange`](crate::Exchange). The crate `futures` has more combinators, which work with
//! callouts unchanged.

pub(crate) mod join;
pub(crate) mod select;

pub use crate::exchange::spawner::Spawner;
pub use crate::future::join::{join, join_all};
pub use crate::future::select::{Either, select};
