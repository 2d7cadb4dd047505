/// A buffer of a plugin or a stream in the host (`proxy_buffer_type_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferType(u32);

impl BufferType {
    pub(crate) const REQUEST_BODY: Self = Self(0);
    pub(crate) const RESPONSE_BODY: Self = Self(1);
    pub(crate) const DOWNSTREAM_DATA: Self = Self(2);
    pub(crate) const UPSTREAM_DATA: Self = Self(3);
    pub(crate) const HTTP_CALL_RESPONSE_BODY: Self = Self(4);
    #[cfg(feature = "grpc")]
    pub(crate) const GRPC_MESSAGE: Self = Self(5);
    pub(crate) const VM_CONFIGURATION: Self = Self(6);
    pub(crate) const PLUGIN_CONFIGURATION: Self = Self(7);
    pub(crate) const FOREIGN_FUNCTION_ARGUMENTS: Self = Self(8);

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }
}
