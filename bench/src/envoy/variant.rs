//! What is measured beside each other.

use crate::Maker;

/// What is in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// No filter.
    None,
    /// The filter of one maker.
    Filter(Maker),
}

impl Variant {
    pub(super) const ALL: [Self; 4] =
        [Self::None, Self::Filter(Maker::Floor), Self::Filter(Maker::Ours), Self::Filter(Maker::Peer)];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Filter(maker) => maker.name(),
        }
    }

    /// The name of the listener; the one without a filter serves all.
    pub(super) fn listener(self, filter: &str) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Filter(maker) => format!("{maker}_{filter}"),
        }
    }
}
