/// A header map of a stream in the host (`proxy_header_map_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapType(u32);

impl MapType {
    pub(crate) const REQUEST_HEADERS: Self = Self(0);
    pub(crate) const REQUEST_TRAILERS: Self = Self(1);
    pub(crate) const RESPONSE_HEADERS: Self = Self(2);
    pub(crate) const RESPONSE_TRAILERS: Self = Self(3);
    #[cfg(feature = "grpc")]
    pub(crate) const GRPC_INITIAL_METADATA: Self = Self(4);
    #[cfg(feature = "grpc")]
    pub(crate) const GRPC_TRAILING_METADATA: Self = Self(5);
    pub(crate) const HTTP_CALL_RESPONSE_HEADERS: Self = Self(6);
    pub(crate) const HTTP_CALL_RESPONSE_TRAILERS: Self = Self(7);

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }
}
