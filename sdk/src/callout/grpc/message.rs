use crate::error::Result;

/// A message of a gRPC service, which can be encoded to and decoded from bytes.
///
/// Every message of the crate `prost` is one, generated or written by hand:
///
/// ```
/// use proxy_filter::grpc::GrpcMessage;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct CheckRequest {
///     #[prost(string, tag = "1")]
///     path: String,
/// }
///
/// let request = CheckRequest { path: "/".into() };
/// assert_eq!(request.to_wire(), [0x0a, 1, b'/']);
/// assert_eq!(CheckRequest::from_wire(request.to_wire()).unwrap(), request);
/// ```
///
/// [`GrpcBytes`] is a message as it is on the wire, and a filter may implement the trait for types
/// of another library.
pub trait GrpcMessage: Sized + 'static {
    /// The message as it is on the wire.
    fn to_wire(&self) -> Vec<u8>;

    /// The message that these bytes are.
    ///
    /// # Errors
    /// The bytes are not such a message. The filter that called gets it as
    /// [`GrpcError::Malformed`](crate::grpc::GrpcError::Malformed).
    fn from_wire(bytes: Vec<u8>) -> Result<Self>;
}

/// A message as it is on the wire, for filters that pass on messages or have them encoded by
/// another library.
///
/// ```
/// use proxy_filter::grpc::{GrpcBytes, GrpcCall};
/// let call = GrpcCall::<GrpcBytes>::new(
///     "echo",
///     "pkg.Echo",
///     "Say",
///     &GrpcBytes(vec![0x0a, 2, b'h', b'i']),
/// );
/// # let _ = call;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GrpcBytes(
    /// The bytes.
    pub Vec<u8>,
);

impl GrpcMessage for GrpcBytes {
    #[inline]
    fn to_wire(&self) -> Vec<u8> {
        self.0.clone()
    }

    #[inline]
    fn from_wire(bytes: Vec<u8>) -> Result<Self> {
        Ok(Self(bytes))
    }
}

impl<M: prost::Message + Default + 'static> GrpcMessage for M {
    fn to_wire(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn from_wire(bytes: Vec<u8>) -> Result<Self> {
        Self::decode(bytes.as_slice())
            .map_err(|error| crate::error::Error::message(crate::error::kind::ErrorKind::Malformed, error))
    }
}
