//! `pause_for` of the data of a TCP connection.

use crate::callout::completion::Callout;
use crate::callout::pause::{self, Paused, Status, pause_for};
use crate::engine::callbacks::Declares;
use crate::engine::message_state::{MessageState, Part};
use crate::error::Result;
use crate::error::denial::Raw;
use crate::tcp::data::DownstreamData;
use crate::tcp::status::NetworkFilterStatus;

impl Status for NetworkFilterStatus {
    const PAUSE: Self = Self::Pause;

    #[inline]
    fn into_raw(self) -> Raw {
        Self::into_raw(self)
    }
}

impl Paused for DownstreamData {
    const PART: Part = Part::DownstreamData;
    type Status = NetworkFilterStatus;

    #[inline]
    fn again(state: &MessageState) -> Self {
        Self::new(state.size.get())
    }

    #[inline]
    fn leave(&self, state: &MessageState) {
        state.size.set(self.len());
    }
}

pause_for! {
    DownstreamData -> NetworkFilterStatus,
}
