//! From an export to the contexts: finds the context, runs its callback and applies the result.

pub(crate) mod arrive;
pub(crate) mod complete;
pub(crate) mod contexts;
pub(crate) mod failure;
pub(crate) mod foreign;
pub(crate) mod life;
pub(crate) mod message;
pub(crate) mod root;
pub(crate) mod run;
pub(crate) mod stream;
pub(crate) mod tasks;
pub(crate) mod uses;
pub(crate) mod wake;
