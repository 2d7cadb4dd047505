//! The state of a module: the executor of futures and the state of each message. Code of a filter
//! author never runs while this state is borrowed.

pub(crate) mod callbacks;
pub(crate) mod declared;
pub(crate) mod edit;
pub(crate) mod effective;
pub(crate) mod executor;
pub(crate) mod life;
pub(crate) mod message_state;
pub(crate) mod point;
pub(crate) mod shared;
