//! What runs a module: the table of contexts, the executor of futures, the state of each message. No code of an author runs
//! while anything here is borrowed.

pub(crate) mod callbacks;
pub(crate) mod declared;
pub(crate) mod edit;
pub(crate) mod effective;
pub(crate) mod executor;
pub(crate) mod held;
pub(crate) mod life;
pub(crate) mod message_state;
pub(crate) mod point;
pub(crate) mod shared;
