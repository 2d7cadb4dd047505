/// One direction of a stream (`proxy_stream_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamType(u32);

impl StreamType {
    pub(crate) const HTTP_REQUEST: Self = Self(0);
    pub(crate) const HTTP_RESPONSE: Self = Self(1);
    pub(crate) const DOWNSTREAM: Self = Self(2);

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }
}
